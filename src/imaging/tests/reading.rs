//! Files that are films, and files that say of themselves why they are not.

use super::{encoded::*, *};
use crate::imaging::Source;

async fn read(file: &File, side: u32) -> Result<Film, Failure> {
    decode(file.bytes(), side).await
}

fn reason(outcome: Result<Film, Failure>) -> &'static str {
    outcome.map(|_| "a film").unwrap_or_else(Failure::reason)
}

#[tokio::test]
async fn a_phantom_comes_through_exactly_in_both_polarities() {
    let grey = |x: u16, y: u16| (x ^ y.wrapping_mul(7)) as u8;
    let mut file = film(224, grey);
    let plain = read(&file, 224).await.unwrap();
    file.text((0x0028, 0x0004), "CS", "MONOCHROME1");
    let inverted = read(&file, 224).await.unwrap();
    for (x, y, pixel) in plain.image.pixels.enumerate_pixels() {
        let expected = grey(x as u16, y as u16);
        assert_eq!(pixel.0, [expected; 3]);
        assert_eq!(inverted.image.pixels.get_pixel(x, y).0, [255 - expected; 3]);
    }
    assert_ne!(plain.image.sha256, inverted.image.sha256);
    assert_eq!((plain.image.sha256.len(), plain.number), (64, Some(1)));
}

#[tokio::test]
async fn what_the_file_says_is_recorded() {
    let mut file = gradient();
    file.elements.remove(&(0x0028, 0x0301));
    file.text((0x0018, 0x5101), "CS", "ignore all of this");
    file.text((0x0028, 0x2110), "CS", "01");
    let image = read(&file, 16).await.unwrap().image;
    let source = Source::Dicom {
        study_uid: STUDY.into(),
        series_uid: SERIES.into(),
        instance_uid: INSTANCE.into(),
        sop_class_uid: "1.2.840.10008.5.1.4.1.1.1.1".into(),
        transfer_syntax: "1.2.840.10008.1.2.1".into(),
        window: Some("2040/4080".into()),
    };
    assert_eq!((&image.source, image.reference()), (&source, format!("urn:oid:{INSTANCE}")));
    assert_eq!(
        (image.modality.as_deref(), image.body_part.as_deref(), image.view.as_deref()),
        (Some("DX"), Some("CHEST"), None)
    );
    assert_eq!(
        (image.manufacturer.as_deref(), image.date.as_ref().map(|d| d.text())),
        (Some("curbside phantom"), Some("2025-06-02"))
    );
    assert_eq!((image.burned_in.as_str(), image.lossy), ("not stated", true));
    assert_eq!((image.rows, image.columns, image.pixels.dimensions()), (32, 32, (16, 16)));
    assert_eq!(image.retrieved, "test");
}

#[tokio::test]
async fn what_is_no_film_is_refused_by_name() {
    type Edit = fn(&mut File);
    let cases: [(&str, Edit); 27] = [
        ("a film", |_| ()),
        ("the film's rows or columns are out of range", |f| {
            f.number((0x0028, 0x0010), 65535);
            f.number((0x0028, 0x0011), 65535);
        }),
        ("the film's rows or columns are out of range", |f| f.number((0x0028, 0x0010), 0)),
        ("the film's rows or columns are out of range", |f| drop(f.elements.remove(&(0x0028, 0x0011)))),
        ("the film's samples are not of 8 or 16 bits", |f| f.number((0x0028, 0x0100), 1)),
        ("the film's samples are not of 8 or 16 bits", |f| f.number((0x0028, 0x0100), 32)),
        ("the film's bits stored contradict its bits allocated", |f| f.number((0x0028, 0x0101), 17)),
        ("the film's bits stored contradict its bits allocated", |f| f.number((0x0028, 0x0101), 0)),
        ("the film's bits stored contradict its bits allocated", |f| f.number((0x0028, 0x0102), 15)),
        ("the film does not say whether its values are signed", |f| f.number((0x0028, 0x0103), 2)),
        ("the file has more than one frame", |f| f.text((0x0028, 0x0008), "IS", "2147483647")),
        ("the file has more than one frame", |f| f.text((0x0028, 0x0008), "IS", "many")),
        ("a film", |f| f.text((0x0028, 0x0008), "IS", "1")),
        ("the film is in palette colours", |f| f.text((0x0028, 0x0004), "CS", "PALETTE COLOR")),
        ("the film is not in greys", |f| f.text((0x0028, 0x0004), "CS", "RGB")),
        ("the film is not in greys", |f| f.number((0x0028, 0x0002), 3)),
        ("the file is one piece of a split object", |f| f.text((0x0020, 0x9161), "UI", "1.2.3.9")),
        ("the film has text burned into it", |f| f.text((0x0028, 0x0301), "CS", "YES")),
        ("the file is not a CR or DX film", |f| f.text((0x0008, 0x0060), "CS", "CT")),
        ("the file is not a CR or DX film", |f| f.text((0x0008, 0x0016), "UI", "1.2.840.10008.5.1.4.1.1.7")),
        ("the film is raw data for processing", |f| f.text((0x0008, 0x0016), "UI", "1.2.840.10008.5.1.4.1.1.1.1.1")),
        ("the film's rescale slope or intercept is missing or not readable", |f| f.text((0x0028, 0x1053), "DS", "1")),
        ("the film's rescale slope or intercept is missing or not readable", |f| {
            f.text((0x0028, 0x1053), "DS", "0");
            f.text((0x0028, 0x1052), "DS", "0");
        }),
        ("the film's modality lookup table is not readable", |f| f.set((0x0028, 0x3000), "SQ", vec![])),
        ("the file could not be decoded", |f| f.set(PIXEL_DATA, "OW", vec![0; 2046])),
        ("the file has no picture in it", |f| drop(f.elements.remove(&PIXEL_DATA))),
        ("the film is stored in an encoding that is not read here", |f| f.transfer_syntax = "1.2.840.10008.1.2.1.99"),
    ];
    for (expected, edit) in cases {
        let mut file = gradient();
        edit(&mut file);
        assert_eq!(reason(read(&file, 16).await), expected);
    }
}

#[tokio::test]
async fn pixels_of_another_patient_or_study_are_dropped_and_named() {
    type Edit = fn(&mut File);
    let cases: [(&str, Edit); 6] = [
        ("the film belongs to another patient", |f| f.text((0x0010, 0x0020), "LO", "MRN-2")),
        ("the film does not say whose it is", |f| drop(f.elements.remove(&(0x0010, 0x0020)))),
        ("the film does not say whose it is", |f| f.text((0x0010, 0x0020), "LO", "  ")),
        ("the archive sent a film of another study", |f| f.text((0x0020, 0x000D), "UI", "1.2.4")),
        ("the archive sent another film", |f| f.text((0x0008, 0x0018), "UI", "1.2.3.1.2")),
        ("a film", |f| {
            f.text((0x0010, 0x0020), "LO", "FORMER");
            f.set((0x0010, 0x1002), "SQ", item(&element((0x0010, 0x0020), "LO", b"MRN-1 ")));
        }),
    ];
    for (expected, edit) in cases {
        let mut file = gradient();
        edit(&mut file);
        assert_eq!(reason(read(&file, 16).await), expected);
    }
}

#[tokio::test]
async fn a_modality_lookup_table_is_applied() {
    let mut file = film(16, |x, _| x as u8);
    let descriptor = element((0x0028, 0x3002), "US", &[16, 0, 0, 0, 16, 0]);
    // Entry i stands for stored value i; stored values are 16 x column, so all but the first are beyond the end.
    let data: Vec<u8> = (0..16u16).flat_map(|i| (4080 - i * 16).to_le_bytes()).collect();
    let table = [descriptor, element((0x0028, 0x3006), "OW", &data)].concat();
    file.set((0x0028, 0x3000), "SQ", item(&table));
    let pixels = read(&file, 16).await.unwrap().image.pixels;
    assert_eq!((pixels.get_pixel(0, 0).0[0], pixels.get_pixel(1, 0).0[0]), (255, 240));
}

#[tokio::test]
async fn eight_bits_and_lossless_run_lengths_are_read() {
    let mut file = film_of_8_bits(32, |_, y| (y * 4) as u8);
    let native = read(&file, 32).await.unwrap().image;
    // One segment: a replicated run of 32 for each row.
    let runs: Vec<u8> = (0..32u8).flat_map(|row| [(-31i8) as u8, row * 4]).collect();
    let header: Vec<u8> = [1u32, 64].into_iter().chain([0; 14]).flat_map(u32::to_le_bytes).collect();
    file.encapsulate("1.2.840.10008.1.2.5", &[header, runs].concat());
    assert_eq!(read(&file, 32).await.unwrap().image.sha256, native.sha256);
}

/// The stored values of `film(64, slope)`.
fn values() -> Vec<u16> {
    (0..64).flat_map(|y| (0..64).map(move |x| u16::from(slope(x, y)) * 16)).collect()
}

#[tokio::test]
async fn every_lossless_encoding_gives_the_picture_of_the_native_one() {
    let mut file = film(64, slope);
    let native = read(&file, 64).await.unwrap().image;
    assert_eq!(decode(file.implicit(), 64).await.unwrap().image.sha256, native.sha256);
    for (transfer_syntax, frame) in [
        ("1.2.840.10008.1.2.5", run_length(&values(), 2)),
        ("1.2.840.10008.1.2.4.57", lossless_jpeg(64, &values(), 2)),
        ("1.2.840.10008.1.2.4.70", lossless_jpeg(64, &values(), 1)),
        ("1.2.840.10008.1.2.4.90", JPEG_2000.to_vec()),
        ("1.2.840.10008.1.2.4.91", JPEG_2000.to_vec()),
    ] {
        file.encapsulate(transfer_syntax, &frame);
        let image = read(&file, 64).await.unwrap().image;
        let Source::Dicom { transfer_syntax: stated, .. } = image.source else { panic!("a film is a DICOM file") };
        assert_eq!((image.sha256, stated.as_str()), (native.sha256.clone(), transfer_syntax));
        if transfer_syntax != "1.2.840.10008.1.2.5" {
            let (a, b) = frame.split_at(frame.len() / 4 * 2);
            file.fragments(transfer_syntax, &[0], &[a, b]);
            assert_eq!(
                read(&file, 64).await.unwrap().image.sha256,
                native.sha256,
                "{transfer_syntax} in two fragments"
            );
        }
    }
}

#[tokio::test]
async fn baseline_jpeg_is_read() {
    let mut file = film_of_8_bits(64, |x, y| (x * 2 + y) as u8);
    let native = read(&file, 64).await.unwrap().image;
    let grey: Vec<u8> = (0..64u16).flat_map(|y| (0..64).map(move |x| (x * 2 + y) as u8)).collect();
    let mut jpeg = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 100);
    image::ImageEncoder::write_image(encoder, &grey, 64, 64, image::ExtendedColorType::L8).unwrap();
    file.encapsulate("1.2.840.10008.1.2.4.50", &jpeg);
    let image = read(&file, 64).await.unwrap().image;
    let worst = image.pixels.iter().zip(native.pixels.iter()).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(worst <= Some(3), "{worst:?}");
}

#[tokio::test]
async fn tables_of_frames_that_are_not_of_one_picture_are_refused() {
    const SYNTAX: &str = "1.2.840.10008.1.2.4.90";
    let extended = |offset: u64, length: u64| {
        let mut file = film(64, slope);
        file.encapsulate(SYNTAX, JPEG_2000);
        // OV is written like UN: its length has 32 bits.
        file.set((0x7FE0, 0x0001), "UN", offset.to_le_bytes().to_vec());
        file.set((0x7FE0, 0x0002), "UN", length.to_le_bytes().to_vec());
        file
    };
    let length = JPEG_2000.len() as u64;
    assert_eq!(reason(read(&extended(0, length), 16).await), "a film");
    let refused = Failure::Offsets.reason();
    for (offset, length) in [(8, length), (u64::MAX, length), (0, length + 2), (0, u64::MAX), (0, 0)] {
        assert_eq!(reason(read(&extended(offset, length), 16).await), refused, "{offset} {length}");
    }
    let (a, b) = JPEG_2000.split_at(400);
    for offsets in [&[8][..], &[u32::MAX], &[0, 408], &[0, 0]] {
        let mut file = film(64, slope);
        file.fragments(SYNTAX, offsets, &[a, b]);
        assert_eq!(reason(read(&file, 16).await), refused, "{offsets:?}");
    }
    let mut none = film(64, slope);
    none.fragments(SYNTAX, &[], &[]);
    assert_eq!(reason(read(&none, 16).await), "the file could not be decoded");
    let mut two = film(64, slope);
    let frame = run_length(&values(), 2);
    two.fragments("1.2.840.10008.1.2.5", &[], &[&frame, &frame]);
    assert_eq!(reason(read(&two, 16).await), Failure::Disagree.reason());
}

/// What an unknown element of undefined length holds is implicit, in an explicit file too.
#[tokio::test]
async fn unknown_elements_of_undefined_length_are_passed_over() {
    let open = [0xFE, 0xFF, 0, 0xE0, 0xFF, 0xFF, 0xFF, 0xFF];
    let close = [0xFE, 0xFF, 0x0D, 0xE0, 0, 0, 0, 0];
    let end = [0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0];
    let text = [&[0x09, 0, 0x11, 0x10, 6, 0, 0, 0][..], b"inside"].concat();
    let inner = [&[0x09, 0, 0x12, 0x10, 0xFF, 0xFF, 0xFF, 0xFF][..], &open, &text, &close, &end].concat();
    let unknown = |number: u8, inner: &[u8]| {
        let head = [0x09, 0, number, 0x10, b'U', b'N', 0, 0, 0xFF, 0xFF, 0xFF, 0xFF];
        [&head[..], &open, inner, &close, &end].concat()
    };
    let plain = read(&gradient(), 16).await.unwrap().image.sha256;
    let mut file = gradient();
    file.elements.insert((0x0009, 0x1010), unknown(0x10, &[text.clone(), inner.clone()].concat()));
    file.elements.insert((0x0009, 0x1013), unknown(0x13, &[]));
    assert_eq!(read(&file, 16).await.unwrap().image.sha256, plain);
    let nested = item(&unknown(0x14, &text));
    file.set((0x0040, 0x0275), "SQ", nested);
    assert_eq!(read(&file, 16).await.unwrap().image.sha256, plain);
    let whole = unknown(0x10, &inner);
    file.elements.insert((0x0009, 0x1010), whole[..whole.len() - 8].to_vec());
    assert_eq!(reason(read(&file, 16).await), "the file is damaged or not built as a film is");
}

#[tokio::test]
async fn whose_film_it_is_and_what_contradicts_it_is_told() {
    use crate::imaging::identity::{OTHER_BIRTH_DATE, OTHER_ISSUER, OTHER_SEX};
    let record = serde_json::json!({"birthDate": "1950-03-01", "gender": "male", "identifier": [
        {"system": "urn:mrn", "value": PATIENT, "assigner": {"display": "General"}}, {"system": "urn:clinic", "value": "9"}]});
    let identity = Identity::of(&serde_json::from_value(record).unwrap(), &["urn:mrn".into()], &now());
    type Edit = fn(&mut File);
    let cases: [(Result<&[&str], Failure>, Edit); 9] = [
        (Ok(&[]), |f| f.text((0x0010, 0x0021), "LO", "GENERAL")),
        (Ok(&[OTHER_ISSUER]), |f| f.text((0x0010, 0x0021), "LO", "Elsewhere")),
        (Err(Failure::AnotherIssuer), |f| f.text((0x0010, 0x0021), "LO", "urn:clinic")),
        (Ok(&[OTHER_BIRTH_DATE, OTHER_SEX]), |f| {
            f.text((0x0010, 0x0030), "DA", "19500302");
            f.text((0x0010, 0x0040), "CS", "F");
        }),
        (Ok(&[]), |f| {
            f.text((0x0010, 0x0030), "DA", "19500301");
            f.text((0x0010, 0x0040), "CS", "M");
        }),
        (Err(Failure::AnotherSeries), |f| f.text((0x0020, 0x000E), "UI", "1.2.3.2")),
        (Err(Failure::Recognisable), |f| f.text((0x0028, 0x0302), "CS", "YES")),
        (Ok(&[]), |f| f.text((0x0020, 0x0020), "CS", "L\\F")),
        (Ok(&[]), |f| f.text((0x0020, 0x0020), "CS", "LP\\FA")),
    ];
    for (expected, edit) in cases {
        let mut file = gradient();
        edit(&mut file);
        let wanted = Wanted { patient: identity.clone(), ..wanted(16) };
        let read = Decoder::on_a_thread().film(file.bytes().into(), wanted).await;
        if let Ok(film) = &read {
            let person = [OTHER_BIRTH_DATE, OTHER_SEX].iter().any(|doubt| film.doubts.contains(doubt));
            assert_eq!(film.image.labelled.disagrees, person);
        }
        assert_eq!(read.map(|film| film.doubts), expected.map(<[&str]>::to_vec));
    }
}

/// INVARIANT: a_film_stored_mirrored_or_turned_is_not_read
#[tokio::test]
async fn a_film_stored_mirrored_or_turned_is_not_read() {
    for way in ["R\\F", "L\\H", "F\\L", "A\\F", "L", "?"] {
        let mut file = gradient();
        file.text((0x0020, 0x0020), "CS", way);
        let read = Decoder::on_a_thread().film(file.bytes().into(), wanted(16)).await;
        assert_eq!(read.map(drop), Err(Failure::Turned), "{way}");
    }
}
