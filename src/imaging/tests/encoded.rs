//! Compressed frames made by other means than the decoders under test. The integration tests use this file too.

/// 64 x 64, reversible, written by OpenJPEG: the stored values of [`slope`].
pub const JPEG_2000: &[u8] = include_bytes!("tiny.j2k");

/// The grey of [`JPEG_2000`], in films 64 wide.
pub fn slope(x: u16, y: u16) -> u8 {
    (x * 7 + y) as u8
}

/// 12-bit values as a lossless JPEG. <https://www.itu.int/rec/T-REC-T.81>, annex H.
///
/// `predictor` 1 looks to the left, 2 up; all differences have codes of five bits, their category.
pub fn lossless_jpeg(width: u16, values: &[u16], predictor: u8) -> Vec<u8> {
    let height = (values.len() / usize::from(width)) as u16;
    let [h1, h0] = height.to_be_bytes();
    let [w1, w0] = width.to_be_bytes();
    let frame = [0xFF, 0xD8, 0xFF, 0xC3, 0, 11, 12, h1, h0, w1, w0, 1, 1, 0x11, 0];
    let mut table = vec![0xFF, 0xC4, 0, 19 + 17, 0, 0, 0, 0, 0, 17];
    table.extend([0; 11]);
    table.extend(0..17);
    let scan = [0xFF, 0xDA, 0, 8, 1, 1, 0, predictor, 0, 0];
    let mut bits = Bits::default();
    let width = usize::from(width);
    for (at, value) in values.iter().enumerate() {
        let predicted = match (at / width, at % width) {
            (0, 0) => 2048,
            (0, _) => values[at - 1],
            (_, 0) => values[at - width],
            _ if predictor == 1 => values[at - 1],
            _ => values[at - width],
        };
        let difference = i32::from(*value) - i32::from(predicted);
        let category = 32 - difference.unsigned_abs().leading_zeros();
        bits.push(category, 5);
        let rest = if difference < 0 { difference - 1 } else { difference };
        bits.push(rest as u32, category);
    }
    [&frame[..], &table, &scan, &bits.stuffed(), &[0xFF, 0xD9]].concat()
}

/// Bits, the first the highest of its byte.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    fn push(&mut self, value: u32, count: u32) {
        for bit in (0..count).rev() {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let last = self.bytes.len() - 1;
            self.bytes[last] |= ((value >> bit & 1) as u8) << (7 - self.used % 8);
            self.used += 1;
        }
    }
    /// Padded with ones, a zero behind each byte that looks like a marker.
    fn stuffed(mut self) -> Vec<u8> {
        self.push(0xFF, (8 - self.used % 8) % 8);
        self.bytes.into_iter().flat_map(|byte| if byte == 0xFF { vec![0xFF, 0] } else { vec![byte] }).collect()
    }
}

/// Values as an RLE frame: one segment for each byte, the highest first, every byte as it is.
pub fn run_length(values: &[u16], bytes: usize) -> Vec<u8> {
    let segments: Vec<Vec<u8>> = (0..bytes)
        .rev()
        .map(|byte| {
            let plane: Vec<u8> = values.iter().map(|value| value.to_le_bytes()[byte]).collect();
            let mut segment: Vec<u8> =
                plane.chunks(128).flat_map(|run| [vec![run.len() as u8 - 1], run.to_vec()].concat()).collect();
            segment.resize(segment.len().next_multiple_of(2), 0);
            segment
        })
        .collect();
    let mut words = vec![bytes as u32];
    let mut at = 64;
    for segment in &segments {
        words.push(at);
        at += segment.len() as u32;
    }
    words.resize(16, 0);
    [words.into_iter().flat_map(u32::to_le_bytes).collect::<Vec<u8>>(), segments.concat()].concat()
}
