//! From what a record holds or names to the pixels shown, or to the reason why there are none.

use std::net::TcpListener;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use curbside::{demo::Fault, egress::Base};
use image::{
    ExtendedColorType, GrayImage, ImageEncoder, Luma,
    codecs::{jpeg::JpegEncoder, png::PngEncoder},
};
use serde_json::{Value, json};

use super::{abstains, engine, hospital, of_type, open, request, sign, sign_naming, with_media, words};
use crate::harness::{Hospital, Plan, cases, patient, record_of};

fn bytes_of(media: &Value) -> Vec<u8> {
    BASE64_STANDARD.decode(media["content"]["data"].as_str().expect("data")).expect("base64")
}

/// Puts other bytes in a Media and says of them what is true, except of their type.
fn put(media: &mut Value, bytes: &[u8], declared: &str) {
    media["content"] = json!({ "contentType": declared, "data": BASE64_STANDARD.encode(bytes), "size": bytes.len() });
}

fn grey() -> GrayImage {
    GrayImage::from_fn(48, 32, |x, y| Luma([(x * 4 + y) as u8]))
}

fn png_of(grey: &GrayImage) -> Vec<u8> {
    let mut file = Vec::new();
    let encoder = PngEncoder::new(&mut file);
    encoder.write_image(grey.as_raw(), grey.width(), grey.height(), ExtendedColorType::L8).expect("a PNG");
    file
}

fn jpeg_of(grey: &GrayImage) -> Vec<u8> {
    let mut file = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut file, 90);
    encoder.write_image(grey.as_raw(), grey.width(), grey.height(), ExtendedColorType::L8).expect("a JPEG");
    file
}

/// A chunk with its check value before the picture's data.
fn with_chunk(png: &[u8], kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut chunk = [&(data.len() as u32).to_be_bytes(), kind.as_slice(), data].concat();
    let step = |crc: u32| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
    let crc = chunk[4..].iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)));
    chunk.extend((!crc).to_be_bytes());
    let at = png.windows(4).position(|bytes| bytes == b"IDAT").expect("data") - 4;
    [&png[..at], &chunk, &png[at..]].concat()
}

fn exif(orientation: u8) -> Vec<u8> {
    [b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".as_slice(), &[orientation, 0, 0, 0, 0, 0, 0]].concat()
}

#[tokio::test]
async fn the_same_film_in_dicom_and_in_a_media_is_the_same_picture() {
    let case = cases().into_iter().find(|folder| folder.ends_with("c01")).expect("the case");
    for side in [224, 100] {
        let hospital = Plan::new(vec![case.clone(), patient("media-film")], engine(side)).open().await;
        let mut shown = Vec::new();
        for name in ["c01", "media-film"] {
            let page = hospital.page(&hospital.sign_order_of(name).await.only_card()).await;
            let pictures = page["pictures"].as_array().unwrap().clone();
            let current = pictures.iter().find(|picture| picture["role"] == "current").expect("a current picture");
            shown.push(current["sha256"].clone());
        }
        assert_eq!(shown[0], shown[1], "at {side} pixels");
        hospital.close().await;
    }
}

#[tokio::test]
async fn a_picture_at_an_address_of_the_ehr_is_read_as_it_is_or_as_a_binary() {
    type Change = fn(&Hospital);
    let as_json: Change = |hospital| hospital.ehr.faults.once("/fhir/Binary", Fault::Status(406));
    for (address, fault, how, asked) in [
        ("Binary/bytes", (|_| ()) as Change, "its address, as it is", 1),
        ("{{fhir}}/Binary/bytes", |_| (), "its address, as it is", 1),
        ("Binary/bytes", as_json, "a FHIR Binary", 2),
    ] {
        let hospital = open("media-film", |resources| {
            let media = of_type(resources, "Media");
            let data = media["content"]["data"].take();
            media["content"].as_object_mut().unwrap().remove("data");
            media["content"]["url"] = json!(address);
            let context = json!({ "reference": "Media/media-film-current" });
            let binary = json!({ "resourceType": "Binary", "id": "bytes", "contentType": "image/png", "securityContext": context, "data": data });
            resources.push(binary);
        })
        .await;
        fault(&hospital);
        let page = hospital.page(&sign(&hospital).await).await;
        assert_eq!(page["pictures"][0]["retrieved"], how, "{address}");
        let requests = hospital.ehr.requests.under("/fhir/Binary/bytes");
        assert_eq!((requests.len(), requests[0].accept.as_str()), (asked, "image/png"));
        assert!(requests.iter().all(|request| request.authorization), "the EHR's token opens it");
        hospital.close().await;
    }
}

#[tokio::test]
async fn a_picture_is_asked_for_where_the_ehr_is_reached() {
    const NAMED: &str = "https://ehr.example/fhir";
    for address in [format!("{NAMED}/Binary/document-picture-binary"), "Binary/document-picture-binary".into()] {
        let copy = record_of(&patient("document-picture"), |resources| {
            of_type(resources, "DocumentReference")["content"][0]["attachment"]["url"] = json!(address);
        });
        let mut plan = Plan::new(vec![copy.path().to_owned()], engine(224));
        plan.kept.push(copy);
        plan.site = Some(Box::new(|ehr| {
            let mut base = ehr.allowed_base();
            base.fhir = Base::new(NAMED.parse().unwrap(), ehr.fhir_base.clone());
            base
        }));
        let hospital = plan.open().await;
        let mut request = request(&hospital);
        request["fhirServer"] = json!(NAMED);
        let card = hospital.sign(&request).await.only_card();
        abstains(&hospital, &card, &["(modality: not stated)"]).await;
        assert_eq!(hospital.ehr.requests.under("/fhir/Binary").len(), 1, "{address}");
        hospital.close().await;
    }
}

#[tokio::test]
async fn a_binary_of_another_patient_is_dropped_and_named() {
    for (binary, said) in [
        (
            json!({ "securityContext": { "reference": "Patient/somebody-else" } }),
            "the Binary it names is another patient's",
        ),
        (
            json!({ "securityContext": { "reference": "DocumentReference/of-somebody" } }),
            "bound to something that is not known to be this patient's",
        ),
        (json!({ "contentType": "application/pdf" }), "the EHR calls it another type than its record does"),
        (json!({ "id": "another" }), "the EHR answered with another resource than the one asked for"),
        (json!({ "resourceType": "Basic" }), "the EHR answered with another resource than the one asked for"),
        (json!({ "data": null }), "the Binary it names is empty"),
    ] {
        let mut body = json!({ "resourceType": "Binary", "id": "bytes", "contentType": "image/png", "data": "AAAA" });
        let right = body.clone();
        let hospital = open("media-film", |resources| {
            of_type(resources, "Media")["content"] = json!({ "contentType": "image/png", "url": "Binary/bytes" });
            resources.push(right);
        })
        .await;
        body.as_object_mut().unwrap().extend(binary.as_object().unwrap().clone());
        // Refused as a picture, it is asked for as FHIR.
        hospital.ehr.faults.set("/fhir/Binary", Fault::Body(body.to_string()));
        hospital.ehr.faults.once("/fhir/Binary", Fault::Status(406));
        let card = sign(&hospital).await;
        abstains(&hospital, &card, &[said]).await;
        hospital.close().await;
    }
}

#[tokio::test]
async fn a_binary_that_cannot_be_had_is_named() {
    for (fault, said) in [
        (Fault::Status(500), "the EHR answered with status 500"),
        (Fault::Status(401), "the EHR refused access"),
        (Fault::Status(406), "the EHR does not have it in a form that is read here (406)"),
        (Fault::Redirect("http://127.0.0.1:1/elsewhere".into()), "a redirect, which is not followed"),
        (Fault::Truncate, "the connection broke before the answer was complete"),
        (Fault::ContentType("text/html".into()), "the EHR calls it another type than its record does"),
        (Fault::Hang, "no answer before the deadline"),
    ] {
        let hospital = hospital(patient("document-picture")).await;
        hospital.ehr.faults.set("/fhir/Binary", fault.clone());
        let card = sign(&hospital).await;
        abstains(&hospital, &card, &[said, "the picture of DocumentReference/document-picture-picture"]).await;
        hospital.close().await;
    }
}

#[tokio::test]
async fn an_address_elsewhere_is_not_contacted_and_named() {
    let trap = TcpListener::bind("127.0.0.1:0").unwrap();
    trap.set_nonblocking(true).unwrap();
    let elsewhere = trap.local_addr().unwrap();
    for address in [
        format!("http://{elsewhere}/fhir/Binary/1"),
        format!("//{elsewhere}/fhir/Binary/1"),
        format!("http://user@{elsewhere}/Binary/1"),
        "{{fhir}}-evil/Binary/1".into(),
        "{{fhir}}/../Binary/1".into(),
        "../metadata".into(),
        "{{fhir}}@evil.example/Binary/1".into(),
        "file:///etc/passwd".into(),
        "data:image/png;base64,AAAA".into(),
        "http://169.254.169.254/latest".into(),
    ] {
        let hospital =
            with_media(|media| media["content"] = json!({ "contentType": "image/png", "url": address })).await;
        let card = sign(&hospital).await;
        abstains(&hospital, &card, &["lies outside the allowed bases and was not contacted"]).await;
        let known = ["/fhir/Patient", "/fhir/Condition", "/fhir/MedicationRequest", "/fhir/AllergyIntolerance"];
        let searched = [
            "/fhir/Observation",
            "/fhir/ImagingStudy",
            "/fhir/DiagnosticReport",
            "/fhir/Media",
            "/fhir/DocumentReference",
        ];
        let asked = hospital.ehr.requests.all();
        let expected = |path: &str| known.iter().chain(&searched).any(|prefix| path.starts_with(prefix));
        assert!(asked.iter().all(|request| expected(&request.path)), "{address}: {asked:?}");
        hospital.close().await;
    }
    assert_eq!(trap.accept().map(|_| ()).unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "nobody connected");
}

#[tokio::test]
async fn bytes_other_than_the_record_states_are_not_shown() {
    type Change = fn(&mut Value);
    let changes: [(&str, Change); 18] = [
        ("its SHA-1 is not the one its record states", |m| {
            m["content"]["hash"] = json!(BASE64_STANDARD.encode([7; 20]));
        }),
        ("its stated hash is not a SHA-1", |m| m["content"]["hash"] = json!("AAAA")),
        ("its stated hash is not a SHA-1", |m| m["content"]["hash"] = json!("")),
        ("its stated hash is not a SHA-1", |m| {
            m["content"]["hash"] = json!("0123456789abcdef0123456789abcdef01234567")
        }),
        ("its stated hash is not a SHA-1", |m| m["content"]["hash"] = json!(BASE64_STANDARD.encode([7; 32]))),
        ("its stated hash is not a SHA-1", |m| m["content"]["hash"] = json!("not base64!")),
        ("it is not of the size its record states", |m| m["content"]["size"] = json!(36_755)),
        ("its stated size is not a size", |m| m["content"]["size"] = json!(-1)),
        ("it is larger than the limit", |m| m["content"]["size"] = json!(5_000_000_000u64)),
        ("its bytes are not of the type it is declared to be", |m| put(m, &jpeg_of(&grey()), "image/png")),
        ("its bytes are not of the type it is declared to be", |m| put(m, b"GIF89a\x01\0\x01\0", "image/png")),
        ("its bytes are not of the type it is declared to be", |m| {
            put(m, &[b"%PDF-1.7\n", png_of(&grey()).as_slice()].concat(), "image/png");
        }),
        ("only PNG and JPEG pictures are read", |m| put(m, b"GIF89a\x01\0\x01\0", "image/gif")),
        ("only PNG and JPEG pictures are read", |m| put(m, b"%PDF-1.7\n", "application/pdf")),
        ("the picture is damaged or cut off", |m| {
            let whole = bytes_of(m);
            put(m, &whole[..whole.len() / 2], "image/png");
        }),
        ("the picture is empty or larger than is read here", |m| {
            put(m, &png_of(&GrayImage::new(8193, 1)), "image/png");
        }),
        ("its record is not readable as base64", |m| m["content"]["data"] = json!("not base64!")),
        ("its record does not say of which type it is", |m| {
            m["content"].as_object_mut().unwrap().remove("contentType");
        }),
    ];
    for (said, change) in changes {
        let hospital = with_media(change).await;
        let card = sign(&hospital).await;
        let named = format!("Media/media-film-current: {said}");
        abstains(&hospital, &card, &[&named, "the picture of Media/media-film-current could not be read"]).await;
        hospital.close().await;
    }
}

#[tokio::test]
async fn base64_with_line_breaks_is_read() {
    let hospital = with_media(|media| {
        let lines = media["content"]["data"].as_str().unwrap().as_bytes().chunks(76);
        let lines: Vec<&str> = lines.map(|line| std::str::from_utf8(line).unwrap()).collect();
        media["content"]["data"] = json!(lines.join("\r\n"));
    })
    .await;
    assert!(words(&sign(&hospital).await).contains("AI draft to review"));
    hospital.close().await;
}

/// One Media for each way to hold a camera; each is named by an order of its own.
#[tokio::test]
async fn orientations_are_applied_and_metadata_dropped() {
    let upright = grey();
    let (width, height) = upright.dimensions();
    let hospital = open("media-film", |resources| {
        let media = of_type(resources, "Media").clone();
        for orientation in 1..=8 {
            let (columns, rows) = if orientation < 5 { (width, height) } else { (height, width) };
            let turned = GrayImage::from_fn(columns, rows, |column, row| {
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
            });
            let texts = with_chunk(&png_of(&turned), b"tEXt", b"Author\0Jane Doe");
            let mut held = media.clone();
            held["id"] = json!(format!("held-{orientation}"));
            put(&mut held, &with_chunk(&texts, b"eXIf", &exif(orientation)), "image/png");
            resources.push(held);
        }
    })
    .await;
    let mut shown = std::collections::BTreeSet::new();
    for orientation in 1..=8 {
        let card = sign_naming(&hospital, &[&format!("Media/held-{orientation}")]).await;
        let page = hospital.page(&card).await;
        shown.insert(page["pictures"][0]["sha256"].as_str().unwrap().to_owned());
    }
    assert_eq!(shown.len(), 1, "one upright picture");
    let sha256 = shown.first().unwrap();
    let png = hospital.app.store.picture(&hospital.app.caller, sha256).await.unwrap().png;
    assert!(!png.windows(8).any(|bytes| bytes == b"Jane Doe"));
    hospital.close().await;
}

#[tokio::test]
async fn a_jpeg_is_read() {
    let hospital = with_media(|media| put(media, &jpeg_of(&grey()), "image/jpg; charset=binary")).await;
    let page = hospital.page(&sign(&hospital).await).await;
    let picture = &page["pictures"][0];
    assert_eq!((&picture["media_type"], &picture["lossy"]), (&json!("image/jpeg"), &json!(true)));
    assert_eq!(picture["size"], "48 × 32 pixels");
    hospital.close().await;
}
