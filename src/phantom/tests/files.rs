//! DICOM and PNG, read by what reads them in the server.

use image::imageops::crop_imm;

use super::{
    super::dicom::{Label, ModalityLut, Storage, View},
    *,
};
use crate::{
    error::Kind,
    fhir::Date,
    imaging::{Decoder, Failure, Identity, Source, Wanted},
};

fn label(storage: Storage) -> Label {
    let mut random = Random::training(9);
    Label {
        patient_id: "MRN-1".into(),
        issuer: Some("made up hospital".into()),
        name: "김^하늘".into(),
        sex: Some("F".into()),
        birth_date: Date::parse("1961-04-09"),
        study_date: Date::parse("2025-06-02").unwrap(),
        view: View::Ap,
        study_uid: dicom::uid(&mut random),
        series_uid: dicom::uid(&mut random),
        instance_uid: dicom::uid(&mut random),
        number: 2,
        storage,
    }
}

async fn decode(film: &Film, label: &Label, side: u32) -> Result<crate::imaging::Film, Failure> {
    let record = serde_json::json!({
        "identifier": [{"system": "urn:mrn", "value": "MRN-1", "assigner": {"display": "made up hospital"}}],
        "birthDate": "1961-04-09", "gender": "female",
    });
    let now = Date::parse("2025-11-20").unwrap();
    let wanted = Wanted {
        study_uid: label.study_uid.clone(),
        series_uid: label.series_uid.clone(),
        instance_uid: label.instance_uid.clone(),
        patient: Identity::of(&serde_json::from_value(record).unwrap(), &["urn:mrn".into()], &now),
        side,
        retrieved: "test",
    };
    Decoder::on_a_thread().film(dicom::write(film, label).unwrap().into(), wanted).await
}

#[tokio::test]
async fn every_way_of_storing_gives_back_the_same_grey() {
    let film = chest(4, &all()[..1], SIZE, 1.0);
    let expected = grey(&film);
    for storage in Storage::ALL {
        let read = decode(&film, &label(storage), 224).await.unwrap();
        let same = read.image.pixels.pixels().zip(&expected).all(|(pixel, grey)| pixel.0 == [*grey; 3]);
        assert!(same, "{storage:?}");
        assert_eq!(read.doubts.len(), 0, "{:?}", read.doubts);
    }
    let stored = |storage| dicom::write(&film, &label(storage)).unwrap();
    let files: std::collections::HashSet<_> = Storage::ALL.map(stored).into();
    assert_eq!(files.len(), Storage::ALL.len(), "they do differ");
}

#[tokio::test]
async fn films_of_any_shape_come_through() {
    for (width, height) in [(96, 120), (121, 90), (33, 64)] {
        let film = chest(4, &all()[..1], (width, height), 1.0);
        let side = width.max(height);
        let read = decode(&film, &label(Storage::default()), side).await.unwrap();
        assert_eq!((read.image.columns, read.image.rows), (width, height));
        let inner = crop_imm(&*read.image.pixels, (side - width) / 2, (side - height) / 2, width, height).to_image();
        assert!(inner.pixels().zip(grey(&film)).all(|(pixel, grey)| pixel.0 == [grey; 3]));
    }
    let wide = Film { width: 8193, height: 1, values: vec![0; 8193], maps: Maps::default() };
    assert_eq!(dicom::write(&wide, &label(Storage::default())).unwrap_err().kind, Kind::Invalid);
}

#[tokio::test]
async fn the_file_says_whose_it_is_and_that_it_is_made_up() {
    let film = chest(4, &[], (64, 64), 1.0);
    let storage = Storage { inverted: true, modality_lut: ModalityLut::Halved };
    let label = label(storage);
    let read = decode(&film, &label, 64).await.unwrap();
    let (image, number) = (read.image, read.number);
    assert_eq!((image.manufacturer.as_deref(), image.modality.as_deref()), (Some("curbside phantom"), Some("DX")));
    assert_eq!((image.body_part.as_deref(), image.view.as_deref(), number), (Some("CHEST"), Some("AP"), Some(2)));
    assert_eq!((image.date.unwrap().text(), image.lossy), ("2025-06-02", false));
    assert!(matches!(image.source, Source::Dicom { window: Some(window), .. } if window == "1120/2040"));
    let bytes = dicom::write(&film, &label).unwrap();
    let read = dicom_object::from_reader(bytes.as_slice()).unwrap();
    let text = |name| read.element_by_name(name).unwrap().to_str().unwrap().trim_end().to_owned();
    for name in ["DerivationDescription", "ImageComments"] {
        assert_eq!(text(name), MADE_UP);
    }
    assert_eq!((text("PatientName").as_str(), text("IssuerOfPatientID").as_str()), ("김^하늘", "made up hospital"));
    assert_eq!((text("PatientSex").as_str(), text("PatientBirthDate").as_str()), ("F", "19610409"));
    let hostile = Label { patient_id: "a\\b\u{0}\r\n".repeat(40), ..label };
    let bytes = dicom::write(&film, &hostile).unwrap();
    let read = dicom_object::from_reader(bytes.as_slice()).unwrap();
    let id = read.element_by_name("PatientID").unwrap().to_str().unwrap().into_owned();
    assert!((60..=64).contains(&id.len()) && id.chars().all(|c| "ab ".contains(c)), "{id:?}");
}

#[test]
fn a_png_reads_back_equal_and_says_that_it_is_made_up() {
    for size in [SIZE, (70, 50)] {
        let film = chest(4, &all()[..1], size, 1.0);
        let bytes = png(&film).unwrap();
        let read = image::load_from_memory_with_format(&bytes, image::ImageFormat::Png).unwrap();
        let read = read.as_luma8().expect("8 bit grey");
        assert_eq!((read.dimensions(), read.as_raw()), (size, &grey(&film)));
        let text = [b"tEXtComment\0", MADE_UP.as_bytes()].concat();
        assert!(bytes.windows(text.len()).any(|window| window == text));
    }
}

#[test]
fn the_stamp_is_in_a_corner_outside_the_lungs() {
    for size in [SIZE, (600, 480), (32, 32)] {
        let plain = chest(4, &all()[..1], size, 1.0);
        let mut stamped = plain.clone();
        stamped.stamp();
        let width = size.0 as usize;
        let changed: Vec<usize> =
            (0..plain.values.len()).filter(|at| plain.values[*at] != stamped.values[*at]).collect();
        assert!(changed.len() > 40 && stamped.maps == plain.maps);
        if size != (32, 32) {
            assert!(changed.iter().all(|at| at / width < 20 && at % width < width / 4));
        }
    }
    let mut tiny = chest(4, &[], (3, 3), 1.0);
    tiny.stamp();
}
