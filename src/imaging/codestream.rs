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
    let [x, y, left, top, ..] = numbers(rest);
    let [count_high, count_low, depth, step_x, step_y, ..] = *rest.get(32..)? else { return None };
    let (width, height) = (x.checked_sub(left)?, y.checked_sub(top)?);
    let plain = tiles(rest).is_some_and(|tiles| tiles <= 65_535) && (step_x, step_y) == (1, 1);
    plain.then_some(Frame {
        width,
        height,
        components: u16::from_be_bytes([count_high, count_low]),
        precision: u16::from(depth & 0x7F) + 1,
        signed: depth & 0x80 != 0,
    })
}

/// Size, offset, tile size and tile offset, as far as they are there.
fn numbers(size: &[u8]) -> [u32; 8] {
    let mut numbers = [0; 8];
    for (number, bytes) in numbers.iter_mut().zip(size.chunks_exact(4)) {
        *number = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    }
    numbers
}

/// How many tiles there are. `None`: tiles of no size, or that begin behind the picture.
fn tiles(size: &[u8]) -> Option<u64> {
    let [x, y, left, top, tile_x, tile_y, tile_left, tile_top] = numbers(size);
    let begin = tile_left <= left && tile_top <= top;
    let count = |end: u32, start: u32, step: u32| Some(u64::from(end.checked_sub(start)?.div_ceil(step)));
    (tile_x > 0 && tile_y > 0 && begin).then_some(())?;
    Some(count(x, tile_left, tile_x)? * count(y, tile_top, tile_y)?)
}

/// Whether a JPEG 2000 code stream holds every tile of its picture, in parts that follow one another to its end.
///
/// A decoder makes up what is missing. Whether the data inside a part are whole it notices itself.
pub(super) fn is_whole_jpeg2000(stream: &[u8]) -> bool {
    let Some(tiles) = jpeg2000(stream).and_then(|_| tiles(stream.get(8..)?)) else { return false };
    // The main header: segments with their lengths, up to the first part.
    let mut at = 2;
    while stream.get(at..at + 2) != Some(&[0xFF, 0x90]) {
        let Some(&[0xFF, _, high, low]) = stream.get(at..at + 4) else { return false };
        at += 2 + usize::from(u16::from_be_bytes([high, low])).max(2);
    }
    let mut seen = vec![false; tiles as usize];
    loop {
        match stream.get(at..) {
            Some([0xFF, 0x90, 0, 10, t1, t0, l3, l2, l1, l0, ..]) => {
                let Some(seen) = seen.get_mut(usize::from(u16::from_be_bytes([*t1, *t0]))) else { return false };
                *seen = true;
                // A last part of no length reaches to the end.
                at = match u32::from_be_bytes([*l3, *l2, *l1, *l0]) as usize {
                    0 => stream.len() - 2 - usize::from(stream.ends_with(&[0xFF, 0xD9, 0])),
                    length => at + length.max(14),
                };
            }
            Some([0xFF, 0xD9] | [0xFF, 0xD9, 0]) => return seen.iter().all(|seen| *seen),
            _ => return false,
        }
    }
}

/// The first frame header of a JPEG stream, sequential or lossless. `None`: another process, which no film has.
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
            (0xC0 | 0xC1 | 0xC3, [_, _, precision, h1, h0, w1, w0, components, ..]) => {
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
    fn a_jpeg_2000_without_a_tile_or_its_end_is_not_whole() {
        // Two tiles side by side, the first in two parts; a segment of the main header in front.
        let mut stream = vec![0xFF, 0x4F, 0xFF, 0x51, 0, 41, 0, 0];
        for number in [16u32, 8, 0, 0, 8, 8, 0, 0] {
            stream.extend(number.to_be_bytes());
        }
        stream.extend([0, 1, 14, 1, 1, 0xFF, 0x64, 0, 4, 7, 7]);
        let header = stream.len();
        let part = |tile: u8, data: &[u8]| {
            [&[0xFF, 0x90, 0, 10, 0, tile, 0, 0, 0, 14 + data.len() as u8, 0, 1, 0xFF, 0x93][..], data].concat()
        };
        let with = |parts: &[Vec<u8>], end: &[u8]| [&stream[..], &parts.concat(), end].concat();
        let whole = with(&[part(0, b"one"), part(1, b"two"), part(0, b"")], &[0xFF, 0xD9]);
        assert!(is_whole_jpeg2000(&whole) && is_whole_jpeg2000(&[&whole[..], &[0]].concat()));
        for cut in 0..whole.len() {
            assert!(!is_whole_jpeg2000(&whole[..cut]), "{cut}");
        }
        assert!(!is_whole_jpeg2000(&with(&[part(0, b"one"), part(0, b"two")], &[0xFF, 0xD9])), "a tile is missing");
        assert!(!is_whole_jpeg2000(&with(&[part(0, b""), part(1, b""), part(2, b"")], &[0xFF, 0xD9])), "one too many");
        let mut last = whole.clone();
        let end = whole.len() - 2 - 14;
        last[end + 6..end + 10].fill(0);
        assert!(is_whole_jpeg2000(&last), "a last part of no length");
        last[header + 9] = 200;
        assert!(!is_whole_jpeg2000(&last), "a part longer than the stream");
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
