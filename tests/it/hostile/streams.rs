//! Compressed data made by hand: what files made to break a decoder are filled with.

/// Zeros, deflated to one part in 159: a literal, then copies of 258 from one byte before.
pub fn deflated_zeros(length: usize) -> Vec<u8> {
    let (mut bytes, mut used) = (Vec::new(), 0usize);
    let mut push = |value: u32, count: usize| {
        for bit in 0..count {
            if used.is_multiple_of(8) {
                bytes.push(0u8);
            }
            let last = bytes.len() - 1;
            bytes[last] |= ((value >> bit & 1) as u8) << (used % 8);
            used += 1;
        }
    };
    // Final block, fixed codes; Huffman codes come highest bit first: literal 0 is 00110000, length 258 is 11000101.
    push(0b011, 3);
    push(0b0000_1100, 8);
    for _ in 0..length / 258 {
        push(0b1010_0011, 8);
        push(0, 5);
    }
    push(0, 7);
    bytes
}

/// A progressive JPEG whose scans say nothing, one after the other.
pub fn scans(side: u16, count: usize) -> Vec<u8> {
    let [high, low] = side.to_be_bytes();
    let quantisation = [&[0xFF, 0xDB, 0, 67, 0][..], &[1; 64]].concat();
    let frame = [0xFF, 0xC2, 0, 11, 8, high, low, high, low, 1, 1, 0x11, 0];
    // One code, one bit long: a difference of nothing, and an end of band over 16,384 blocks.
    let dc = [&[0xFF, 0xC4, 0, 20, 0x00, 1][..], &[0; 15], &[0]].concat();
    let ac = [&[0xFF, 0xC4, 0, 20, 0x10, 1][..], &[0; 15], &[0xE0]].concat();
    let band = |k: usize| [0xFF, 0xDA, 0, 8, 1, 1, 0x00, 1 + (k % 60) as u8, 1 + (k % 60) as u8, 0x00];
    let scan = |k| [&band(k)[..], &[0; 24]].concat();
    let first = [&[0xFF, 0xDA, 0, 8, 1, 1, 0, 0, 0, 0][..], &vec![0; 1 << 17]].concat();
    let scans: Vec<u8> = (0..count).flat_map(scan).collect();
    [&[0xFF, 0xD8][..], &quantisation, &frame, &dc, &ac, &first, &scans, &[0xFF, 0xD9]].concat()
}

/// What a code stream says of how it is coded.
pub struct Coding {
    pub tile: u32,
    pub layers: u16,
    pub levels: u8,
    /// Exponents of the code block's sides, less 2.
    pub block: (u8, u8),
    /// One byte for each level: the exponents of the precinct's sides.
    pub precincts: Option<u8>,
}

impl Default for Coding {
    fn default() -> Self {
        Coding { tile: u32::MAX, layers: 1, levels: 5, block: (4, 4), precincts: None }
    }
}

/// A JPEG 2000 code stream of 12 bits with these headers and that for data, all in the first tile.
pub fn codestream(side: u32, coding: Coding, data: &[u8]) -> Vec<u8> {
    let mut stream = vec![0xFF, 0x4F, 0xFF, 0x51, 0, 41, 0, 0];
    let tile = coding.tile.min(side);
    for number in [side, side, 0, 0, tile, tile, 0, 0] {
        stream.extend(number.to_be_bytes());
    }
    stream.extend([0, 1, 11, 1, 1]);
    let bands = 3 * usize::from(coding.levels) + 1;
    let precincts = vec![coding.precincts.unwrap_or_default(); usize::from(coding.levels) + 1];
    let precincts = if coding.precincts.is_some() { &precincts[..] } else { &[] };
    stream.extend([0xFF, 0x52]);
    stream.extend((12 + precincts.len() as u16).to_be_bytes());
    stream.extend([u8::from(coding.precincts.is_some()), 0]);
    stream.extend(coding.layers.to_be_bytes());
    stream.extend([0, coding.levels, coding.block.0, coding.block.1, 0, 1]);
    stream.extend(precincts);
    stream.extend([0xFF, 0x5C]);
    stream.extend((3 + bands as u16).to_be_bytes());
    stream.push(0x40);
    stream.extend(vec![0x60; bands]);
    stream.extend([0xFF, 0x90, 0, 10, 0, 0]);
    stream.extend((data.len() as u32 + 14).to_be_bytes());
    stream.extend([0, 1, 0xFF, 0x93]);
    stream.extend(data);
    stream.extend([0xFF, 0xD9]);
    stream
}

/// Bytes that are the same each time and mean nothing; no markers.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8 & 0x7F
    };
    std::iter::repeat_with(next).take(length).collect()
}
