//! RLE frames walked before a decoder sees them: one that trusts the frame's own table reads past its end.
//!
//! <https://dicom.nema.org/medical/dicom/current/output/chtml/part05/chapter_G.html>

/// The number of segments and the offsets of fifteen.
const HEADER: usize = 64;

/// Whether the frame is one segment for each byte of a sample, each of which gives one byte for each pixel.
pub(super) fn is_frame(frame: &[u8], bytes: usize, pixels: usize) -> bool {
    let Some((header, _)) = frame.split_at_checked(HEADER) else { return false };
    let words: Vec<usize> =
        header.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize).collect();
    let Some(starts) = words.get(1..=bytes).filter(|starts| words[0] == bytes && starts.first() == Some(&HEADER))
    else {
        return false;
    };
    let ends = starts.iter().skip(1).copied().chain([frame.len()]);
    starts
        .iter()
        .zip(ends)
        .all(|(start, end)| frame.get(*start..end).is_some_and(|segment| is_segment(segment, pixels)))
}

/// Whether the runs give exactly so many bytes; one of padding may follow.
fn is_segment(mut runs: &[u8], pixels: usize) -> bool {
    let mut left = pixels;
    while left > 0 {
        let Some((control, rest)) = runs.split_first() else { return false };
        let (written, read) = match i8::from_le_bytes([*control]) {
            i8::MIN => (0, 0),
            literal @ 0.. => (literal as usize + 1, literal as usize + 1),
            repeated => (usize::from(repeated.unsigned_abs()) + 1, 1),
        };
        let Some(rest) = rest.get(read..).filter(|_| written <= left) else { return false };
        (runs, left) = (rest, left - written);
    }
    runs.len() <= 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame of these segments with these words in front, as far as they are not worked out.
    fn frame(segments: &[&[u8]]) -> Vec<u8> {
        let mut words = vec![segments.len() as u32];
        let mut at = HEADER as u32;
        for segment in segments {
            words.push(at);
            at += segment.len() as u32;
        }
        words.resize(16, 0);
        [words.into_iter().flat_map(u32::to_le_bytes).collect::<Vec<u8>>(), segments.concat()].concat()
    }

    #[test]
    fn a_frame_gives_every_pixel_and_no_more() {
        // Five pixels: a run of three, two as they are; and with padding, after a control byte that means nothing.
        let good: [&[u8]; 3] = [&[0xFE, 7, 1, 8, 9], &[0xFE, 7, 1, 8, 9, 0], &[0x80, 4, 1, 2, 3, 4, 5, 0]];
        for segment in good {
            assert!(is_frame(&frame(&[segment]), 1, 5), "{segment:?}");
            assert!(is_frame(&frame(&[segment, segment]), 2, 5), "{segment:?}");
            assert!(!is_frame(&frame(&[segment]), 2, 5) && !is_frame(&frame(&[segment, segment]), 1, 5));
        }
        let bad: [&[u8]; 7] =
            [&[], &[0xFE], &[0xFE, 7, 1, 8], &[0xFE, 7, 2, 8, 9, 1], &[0xFC, 7, 0, 0], &[4, 1, 2, 3], &[0x80]];
        for segment in bad {
            assert!(!is_frame(&frame(&[segment]), 1, 5), "{segment:?}");
        }
    }

    #[test]
    fn a_table_that_points_elsewhere_is_no_frame() {
        let good = frame(&[&[0xFC, 7], &[0xFC, 7]]);
        assert!(is_frame(&good, 2, 5));
        for (word, value) in
            [(0, 0), (0, 1), (0, 15), (0, u32::MAX), (1, 0), (1, 66), (1, u32::MAX), (2, 0), (2, 64), (2, 69)]
        {
            let mut bad = good.clone();
            bad[word * 4..word * 4 + 4].copy_from_slice(&u32::to_le_bytes(value));
            assert!(!is_frame(&bad, 2, 5), "{word} {value}");
        }
        for cut in 0..good.len() {
            assert!(!is_frame(&good[..cut], 2, 5), "{cut}");
        }
    }
}
