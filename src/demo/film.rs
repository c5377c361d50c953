//! A stored film as the demonstration's page shows it: what its header says, and its stored values. The fixtures are our own:
//! what comes from an archive is decoded by `imaging`, in a process of its own.

use std::io::Cursor;

use dicom_object::{DefaultDicomObject, Tag, from_reader};
use dicom_pixeldata::{ConvertOptions, ModalityLutOption, PixelDecoder, VoiLutOption};
use serde_json::{Value, json};

use crate::error::{Error, Result};

/// Largest picture shown, in pixels.
const LARGEST: u64 = 64 << 20;

/// What is written beside the picture, and how its values become grey.
pub fn header(file: &[u8]) -> Result<Value> {
    let object = open(file)?;
    let text = |tag| object.element(tag).ok().and_then(|e| e.to_str().ok()).map(|text| trimmed(&text));
    let number = |tag| text(tag).and_then(|text| text.split('\\').next()?.trim().parse::<f64>().ok());
    Ok(json!({
        "rows": number(Tag(0x0028, 0x0010)),
        "columns": number(Tag(0x0028, 0x0011)),
        "inverted": text(Tag(0x0028, 0x0004)).as_deref() == Some("MONOCHROME1"),
        "window_center": number(Tag(0x0028, 0x1050)),
        "window_width": number(Tag(0x0028, 0x1051)),
        "slope": number(Tag(0x0028, 0x1053)).unwrap_or(1.0),
        "intercept": number(Tag(0x0028, 0x1052)).unwrap_or(0.0),
        "modality": text(Tag(0x0008, 0x0060)),
        "view": text(Tag(0x0018, 0x5101)),
        "date": text(Tag(0x0008, 0x0020)),
        "manufacturer": text(Tag(0x0008, 0x0070)),
        "patient_id": text(Tag(0x0010, 0x0020)),
        "patient_name": text(Tag(0x0010, 0x0010)),
        "transfer_syntax": trimmed(object.meta().transfer_syntax()),
    }))
}

/// The stored values, row by row, 16 bits each, little-endian.
pub fn pixels(file: &[u8]) -> Result<Vec<u8>> {
    let object = open(file)?;
    let number = |tag| object.element(tag).ok().and_then(|e| e.to_int::<u64>().ok());
    let side = |tag| number(tag).unwrap_or(u64::MAX);
    if side(Tag(0x0028, 0x0010)).saturating_mul(side(Tag(0x0028, 0x0011))) > LARGEST {
        return Err(Error::too_large("the film has more pixels than are shown"));
    }
    // Frames, samples, sign.
    let plain = [(Tag(0x0028, 0x0008), 1), (Tag(0x0028, 0x0002), 1), (Tag(0x0028, 0x0103), 0)];
    if plain.iter().any(|(tag, usual)| number(*tag).is_some_and(|stated| stated != *usual)) {
        return Err(Error::invalid("only films of one frame of unsigned grey values are shown"));
    }
    let broken = || Error::invalid("the film's pixels cannot be read");
    let decoded = object.decode_pixel_data().map_err(|e| broken().because(e))?;
    let options = ConvertOptions::new().with_modality_lut(ModalityLutOption::None).with_voi_lut(VoiLutOption::Identity);
    let values: Vec<u16> = decoded.to_vec_with_options(&options).map_err(|e| broken().because(e))?;
    Ok(values.into_iter().flat_map(u16::to_le_bytes).collect())
}

fn open(file: &[u8]) -> Result<DefaultDicomObject> {
    from_reader(Cursor::new(file)).map_err(|e| Error::invalid("the film is no readable DICOM file").because(e))
}

fn trimmed(text: &str) -> String {
    text.trim_end_matches(['\0', ' ']).to_owned()
}
