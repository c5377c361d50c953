//! Whole studies read from an archive: how it is asked, where a token goes, and what becomes of what it sends.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    archive::{Answer, Asked, Server},
    *,
};
use crate::{
    caller::AllowedBase,
    capacity::Processor,
    egress::{AccessToken, Base, Egress},
    fhir::lenient::{Endpoint, ImagingStudy},
    imaging::{Access, Decoder, Limits, Study, read_study},
};

/// A study of one DX series with these instances, its Endpoint contained.
fn study(address: &str, instances: &[&str]) -> Value {
    let instances: Vec<Value> =
        instances.iter().enumerate().map(|(i, uid)| json!({"uid": uid, "number": i + 1})).collect();
    json!({
        "identifier": [{"system": "urn:dicom:uid", "value": format!("urn:oid:{STUDY}")}],
        "endpoint": [{"reference": "#e"}],
        "contained": [endpoint(address)],
        "series": [{"uid": SERIES, "modality": {"code": "DX"}, "instance": instances}],
    })
}

fn endpoint(address: &str) -> Value {
    json!({"resourceType": "Endpoint", "id": "e", "status": "active", "connectionType": {"code": "dicom-wado-rs"}, "address": address})
}

fn base(dicomweb: &[&Server]) -> AllowedBase {
    AllowedBase {
        fhir: "https://ehr.example/fhir".parse().unwrap(),
        dicomweb: dicomweb.iter().map(|server| server.base.clone().into()).collect(),
        patient_id_systems: Vec::new(),
        suggestions: false,
        dicomweb_takes_token: false,
    }
}

async fn read_with(base: &AllowedBase, limits: &Limits, study: &Value, endpoints: &[Value]) -> Study {
    let (egress, decoder) = (Egress::new(1 << 30).unwrap(), Decoder::on_a_thread());
    let token = AccessToken::new("planted".into());
    let access = Access {
        egress: &egress,
        processor: &Processor::default(),
        decoder: &decoder,
        base,
        token: Some(&token),
        limits,
        deadline: Instant::now() + Duration::from_secs(60),
    };
    let study: ImagingStudy = serde_json::from_value(study.clone()).unwrap();
    let endpoints: Vec<Endpoint> = endpoints.iter().map(|e| serde_json::from_value(e.clone()).unwrap()).collect();
    read_study(&access, &study, &endpoints, &patient(), 16).await
}

/// One film asked of a server that is the only allowed one.
async fn read(server: &Server) -> Study {
    read_with(&base(&[server]), &Limits::default(), &study(server.base.as_str(), &[INSTANCE]), &[]).await
}

fn reasons(study: &Study) -> Vec<&str> {
    study.dropped.iter().map(|d| d.reason.as_str()).collect()
}

fn named(uid: &str, edit: impl Fn(&mut File)) -> Vec<u8> {
    let mut file = gradient();
    file.text((0x0008, 0x0018), "UI", uid);
    edit(&mut file);
    file.bytes()
}

#[tokio::test]
async fn the_archive_is_asked_to_decode_first() {
    let server = Server::start(|_, _| Answer::files(&[gradient().bytes()])).await;
    let study = read(&server).await;
    assert_eq!(study.images[0].retrieved, "instance, uncompressed by the archive");
    assert_eq!((study.study_uid.as_deref(), reasons(&study)), (Some(STUDY), vec![]));
    let asked = server.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].path, format!("/dicom-web/studies/{STUDY}/series/{SERIES}/instances/{INSTANCE}"));
    assert_eq!(asked[0].accept, r#"multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.1"#);
}

#[tokio::test]
async fn a_way_of_asking_that_fails_gives_way_to_the_next() {
    for status in [400, 406, 415, 500, 501] {
        let server = Server::start(move |asked: &Asked, _| match asked.transcoded() {
            true => Answer::status(status),
            false => Answer::files(&[gradient().bytes()]),
        });
        let study = read(&server.await).await;
        assert_eq!(study.images[0].retrieved, "instance, as stored");
    }
    let broken = |asked: &Asked, _| match asked.transcoded() {
        true => Answer { body: b"--b\r\n\r\ncut of".to_vec(), ..Answer::files(&[]) },
        false => Answer::files(&[gradient().bytes()]),
    };
    assert_eq!(read(&Server::start(broken).await).await.images[0].retrieved, "instance, as stored");
    let undecodable = |asked: &Asked, _| match asked.transcoded() {
        true => Answer { body: b"<html>".to_vec(), ..Answer::status(200).with("content-type", "text/html") },
        false => Answer { body: gradient().bytes(), ..Answer::status(200).with("content-type", "application/dicom") },
    };
    assert_eq!(read(&Server::start(undecodable).await).await.images[0].retrieved, "instance, as stored");
}

#[tokio::test]
async fn the_whole_study_is_fetched_once_and_the_way_remembered() {
    let uids = ["1.2.3.1.1", "1.2.3.1.2", "1.2.3.1.3"];
    let server = Server::start(move |asked, _| match asked.whole_study() {
        true => Answer::files(&[named(uids[1], |f| f.text((0x0018, 0x5101), "CS", "LL")), named(uids[0], |_| ())]),
        false => Answer::status(404),
    })
    .await;
    let study = read_with(&base(&[&server]), &Limits::default(), &study(server.base.as_str(), &uids), &[]).await;
    let found: Vec<String> = study.images.iter().map(|image| image.reference()).collect();
    assert_eq!(found, uids[..2].iter().map(|uid| format!("urn:oid:{uid}")).collect::<Vec<_>>());
    assert_eq!(study.images[0].retrieved, "whole study, as stored");
    assert_eq!((reasons(&study), server.asked().len()), (vec!["the archive did not send it"], 2));
}

#[tokio::test]
async fn retry_after_is_honoured_once() {
    let busy = || Answer::status(503).with("retry-after", "0");
    let server =
        Server::start(move |_, before| if before == 0 { busy() } else { Answer::files(&[gradient().bytes()]) }).await;
    assert_eq!(read(&server).await.images.len(), 1);
    let asked = server.asked();
    assert_eq!((asked.len(), &asked[0].path, &asked[0].accept), (2, &asked[1].path, &asked[1].accept));
    let always = Server::start(move |_, _| busy()).await;
    assert_eq!(reasons(&read(&always).await), ["the archive is busy (503)"]);
    assert_eq!(always.asked().len(), 2);
    let later = Server::start(|_, _| Answer::status(503).with("retry-after", "86400")).await;
    assert_eq!(reasons(&read(&later).await), ["the archive needs more time than there is (503)"]);
}

#[tokio::test]
async fn a_date_after_which_to_retry_is_honoured() {
    let busy = |at: &str| Answer::status(503).with("date", "Fri, 31 Dec 1999 23:59:59 GMT").with("retry-after", at);
    for date in ["Fri, 31 Dec 1999 23:59:59 GMT", "Friday, 31-Dec-99 23:00:00 GMT", "Fri Dec 31 00:00:00 1999"] {
        let server =
            Server::start(move |_, before| if before == 0 { busy(date) } else { Answer::files(&[gradient().bytes()]) });
        assert_eq!(read(&server.await).await.images.len(), 1, "{date}");
    }
    let later = Server::start(move |_, _| busy("Sat, 01 Jan 2000 23:59:59 GMT")).await;
    assert_eq!(reasons(&read(&later).await), ["the archive needs more time than there is (503)"]);
    assert_eq!(later.asked().len(), 1);
}

#[tokio::test]
async fn the_first_telling_reason_is_told() {
    let cut = || Answer { body: b"--b\r\n\r\ncut of".to_vec(), ..Answer::files(&[]) };
    for (last, calls) in [(406, 3), (404, 3)] {
        let server = Server::start(move |asked: &Asked, before| match before {
            0 => cut(),
            _ if asked.whole_study() => Answer::status(404),
            _ => Answer::status(last),
        })
        .await;
        assert_eq!(reasons(&read(&server).await), ["the archive's answer is broken"], "{last}");
        assert_eq!(server.asked().len(), calls);
    }
    let unknown = Server::start(|asked: &Asked, _| Answer::status(if asked.whole_study() { 404 } else { 406 })).await;
    assert_eq!(reasons(&read(&unknown).await), ["the archive did not find it (404)"]);
}

#[tokio::test]
async fn an_archive_is_asked_where_it_is_reached() {
    let server = Server::start(|_, _| Answer::files(&[gradient().bytes()])).await;
    let named = "https://pacs.example/dicomweb/".parse().unwrap();
    let base = AllowedBase { dicomweb: vec![Base::new(named, server.base.clone())], ..base(&[]) };
    for address in
        ["https://pacs.example/dicomweb", server.base.as_str(), "https://pacs.example/dicomweb/studies/1.2.3"]
    {
        let study = study(address, &[INSTANCE]);
        assert_eq!(read_with(&base, &Limits::default(), &study, &[]).await.images.len(), 1, "{address}");
        let path = format!("/dicom-web/studies/{STUDY}/series/{SERIES}/instances/{INSTANCE}");
        assert_eq!(server.asked().pop().unwrap().path, path, "{address}");
    }
}

#[tokio::test]
async fn a_refusal_ends_the_asking() {
    for (status, reason) in [
        (401, "the archive refused access (401)"),
        (403, "the archive refused access (403)"),
        (410, "the archive no longer has it (410)"),
    ] {
        let server = Server::start(move |_, _| Answer::status(status)).await;
        let study = study(server.base.as_str(), &[INSTANCE, "1.2.3.1.2"]);
        let study = read_with(&base(&[&server]), &Limits::default(), &study, &[]).await;
        assert_eq!((reasons(&study), server.asked().len()), (vec![reason; 2], 1));
    }
    let lost = Server::start(|_, _| Answer::status(404)).await;
    assert_eq!(reasons(&read(&lost).await), ["the archive did not find it (404)"]);
    assert_eq!(lost.asked().len(), 2);
}

#[tokio::test]
async fn another_host_gets_no_request() {
    let trap = Server::start(|_, _| Answer::files(&[gradient().bytes()])).await;
    let location = trap.base.to_string();
    let server = Server::start(move |_, _| Answer::status(302).with("location", location.clone())).await;
    assert_eq!(reasons(&read(&server).await), ["the archive answered with a redirect, which is not followed (302)"]);
    let outside = "the archive's address is not one this server may contact";
    let look_alike = format!("{}-evil", server.base);
    let authority = server.base.as_str().replace("http://", "http://user@");
    for address in
        [trap.base.as_str(), &look_alike, &authority, "http://169.254.169.254/dicom-web", "ftp://127.0.0.1/dicom-web"]
    {
        let study = read_with(&base(&[&server]), &Limits::default(), &study(address, &[INSTANCE]), &[]).await;
        assert_eq!(reasons(&study), [outside], "{address}");
    }
    assert_eq!((trap.asked().len(), server.asked().len()), (0, 1));
}

#[tokio::test]
async fn what_the_archive_sends_wrongly_is_dropped_and_named() {
    type Edit = fn(&mut File);
    let cases: [(&str, Edit); 3] = [
        ("the film belongs to another patient", |f| f.text((0x0010, 0x0020), "LO", "MRN-2")),
        ("the archive sent a film of another study", |f| f.text((0x0020, 0x000D), "UI", "1.2.4")),
        ("the archive sent another film", |f| f.text((0x0008, 0x0018), "UI", "1.2.3.1.9")),
    ];
    for (reason, edit) in cases {
        let server = Server::start(move |_, _| Answer::files(&[named(INSTANCE, edit)])).await;
        let study = read(&server).await;
        assert_eq!((reasons(&study), study.images.len()), (vec![reason], 0));
        assert_eq!(server.asked().len(), 1);
    }
}

#[tokio::test]
async fn a_token_goes_only_where_it_is_asked_for() {
    for (rule, site, sent) in [
        (json!([true]), false, true),
        (json!([false]), true, false),
        (json!([]), false, false),
        (json!([]), true, true),
        (json!([true, false]), true, false),
        (json!([null]), false, false),
    ] {
        let server = Server::start(|_, _| Answer::files(&[gradient().bytes()])).await;
        let url = "http://fhir.org/argonaut/smart-imaging/StructureDefinition/requires-access-token";
        let mut study = study(server.base.as_str(), &[INSTANCE]);
        let rules = rule.as_array().unwrap().iter().map(|value| json!({"url": url, "valueBoolean": value}));
        study["contained"][0]["extension"] = rules.collect();
        let base = AllowedBase { dicomweb_takes_token: site, ..base(&[&server]) };
        assert_eq!(read_with(&base, &Limits::default(), &study, &[]).await.images.len(), 1);
        let expected = sent.then_some("Bearer planted".to_owned());
        assert_eq!(server.asked()[0].authorization, expected, "{rule} {site}");
    }
}

#[tokio::test]
async fn endpoints_are_found_and_chosen() {
    let server = Server::start(|_, _| Answer::files(&[gradient().bytes()])).await;
    let good = endpoint(server.base.as_str());
    let with = |reference: &str, endpoints: Vec<Value>| {
        let mut study = study("http://127.0.0.1:1/closed", &[INSTANCE]);
        study["series"][0]["endpoint"] = json!([{"reference": reference}]);
        let base = base(&[&server]);
        async move { read_with(&base, &Limits::default(), &study, &endpoints).await }
    };
    assert_eq!(with("Endpoint/e", vec![good.clone()]).await.images.len(), 1, "the series' own beats the study's");
    assert_eq!(with("https://ehr.example/fhir/Endpoint/e", vec![good.clone()]).await.images.len(), 1);
    assert_eq!(with("https://other.example/fhir/Endpoint/e", vec![good.clone()]).await.images.len(), 0);
    for (member, value, reason) in [
        ("status", json!("suspended"), "the archive's Endpoint is not active"),
        ("connectionType", json!({"code": "hl7-fhir-rest"}), "the archive's Endpoint is not DICOMweb retrieval"),
        ("address", json!(format!("{}/studies/1.2.4", server.base)), "the archive's address is that of another study"),
        ("address", json!("not a URL"), "the archive's address is not a URL"),
    ] {
        let mut study = study(server.base.as_str(), &[INSTANCE]);
        study["contained"][0][member] = value;
        assert_eq!(reasons(&read_with(&base(&[&server]), &Limits::default(), &study, &[]).await), [reason]);
    }
    let asked = server.asked().len();
    for (address, path) in [("studies/1.2.3", "studies/1.2.3"), ("study/1.2.3/", "study/1.2.3"), ("", "studies/1.2.3")]
    {
        let study = study(&format!("{}/{address}", server.base), &[INSTANCE]);
        assert_eq!(read_with(&base(&[&server]), &Limits::default(), &study, &[]).await.images.len(), 1);
        let last = server.asked().pop().unwrap();
        assert_eq!(last.path, format!("/dicom-web/{path}/series/{SERIES}/instances/{INSTANCE}"));
    }
    assert_eq!(server.asked().len(), asked + 3);
}

#[tokio::test]
async fn frontal_views_come_first_then_the_instance_number() {
    let uids = ["1.2.3.1.1", "1.2.3.1.2", "1.2.3.1.3", "1.2.3.1.4", "1.2.3.1.5"];
    let server = Server::start(move |asked, _| {
        let uid = asked.path.rsplit('/').next().unwrap_or_default().to_owned();
        let (view, number) = match uid.as_str() {
            "1.2.3.1.1" => ("LL", "1"),
            "1.2.3.1.2" => ("AP", "9"),
            "1.2.3.1.3" => ("", "0"),
            _ => ("PA", "4"),
        };
        Answer::files(&[named(&uid, |f| {
            f.text((0x0018, 0x5101), "CS", view);
            f.text((0x0020, 0x0013), "IS", number);
        })])
    })
    .await;
    let study = read_with(&base(&[&server]), &Limits::default(), &study(server.base.as_str(), &uids), &[]).await;
    let order: Vec<String> = study.images.iter().map(|image| image.reference()).collect();
    assert_eq!(order, ["4", "2", "3", "1"].map(|number| format!("urn:oid:1.2.3.1.{number}")));
    assert_eq!(reasons(&study), ["only 4 films of a study are read"]);
}

#[tokio::test]
async fn what_cannot_be_read_is_not_asked_for() {
    let server = Server::start(|_, _| Answer::files(&[gradient().bytes()])).await;
    let mut unnamed = study(server.base.as_str(), &[INSTANCE]);
    unnamed["identifier"] = json!([{"system": "urn:dicom:uid", "value": "../1"}]);
    let read = read_with(&base(&[&server]), &Limits::default(), &unnamed, &[]).await;
    assert_eq!((read.study_uid.as_deref(), reasons(&read)), (None, vec!["the study has no valid DICOM identifier"]));

    let (egress, decoder) = (Egress::new(1 << 30).unwrap(), Decoder::on_a_thread());
    let (base, limits) = (base(&[&server]), Limits::default());
    let access = Access {
        egress: &egress,
        processor: &Processor::default(),
        decoder: &decoder,
        base: &base,
        token: None,
        limits: &limits,
        deadline: Instant::now() + Duration::from_secs(60),
    };
    let whole: ImagingStudy = serde_json::from_value(study(server.base.as_str(), &[INSTANCE])).unwrap();
    let nobody = read_study(&access, &whole, &[], &Identity::default(), 16).await;
    assert_eq!(
        reasons(&nobody),
        ["the patient has no identifier of the systems that films are compared by (ehr.patient_id_systems)"]
    );
    assert!(server.asked().is_empty());
    let late = Access { deadline: Instant::now() - Duration::from_secs(1), ..access };
    let late = read_study(&late, &whole, &[], &patient(), 16).await;
    let late = reasons(&late).join("");
    assert!(
        ["the archive did not answer in time", "there was no time left to read it"].contains(&late.as_str()),
        "{late}"
    );

    let small = Limits { max_instance_bytes: 1000, ..Limits::default() };
    let large = read_with(&base, &small, &study(server.base.as_str(), &[INSTANCE]), &[]).await;
    assert_eq!(reasons(&large), ["it is larger than the limit"]);
}

#[test]
fn limits_have_defaults_and_refuse_unknown_names() {
    let limits: Limits = toml::from_str("max_films_per_study = 2").unwrap();
    assert_eq!(limits, Limits { max_films_per_study: 2, ..Limits::default() });
    assert!(limits.check().is_ok() && Limits { max_study_bytes: 0, ..limits }.check().is_err());
    assert!(toml::from_str::<Limits>("max_film = 2").is_err());
}
