//! What a CR or DX file says of itself, read and checked before any pixel is.
//!
//! <https://dicom.nema.org/medical/dicom/current/output/chtml/part03/sect_C.7.6.3.html>

use dicom_object::{FileMetaTable, InMemDicomObject, OpenFileOptions, Tag};

use super::{
    outline, uid,
    windowing::{Grey, ModalityLut, Window},
};
use crate::fhir::Date;

pub(super) const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);

/// Why a file gives no picture: one clause, without a word from the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The same film in another encoding may be readable.
    Decoding(&'static str),
    /// What the file says of itself rules it out.
    Refused(&'static str),
}

impl Failure {
    pub fn reason(self) -> &'static str {
        match self {
            Failure::Decoding(reason) | Failure::Refused(reason) => reason,
        }
    }
}

/// How the pixels are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Native,
    Rle,
    Jpeg,
    Jpeg2000,
}

/// A film's header. Text is bounded and of the characters its attribute may have.
#[derive(Debug)]
pub(super) struct Header {
    pub study_uid: String,
    pub instance_uid: String,
    pub sop_class_uid: String,
    pub modality: String,
    pub patient_id: Option<String>,
    pub other_patient_ids: Vec<String>,
    pub body_part: Option<String>,
    pub view: Option<String>,
    pub laterality: Option<String>,
    pub manufacturer: Option<String>,
    pub date: Option<Date>,
    pub number: Option<i64>,
    pub burned_in: &'static str,
    pub lossy: bool,
    pub transfer_syntax: String,
    pub encoding: Encoding,
    /// 1..=8192.
    pub rows: u32,
    /// 1..=8192.
    pub columns: u32,
    /// 8 or 16.
    pub bits_allocated: u16,
    pub grey: Grey,
}

/// Sides no film has: with them a frame is at most 128 MiB.
const MAX_SIDE: i64 = 8192;

impl Header {
    /// Reads up to the pixel data. `file` is a whole DICOM file, preamble and all.
    pub fn read(file: &[u8]) -> Result<Header, Failure> {
        let unreadable = Failure::Decoding("the file is not readable DICOM");
        let (transfer_syntax, encoding) = encoding(file)?;
        let object =
            OpenFileOptions::new().read_until(PIXEL_DATA).from_reader(file).map_err(|_| unreadable)?.into_inner();
        let (sop_class_uid, modality) = film(&object)?;
        let burned_in = burned_in(&object)?;
        let [rows, columns] = [Tag(0x0028, 0x0010), Tag(0x0028, 0x0011)].map(|tag| integer(&object, tag).unwrap_or(0));
        if !(1..=MAX_SIDE).contains(&rows) || !(1..=MAX_SIDE).contains(&columns) {
            return Err(Failure::Refused("the film's rows or columns are out of range"));
        }
        let (bits_allocated, grey) = grey(&object)?;
        let others = object.get(Tag(0x0010, 0x1002)).and_then(|sequence| sequence.items()).unwrap_or_default();
        Ok(Header {
            study_uid: identifier(&object, Tag(0x0020, 0x000D))
                .ok_or(Failure::Refused("the film does not name its study"))?,
            instance_uid: identifier(&object, Tag(0x0008, 0x0018))
                .ok_or(Failure::Refused("the film has no identifier of its own"))?,
            sop_class_uid,
            modality,
            patient_id: text(&object, PATIENT_ID),
            other_patient_ids: others.iter().filter_map(|item| text(item, PATIENT_ID)).collect(),
            body_part: code(&object, Tag(0x0018, 0x0015)),
            view: code(&object, Tag(0x0018, 0x5101)),
            laterality: code(&object, Tag(0x0020, 0x0062)),
            manufacturer: text(&object, Tag(0x0008, 0x0070))
                .filter(|m| m.chars().count() <= 64 && !m.chars().any(char::is_control)),
            date: text(&object, Tag(0x0008, 0x0020)).and_then(|date| Date::from_dicom(&date)),
            number: integer(&object, Tag(0x0020, 0x0013)),
            burned_in,
            lossy: code(&object, Tag(0x0028, 0x2110)).as_deref() == Some("01"),
            transfer_syntax,
            encoding,
            rows: rows as u32,
            columns: columns as u32,
            bits_allocated,
            grey,
        })
    }
}

const PATIENT_ID: Tag = Tag(0x0010, 0x0020);

/// The SOP instance UID of a file, as its meta group names it. Cheap: the data set is not read.
pub(super) fn instance_of(file: &[u8]) -> Option<String> {
    uid::parse(meta(file)?.media_storage_sop_instance_uid()).map(str::to_owned)
}

fn meta(file: &[u8]) -> Option<FileMetaTable> {
    outline::meta_length(file)?;
    FileMetaTable::from_reader(file.get(128..)?).ok()
}

/// The transfer syntax, which alone says how to read the rest. Deflated ones are not here: a few kB may inflate to anything.
fn encoding(file: &[u8]) -> Result<(String, Encoding), Failure> {
    let meta = meta(file).ok_or(Failure::Decoding("the file is not readable DICOM"))?;
    let encoding = match meta.transfer_syntax() {
        "1.2.840.10008.1.2" | "1.2.840.10008.1.2.1" => Encoding::Native,
        "1.2.840.10008.1.2.5" => Encoding::Rle,
        "1.2.840.10008.1.2.4.50" | "1.2.840.10008.1.2.4.57" | "1.2.840.10008.1.2.4.70" => Encoding::Jpeg,
        "1.2.840.10008.1.2.4.90" | "1.2.840.10008.1.2.4.91" => Encoding::Jpeg2000,
        _ => return Err(Failure::Decoding("the film is stored in an encoding that is not read here")),
    };
    // INVARIANT: no_buffer_is_sized_by_a_length_that_the_file_does_not_have
    if !outline::sound(file, meta.transfer_syntax() == "1.2.840.10008.1.2") {
        return Err(Failure::Decoding("the file is damaged or not built as a film is"));
    }
    Ok((meta.transfer_syntax().to_owned(), encoding))
}

/// SOP class and modality, of a film meant for people to read.
fn film(object: &InMemDicomObject) -> Result<(String, String), Failure> {
    let class = identifier(object, Tag(0x0008, 0x0016)).unwrap_or_default();
    match class.as_str() {
        "1.2.840.10008.5.1.4.1.1.1" | "1.2.840.10008.5.1.4.1.1.1.1" => {}
        "1.2.840.10008.5.1.4.1.1.1.1.1" => return Err(Failure::Refused("the film is raw data for processing")),
        _ => return Err(Failure::Refused("the file is not a CR or DX film")),
    }
    if object.get(Tag(0x0020, 0x9161)).is_some() {
        return Err(Failure::Refused("the file is one piece of a split object"));
    }
    let frames = Tag(0x0028, 0x0008);
    if text(object, frames).is_some() && integer(object, frames) != Some(1) {
        return Err(Failure::Refused("the file has more than one frame"));
    }
    match code(object, Tag(0x0008, 0x0060)) {
        Some(modality) if modality == "CR" || modality == "DX" => Ok((class, modality)),
        _ => Err(Failure::Refused("the file is not a CR or DX film")),
    }
}

/// Text in pixels names patients and can talk to a model.
fn burned_in(object: &InMemDicomObject) -> Result<&'static str, Failure> {
    match text(object, Tag(0x0028, 0x0301)).as_deref() {
        None => Ok("not stated"),
        Some("NO") => Ok("NO"),
        Some(_) => Err(Failure::Refused("the film has text burned into it")),
    }
}

/// Bits allocated, and how stored values are read.
fn grey(object: &InMemDicomObject) -> Result<(u16, Grey), Failure> {
    let inverted = match text(object, Tag(0x0028, 0x0004)).as_deref() {
        Some("MONOCHROME1") => true,
        Some("MONOCHROME2") => false,
        Some("PALETTE COLOR") => return Err(Failure::Refused("the film is in palette colours")),
        _ => return Err(Failure::Refused("the film is not in greys")),
    };
    if integer(object, Tag(0x0028, 0x0002)) != Some(1) {
        return Err(Failure::Refused("the film is not in greys"));
    }
    let bits = [Tag(0x0028, 0x0100), Tag(0x0028, 0x0101), Tag(0x0028, 0x0102)].map(|tag| integer(object, tag));
    let [Some(allocated @ (8 | 16)), Some(stored), Some(high)] = bits else {
        return Err(Failure::Refused("the film's samples are not of 8 or 16 bits"));
    };
    if !(1..=allocated).contains(&stored) || high != stored - 1 {
        return Err(Failure::Refused("the film's bits stored contradict its bits allocated"));
    }
    let signed = match integer(object, Tag(0x0028, 0x0103)) {
        Some(0) => false,
        Some(1) => true,
        _ => return Err(Failure::Refused("the film does not say whether its values are signed")),
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
        return table.ok_or(Failure::Refused("the film's modality lookup table is not readable"));
    }
    match [Tag(0x0028, 0x1053), Tag(0x0028, 0x1052)].map(|tag| (text(object, tag).is_some(), number(object, tag))) {
        [(false, _), (false, _)] => Ok(ModalityLut::Identity),
        [(_, Some(slope)), (_, Some(intercept))] if slope != 0.0 => Ok(ModalityLut::Rescale { slope, intercept }),
        _ => Err(Failure::Refused("the film's rescale slope or intercept is missing or not readable")),
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

/// A code string: at most 16 of `A-Z 0-9 _` and space.
fn code(object: &InMemDicomObject, tag: Tag) -> Option<String> {
    let allowed = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || matches!(b, b'_' | b' ');
    text(object, tag).filter(|code| code.len() <= 16 && code.bytes().all(allowed))
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
