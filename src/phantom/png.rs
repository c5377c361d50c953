//! A film as a PNG of 8 bit greys that says in its text that it is made up. <https://www.w3.org/TR/png-3/>

use png::{BitDepth, ColorType, Encoder, EncodingError};

use super::{Film, MADE_UP, grey};
use crate::error::{Error, Result};

/// The greys of [`grey`], losslessly.
pub fn png(film: &Film) -> Result<Vec<u8>> {
    write(film).map_err(|e| Error::fault("a film could not be written as PNG").because(e))
}

fn write(film: &Film) -> std::result::Result<Vec<u8>, EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, film.width, film.height);
    encoder.set_color(ColorType::Grayscale);
    encoder.set_depth(BitDepth::Eight);
    encoder.add_text_chunk("Comment".into(), MADE_UP.into())?;
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&grey(film))?;
    writer.finish()?;
    Ok(bytes)
}
