//! From the bytes of a PNG or a JPEG to the square the model wants, with nothing of what else the file holds.
//!
//! PNG: <https://www.w3.org/TR/png-3/>. JPEG: <https://www.itu.int/rec/T-REC-T.81>. Each file is walked to its own end before
//! a decoder is asked: one that lacks its end would be half a picture, and decoders fill the other half with grey.

use std::io::Cursor;

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage};

use super::{Failure, codestream, entropy, geometry};
use crate::fhir::essence;

/// Sides no picture of a patient has; the same as a film's.
const MAX_SIDE: u32 = 8192;
/// Bytes of a decoded picture.
const MAX_BYTES: u64 = 256 << 20;
/// Each scan of a progressive JPEG is a pass over the whole picture, so a small file could take long.
const MAX_SCANS: usize = 100;

/// Decodes one picture, upright, zero-padded to a square of `side` pixels, RGB8.
///
/// Grey and 16-bit samples become RGB8, an alpha channel must be opaque, colour profiles are not applied. Text, positions,
/// thumbnails and whatever follows the picture's end are not looked at, and are not in what comes out.
pub(super) fn decode(bytes: &[u8], declared: &str, side: u32) -> Result<RgbImage, Failure> {
    inspect(bytes, declared)?;
    // A JPEG may end before its data do. Of progressive ones, which only get finer, nobody counts them.
    // INVARIANT: hostile_files_end_in_a_reason_in_time_and_within_memory
    if codestream::jpeg(bytes).is_some() && !entropy::is_whole(bytes) {
        return Err(Failure::CutOff);
    }
    let mut limits = Limits::no_limits();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_BYTES);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format(declared)?);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|_| Failure::Undecodable)?;
    if decoder.total_bytes() > MAX_BYTES {
        return Err(Failure::PictureSize);
    }
    let orientation = decoder.orientation().map_err(|_| Failure::Undecodable)?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(|_| Failure::Undecodable)?;
    if !opaque(&picture) {
        return Err(Failure::Transparent);
    }
    picture.apply_orientation(orientation);
    Ok(geometry::fit(picture.into_rgb8(), side))
}

/// Columns and rows as stored, of a picture that is what it is declared to be, whole, and of a size that is read.
///
/// Reads lengths only: safe on any bytes, in time linear in them.
pub(super) fn inspect(bytes: &[u8], declared: &str) -> Result<(u32, u32), Failure> {
    let format = format(declared)?;
    // INVARIANT: magic_bytes_and_declared_type_must_agree
    let (columns, rows) = match (format, bytes) {
        (ImageFormat::Png, [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1A, b'\n', chunks @ ..]) => png(chunks)?,
        (ImageFormat::Jpeg, [0xFF, 0xD8, segments @ ..]) => jpeg(segments)?,
        _ => return Err(Failure::NotAPicture),
    };
    if !(1..=MAX_SIDE).contains(&columns) || !(1..=MAX_SIDE).contains(&rows) {
        return Err(Failure::PictureSize);
    }
    Ok((columns, rows))
}

/// The formats that are read. No other is guessed, whatever else the decoder could do.
fn format(declared: &str) -> Result<ImageFormat, Failure> {
    match media_type(declared) {
        Some("image/png") => Ok(ImageFormat::Png),
        Some("image/jpeg") => Ok(ImageFormat::Jpeg),
        _ => Err(Failure::UnreadType),
    }
}

/// A media type without case and parameters, if it is one that is read.
pub(super) fn media_type(declared: &str) -> Option<&'static str> {
    match essence(declared).as_str() {
        "image/png" => Some("image/png"),
        // The second is no registered type, and in wide use.
        "image/jpeg" | "image/jpg" => Some("image/jpeg"),
        _ => None,
    }
}

/// Size of a PNG whose chunks reach IEND. `chunks` begins after the signature.
fn png(mut chunks: &[u8]) -> Result<(u32, u32), Failure> {
    let mut size = None;
    loop {
        let (head, rest) = chunks.split_at_checked(8).ok_or(Failure::CutOff)?;
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let data = rest.get(..length).ok_or(Failure::CutOff)?;
        chunks = rest.get(length..).and_then(|rest| rest.get(4..)).ok_or(Failure::CutOff)?;
        match (&head[4..], size, data) {
            (b"IHDR", None, [w3, w2, w1, w0, h3, h2, h1, h0, ..]) => {
                size = Some((u32::from_be_bytes([*w3, *w2, *w1, *w0]), u32::from_be_bytes([*h3, *h2, *h1, *h0])));
            }
            (b"acTL", Some(_), _) => return Err(Failure::Animated),
            (b"IEND", Some(size), _) => return Ok(size),
            (_, Some(_), _) if head[4..] != *b"IHDR" => {}
            _ => return Err(Failure::CutOff),
        }
    }
}

/// Size of a JPEG with one frame in greys or RGB whose scans reach EOI. `rest` begins after SOI.
fn jpeg(mut rest: &[u8]) -> Result<(u32, u32), Failure> {
    let (mut size, mut scans) = (None, 0);
    loop {
        let [0xFF, marker, tail @ ..] = rest else { return Err(Failure::CutOff) };
        match marker {
            0xFF => {
                rest = &rest[1..];
                continue;
            }
            0xD9 if scans > 0 => return size.ok_or(Failure::CutOff),
            0x00 | 0x01 | 0xD0..=0xD9 => return Err(Failure::CutOff),
            _ => {}
        }
        let length = tail.first_chunk().map(|bytes| usize::from(u16::from_be_bytes(*bytes))).ok_or(Failure::CutOff)?;
        let segment = tail.get(2..length).ok_or(Failure::CutOff)?;
        rest = &tail[length..];
        match (marker, segment) {
            // DHT, JPG and DAC share the range of frame headers.
            (0xC4 | 0xC8 | 0xCC, _) => {}
            (0xC0..=0xCF, [_, h1, h0, w1, w0, components, ..]) if size.is_none() => {
                if !matches!(components, 1 | 3) {
                    return Err(Failure::Colours);
                }
                size = Some((u32::from(u16::from_be_bytes([*w1, *w0])), u32::from(u16::from_be_bytes([*h1, *h0]))));
            }
            (0xC0..=0xCF, _) => return Err(Failure::CutOff),
            (0xDA, _) => {
                scans += 1;
                if scans > MAX_SCANS {
                    return Err(Failure::Scans);
                }
                // Coded data end at the first marker that is neither a stuffed byte nor a restart.
                let end = rest.windows(2).position(|pair| pair[0] == 0xFF && !matches!(pair[1], 0x00 | 0xD0..=0xD7));
                rest = &rest[end.ok_or(Failure::CutOff)?..];
            }
            _ => {}
        }
    }
}

fn opaque(picture: &DynamicImage) -> bool {
    match picture {
        DynamicImage::ImageLumaA8(pixels) => pixels.pixels().all(|pixel| pixel.0[1] == u8::MAX),
        DynamicImage::ImageRgba8(pixels) => pixels.pixels().all(|pixel| pixel.0[3] == u8::MAX),
        DynamicImage::ImageLumaA16(pixels) => pixels.pixels().all(|pixel| pixel.0[1] == u16::MAX),
        DynamicImage::ImageRgba16(pixels) => pixels.pixels().all(|pixel| pixel.0[3] == u16::MAX),
        _ => true,
    }
}

#[cfg(test)]
mod tests;
