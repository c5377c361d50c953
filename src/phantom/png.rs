//! A film as a PNG of 8 bit greys that says in its text that it is made up. <https://www.w3.org/TR/png-3/>

use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};

use super::{Film, MADE_UP, grey};
use crate::error::{Error, Result};

/// Signature and header chunk: what any text comes after.
const HEAD: usize = 8 + 25;

/// The greys of [`grey`], losslessly.
pub fn png(film: &Film) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    PngEncoder::new(&mut bytes)
        .write_image(&grey(film), film.width, film.height, ExtendedColorType::L8)
        .map_err(|e| Error::fault("a film could not be written as PNG").because(e))?;
    let text = chunk(b"tEXt", format!("Comment\0{MADE_UP}").as_bytes());
    bytes.splice(HEAD..HEAD, text);
    Ok(bytes)
}

fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let checked = [kind, data].concat();
    [&(data.len() as u32).to_be_bytes()[..], &checked, &check(&checked).to_be_bytes()].concat()
}

/// CRC-32 as PNG wants it.
fn check(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_checked_as_png_checks_them() {
        assert_eq!(chunk(b"IEND", b""), [0, 0, 0, 0, b'I', b'E', b'N', b'D', 0xAE, 0x42, 0x60, 0x82]);
    }
}
