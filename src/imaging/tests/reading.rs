//! Files that are films, and files that say of themselves why they are not.

use super::*;
use crate::imaging::{
    decode::{Film, decode},
    header::Failure,
};

async fn read(file: &File, side: u32) -> Result<Film, Failure> {
    decode(file.bytes().into(), wanted(side)).await
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
    let source = crate::imaging::Source::Dicom {
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
    let mut file = gradient();
    for (element, value) in [(0x0100, 8), (0x0101, 8), (0x0102, 7)] {
        file.number((0x0028, element), value);
    }
    file.text((0x0028, 0x1050), "DS", "127");
    file.text((0x0028, 0x1051), "DS", "254");
    file.set(PIXEL_DATA, "OW", (0..1024u32).map(|i| (i / 32 * 4) as u8).collect());
    let native = read(&file, 32).await.unwrap().image;
    // One segment: a replicated run of 32 for each row.
    let runs: Vec<u8> = (0..32u8).flat_map(|row| [(-31i8) as u8, row * 4]).collect();
    let header: Vec<u8> = [1u32, 64].into_iter().chain([0; 14]).flat_map(u32::to_le_bytes).collect();
    file.encapsulate("1.2.840.10008.1.2.5", &[header, runs].concat());
    assert_eq!(read(&file, 32).await.unwrap().image.sha256, native.sha256);
}
