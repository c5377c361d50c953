//! From stored values of a CR or DX film to 8-bit grey, as MedGemma's own preparation does it.
//!
//! Not DICOM's LINEAR window (PS3.3 C.11.2.1.2), which uses `width - 1`: the model was trained on `center ± width / 2`.

use super::Failure;

/// What turns stored values into the values a window speaks of.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ModalityLut {
    Identity,
    Rescale {
        slope: f64,
        intercept: f64,
    },
    /// `values[stored - first]`, clamped at both ends. Never empty.
    Table {
        first: i32,
        values: Vec<u16>,
    },
}

/// The first Window Center and Window Width of a file, width at least 2.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Window {
    pub center: f64,
    pub width: f64,
}

impl Window {
    /// `None` where the window would be empty: such a file is read as one without.
    pub fn new(center: f64, width: f64) -> Option<Window> {
        (center.is_finite() && width.is_finite() && width >= 2.0).then_some(Window { center, width })
    }

    /// `center/width`.
    pub fn text(&self) -> String {
        format!("{}/{}", self.center, self.width)
    }

    /// Of what [`Window::text`] gives, and of nothing else.
    pub fn parse(text: &str) -> Option<Window> {
        let (center, width) = text.split_once('/')?;
        let window = Window::new(center.parse().ok()?, width.parse().ok()?)?;
        (window.text() == text).then_some(window)
    }
}

/// How the stored values of one film are to be read.
#[derive(Clone, Debug)]
pub(super) struct Grey {
    /// 1..=16; higher bits of a stored value are not part of it.
    pub bits_stored: u16,
    pub signed: bool,
    pub modality_lut: ModalityLut,
    pub window: Option<Window>,
    /// MONOCHROME1: the lowest value is white.
    pub inverted: bool,
}

impl Grey {
    /// One byte a pixel, 0 black. An error where there is nothing to see.
    pub fn render(&self, stored: &[u16]) -> Result<Vec<u8>, Failure> {
        let mask = ((1u32 << self.bits_stored) - 1) as u16;
        let (low, high) = match self.window {
            Some(Window { center, width }) => {
                let half = (width / 2.0).floor();
                (center - half, center + half)
            }
            None => self.extremes(stored, mask)?,
        };
        // At most 65,536 different values: each is worked out once.
        let table: Vec<u8> = (0..=mask).map(|raw| self.grey(raw, low, high)).collect();
        Ok(stored.iter().map(|raw| table[usize::from(raw & mask)]).collect())
    }

    fn extremes(&self, stored: &[u16], mask: u16) -> Result<(f64, f64), Failure> {
        let mut seen = vec![false; usize::from(mask) + 1];
        stored.iter().for_each(|raw| seen[usize::from(raw & mask)] = true);
        let values = (0..=mask).filter(|raw| seen[usize::from(*raw)]).map(|raw| self.value(raw));
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        if low < high { Ok((low, high)) } else { Err(Failure::Blank) }
    }

    fn grey(&self, raw: u16, low: f64, high: f64) -> u8 {
        let share = (self.value(raw).clamp(low, high) - low) / (high - low);
        let grey = match self.window {
            Some(_) => (share * 255.0).round_ties_even() as u8,
            None => (stretched(share) / 257) as u8,
        };
        if self.inverted { 255 - grey } else { grey }
    }

    fn value(&self, raw: u16) -> f64 {
        let stored = if self.signed && raw >> (self.bits_stored - 1) == 1 {
            i32::from(raw) - (1 << self.bits_stored)
        } else {
            i32::from(raw)
        };
        match &self.modality_lut {
            ModalityLut::Identity => f64::from(stored),
            ModalityLut::Rescale { slope, intercept } => f64::from(stored) * slope + intercept,
            ModalityLut::Table { first, values } => {
                let index = (i64::from(stored) - i64::from(*first)).clamp(0, values.len() as i64 - 1);
                f64::from(values[index as usize])
            }
        }
    }
}

/// Without a window the image's own range is spread over 16 bits and cut, not rounded.
fn stretched(share: f64) -> u16 {
    (share * 65535.0) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(bits_stored: u16, window: Option<(f64, f64)>) -> Grey {
        let window = window.and_then(|(center, width)| Window::new(center, width));
        Grey { bits_stored, signed: false, modality_lut: ModalityLut::Identity, window, inverted: false }
    }

    #[test]
    fn cr_window_15000_30000() {
        let film = grey(15, Some((15000.0, 30000.0)));
        let stored = [0, 58, 59, 14999, 15000, 29941, 29942, 30000, 32767];
        assert_eq!(film.render(&stored).unwrap(), [0, 0, 1, 127, 128, 254, 255, 255, 255]);
        let inverted = Grey { inverted: true, ..film };
        assert_eq!(inverted.render(&[0, 15000, 30000]).unwrap(), [255, 127, 0]);
    }

    #[test]
    fn cr_without_window() {
        let stored = [100, 350, 600, 850, 1100];
        let to_16: Vec<u16> = stored.iter().map(|v| stretched((f64::from(*v) - 100.0) / 1000.0)).collect();
        assert_eq!(to_16, [0, 16383, 32767, 49151, 65535]);
        assert_eq!(grey(12, None).render(&stored).unwrap(), [0, 63, 127, 191, 255]);
        let shifted: Vec<u16> = stored.iter().map(|v| (*v as i16 - 1000) as u16).collect();
        assert_eq!(Grey { signed: true, ..grey(16, None) }.render(&shifted).unwrap(), [0, 63, 127, 191, 255]);
        assert_eq!(grey(12, None).render(&[7; 9]), Err(Failure::Blank));
        assert_eq!(grey(12, None).render(&[]), Err(Failure::Blank));
    }

    #[test]
    fn a_phantom_of_12_bits_gives_back_its_grey() {
        let stored: Vec<u16> = (0..=255).map(|grey| grey * 16).collect();
        let film = grey(12, Some((2040.0, 4080.0)));
        assert_eq!(film.render(&stored).unwrap(), (0..=255).collect::<Vec<u8>>());
        let inverted = Grey { inverted: true, ..film };
        assert_eq!(inverted.render(&stored).unwrap(), (0..=255).rev().collect::<Vec<u8>>());
    }

    #[test]
    fn a_window_without_width_is_ignored() {
        for width in [0.0, 0.5, 1.0, -5.0, f64::NAN, f64::INFINITY] {
            assert_eq!(Window::new(100.0, width), None);
        }
        assert_eq!(Window::new(f64::NAN, 10.0), None);
    }

    #[test]
    fn signed_values_and_spare_bits() {
        let film = Grey { signed: true, ..grey(12, Some((0.0, 4096.0))) };
        assert_eq!(film.render(&[0x0800, 0x0000, 0x07ff, 0xf000]).unwrap(), [0, 128, 255, 128]);
    }

    #[test]
    fn modality_luts_come_before_the_window() {
        let rescaled = Grey {
            modality_lut: ModalityLut::Rescale { slope: -1.0, intercept: 255.0 },
            ..grey(8, Some((127.0, 254.0)))
        };
        assert_eq!(rescaled.render(&[0, 1, 128, 255]).unwrap(), [255, 255, 128, 0]);
        let table = ModalityLut::Table { first: 10, values: vec![0, 100, 200] };
        let looked_up = Grey { modality_lut: table, ..grey(8, Some((100.0, 200.0))) };
        assert_eq!(looked_up.render(&[0, 10, 11, 12, 255]).unwrap(), [0, 0, 128, 255, 255]);
    }
}
