//! From the bytes of a PNG or JPEG picture to the picture the model sees. Pure; run where it can break nothing.

use std::io::Cursor;

use image::{ImageError, ImageFormat, ImageReader, Limits, RgbImage};

use super::{Failure, geometry};

/// As for films.
const MAX_SIDE: u32 = 8192;
const MAX_BYTES: u64 = 256 << 20;

/// The picture as a square. Its first bytes and the media type its resource declares must name the same format.
pub(super) fn decode(file: &[u8], declared: &str, side: u32) -> Result<RgbImage, Failure> {
    let is = match file {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1A, b'\n', ..] => ImageFormat::Png,
        [0xFF, 0xD8, 0xFF, ..] => ImageFormat::Jpeg,
        _ => return Err(Failure::NotAPicture),
    };
    let essence = declared.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case(is.to_mime_type()) {
        return Err(Failure::NotAPicture);
    }
    let reader = || {
        let mut reader = ImageReader::with_format(Cursor::new(file), is);
        let mut limits = Limits::no_limits();
        (limits.max_image_width, limits.max_image_height) = (Some(MAX_SIDE), Some(MAX_SIDE));
        limits.max_alloc = Some(MAX_BYTES);
        reader.limits(limits);
        reader
    };
    let (width, height) = reader().into_dimensions().map_err(failure)?;
    if width > MAX_SIDE || height > MAX_SIDE {
        return Err(Failure::PictureSize);
    }
    let picture = reader().decode().map_err(failure)?;
    Ok(geometry::fit(picture.into_rgb8(), side))
}

fn failure(error: ImageError) -> Failure {
    if matches!(error, ImageError::Limits(_)) { Failure::PictureSize } else { Failure::Undecodable }
}
