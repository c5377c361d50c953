//! Films made byte by byte, so that a test can say exactly what is wrong with one. The integration tests use this file too.

use std::collections::BTreeMap;

pub const STUDY: &str = "1.2.3";
pub const SERIES: &str = "1.2.3.1";
pub const INSTANCE: &str = "1.2.3.1.1";
pub const PATIENT: &str = "MRN-1";
pub const PIXEL_DATA: (u16, u16) = (0x7FE0, 0x0010);

/// A DICOM file in explicit VR little endian.
#[derive(Clone)]
pub struct File {
    pub transfer_syntax: &'static str,
    pub elements: BTreeMap<(u16, u16), Vec<u8>>,
}

/// `side` columns and rows, 12 bits in 16, stored = 16 x grey, grey = `grey_at`.
pub fn film(side: u16, grey_at: fn(u16, u16) -> u8) -> File {
    let pixels = (0..side).flat_map(|y| (0..side).flat_map(move |x| (u16::from(grey_at(x, y)) * 16).to_le_bytes()));
    let mut file = File { transfer_syntax: "1.2.840.10008.1.2.1", elements: BTreeMap::new() };
    file.set(PIXEL_DATA, "OW", pixels.collect());
    for (tag, vr, value) in [
        ((0x0008, 0x0016), "UI", "1.2.840.10008.5.1.4.1.1.1.1"),
        ((0x0008, 0x0018), "UI", INSTANCE),
        ((0x0008, 0x0020), "DA", "20250602"),
        ((0x0008, 0x0060), "CS", "DX"),
        ((0x0008, 0x0070), "LO", "curbside phantom"),
        ((0x0010, 0x0020), "LO", PATIENT),
        ((0x0018, 0x0015), "CS", "CHEST"),
        ((0x0018, 0x5101), "CS", "PA"),
        ((0x0020, 0x000D), "UI", STUDY),
        ((0x0020, 0x000E), "UI", SERIES),
        ((0x0020, 0x0013), "IS", "1"),
        ((0x0028, 0x0004), "CS", "MONOCHROME2"),
        ((0x0028, 0x0301), "CS", "NO"),
        ((0x0028, 0x1050), "DS", "2040"),
        ((0x0028, 0x1051), "DS", "4080"),
    ] {
        file.text(tag, vr, value);
    }
    for (element, value) in
        [(0x0002, 1), (0x0010, side), (0x0011, side), (0x0100, 16), (0x0101, 12), (0x0102, 11), (0x0103, 0)]
    {
        file.number((0x0028, element), value);
    }
    file
}

/// The same with 8 bits stored as they are, under the same window.
pub fn film_of_8_bits(side: u16, grey_at: fn(u16, u16) -> u8) -> File {
    let mut file = film(side, grey_at);
    for (element, value) in [(0x0100, 8), (0x0101, 8), (0x0102, 7)] {
        file.number((0x0028, element), value);
    }
    file.text((0x0028, 0x1050), "DS", "127");
    file.text((0x0028, 0x1051), "DS", "254");
    file.set(PIXEL_DATA, "OB", (0..side).flat_map(|y| (0..side).map(move |x| grey_at(x, y))).collect());
    file
}

/// The default film: a gradient of 32 x 32.
pub fn gradient() -> File {
    film(32, |x, y| (x * 7 + y) as u8)
}

impl File {
    pub fn set(&mut self, tag: (u16, u16), vr: &str, value: Vec<u8>) {
        self.elements.insert(tag, element(tag, vr, &value));
    }
    pub fn text(&mut self, tag: (u16, u16), vr: &str, value: &str) {
        let padding = if vr == "UI" { "\0" } else { " " };
        self.set(tag, vr, format!("{value}{}", padding.repeat(value.len() % 2)).into_bytes());
    }
    pub fn number(&mut self, tag: (u16, u16), value: u16) {
        self.set(tag, "US", value.to_le_bytes().to_vec());
    }
    /// Pixel data as one encapsulated fragment.
    pub fn encapsulate(&mut self, transfer_syntax: &'static str, fragment: &[u8]) {
        self.fragments(transfer_syntax, &[], &[fragment]);
    }
    pub fn fragments(&mut self, transfer_syntax: &'static str, offsets: &[u32], fragments: &[&[u8]]) {
        self.transfer_syntax = transfer_syntax;
        let head = [0xE0, 0x7F, 0x10, 0, b'O', b'B', 0, 0, 0xFF, 0xFF, 0xFF, 0xFF];
        let offsets: Vec<u8> = offsets.iter().flat_map(|offset| offset.to_le_bytes()).collect();
        let padded = |fragment: &&[u8]| item(&[fragment, &[0u8; 1][..fragment.len() % 2]].concat());
        let fragments: Vec<u8> = fragments.iter().flat_map(padded).collect();
        let value = [&head[..], &item(&offsets), &fragments, &[0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0]].concat();
        self.elements.insert(PIXEL_DATA, value);
    }
    pub fn bytes(&self) -> Vec<u8> {
        self.whole(self.elements.values().flatten().copied().collect())
    }
    /// The same without representations; for elements that hold no others.
    pub fn implicit(&self) -> Vec<u8> {
        let implicit = |element: &Vec<u8>| {
            let head = if matches!(&element[4..6], b"OB" | b"OW" | b"SQ" | b"UN") { 12 } else { 8 };
            let (head, value) = element.split_at(head);
            [&head[..4], &(value.len() as u32).to_le_bytes(), value].concat()
        };
        let file = File { transfer_syntax: "1.2.840.10008.1.2", ..self.clone() };
        file.whole(self.elements.values().flat_map(implicit).collect())
    }
    fn whole(&self, elements: Vec<u8>) -> Vec<u8> {
        let mut meta = element((2, 1), "OB", &[0, 1]);
        for (number, value) in
            [(2, "1.2.840.10008.5.1.4.1.1.1.1"), (3, self.instance()), (16, self.transfer_syntax), (18, "1.2.826.0.1")]
        {
            meta.extend(element((2, number), "UI", format!("{value}{}", "\0".repeat(value.len() % 2)).as_bytes()));
        }
        let length = element((2, 0), "UL", &(meta.len() as u32).to_le_bytes());
        [&[0; 128], &b"DICM"[..], &length, &meta, &elements].concat()
    }
    fn instance(&self) -> &str {
        let value = self.elements.get(&(0x0008, 0x0018)).map(|element| &element[8..]).unwrap_or_default();
        std::str::from_utf8(value).unwrap().trim_end_matches('\0')
    }
}

pub fn element(tag: (u16, u16), vr: &str, value: &[u8]) -> Vec<u8> {
    let mut bytes = [tag.0.to_le_bytes(), tag.1.to_le_bytes()].concat();
    bytes.extend(vr.as_bytes());
    match vr {
        "OB" | "OW" | "SQ" | "UN" => {
            bytes.extend([0, 0]);
            bytes.extend((value.len() as u32).to_le_bytes());
        }
        _ => bytes.extend((value.len() as u16).to_le_bytes()),
    }
    bytes.extend(value);
    bytes
}

pub fn item(value: &[u8]) -> Vec<u8> {
    [&[0xFE, 0xFF, 0x00, 0xE0], &(value.len() as u32).to_le_bytes()[..], value].concat()
}
