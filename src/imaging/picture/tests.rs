use image::{
    ExtendedColorType, GrayImage, ImageEncoder, Luma, Rgb,
    codecs::{jpeg::JpegEncoder, png::PngEncoder},
};

use proptest::{collection, prelude::*};

use super::*;

/// Different in every corner, so that no turn of it is like another.
fn upright() -> GrayImage {
    GrayImage::from_fn(24, 16, |x, y| Luma([(x * 8 + y) as u8]))
}

fn as_png(bytes: &[u8], columns: u32, rows: u32, colour: ExtendedColorType) -> Vec<u8> {
    let mut file = Vec::new();
    PngEncoder::new(&mut file).write_image(bytes, columns, rows, colour).unwrap();
    file
}

fn png_of(grey: &GrayImage) -> Vec<u8> {
    as_png(grey.as_raw(), grey.width(), grey.height(), ExtendedColorType::L8)
}

fn jpeg_of(grey: &GrayImage) -> Vec<u8> {
    let mut file = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut file, 100);
    encoder.write_image(grey.as_raw(), grey.width(), grey.height(), ExtendedColorType::L8).unwrap();
    file
}

/// A chunk with its check value, put before the first IDAT.
fn with_chunk(png: &[u8], kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut chunk = (data.len() as u32).to_be_bytes().to_vec();
    chunk.extend(kind);
    chunk.extend(data);
    let crc = chunk[4..].iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 })
    });
    chunk.extend((!crc).to_be_bytes());
    let at = png.windows(4).position(|bytes| bytes == b"IDAT").unwrap() - 4;
    [&png[..at], &chunk, &png[at..]].concat()
}

/// TIFF structure with the orientation alone, big endian.
fn exif(orientation: u8) -> Vec<u8> {
    [b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".as_slice(), &[orientation, 0, 0, 0, 0, 0, 0]].concat()
}

fn with_exif(jpeg: &[u8], exif: &[u8]) -> Vec<u8> {
    let segment = [b"Exif\0\0", exif].concat();
    let length = ((segment.len() + 2) as u16).to_be_bytes();
    [&jpeg[..2], &[0xFF, 0xE1], &length, &segment, &jpeg[2..]].concat()
}

/// The picture as a camera held in that way stores it, by the table of the EXIF standard: what row 0 and column 0 show.
fn stored(upright: &GrayImage, orientation: u8) -> GrayImage {
    let (width, height) = upright.dimensions();
    let (columns, rows) = if orientation < 5 { (width, height) } else { (height, width) };
    GrayImage::from_fn(columns, rows, |column, row| {
        let (x, y) = match orientation {
            1 => (column, row),
            2 => (width - 1 - column, row),
            3 => (width - 1 - column, height - 1 - row),
            4 => (column, height - 1 - row),
            5 => (row, column),
            6 => (width - 1 - row, column),
            7 => (width - 1 - row, height - 1 - column),
            _ => (row, height - 1 - column),
        };
        *upright.get_pixel(x, y)
    })
}

fn reason(outcome: Result<RgbImage, Failure>) -> &'static str {
    outcome.err().map(Failure::reason).unwrap_or("a picture")
}

#[test]
fn every_orientation_gives_the_same_upright_picture() {
    let expected = decode(&png_of(&upright()), "image/png", 24).unwrap();
    assert_eq!(expected.get_pixel(23, 4).0, [184; 3], "padded above and below, not squashed");
    for orientation in 1..=8 {
        let turned = stored(&upright(), orientation);
        let png = with_chunk(&png_of(&turned), b"eXIf", &exif(orientation));
        assert_eq!(decode(&png, "image/png", 24).unwrap(), expected, "PNG {orientation}");
        let jpeg = with_exif(&jpeg_of(&turned), &exif(orientation));
        let decoded = decode(&jpeg, "image/jpeg", 24).unwrap();
        let worst = decoded.iter().zip(expected.iter()).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(worst <= Some(3), "JPEG {orientation}: {worst:?}");
    }
}

#[test]
fn the_ways_to_store_a_grey_are_one_picture() {
    let grey = upright();
    let expected = decode(&png_of(&grey), "image/png", 10).unwrap();
    let each = |samples: fn(u8) -> Vec<u8>| grey.iter().flat_map(|v| samples(*v)).collect::<Vec<u8>>();
    let forms = [
        (each(|v| vec![v, 255]), ExtendedColorType::La8),
        (each(|v| vec![v; 3]), ExtendedColorType::Rgb8),
        (each(|v| vec![v, v, v, 255]), ExtendedColorType::Rgba8),
        (each(|v| vec![v; 2]), ExtendedColorType::L16),
        (each(|v| vec![v; 6]), ExtendedColorType::Rgb16),
        (each(|v| [vec![v; 6], vec![255; 2]].concat()), ExtendedColorType::Rgba16),
    ];
    for (bytes, colour) in forms {
        assert_eq!(decode(&as_png(&bytes, 24, 16, colour), "image/png", 10).unwrap(), expected, "{colour:?}");
    }
    assert_eq!(expected, geometry::fit(grey, 10), "as a film of the same greys");
}

#[test]
fn colours_stay_and_what_shows_through_is_refused() {
    let red = decode(&as_png(&[255, 0, 0].repeat(4), 2, 2, ExtendedColorType::Rgb8), "image/png", 2).unwrap();
    assert!(red.pixels().all(|pixel| *pixel == Rgb([255, 0, 0])));
    for (bytes, colour) in [
        (vec![9, 255, 9, 254], ExtendedColorType::La8),
        ([vec![9; 7], vec![0]].concat(), ExtendedColorType::Rgba8),
        ([vec![9; 6], vec![255; 2], vec![9; 6], vec![255, 254]].concat(), ExtendedColorType::Rgba16),
    ] {
        let png = as_png(&bytes, 2, 1, colour);
        assert!(reason(decode(&png, "image/png", 2)).contains("transparent"), "{colour:?}");
    }
}

#[test]
fn magic_bytes_and_declared_type_must_agree() {
    let (png, jpeg) = (png_of(&upright()), jpeg_of(&upright()));
    let other = "its bytes are not of the type it is declared to be";
    let unread = "only PNG and JPEG pictures are read";
    for (bytes, declared, why) in [
        (jpeg.as_slice(), "image/png", other),
        (&png, "image/jpeg", other),
        (b"GIF89a\x01\0\x01\0\0\0\0", "image/png", other),
        (b"%PDF-1.7\n", "image/png", other),
        (b"MZ\x90\0", "image/jpeg", other),
        (b"", "image/png", other),
        (&[b"%PDF-1.7\n", png.as_slice()].concat(), "image/png", other),
        (b"GIF89a\x01\0\x01\0\0\0\0", "image/gif", unread),
        (&png, "image/webp", unread),
        (&png, "application/pdf", unread),
        (&png, "", unread),
    ] {
        assert_eq!(reason(decode(bytes, declared, 8)), why, "{declared}");
    }
}

/// What else a file holds: texts, positions, a thumbnail, another document behind the picture.
#[test]
fn nothing_but_pixels_comes_out() {
    let (png, jpeg) = (png_of(&upright()), jpeg_of(&upright()));
    let (plain_png, plain_jpeg) = (decode(&png, "image/png", 24).unwrap(), decode(&jpeg, "image/jpeg", 24).unwrap());
    let tail = b"%PDF-1.7 Jane Doe <script>";
    let texts = with_chunk(&png, b"tEXt", b"Author\0Jane Doe");
    for file in [texts.clone(), [texts.as_slice(), tail].concat()] {
        let decoded = decode(&file, "image/png", 24).unwrap();
        assert_eq!(decoded, plain_png);
        let written = geometry::png(&decoded).unwrap();
        assert!(!written.windows(8).any(|bytes| bytes == b"Jane Doe"));
    }
    let named = with_exif(&jpeg, &[exif(1).as_slice(), b"Jane Doe"].concat());
    assert_eq!(decode(&[named.as_slice(), tail].concat(), "image/jpeg", 24).unwrap(), plain_jpeg);
}

#[test]
fn no_cut_off_file_is_a_picture() {
    for (file, declared) in [(png_of(&upright()), "image/png"), (jpeg_of(&upright()), "image/jpeg")] {
        assert!(decode(&file, declared, 8).is_ok());
        for cut in 0..file.len() {
            assert!(decode(&file[..cut], declared, 8).is_err(), "{declared} cut at {cut} of {}", file.len());
        }
    }
}

#[test]
fn no_changed_byte_panics_or_makes_another_shape() {
    for (file, declared) in [(png_of(&upright()), "image/png"), (jpeg_of(&upright()), "image/jpeg")] {
        for at in 0..file.len() {
            for value in [0x00, 0xFF, file[at] ^ 0x01, file[at] ^ 0x80] {
                let mut changed = file.clone();
                changed[at] = value;
                if let Ok(picture) = decode(&changed, declared, 8) {
                    assert_eq!(picture.dimensions(), (8, 8));
                }
            }
        }
    }
}

#[test]
fn a_size_is_judged_before_it_is_believed() {
    let png = |columns: u32, rows: u32, depth: u8, colour: u8| {
        let mut file = png_of(&upright());
        file[16..20].copy_from_slice(&columns.to_be_bytes());
        file[20..24].copy_from_slice(&rows.to_be_bytes());
        (file[24], file[25]) = (depth, colour);
        let head = file[12..29].to_vec();
        let crc = with_chunk(&png_of(&upright()), head[..4].try_into().unwrap(), &head[4..]);
        let at = crc.windows(17).rposition(|bytes| bytes == head).unwrap() + 17;
        file[29..33].copy_from_slice(&crc[at..at + 4]);
        file
    };
    assert!(decode(&png(24, 16, 8, 0), "image/png", 8).is_ok());
    for (columns, rows) in [(0, 16), (24, 0), (8193, 1), (1, 8193), (65_535, 65_535), (u32::MAX, u32::MAX)] {
        let why = reason(decode(&png(columns, rows, 8, 0), "image/png", 8));
        assert_eq!(why, Failure::PictureSize.reason(), "{columns} x {rows}");
    }
    // 8192 x 8192 pixels of four 16-bit samples are 512 MiB.
    let why = reason(decode(&png(8192, 8192, 16, 6), "image/png", 8));
    assert_eq!(why, Failure::PictureSize.reason());
    let mut jpeg = jpeg_of(&upright());
    let frame = jpeg.windows(2).position(|bytes| bytes == [0xFF, 0xC0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xFF; 4]);
    assert_eq!(reason(decode(&jpeg, "image/jpeg", 8)), Failure::PictureSize.reason());
    jpeg[frame + 5..frame + 10].copy_from_slice(&[0, 16, 0, 24, 4]);
    assert_eq!(reason(decode(&jpeg, "image/jpeg", 8)), "the picture is neither in greys nor in RGB");
}

#[test]
fn what_would_take_long_or_is_several_pictures_is_refused() {
    let moving = with_chunk(&png_of(&upright()), b"acTL", &[0, 0, 0, 2, 0, 0, 0, 0]);
    assert_eq!(reason(decode(&moving, "image/png", 8)), "the picture is an animation");
    let jpeg = jpeg_of(&upright());
    let scan = jpeg.windows(2).position(|bytes| bytes == [0xFF, 0xDA]).unwrap();
    let end = jpeg.len() - 2;
    let passes = [&jpeg[..scan], &jpeg[scan..end].repeat(MAX_SCANS + 1), &jpeg[end..]].concat();
    assert_eq!(reason(decode(&passes, "image/jpeg", 8)), Failure::Scans.reason());
    let frame = jpeg.windows(2).position(|bytes| bytes == [0xFF, 0xC0]).unwrap();
    let twice = [&jpeg[..frame], &jpeg[frame..frame + 13], &jpeg[frame..]].concat();
    assert_eq!(reason(decode(&twice, "image/jpeg", 8)), Failure::CutOff.reason());
}

proptest! {
    /// Behind the right first bytes anything may come.
    #[test]
    fn any_bytes_are_a_picture_or_a_reason(tail in collection::vec(any::<u8>(), 0..600), chunks in any::<bool>()) {
        let png: &[u8] = b"\x89PNG\r\n\x1a\n";
        let header: &[u8] = if chunks { b"\0\0\0\x0dIHDR\0\0\0\x02\0\0\0\x02\x08\0\0\0\0\x57\xdd\x52\xf8" } else { b"" };
        let frame: &[u8] = if chunks { b"\xff\xc0\0\x0b\x08\0\x02\0\x02\x01\x01\x11\0\xff\xda\0\x08\x01\x01\0\0\x3f\0" } else { b"" };
        for (file, declared) in [
            ([png, header, &tail].concat(), "image/png"),
            ([b"\xff\xd8", frame, &tail].concat(), "image/jpeg"),
            ([b"\xff\xd8", frame, &tail, b"\xff\xd9"].concat(), "image/jpeg"),
            (tail.clone(), "image/png"),
        ] {
            if let Ok(picture) = decode(&file, declared, 4) {
                prop_assert_eq!(picture.dimensions(), (4, 4));
            }
        }
    }
}
