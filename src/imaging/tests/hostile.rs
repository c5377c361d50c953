//! Files made to break a reader: each ends in a reason, never in a panic that escapes, and none sizes a buffer by its word.

use proptest::prelude::*;

use super::{encoded::*, *};

fn read(bytes: Vec<u8>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let side = |film: Film| assert_eq!(film.image.pixels.dimensions(), (16, 16));
    runtime.block_on(decode(bytes, 16)).map(side)
}

#[test]
fn no_cut_off_file_is_a_film() {
    let whole = gradient().bytes();
    for length in (0..whole.len()).filter(|n| *n < 600 || n % 97 == 0) {
        assert!(read(whole[..length].to_vec()).is_err(), "{length}");
    }
    assert!(read(whole).is_ok());
}

#[test]
fn no_buffer_is_sized_by_a_length_that_the_file_does_not_have() {
    for vr in ["OB", "UN", "OW"] {
        let mut file = gradient();
        let mut long = element((0x0009, 0x1010), vr, b"");
        long[8..12].copy_from_slice(&0xFFFF_FFFEu32.to_le_bytes());
        file.elements.insert((0x0009, 0x1010), long);
        assert_eq!(read(file.bytes()), Err(Failure::Malformed));
    }
    let mut meta = gradient().bytes();
    meta[152..156].copy_from_slice(&0xFFFF_FFF0u32.to_le_bytes());
    assert_eq!(read(meta), Err(Failure::NotDicom));
}

/// Sequences within sequences of undefined length, `depth` deep.
fn nested(depth: usize) -> Vec<u8> {
    let open = [
        &[0x40, 0, 0x75, 0x02, b'S', b'Q', 0, 0, 0xFF, 0xFF, 0xFF, 0xFF],
        &[0xFE, 0xFF, 0, 0xE0, 0xFF, 0xFF, 0xFF, 0xFF][..],
    ]
    .concat();
    let close = [0xFE, 0xFF, 0x0D, 0xE0, 0, 0, 0, 0, 0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0];
    [open.repeat(depth), close.repeat(depth)].concat()
}

#[test]
fn deep_nesting_does_not_exhaust_the_stack() {
    let with = |depth| {
        let mut file = gradient();
        file.elements.insert((0x0027, 0x0000), nested(depth));
        read(file.bytes())
    };
    assert_eq!(with(2_400), Ok(()));
    assert_eq!(with(10_000), Err(Failure::Malformed));
    assert_eq!(with(1_000_000), Err(Failure::Malformed));
}

#[test]
fn a_compressed_picture_of_another_size_is_not_decoded() {
    let mut siz = vec![0xFF, 0x4F, 0xFF, 0x51, 0, 41, 0, 0];
    for number in [2_000_000_000u32, 2_000_000_000, 0, 0, 2_000_000_000, 2_000_000_000, 0, 0] {
        siz.extend(number.to_be_bytes());
    }
    siz.extend([0, 1, 11, 1, 1]);
    let jpeg = [0xFF, 0xD8, 0xFF, 0xC3, 0, 11, 12, 0xFF, 0xFF, 0xFF, 0xFF, 1, 0, 0, 0];
    let disagree = Err(Failure::Disagree);
    let mut file = gradient();
    file.encapsulate("1.2.840.10008.1.2.4.90", &siz);
    assert_eq!(read(file.bytes()), disagree);
    file.encapsulate("1.2.840.10008.1.2.4.70", &jpeg);
    assert_eq!(read(file.bytes()), disagree);
    siz[8..16].copy_from_slice(&[0, 0, 0, 32, 0, 0, 0, 32]);
    siz[42] |= 0x80;
    file.encapsulate("1.2.840.10008.1.2.4.90", &siz);
    assert_eq!(read(file.bytes()), Err(Failure::DisagreeOnSign));
}

#[test]
fn no_incomplete_picture_is_a_film() {
    let values: Vec<u16> = (0..64).flat_map(|y| (0..64).map(move |x| u16::from(slope(x, y)) * 16)).collect();
    let grey: Vec<u8> = values.iter().map(|value| (value / 16) as u8).collect();
    let mut baseline = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut baseline, 100);
    image::ImageEncoder::write_image(encoder, &grey, 64, 64, image::ExtendedColorType::L8).unwrap();
    for (syntax, whole, end) in [
        ("1.2.840.10008.1.2.5", run_length(&values, 2), &[][..]),
        ("1.2.840.10008.1.2.4.70", lossless_jpeg(64, &values, 1), &[0xFF, 0xD9]),
        ("1.2.840.10008.1.2.4.50", baseline, &[0xFF, 0xD9]),
        ("1.2.840.10008.1.2.4.90", JPEG_2000.to_vec(), &[0xFF, 0xD9]),
    ] {
        let mut file = if syntax.ends_with("50") { film_of_8_bits(64, slope) } else { film(64, slope) };
        file.encapsulate(syntax, &whole);
        assert_eq!(read(file.bytes()), Ok(()), "{syntax}");
        for left in (1..whole.len() - 3).filter(|n| n % 13 == 0) {
            file.encapsulate(syntax, &whole[..left]);
            assert!(read(file.bytes()).is_err(), "{syntax}: {left} of {} bytes", whole.len());
            // The same with an end, as if it were all.
            file.encapsulate(syntax, &[&whole[..left], end].concat());
            assert!(read(file.bytes()).is_err(), "{syntax}: {left} of {} bytes and an end", whole.len());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_film_gives_a_picture_or_a_reason(
        edits in prop::collection::vec((0usize..1100, any::<u8>()), 1..6),
        rle in any::<bool>(),
        cut in prop::option::of(128usize..2000),
    ) {
        let mut file = gradient();
        if rle {
            file.encapsulate("1.2.840.10008.1.2.5", &[&[2, 0, 0, 0, 64, 0, 0, 0, 70][..], &[0; 80], &[0x81, 7, 3, 1, 2]].concat());
        }
        let mut bytes = file.bytes();
        for (at, value) in edits {
            let at = 128 + at % (bytes.len() - 128);
            bytes[at] = value;
        }
        bytes.truncate(cut.unwrap_or(usize::MAX));
        let _ = read(bytes);
    }

    #[test]
    fn noise_gives_a_reason(noise in prop::collection::vec(any::<u8>(), 0..2000), dressed in any::<bool>()) {
        let head = if dressed { [&[0; 128][..], b"DICM"].concat() } else { Vec::new() };
        prop_assert!(read([head, noise].concat()).is_err());
    }
}
