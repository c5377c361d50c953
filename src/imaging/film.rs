//! From the bytes of one DICOM file to the picture the model sees. Pure; run where it can break nothing.

use std::borrow::Cow;

use dicom_object::{DefaultDicomObject, InMemDicomObject, OpenFileOptions, Tag};
use dicom_pixeldata::PixelDecoder;
use image::{GrayImage, RgbImage};

use super::{
    Failure, encapsulated, geometry,
    header::{Encoding, Header, PIXEL_DATA},
};

/// The picture of a file with that header, as a square. The file is the one the header was read from.
pub(super) fn decode(file: Vec<u8>, header: &Header, side: u32) -> Result<RgbImage, Failure> {
    let object = OpenFileOptions::new().read_to(PIXEL_DATA).from_reader(file.as_slice());
    drop(file);
    let mut object = object.map_err(|_| Failure::Undecodable)?;
    let grey = header.grey.render(&stored(&mut object, header)?)?;
    drop(object);
    let grey = GrayImage::from_raw(header.facts.columns, header.facts.rows, grey).ok_or(Failure::Undecodable)?;
    Ok(geometry::fit(grey, side))
}

/// Attributes the decoder would interpret, or fail on, and we read ourselves.
const OURS: [Tag; 10] = [
    Tag(0x0028, 0x1050),
    Tag(0x0028, 0x1051),
    Tag(0x0028, 0x1052),
    Tag(0x0028, 0x1053),
    Tag(0x0028, 0x1055),
    Tag(0x0028, 0x1056),
    Tag(0x0028, 0x3000),
    Tag(0x0028, 0x3010),
    encapsulated::EXTENDED_OFFSETS,
    encapsulated::EXTENDED_LENGTHS,
];

/// The stored values, row by row, exactly rows x columns of them.
fn stored<'a>(object: &'a mut DefaultDicomObject, header: &Header) -> Result<Cow<'a, [u16]>, Failure> {
    let pixels = header.facts.rows as usize * header.facts.columns as usize;
    if header.encoding == Encoding::Native {
        return native(object, header.bits_allocated, pixels);
    }
    encapsulated::check(object, header)?;
    for tag in OURS {
        object.remove_element(tag);
    }
    let frame = object.decode_pixel_data_frame(0).map_err(|_| Failure::Undecodable)?;
    let stored = words(frame.frame_data(0).map_err(|_| Failure::Undecodable)?, header.bits_allocated);
    if stored.len() != pixels {
        return Err(Failure::Undecodable);
    }
    // In native data the bits above BitsStored may hold an overlay; out of a codec they would be part of the value.
    let spare = u32::MAX << header.grey.bits_stored;
    if !header.grey.signed && stored.iter().any(|v| u32::from(*v) & spare != 0) {
        return Err(Failure::Disagree);
    }
    Ok(stored.into())
}

/// Of native data that many values, whatever follows; of words as they were read, without a copy.
fn native(object: &InMemDicomObject, bits_allocated: u16, pixels: usize) -> Result<Cow<'_, [u16]>, Failure> {
    let value = object.get(PIXEL_DATA).ok_or(Failure::NoPicture)?.value();
    if let (16, Ok(words)) = (bits_allocated, value.uint16_slice()) {
        return words.get(..pixels).map(Cow::from).ok_or(Failure::Undecodable);
    }
    let bytes = value.to_bytes().map_err(|_| Failure::Undecodable)?;
    let frame = bytes.get(..pixels * usize::from(bits_allocated / 8)).ok_or(Failure::Undecodable)?;
    Ok(words(frame, bits_allocated).into())
}

fn words(bytes: &[u8], bits_allocated: u16) -> Vec<u16> {
    match bits_allocated {
        8 => bytes.iter().map(|byte| u16::from(*byte)).collect(),
        _ => bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect(),
    }
}
