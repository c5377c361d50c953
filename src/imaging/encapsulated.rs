//! Compressed pixel data checked against the header before a decoder sees it: buffers are sized by one and filled by the other.
//!
//! <https://dicom.nema.org/medical/dicom/current/output/chtml/part05/sect_A.4.html>

use dicom_object::{InMemDicomObject, Tag};

use super::{
    Failure, codestream, entropy,
    header::{Encoding, Header, PIXEL_DATA},
    run_length,
};

pub(super) const EXTENDED_OFFSETS: Tag = Tag(0x7FE0, 0x0001);
pub(super) const EXTENDED_LENGTHS: Tag = Tag(0x7FE0, 0x0002);

/// Whether the pixel data is one frame, and the frame what the header promises.
pub(super) fn check(object: &InMemDicomObject, header: &Header) -> Result<(), Failure> {
    let value = object.get(PIXEL_DATA).ok_or(Failure::NoPicture)?.value();
    let fragments = value.fragments().filter(|fragments| !fragments.is_empty()).ok_or(Failure::Undecodable)?;
    // Of a single frame an offset can only be zero; any other makes the decoder skip what was checked here.
    if !value.offset_table().is_some_and(|offsets| matches!(offsets, [] | [0])) || !extended(object, fragments) {
        return Err(Failure::Offsets);
    }
    if header.encoding == Encoding::Rle {
        let [frame] = fragments else { return Err(Failure::Disagree) };
        let bytes = usize::from(header.bits_allocated / 8);
        let pixels = header.facts.rows as usize * header.facts.columns as usize;
        return if run_length::is_frame(frame, bytes, pixels) { Ok(()) } else { Err(Failure::Disagree) };
    }
    let stream = fragments.concat();
    let frame = match header.encoding {
        Encoding::Jpeg2000 => codestream::jpeg2000(&stream),
        _ => codestream::jpeg(&stream),
    };
    let frame = frame.ok_or(Failure::Undecodable)?;
    if header.encoding == Encoding::Jpeg2000 && frame.signed != header.grey.signed {
        return Err(Failure::DisagreeOnSign);
    }
    let precision = if header.grey.signed { header.grey.bits_stored } else { header.bits_allocated };
    let size = (frame.width, frame.height, frame.components) == (header.facts.columns, header.facts.rows, 1);
    // A JPEG decoder writes one or two bytes by the stream's precision, not by the header's.
    let bytes = header.encoding != Encoding::Jpeg || (frame.precision > 8) == (header.bits_allocated == 16);
    if !size || !bytes || frame.precision > precision {
        return Err(Failure::Disagree);
    }
    // INVARIANT: no_incomplete_picture_is_a_film
    let whole = match header.encoding {
        Encoding::Jpeg2000 => codestream::is_whole_jpeg2000(&stream),
        _ => entropy::is_whole(&stream),
    };
    if whole { Ok(()) } else { Err(Failure::Incomplete) }
}

/// Whether an extended offset table, where there is one, is that of one frame in one fragment.
fn extended(object: &InMemDicomObject, fragments: &[Vec<u8>]) -> bool {
    let numbers =
        |tag| object.get(tag).map(|element| element.to_bytes().map(|bytes| bytes.to_vec()).unwrap_or_default());
    let number = |bytes: Vec<u8>| <[u8; 8]>::try_from(bytes).ok().map(u64::from_le_bytes);
    match (numbers(EXTENDED_OFFSETS), numbers(EXTENDED_LENGTHS), fragments) {
        (None, None, _) => true,
        (Some(offsets), Some(lengths), [fragment]) => {
            // The length is that of the frame; the fragment may be padded to an even one.
            let padded = |length: u64| length.checked_add(length % 2) == Some(fragment.len() as u64);
            number(offsets) == Some(0) && number(lengths).is_some_and(padded)
        }
        _ => false,
    }
}
