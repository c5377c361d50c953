//! A made-up film as a Digital X-Ray file in explicit VR little endian.
//! <https://dicom.nema.org/medical/dicom/current/output/chtml/part03/sect_A.26.html>,
//! <https://dicom.nema.org/medical/dicom/current/output/chtml/part05/sect_7.1.2.html>

use std::collections::BTreeMap;

use super::{Film, MADE_UP, MANUFACTURER, Random, canvas::WHITE};
use crate::{
    error::{Error, Result},
    fhir::Date,
};

/// Whose film it says it is, of when, and how its values are stored. Text is cut to what its attribute may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// PatientID (0010,0020), and who gave it (0010,0021).
    pub patient_id: String,
    pub issuer: Option<String>,
    /// As DICOM writes it: `Family^Given`.
    pub name: String,
    /// `M`, `F` or `O`.
    pub sex: Option<String>,
    pub birth_date: Option<Date>,
    pub study_date: Date,
    pub view: View,
    pub study_uid: String,
    pub series_uid: String,
    pub instance_uid: String,
    pub number: u16,
    pub storage: Storage,
}

/// View Position (0018,5101).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    Pa,
    Ap,
}

/// How the values are stored. Every way gives back the same greys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Storage {
    /// MONOCHROME1: 0 is white.
    pub inverted: bool,
    pub modality_lut: ModalityLut,
}

/// What Rescale Slope and Intercept (0028,1053 and 1052) say; the window is in their units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ModalityLut {
    /// Neither is there.
    #[default]
    None,
    /// 1 and 0.
    Identity,
    /// 1 and -1024.
    Shifted,
    /// 0.5 and 100.
    Halved,
    /// -1 and 4080: what is stored is the complement.
    Negative,
}

impl Storage {
    pub const ALL: [Storage; 10] = {
        use ModalityLut::*;
        let luts = [None, Identity, Shifted, Halved, Negative];
        let mut all = [Storage { inverted: false, modality_lut: None }; 10];
        let mut i = 0;
        while i < all.len() {
            all[i] = Storage { inverted: i % 2 == 1, modality_lut: luts[i / 2] };
            i += 1;
        }
        all
    };
}

const DX_FOR_PRESENTATION: &str = "1.2.840.10008.5.1.4.1.1.1.1";
/// The transfer syntax of what is written.
pub const EXPLICIT_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2.1";
/// Of this writer: a UUID of its own under 2.25.
const IMPLEMENTATION: &str = "2.25.283014982417316540618296047251108376441";
/// The largest the server reads.
const MAX_SIDE: u32 = 8192;

/// A UID nobody has, from random numbers.
/// <https://dicom.nema.org/medical/dicom/current/output/chtml/part05/sect_B.2.html>
pub fn uid(random: &mut Random) -> String {
    format!("2.25.{}", u128::from(random.number()) << 64 | u128::from(random.number()))
}

/// The whole file, preamble and all. An error where the film has more than 8192 rows or columns.
pub fn write(film: &Film, label: &Label) -> Result<Vec<u8>> {
    if film.width.max(film.height) > MAX_SIDE {
        return Err(Error::invalid(format!("a film has at most {MAX_SIDE} rows and columns")));
    }
    let mut meta = Elements::default();
    meta.bytes((0x0002, 0x0001), "OB", &[0, 1]);
    meta.text((0x0002, 0x0002), "UI", DX_FOR_PRESENTATION);
    meta.text((0x0002, 0x0003), "UI", &label.instance_uid);
    meta.text((0x0002, 0x0010), "UI", EXPLICIT_LITTLE_ENDIAN);
    meta.text((0x0002, 0x0012), "UI", IMPLEMENTATION);
    let meta = meta.written();
    let mut length = Elements::default();
    length.bytes((0x0002, 0x0000), "UL", &(meta.len() as u32).to_le_bytes());
    let mut data = Elements::default();
    describe(&mut data, label);
    picture(&mut data, film, label.storage);
    Ok([&[0; 128], &b"DICM"[..], &length.written(), &meta, &data.written()].concat())
}

fn describe(data: &mut Elements, label: &Label) {
    // DA is a whole day or nothing.
    let day = |date: &Date| Some(date.day().replace('-', "")).filter(|day| day.len() == 8).unwrap_or_default();
    let taken = day(&label.study_date);
    for element in [0x0020, 0x0021, 0x0022, 0x0023] {
        data.text((0x0008, element), "DA", &taken);
    }
    let view = match label.view {
        View::Pa => "PA",
        View::Ap => "AP",
    };
    for ((group, element), vr, value) in [
        ((0x0008, 0x0005), "CS", "ISO_IR 192"),
        ((0x0008, 0x0008), "CS", "DERIVED\\PRIMARY"),
        ((0x0008, 0x0016), "UI", DX_FOR_PRESENTATION),
        ((0x0008, 0x0018), "UI", &label.instance_uid),
        ((0x0008, 0x0030), "TM", "120000"),
        ((0x0008, 0x0050), "SH", ""),
        ((0x0008, 0x0060), "CS", "DX"),
        ((0x0008, 0x0068), "CS", "FOR PRESENTATION"),
        ((0x0008, 0x0070), "LO", MANUFACTURER),
        ((0x0008, 0x0090), "PN", ""),
        ((0x0008, 0x1030), "LO", "Chest (made up)"),
        ((0x0008, 0x2111), "ST", MADE_UP),
        ((0x0018, 0x0015), "CS", "CHEST"),
        ((0x0018, 0x5101), "CS", view),
        ((0x0020, 0x000D), "UI", &label.study_uid),
        ((0x0020, 0x000E), "UI", &label.series_uid),
        ((0x0020, 0x0010), "SH", ""),
        ((0x0020, 0x0011), "IS", "1"),
        ((0x0020, 0x0013), "IS", &label.number.to_string()),
        ((0x0020, 0x0020), "CS", "L\\F"),
        ((0x0020, 0x0062), "CS", "U"),
        ((0x0020, 0x4000), "LT", MADE_UP),
    ] {
        data.text((group, element), vr, value);
    }
    data.free_text((0x0010, 0x0010), "PN", &label.name);
    data.free_text((0x0010, 0x0020), "LO", &label.patient_id);
    if let Some(issuer) = &label.issuer {
        data.free_text((0x0010, 0x0021), "LO", issuer);
    }
    data.text((0x0010, 0x0030), "DA", &label.birth_date.as_ref().map(day).unwrap_or_default());
    data.free_text((0x0010, 0x0040), "CS", label.sex.as_deref().unwrap_or_default());
}

fn picture(data: &mut Elements, film: &Film, storage: Storage) {
    let negative = storage.modality_lut == ModalityLut::Negative;
    let complement = storage.inverted != negative;
    let stored = |value: &u16| if complement { WHITE.saturating_sub(*value) } else { *value };
    let pixels: Vec<u8> = film.values.iter().flat_map(|value| stored(value).to_le_bytes()).collect();
    data.bytes((0x7FE0, 0x0010), "OW", &pixels);
    for (element, value) in [
        (0x0002, 1),
        (0x0010, film.height as u16),
        (0x0011, film.width as u16),
        (0x0100, 16),
        (0x0101, 12),
        (0x0102, 11),
        (0x0103, 0),
    ] {
        data.bytes((0x0028, element), "US", &value.to_le_bytes());
    }
    let sign: i16 = if storage.inverted { 1 } else { -1 };
    data.bytes((0x0028, 0x1041), "SS", &sign.to_le_bytes());
    let (rescale, center, width) = match storage.modality_lut {
        ModalityLut::None => (None, "2040", "4080"),
        ModalityLut::Identity => (Some(("1", "0")), "2040", "4080"),
        ModalityLut::Shifted => (Some(("1", "-1024")), "1016", "4080"),
        ModalityLut::Halved => (Some(("0.5", "100")), "1120", "2040"),
        ModalityLut::Negative => (Some(("-1", "4080")), "2040", "4080"),
    };
    let (polarity, shape) = if storage.inverted { ("MONOCHROME1", "INVERSE") } else { ("MONOCHROME2", "IDENTITY") };
    for (tag, vr, value) in [
        ((0x0028, 0x0004), "CS", polarity),
        // The stamp names nobody: what this attribute asks is whether text in the picture does.
        ((0x0028, 0x0301), "CS", "NO"),
        ((0x0028, 0x1040), "CS", "LOG"),
        ((0x0028, 0x1050), "DS", center),
        ((0x0028, 0x1051), "DS", width),
        ((0x0028, 0x2110), "CS", "00"),
        ((0x2050, 0x0020), "CS", shape),
    ] {
        data.text(tag, vr, value);
    }
    if let Some((slope, intercept)) = rescale {
        data.text((0x0028, 0x1052), "DS", intercept);
        data.text((0x0028, 0x1053), "DS", slope);
        data.text((0x0028, 0x1054), "LO", "US");
    }
}

/// Elements of a data set, written in the order of their tags.
#[derive(Default)]
struct Elements(BTreeMap<(u16, u16), Vec<u8>>);

impl Elements {
    fn bytes(&mut self, tag: (u16, u16), vr: &str, value: &[u8]) {
        let mut element = [tag.0.to_le_bytes(), tag.1.to_le_bytes()].concat();
        element.extend(vr.as_bytes());
        match vr {
            "OB" | "OW" => {
                element.extend([0, 0]);
                element.extend((value.len() as u32).to_le_bytes());
            }
            _ => element.extend((value.len() as u16).to_le_bytes()),
        }
        element.extend(value);
        self.0.insert(tag, element);
    }

    /// Padded to an even length.
    fn text(&mut self, tag: (u16, u16), vr: &str, value: &str) {
        let padding = match (value.len() % 2, vr) {
            (0, _) => "",
            (_, "UI") => "\0",
            _ => " ",
        };
        self.bytes(tag, vr, format!("{value}{padding}").as_bytes());
    }

    /// Text from elsewhere: 64 characters at most (a CS 16), without those that DICOM gives a meaning.
    fn free_text(&mut self, tag: (u16, u16), vr: &str, value: &str) {
        let most = if vr == "CS" { 16 } else { 64 };
        let clean = |c: char| if c == '\\' || c.is_control() { ' ' } else { c };
        self.text(tag, vr, &value.chars().map(clean).take(most).collect::<String>());
    }

    fn written(self) -> Vec<u8> {
        self.0.into_values().flatten().collect()
    }
}
