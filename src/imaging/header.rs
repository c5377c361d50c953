//! What a CR or DX file says of itself, read and checked before any pixel is.
//!
//! <https://dicom.nema.org/medical/dicom/current/output/chtml/part03/sect_C.7.6.3.html>

use dicom_object::{FileMetaTable, InMemDicomObject, OpenFileOptions, Tag};
use serde::{Deserialize, Serialize};

use super::{
    Failure,
    identity::{PatientId, Subject},
    outline, uid,
    windowing::{Grey, ModalityLut, Window},
};
use crate::fhir::Date;

pub(super) const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);

/// How the pixels are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Native,
    Rle,
    Jpeg,
    Jpeg2000,
}

/// What a film says of itself. Text is bounded and of the characters its attribute may have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Facts {
    pub study_uid: String,
    pub series_uid: String,
    pub instance_uid: String,
    pub sop_class_uid: String,
    pub modality: String,
    pub patient: Subject,
    pub body_part: Option<String>,
    pub view: Option<String>,
    pub laterality: Option<String>,
    pub manufacturer: Option<String>,
    pub date: Option<Date>,
    pub number: Option<i64>,
    /// Otherwise it says nothing of that: films with text burned in are refused.
    pub says_no_text_burned_in: bool,
    pub lossy: bool,
    /// `center/width`.
    pub window: Option<String>,
    pub transfer_syntax: String,
    /// 1..=8192.
    pub rows: u32,
    /// 1..=8192.
    pub columns: u32,
}

/// A film's header: the facts, and how its pixels are read.
#[derive(Debug)]
pub(super) struct Header {
    pub facts: Facts,
    pub encoding: Encoding,
    /// 8 or 16.
    pub bits_allocated: u16,
    pub grey: Grey,
}

/// Sides no film has: with them a frame is at most 128 MiB.
const MAX_SIDE: i64 = 8192;

impl Header {
    /// Reads up to the pixel data. `file` is a whole DICOM file, preamble and all; see [`outline::settle`].
    pub fn read(file: &mut [u8]) -> Result<Header, Failure> {
        let (transfer_syntax, encoding) = encoding(file)?;
        let object = OpenFileOptions::new().read_until(PIXEL_DATA).from_reader(&*file);
        let object = object.map_err(|_| Failure::NotDicom)?.into_inner();
        let (sop_class_uid, modality) = film(&object)?;
        let says_no_text_burned_in = no_text_burned_in(&object)?;
        if code(&object, Tag(0x0028, 0x0302)).as_deref() == Some("YES") {
            return Err(Failure::Recognisable);
        }
        // INVARIANT: a_film_stored_mirrored_or_turned_is_not_read
        // Rows that run to the patient's left and columns to the feet: as a film hangs, and as the model learnt sides.
        if text(&object, Tag(0x0020, 0x0020)).is_some_and(|way| !hangs(&way)) {
            return Err(Failure::Turned);
        }
        let [rows, columns] = [Tag(0x0028, 0x0010), Tag(0x0028, 0x0011)].map(|tag| integer(&object, tag).unwrap_or(0));
        if !(1..=MAX_SIDE).contains(&rows) || !(1..=MAX_SIDE).contains(&columns) {
            return Err(Failure::Size);
        }
        let (bits_allocated, grey) = grey(&object)?;
        let facts = Facts {
            study_uid: identifier(&object, Tag(0x0020, 0x000D)).ok_or(Failure::NoStudy)?,
            series_uid: identifier(&object, Tag(0x0020, 0x000E)).ok_or(Failure::NoSeries)?,
            instance_uid: identifier(&object, Tag(0x0008, 0x0018)).ok_or(Failure::NoInstance)?,
            sop_class_uid,
            modality,
            patient: subject(&object),
            body_part: code(&object, Tag(0x0018, 0x0015)),
            view: code(&object, Tag(0x0018, 0x5101)),
            laterality: code(&object, Tag(0x0020, 0x0062)),
            manufacturer: text(&object, Tag(0x0008, 0x0070)).filter(|manufacturer| is_name(manufacturer)),
            date: text(&object, Tag(0x0008, 0x0020)).and_then(|date| Date::from_dicom(&date)),
            number: integer(&object, Tag(0x0020, 0x0013)),
            says_no_text_burned_in,
            lossy: code(&object, Tag(0x0028, 0x2110)).as_deref() == Some("01"),
            window: grey.window.map(|window| window.text()),
            transfer_syntax,
            rows: rows as u32,
            columns: columns as u32,
        };
        Ok(Header { facts, encoding, bits_allocated, grey })
    }
}

impl Facts {
    /// Whether each is of the form that reading a header gives it: for those who have them from elsewhere.
    pub fn are_sound(&self) -> bool {
        let uids = [&self.study_uid, &self.series_uid, &self.instance_uid, &self.sop_class_uid];
        let codes = [&self.body_part, &self.view, &self.laterality];
        let sides = [self.rows, self.columns].map(i64::from);
        uids.into_iter().all(|uid| uid::parse(uid) == Some(uid))
            && FILMS.contains(&self.sop_class_uid.as_str())
            && MODALITIES.contains(&self.modality.as_str())
            && self.patient.is_sound()
            && codes.into_iter().flatten().all(|code| is_code(code))
            && self.manufacturer.as_deref().is_none_or(is_name)
            && self.window.as_deref().is_none_or(|window| Window::parse(window).is_some())
            && encoding_of(&self.transfer_syntax).is_some()
            && sides.iter().all(|side| (1..=MAX_SIDE).contains(side))
    }
}

const FILMS: [&str; 2] = ["1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.5.1.4.1.1.1.1"];
const MODALITIES: [&str; 2] = ["CR", "DX"];

/// Whose film it says it is.
fn subject(object: &InMemDicomObject) -> Subject {
    let id = |object: &InMemDicomObject| {
        Some(PatientId { value: text(object, Tag(0x0010, 0x0020))?, issuer: text(object, Tag(0x0010, 0x0021)) })
    };
    let others = object.get(Tag(0x0010, 0x1002)).and_then(|sequence| sequence.items()).unwrap_or_default();
    Subject::new(
        id(object),
        others.iter().filter_map(id),
        text(object, Tag(0x0010, 0x0030)).and_then(|date| Date::from_dicom(&date)),
        code(object, Tag(0x0010, 0x0040)),
    )
}

/// Whether a Patient Orientation (0020,0020) is that of a film as it hangs.
fn hangs(orientation: &str) -> bool {
    orientation
        .split_once('\\')
        .is_some_and(|(row, column)| row.trim().starts_with('L') && column.trim().starts_with('F'))
}

/// The SOP instance UID of a file, as its meta group names it. Cheap: the data set is not read.
pub(super) fn instance_of(file: &[u8]) -> Option<String> {
    uid::parse(meta(file)?.media_storage_sop_instance_uid()).map(str::to_owned)
}

fn meta(file: &[u8]) -> Option<FileMetaTable> {
    outline::meta_length(file)?;
    FileMetaTable::from_reader(file.get(128..)?).ok()
}

/// The transfer syntax, which alone says how to read the rest.
fn encoding(file: &mut [u8]) -> Result<(String, Encoding), Failure> {
    let meta = meta(file).ok_or(Failure::NotDicom)?;
    let transfer_syntax = meta.transfer_syntax();
    let encoding = encoding_of(transfer_syntax).ok_or(Failure::UnreadEncoding)?;
    // INVARIANT: no_buffer_is_sized_by_a_length_that_the_file_does_not_have
    if !outline::settle(file, transfer_syntax == "1.2.840.10008.1.2") {
        return Err(Failure::Malformed);
    }
    Ok((transfer_syntax.to_owned(), encoding))
}

/// Deflated ones are not here: a few kB may inflate to anything.
fn encoding_of(transfer_syntax: &str) -> Option<Encoding> {
    match transfer_syntax {
        "1.2.840.10008.1.2" | "1.2.840.10008.1.2.1" => Some(Encoding::Native),
        "1.2.840.10008.1.2.5" => Some(Encoding::Rle),
        "1.2.840.10008.1.2.4.50" | "1.2.840.10008.1.2.4.57" | "1.2.840.10008.1.2.4.70" => Some(Encoding::Jpeg),
        "1.2.840.10008.1.2.4.90" | "1.2.840.10008.1.2.4.91" => Some(Encoding::Jpeg2000),
        _ => None,
    }
}

/// SOP class and modality, of a film meant for people to read.
fn film(object: &InMemDicomObject) -> Result<(String, String), Failure> {
    let class = identifier(object, Tag(0x0008, 0x0016)).unwrap_or_default();
    match class.as_str() {
        class if FILMS.contains(&class) => {}
        "1.2.840.10008.5.1.4.1.1.1.1.1" => return Err(Failure::RawData),
        _ => return Err(Failure::NotAFilm),
    }
    if object.get(Tag(0x0020, 0x9161)).is_some() {
        return Err(Failure::Split);
    }
    let frames = Tag(0x0028, 0x0008);
    if text(object, frames).is_some() && integer(object, frames) != Some(1) {
        return Err(Failure::Frames);
    }
    match code(object, Tag(0x0008, 0x0060)) {
        Some(modality) if MODALITIES.contains(&modality.as_str()) => Ok((class, modality)),
        _ => Err(Failure::NotAFilm),
    }
}

/// Text in pixels names patients and can talk to a model.
fn no_text_burned_in(object: &InMemDicomObject) -> Result<bool, Failure> {
    match text(object, Tag(0x0028, 0x0301)).as_deref() {
        None => Ok(false),
        Some("NO") => Ok(true),
        Some(_) => Err(Failure::BurnedIn),
    }
}

/// Bits allocated, and how stored values are read.
fn grey(object: &InMemDicomObject) -> Result<(u16, Grey), Failure> {
    let inverted = match text(object, Tag(0x0028, 0x0004)).as_deref() {
        Some("MONOCHROME1") => true,
        Some("MONOCHROME2") => false,
        Some("PALETTE COLOR") => return Err(Failure::Palette),
        _ => return Err(Failure::NotGrey),
    };
    if integer(object, Tag(0x0028, 0x0002)) != Some(1) {
        return Err(Failure::NotGrey);
    }
    let bits = [Tag(0x0028, 0x0100), Tag(0x0028, 0x0101), Tag(0x0028, 0x0102)].map(|tag| integer(object, tag));
    let [Some(allocated @ (8 | 16)), Some(stored), Some(high)] = bits else {
        return Err(Failure::Bits);
    };
    if !(1..=allocated).contains(&stored) || high != stored - 1 {
        return Err(Failure::BitsStored);
    }
    let signed = match integer(object, Tag(0x0028, 0x0103)) {
        Some(0) => false,
        Some(1) => true,
        _ => return Err(Failure::Sign),
    };
    let window = match [Tag(0x0028, 0x1050), Tag(0x0028, 0x1051)].map(|tag| number(object, tag)) {
        [Some(center), Some(width)] => Window::new(center, width),
        _ => None,
    };
    let modality_lut = modality_lut(object, signed)?;
    Ok((allocated as u16, Grey { bits_stored: stored as u16, signed, modality_lut, window, inverted }))
}

fn modality_lut(object: &InMemDicomObject, signed: bool) -> Result<ModalityLut, Failure> {
    if let Some(sequence) = object.get(Tag(0x0028, 0x3000)) {
        let table = sequence.items().and_then(|items| items.first()).and_then(|item| table(item, signed));
        return table.ok_or(Failure::ModalityLut);
    }
    match [Tag(0x0028, 0x1053), Tag(0x0028, 0x1052)].map(|tag| (text(object, tag).is_some(), number(object, tag))) {
        [(false, _), (false, _)] => Ok(ModalityLut::Identity),
        [(_, Some(slope)), (_, Some(intercept))] if slope != 0.0 => Ok(ModalityLut::Rescale { slope, intercept }),
        _ => Err(Failure::Rescale),
    }
}

/// One item of a Modality LUT Sequence. <https://dicom.nema.org/medical/dicom/current/output/chtml/part03/sect_C.11.html>
fn table(item: &InMemDicomObject, signed: bool) -> Option<ModalityLut> {
    let descriptor = item.get(Tag(0x0028, 0x3002))?.to_multi_int::<i32>().ok()?;
    let [entries, first, bits] = descriptor[..] else { return None };
    let entries = if entries == 0 { 65536 } else { usize::try_from(entries).ok()? };
    // Written with the VR of unsigned values, a negative first value arrives as a large one.
    let first = if signed && first > 32767 { first - 65536 } else { first };
    let values = item.get(Tag(0x0028, 0x3006))?.to_multi_int::<u16>().ok()?;
    (values.len() == entries && (8..=16).contains(&bits)).then_some(ModalityLut::Table { first, values })
}

fn text(object: &InMemDicomObject, tag: Tag) -> Option<String> {
    let value = object.get(tag)?.to_str().ok()?;
    let value = value.trim_matches(|c: char| c == ' ' || c == '\0');
    (!value.is_empty()).then(|| value.to_owned())
}

fn code(object: &InMemDicomObject, tag: Tag) -> Option<String> {
    text(object, tag).filter(|code| is_code(code))
}

/// A code string: at most 16 of `A-Z 0-9 _` and space.
pub(super) fn is_code(code: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || matches!(b, b'_' | b' ');
    code.len() <= 16 && code.bytes().all(allowed)
}

fn is_name(name: &str) -> bool {
    name.chars().count() <= 64 && !name.chars().any(char::is_control)
}

fn identifier(object: &InMemDicomObject, tag: Tag) -> Option<String> {
    text(object, tag).and_then(|text| uid::parse(&text).map(str::to_owned))
}

fn integer(object: &InMemDicomObject, tag: Tag) -> Option<i64> {
    object.get(tag)?.to_int().ok()
}

fn number(object: &InMemDicomObject, tag: Tag) -> Option<f64> {
    object.get(tag)?.to_float64().ok().filter(|n| n.is_finite())
}
