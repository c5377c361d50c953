//! From the bytes of one DICOM file to the picture the model sees. Pure; run where it can break nothing.

use dicom_object::{DefaultDicomObject, OpenFileOptions, Tag};
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
    let grey = header.grey.render(&stored(object.map_err(|_| Failure::Undecodable)?, header)?)?;
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
fn stored(mut object: DefaultDicomObject, header: &Header) -> Result<Vec<u16>, Failure> {
    if header.encoding != Encoding::Native {
        encapsulated::check(&object, header)?;
    }
    for tag in OURS {
        object.remove_element(tag);
    }
    object.get(PIXEL_DATA).ok_or(Failure::NoPicture)?;
    let frame = object.decode_pixel_data_frame(0).map_err(|_| Failure::Undecodable)?;
    let bytes = frame.frame_data(0).map_err(|_| Failure::Undecodable)?;
    let stored: Vec<u16> = match header.bits_allocated {
        8 => bytes.iter().map(|byte| u16::from(*byte)).collect(),
        _ => bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect(),
    };
    if stored.len() as u64 != u64::from(header.facts.rows) * u64::from(header.facts.columns) {
        return Err(Failure::Undecodable);
    }
    // In native data the bits above BitsStored may hold an overlay; out of a codec they would be part of the value.
    let spare = u32::MAX << header.grey.bits_stored;
    if header.encoding != Encoding::Native && !header.grey.signed && stored.iter().any(|v| u32::from(*v) & spare != 0) {
        return Err(Failure::Disagree);
    }
    Ok(stored)
}
