//! Files made to break whoever decodes them, by what is wrong with them.

mod compressed;

use self::compressed::{jpeg, jpeg_2000, noisy, run_lengths};
use super::streams::{Coding, codestream, deflated_zeros, noise, scans};
use crate::{
    film_encoded::{JPEG_2000, lossless_jpeg, run_length, slope},
    film_file::{File, PIXEL_DATA, element, film, film_of_8_bits, gradient, item},
    harness::patient,
};

/// One file: the kind of trap, what exactly, the bytes.
pub struct Trap {
    pub kind: &'static str,
    pub what: String,
    pub bytes: Vec<u8>,
}

/// What may be read as the picture of noise that it is, at the price of other films.
pub const NOISE: &str = "JPEG 2000 of noise";

/// All films among the traps. But for [`NOISE`] none is a film.
pub fn films() -> Vec<Trap> {
    let mut traps = Vec::new();
    for (kind, make) in [
        ("lengths", lengths as fn() -> Vec<(String, Vec<u8>)>),
        ("bombs", bombs),
        ("sizes", sizes),
        ("frames and offset tables", frames),
        ("run lengths", run_lengths),
        ("JPEG 2000", jpeg_2000),
        (NOISE, noisy),
        ("JPEG", jpeg),
        ("depth", depth),
        ("truncation", truncation),
        ("wrong types", wrong_types),
        ("polyglots", polyglots),
    ] {
        traps.extend(make().into_iter().map(|(what, bytes)| Trap { kind, what, bytes }));
    }
    traps
}

fn made(what: impl Into<String>, edit: impl FnOnce(&mut File)) -> (String, Vec<u8>) {
    let mut file = gradient();
    edit(&mut file);
    (what.into(), file.bytes())
}

fn raw(file: &mut File, tag: (u16, u16), bytes: &[u8]) {
    file.elements.insert(tag, bytes.to_vec());
}

fn lengths() -> Vec<(String, Vec<u8>)> {
    let mut traps = Vec::new();
    for vr in ["OB", "OW", "UN"] {
        for length in [0xFFFF_FFFEu32, 0x7FFF_FFFF, 0x4000_0000, 3000] {
            traps.push(made(format!("{vr} of {length} bytes"), |file| {
                let mut long = element((0x0009, 0x1010), vr, b"");
                long[8..12].copy_from_slice(&length.to_le_bytes());
                raw(file, (0x0009, 0x1010), &long);
            }));
        }
    }
    for vr in ["OB", "OW", "UT", "UC"] {
        traps.push(made(format!("{vr} of undefined length"), |file| {
            let head = [&[9, 0, 0x10, 0x10][..], vr.as_bytes(), &[0, 0], &[0xFF; 4]].concat();
            raw(file, (0x0009, 0x1010), &head);
        }));
    }
    traps.push(made("text of 65,535 bytes", |file| {
        let mut long = element((0x0010, 0x0010), "PN", b"");
        long[6..8].copy_from_slice(&[0xFF; 2]);
        raw(file, (0x0010, 0x0010), &long);
    }));
    for length in [0u32, 1, 0xFFFF_FFF0, 0xFFFF_FFFF, 4000] {
        let mut bytes = gradient().bytes();
        bytes[140..144].copy_from_slice(&length.to_le_bytes());
        traps.push((format!("meta group of {length} bytes"), bytes));
    }
    let mut meta = gradient().bytes();
    meta[152..156].copy_from_slice(&0xFFFF_FFF0u32.to_le_bytes());
    traps.push(("element of the meta group beyond the file".into(), meta));
    for length in [0xFFFF_FFFEu32, 4096, 2046, 0] {
        traps.push(made(format!("pixel data of {length} bytes"), |file| {
            let mut pixels = file.elements[&PIXEL_DATA].clone();
            pixels[8..12].copy_from_slice(&length.to_le_bytes());
            raw(file, PIXEL_DATA, &pixels);
        }));
    }
    let mut implicit = gradient().implicit();
    let at = implicit.len() - 2048 - 4;
    implicit[at..at + 4].copy_from_slice(&0xFFFF_FFFEu32.to_le_bytes());
    traps.push(("implicit pixel data of 4 GiB".into(), implicit));
    traps
}

fn bombs() -> Vec<(String, Vec<u8>)> {
    let mut deflated = gradient();
    deflated.transfer_syntax = "1.2.840.10008.1.2.1.99";
    deflated.elements.clear();
    let bomb = [deflated.bytes(), deflated_zeros(256 << 20)].concat();
    let side = |file: &mut File, side: u16| {
        file.number((0x0028, 0x0010), side);
        file.number((0x0028, 0x0011), side);
    };
    vec![
        ("256 MiB of zeros, deflated".into(), bomb),
        made("128 MiB out of 50 bytes of run lengths", |file| {
            side(file, 8192);
            let words: Vec<u8> = [2u32, 64, 66].into_iter().chain([0; 13]).flat_map(u32::to_le_bytes).collect();
            file.encapsulate("1.2.840.10008.1.2.5", &[&words[..], &[0x81, 0, 0x81, 0]].concat());
        }),
        made("128 MiB of grey out of 2 MiB of run lengths", |file| {
            side(file, 8192);
            // Legal, and without a window blank.
            file.elements.remove(&(0x0028, 0x1050));
            let plane = [0x81u8, 0].repeat(8192 * 8192 / 128);
            let words = [2u32, 64, 64 + plane.len() as u32];
            let words: Vec<u8> = words.into_iter().chain([0; 13]).flat_map(u32::to_le_bytes).collect();
            file.encapsulate("1.2.840.10008.1.2.5", &[&words[..], &plane, &plane].concat());
        }),
        made("a progressive JPEG of 67 million pixels and 50,000 scans", |file| {
            *file = film_of_8_bits(32, |x, _| x as u8);
            side(file, 8192);
            file.encapsulate("1.2.840.10008.1.2.4.50", &scans(8192, 50_000));
        }),
    ]
}

fn sizes() -> Vec<(String, Vec<u8>)> {
    let mut traps = Vec::new();
    for (rows, columns) in [(65535, 65535), (0, 0), (0, 32), (8193, 1), (8192, 8192), (33, 32)] {
        traps.push(made(format!("{rows} x {columns}"), |file| {
            file.number((0x0028, 0x0010), rows);
            file.number((0x0028, 0x0011), columns);
        }));
    }
    for (what, number, value) in [
        ("1 bit", 0x0100, 1),
        ("32 bits", 0x0100, 32),
        ("65,535 bits", 0x0100, 65535),
        ("no bits stored", 0x0101, 0),
        ("17 bits stored", 0x0101, 17),
        ("high bit 15 of 12", 0x0102, 15),
        ("3 samples", 0x0002, 3),
        ("65,535 samples", 0x0002, 65535),
        ("no sample", 0x0002, 0),
        ("a sign that is none", 0x0103, 7),
    ] {
        traps.push(made(what, |file| file.number((0x0028, number), value)));
    }
    traps
}

fn frames() -> Vec<(String, Vec<u8>)> {
    let mut traps = Vec::new();
    for frames in ["2147483648", "2147483647", "-1", "0", "2", "1e9", "many"] {
        traps.push(made(format!("{frames} frames"), |file| file.text((0x0028, 0x0008), "IS", frames)));
    }
    let whole = JPEG_2000;
    for (what, offsets) in [
        ("an offset beyond the end", vec![u32::MAX]),
        ("an offset into the frame", vec![8]),
        ("100,000 offsets", vec![0; 100_000]),
    ] {
        let mut file = film(64, slope);
        file.fragments("1.2.840.10008.1.2.4.90", &offsets, &[whole]);
        traps.push((what.into(), file.bytes()));
    }
    for (what, count) in [("no fragment", 0), ("3,000 empty fragments", 3000), ("2,000 empty fragments", 2000)] {
        let mut file = film(64, slope);
        file.fragments("1.2.840.10008.1.2.4.90", &[], &vec![&[][..]; count]);
        traps.push((what.into(), file.bytes()));
    }
    for (offset, length) in [(u64::MAX, 804), (8, 804), (0, u64::MAX), (0, 0)] {
        let mut file = film(64, slope);
        file.encapsulate("1.2.840.10008.1.2.4.90", whole);
        file.set((0x7FE0, 0x0001), "UN", offset.to_le_bytes().to_vec());
        file.set((0x7FE0, 0x0002), "UN", length.to_le_bytes().to_vec());
        traps.push((format!("an extended offset of {offset}, length {length}"), file.bytes()));
    }
    let mut odd = film(64, slope);
    odd.encapsulate("1.2.840.10008.1.2.4.90", whole);
    let value = odd.elements[&PIXEL_DATA].clone();
    raw(&mut odd, PIXEL_DATA, &[&value[..12], &item(&[1, 2, 3]), &value[20..]].concat());
    traps.push(("an offset table of three bytes".into(), odd.bytes()));
    let mut native = gradient();
    native.transfer_syntax = "1.2.840.10008.1.2.4.90";
    traps.push(("native pixels that claim to be JPEG 2000".into(), native.bytes()));
    let mut claims = film(64, slope);
    claims.encapsulate("1.2.840.10008.1.2.1", whole);
    traps.push(("JPEG 2000 that claims to be native".into(), claims.bytes()));
    traps
}

/// Sequences within sequences of undefined length.
fn nested(depth: usize) -> Vec<u8> {
    let open = [&[0x40, 0, 0x75, 0x02][..], b"SQ\0\0", &[0xFF; 4], &[0xFE, 0xFF, 0, 0xE0], &[0xFF; 4]].concat();
    let close = [0xFE, 0xFF, 0x0D, 0xE0, 0, 0, 0, 0, 0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0];
    [open.repeat(depth), close.repeat(depth)].concat()
}

fn depth() -> Vec<(String, Vec<u8>)> {
    let mut traps = Vec::new();
    for depth in [2_501, 10_000, 1_000_000] {
        traps.push(made(format!("sequences {depth} deep"), |file| raw(file, (0x0027, 0), &nested(depth))));
        traps.push(made(format!("sequences {depth} deep and never closed"), |file| {
            raw(file, (0x0027, 0), &nested(depth)[..depth * 20]);
        }));
    }
    traps.push(made("unknown elements 100,000 deep and never closed", |file| {
        let open = [&[9, 0, 0x10, 0x10][..], b"UN\0\0", &[0xFF; 4]].concat();
        let inner = [&[9, 0, 0x10, 0x10][..], &[0xFF; 4]].concat();
        raw(file, (0x0009, 0x1010), &[open, inner.repeat(100_000)].concat());
    }));
    traps.push(made("a sequence of 3,000 items", |file| file.set((0x0040, 0x0275), "SQ", item(&[]).repeat(3000))));
    traps
}

fn truncation() -> Vec<(String, Vec<u8>)> {
    let native = gradient().bytes();
    let mut compressed = film(64, slope);
    compressed.encapsulate("1.2.840.10008.1.2.4.90", JPEG_2000);
    let compressed = compressed.bytes();
    let cuts = |name: &str, whole: &[u8], cuts: &[usize]| -> Vec<(String, Vec<u8>)> {
        cuts.iter().map(|cut| (format!("{name}, {cut} of {} bytes", whole.len()), whole[..*cut].to_vec())).collect()
    };
    let last = compressed.len();
    let mut traps =
        cuts("native", &native, &[0, 1, 127, 128, 131, 132, 140, 144, 200, 400, 700, 1000, native.len() - 1]);
    traps.extend(cuts("compressed", &compressed, &[last - 1, last - 8, last - 9, last - 400, last - 804]));
    // The stream cut off inside a file that is whole.
    for left in [2, 40, 60, 100, 130] {
        let mut file = film(64, slope);
        file.encapsulate("1.2.840.10008.1.2.4.90", &JPEG_2000[..left]);
        traps.push((format!("{left} bytes of a code stream"), file.bytes()));
    }
    traps
}

fn wrong_types() -> Vec<(String, Vec<u8>)> {
    let sequence = || item(&element((0x0028, 0x0010), "US", &[1, 0]));
    let mut traps = vec![
        made("rows are a sequence", |file| file.set((0x0028, 0x0010), "SQ", sequence())),
        made("rows are text", |file| file.text((0x0028, 0x0010), "LO", "thirty-two")),
        made("rows are bytes", |file| file.set((0x0028, 0x0010), "OB", vec![0xFF; 4])),
        made("rows are empty", |file| file.set((0x0028, 0x0010), "US", vec![])),
        made("pixels are a sequence", |file| file.set(PIXEL_DATA, "SQ", sequence())),
        made("pixels are unknown", |file| file.set(PIXEL_DATA, "UN", vec![1; 100])),
        made("the patient is a sequence", |file| file.set((0x0010, 0x0020), "SQ", sequence())),
        made("the patient is a number", |file| file.number((0x0010, 0x0020), 7)),
        made("the study is a sequence", |file| file.set((0x0020, 0x000D), "SQ", sequence())),
        made("the modality is bytes", |file| file.set((0x0008, 0x0060), "OB", vec![0xFF; 8])),
        made("the lookup table is text", |file| file.text((0x0028, 0x3000), "LO", "table")),
        made("the lookup table has no entries", |file| {
            let descriptor = element((0x0028, 0x3002), "US", &[0, 0, 0, 0, 16, 0]);
            file.set((0x0028, 0x3000), "SQ", item(&[descriptor, element((0x0028, 0x3006), "OW", &[])].concat()));
        }),
        made("the lookup table has three words of 65,536", |file| {
            let descriptor = element((0x0028, 0x3002), "US", &[0, 0, 0, 0, 16, 0]);
            file.set((0x0028, 0x3000), "SQ", item(&[descriptor, element((0x0028, 0x3006), "OW", &[1; 6])].concat()));
        }),
        made("the slope is infinite", |file| {
            file.text((0x0028, 0x1053), "DS", "1e999");
            file.text((0x0028, 0x1052), "DS", "0");
        }),
        made("an unknown representation", |file| {
            raw(file, (0x0009, 0x1010), b"\x09\x00\x10\x10ZZ\x02\x00ab");
        }),
    ];
    for transfer_syntax in
        ["", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.51", "1.2.3", "../../x"]
    {
        let mut file = gradient();
        file.transfer_syntax = transfer_syntax;
        traps.push((format!("transfer syntax {transfer_syntax:?}"), file.bytes()));
    }
    traps
}

fn polyglots() -> Vec<(String, Vec<u8>)> {
    let film = gradient().bytes();
    let in_front = |head: &[u8]| [head, &film].concat();
    vec![
        ("PDF".into(), b"%PDF-1.7\n1 0 obj << /Type /Catalog >> endobj\n%%EOF\n".to_vec()),
        ("an executable".into(), std::fs::read("/proc/self/exe").expect("this program")[..1 << 20].to_vec()),
        ("HTML".into(), b"<!DOCTYPE html><script>alert(1)</script>".to_vec()),
        ("PNG".into(), [&b"\x89PNG\r\n\x1a\n"[..], &[0; 500]].concat()),
        ("a PDF in front of a film".into(), in_front(b"%PDF-1.7\n")),
        ("a ZIP in front of a film".into(), in_front(b"PK\x03\x04")),
        ("an executable's head with DICM behind".into(), [&b"MZ"[..], &[0x90; 126], b"DICM", &[0xCC; 4000]].concat()),
        ("DICM and a PDF".into(), [&[0; 128][..], b"DICM%PDF-1.7\n", &[0x20; 4000]].concat()),
        ("DICM and noise".into(), [&[0; 128][..], b"DICM", &noise(100_000)].concat()),
        ("nothing but DICM".into(), [&[0; 128][..], b"DICM"].concat()),
        (
            "an encapsulated PDF".into(),
            made("", |file| {
                file.text((0x0008, 0x0016), "UI", "1.2.840.10008.5.1.4.1.1.104.1");
                file.set((0x0042, 0x0011), "OB", b"%PDF-1.7".to_vec());
            })
            .1,
        ),
    ]
}
