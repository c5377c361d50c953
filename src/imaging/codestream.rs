//! What a compressed frame says of itself, read before a decoder sizes its buffers by it.
//!
//! JPEG 2000: <https://www.itu.int/rec/T-REC-T.800>. JPEG: <https://www.itu.int/rec/T-REC-T.81>.

/// Size and samples of a compressed frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub width: u32,
    pub height: u32,
    pub components: u16,
    pub precision: u16,
    /// JPEG has no signed samples.
    pub signed: bool,
}

/// The SIZ segment of a JPEG 2000 code stream with one component, one whole-image or sanely tiled. `None`: anything else.
pub(super) fn jpeg2000(stream: &[u8]) -> Option<Frame> {
    // SOC, SIZ, its length, capabilities; then eight 32-bit numbers: size, offset, tile size, tile offset.
    let rest = stream.strip_prefix(&[0xFF, 0x4F, 0xFF, 0x51])?.get(4..)?;
    let mut numbers = [0u32; 8];
    for (number, bytes) in numbers.iter_mut().zip(rest.chunks_exact(4)) {
        *number = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    }
    let [x, y, left, top, tile_x, tile_y, ..] = numbers;
    let [count_high, count_low, depth, step_x, step_y, ..] = *rest.get(32..)? else { return None };
    let (width, height) = (x.checked_sub(left)?, y.checked_sub(top)?);
    let tiles = u64::from(width.div_ceil(tile_x.max(1))) * u64::from(height.div_ceil(tile_y.max(1)));
    let plain = tile_x > 0 && tile_y > 0 && tiles <= 65_535 && (step_x, step_y) == (1, 1);
    plain.then_some(Frame {
        width,
        height,
        components: u16::from_be_bytes([count_high, count_low]),
        precision: u16::from(depth & 0x7F) + 1,
        signed: depth & 0x80 != 0,
    })
}

/// The first frame header of a JPEG stream.
pub(super) fn jpeg(stream: &[u8]) -> Option<Frame> {
    let mut rest = stream.strip_prefix(&[0xFF, 0xD8])?;
    loop {
        let [0xFF, marker, tail @ ..] = rest else { return None };
        match (marker, tail) {
            (0xFF, _) => rest = &rest[1..],
            // DHT, JPG and DAC share the range of frame headers.
            (0xC4 | 0xC8 | 0xCC, [high, low, ..]) | (0xD9..=0xFE | 0x01..=0xBF, [high, low, ..]) => {
                rest = tail.get(usize::from(u16::from_be_bytes([*high, *low])).max(2)..)?;
            }
            (0xC0..=0xCF, [_, _, precision, h1, h0, w1, w0, components, ..]) => {
                return Some(Frame {
                    width: u32::from(u16::from_be_bytes([*w1, *w0])),
                    height: u32::from(u16::from_be_bytes([*h1, *h0])),
                    components: u16::from(*components),
                    precision: u16::from(*precision),
                    signed: false,
                });
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SIZ of a 1841 x 1955 film of 15 bits in one tile.
    fn siz() -> Vec<u8> {
        let mut stream = vec![0xFF, 0x4F, 0xFF, 0x51, 0, 41, 0, 0];
        for number in [1841u32, 1955, 0, 0, 1841, 1955, 0, 0] {
            stream.extend(number.to_be_bytes());
        }
        stream.extend([0, 1, 14, 1, 1]);
        stream
    }

    #[test]
    fn a_jpeg_2000_header_is_read() {
        let frame = Frame { width: 1841, height: 1955, components: 1, precision: 15, signed: false };
        assert_eq!(jpeg2000(&siz()), Some(frame));
        let mut signed = siz();
        signed[42] |= 0x80;
        assert!(jpeg2000(&signed).unwrap().signed);
        for cut in 0..siz().len() {
            assert_eq!(jpeg2000(&siz()[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn a_jpeg_2000_of_a_million_tiles_is_none() {
        let mut tiled = siz();
        tiled[24..28].copy_from_slice(&1u32.to_be_bytes());
        tiled[28..32].copy_from_slice(&1u32.to_be_bytes());
        assert_eq!(jpeg2000(&tiled), None);
    }

    #[test]
    fn a_jpeg_header_is_read_past_other_segments() {
        let stream = [
            0xFF, 0xD8, 0xFF, 0xE0, 0, 4, 9, 9, 0xFF, 0xC4, 0, 3, 7, 0xFF, 0xFF, 0xC3, 0, 11, 16, 7, 163, 7, 49, 1, 0,
            0, 0,
        ];
        assert_eq!(
            jpeg(&stream),
            Some(Frame { width: 1841, height: 1955, components: 1, precision: 16, signed: false })
        );
        for cut in 0..24 {
            assert_eq!(jpeg(&stream[..cut]), None, "{cut}");
        }
    }
}
