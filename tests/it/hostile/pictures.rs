//! Pictures made to break their decoder.

use super::streams::{deflated_zeros, noise, scans};

/// Pictures that are none, with the media type each is declared to be.
pub fn all() -> Vec<(String, &'static str, Vec<u8>)> {
    let icc = [&b"icc\0\0"[..], &[0x78, 0x01], &deflated_zeros(256 << 20), &[0; 4]].concat();
    let text = [&b"text\0\0"[..], &[0x78, 0x01], &deflated_zeros(256 << 20), &[0; 4]].concat();
    let jpeg = |side: u16| scans(side, 20_000);
    let mut png_of_8 = png(8, 8, 2, 8 * 25, b"");
    let whole = png_of_8.clone();
    png_of_8.truncate(40);
    let photograph: Vec<u8> = noise(64 * 64 * 3);
    let write = |format| {
        let mut file = std::io::Cursor::new(Vec::new());
        let picture = image::RgbImage::from_raw(64, 64, photograph.clone()).expect("a picture");
        picture.write_to(&mut file, format).expect("a file");
        file.into_inner()
    };
    let half = |file: Vec<u8>| file[..file.len() / 2].to_vec();
    let (half_png, half_jpeg) = (half(write(image::ImageFormat::Png)), half(write(image::ImageFormat::Jpeg)));
    let ended = [&half_jpeg[..], &[0xFF, 0xD9]].concat();
    vec![
        ("PNG, half of it".into(), "image/png", half_png),
        ("JPEG, half of it".into(), "image/jpeg", half_jpeg),
        ("JPEG, half of it and an end marker".into(), "image/jpeg", ended),
        ("PNG, 60,000 a side".into(), "image/png", png(60_000, 8, 2, 10_000, b"")),
        ("PNG, 2^31 a side".into(), "image/png", png(1 << 31, 8, 2, 10_000, b"")),
        ("PNG, 512 MiB of 16-bit colours deflated to 3 MiB".into(), "image/png", png(8192, 16, 6, 8192 * 65_537, b"")),
        ("PNG, a profile of 256 MiB and no pixels".into(), "image/png", png(64, 8, 2, 10, &chunk(b"iCCP", &icc))),
        ("PNG, a text of 256 MiB and no pixels".into(), "image/png", png(64, 8, 2, 10, &chunk(b"zTXt", &text))),
        ("PNG, no pixels".into(), "image/png", png(64, 8, 2, 10, b"")),
        ("PNG, cut off".into(), "image/png", png_of_8),
        ("PNG, declared a JPEG".into(), "image/jpeg", whole.clone()),
        ("PNG, declared nothing".into(), "", whole.clone()),
        ("PNG, declared a GIF".into(), "image/gif", whole),
        ("JPEG, 65,535 a side".into(), "image/jpeg", jpeg(65_535)),
        ("JPEG, 8192 a side and 20,000 scans".into(), "image/jpeg", jpeg(8192)),
        ("JPEG, head alone".into(), "image/jpeg", vec![0xFF, 0xD8, 0xFF]),
        ("GIF".into(), "image/gif", b"GIF89a\x01\0\x01\0\0\0\0;".to_vec()),
        ("SVG".into(), "image/svg+xml", b"<svg onload='alert(1)'/>".to_vec()),
        ("PDF".into(), "application/pdf", b"%PDF-1.7".to_vec()),
        ("nothing".into(), "image/png", Vec::new()),
    ]
}

/// A PNG chunk with its checksum.
fn chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut crc = u32::MAX;
    for byte in name.iter().chain(data) {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    [&(data.len() as u32).to_be_bytes()[..], name, data, &(!crc).to_be_bytes()].concat()
}

/// A PNG of that size, `depth` bits and colour type, whose data is deflated zeros.
fn png(side: u32, depth: u8, colour: u8, zeros: usize, before: &[u8]) -> Vec<u8> {
    let header = [&side.to_be_bytes()[..], &side.to_be_bytes(), &[depth, colour, 0, 0, 0]].concat();
    let mut adler = (1u64, 0u64);
    adler.1 = (zeros as u64 / 258 * 258 + 1) % 65521;
    let sum = ((adler.1 << 16 | adler.0) as u32).to_be_bytes();
    let data = [&[0x78, 0x01][..], &deflated_zeros(zeros), &sum].concat();
    [&b"\x89PNG\r\n\x1a\n"[..], &chunk(b"IHDR", &header), before, &chunk(b"IDAT", &data), &chunk(b"IEND", b"")].concat()
}
