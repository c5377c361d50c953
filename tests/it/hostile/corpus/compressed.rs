//! Compressed pictures that lie about themselves, break off, or cost more than they show.

use super::*;

pub fn run_lengths() -> Vec<(String, Vec<u8>)> {
    let values: Vec<u16> = (0..1024).collect();
    let good = run_length(&values, 2);
    let mut traps = Vec::new();
    let mut add = |what: String, frame: &[u8]| {
        traps.push(made(what, |file| file.encapsulate("1.2.840.10008.1.2.5", frame)));
    };
    for (word, value) in
        [(0, 0), (0, 1), (0, 15), (0, u32::MAX), (1, 0), (1, u32::MAX), (2, 0), (2, 63), (2, u32::MAX), (2, 5000)]
    {
        let mut bad = good.clone();
        bad[word * 4..word * 4 + 4].copy_from_slice(&u32::to_le_bytes(value));
        add(format!("word {word} of the table is {value}"), &bad);
    }
    for length in [0, 3, 4, 63, 64, 65, 1000] {
        add(format!("a frame of {length} bytes"), &good[..length]);
    }
    let table = &good[..64];
    add("runs that end in the middle".into(), &[table, &[0x81, 7].repeat(3), &vec![0x80; 2000]].concat());
    add("runs of nothing".into(), &[table, &vec![0x80; 4000]].concat());
    add("runs for twice as many pixels".into(), &[table, &[0x81, 7].repeat(2000)].concat());
    traps
}

/// Whole code streams. Whether one is ready in time depends on the machine.
pub fn noisy() -> Vec<(String, Vec<u8>)> {
    let trap = |what: &str, side: u16, coding, length| {
        made(what, |file| {
            file.number((0x0028, 0x0010), side);
            file.number((0x0028, 0x0011), side);
            file.encapsulate("1.2.840.10008.1.2.4.90", &codestream(side.into(), coding, &noise(length)));
        })
    };
    vec![
        trap("65,535 layers", 512, Coding { layers: 65535, ..Coding::default() }, 200_000),
        trap("32 levels", 512, Coding { levels: 32, ..Coding::default() }, 200_000),
        trap("code blocks of 4 x 4", 2048, Coding { block: (0, 0), ..Coding::default() }, 200_000),
        trap("precincts of one pixel", 2048, Coding { precincts: Some(0), ..Coding::default() }, 200_000),
        trap("precincts of 4 pixels", 2048, Coding { precincts: Some(0x22), ..Coding::default() }, 200_000),
        trap("67 million pixels", 8192, Coding::default(), 3 << 20),
    ]
}

pub fn jpeg_2000() -> Vec<(String, Vec<u8>)> {
    let mut traps = Vec::new();
    let mut add = |what: &str, side: u16, stream: Vec<u8>| {
        traps.push(made(what, |file| {
            file.number((0x0028, 0x0010), side);
            file.number((0x0028, 0x0011), side);
            file.encapsulate("1.2.840.10008.1.2.4.90", &stream);
        }));
    };
    let data = noise(200_000);
    add("2 thousand million pixels a side", 32, codestream(2_000_000_000, Coding::default(), &data));
    add("a million tiles", 1024, codestream(1024, Coding { tile: 1, ..Coding::default() }, &data));
    add("65,536 tiles", 2048, codestream(2048, Coding { tile: 8, ..Coding::default() }, &data));
    add("16,384 tiles", 1024, codestream(1024, Coding { tile: 8, ..Coding::default() }, &data));
    add("255 levels", 512, codestream(512, Coding { levels: 255, ..Coding::default() }, &data));
    add("code blocks of 2^17", 512, codestream(512, Coding { block: (15, 15), ..Coding::default() }, &data));
    let mut tiles = codestream(512, Coding::default(), &data);
    let part = tiles.windows(2).position(|pair| pair == [0xFF, 0x90]).unwrap();
    tiles[part + 4..part + 6].copy_from_slice(&[0xFF, 0xFF]);
    add("a tile that is not there", 512, tiles.clone());
    tiles[part + 4..part + 10].copy_from_slice(&[0, 0, 0, 0, 0, 1]);
    add("a tile of one byte", 512, tiles);
    let header_only = codestream(512, Coding::default(), &[]);
    add("headers alone", 512, header_only[..header_only.len() - 16].to_vec());
    let real = std::fs::read(patient("real-film").join("images/current.dcm")).expect("a fixture");
    let start = real.windows(4).position(|four| four == [0xFF, 0x4F, 0xFF, 0x51]).expect("a code stream");
    let real = &real[start..start + 120_000];
    traps.push(made("a real one under a header of another size", |file| {
        file.encapsulate("1.2.840.10008.1.2.4.90", real);
    }));
    traps
}

pub fn jpeg() -> Vec<(String, Vec<u8>)> {
    let values: Vec<u16> = (0..1024).collect();
    let good = lossless_jpeg(32, &values, 1);
    let mut traps = Vec::new();
    let mut add = |what: &str, at: usize, bytes: &[u8]| {
        let mut bad = good.clone();
        bad[at..at + bytes.len()].copy_from_slice(bytes);
        traps.push(made(what, |file| file.encapsulate("1.2.840.10008.1.2.4.70", &bad)));
    };
    add("65,535 x 65,535", 7, &[0xFF; 4]);
    add("no rows", 7, &[0, 0]);
    add("255 components", 11, &[255]);
    add("a precision of 1", 6, &[1]);
    add("a precision of 255", 6, &[255]);
    add("a frame header longer than the file", 4, &[0xFF, 0xFF]);
    add("an arithmetic frame", 3, &[0xCB]);
    add("a hierarchical frame", 3, &[0xC7]);
    let table = 15;
    add("a table of 255 codes of one bit", table + 5, &[255]);
    add("a table longer than the file", table + 2, &[0xFF, 0xFF]);
    for left in [80, 400, good.len() - 40] {
        let cut = [&good[..left], &[0xFF, 0xD9]].concat();
        traps.push(made("data cut off before an end marker", |file| file.encapsulate("1.2.840.10008.1.2.4.70", &cut)));
    }
    traps.push(made("no scan", |file| file.encapsulate("1.2.840.10008.1.2.4.70", &good[..60])));
    traps.push(made("markers alone", |file| {
        file.encapsulate("1.2.840.10008.1.2.4.70", &[&[0xFF, 0xD8][..], &[0xFF; 5000]].concat())
    }));
    traps.push(made("PNG", |file| file.encapsulate("1.2.840.10008.1.2.4.50", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")));
    traps
}
