use std::{path::Path, time::Duration};

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::egress::{AccessToken, Egress, Get, Reply, join};

const EXPLICIT: &str = "1.2.840.10008.1.2.1";
const JPEG_2000: &str = "1.2.840.10008.1.2.4.90";

/// A DICOM file without pixels, written by hand: preamble, file meta information, three UIDs.
fn film(path: &Path, uids: [&str; 3], transfer_syntax: &str) {
    let element = |group: u16, number: u16, uid: &str| {
        let padded = if uid.len().is_multiple_of(2) { uid.to_owned() } else { format!("{uid}\0") };
        let mut bytes =
            [group.to_le_bytes(), number.to_le_bytes(), *b"UI", (padded.len() as u16).to_le_bytes()].concat();
        bytes.extend(padded.bytes());
        bytes
    };
    let meta = [
        element(2, 2, "1.2.840.10008.5.1.4.1.1.1.1"),
        element(2, 3, uids[2]),
        element(2, 0x10, transfer_syntax),
        element(2, 0x12, "2.25.1"),
    ];
    let meta = meta.concat();
    let mut file = vec![0; 128];
    file.extend(b"DICM\x02\0\0\0UL\x04\0");
    file.extend((meta.len() as u32).to_le_bytes());
    file.extend(meta);
    file.extend([element(8, 0x18, uids[2]), element(0x20, 0xD, uids[0]), element(0x20, 0xE, uids[1])].concat());
    std::fs::write(path, file).unwrap();
}

/// Two patients, `one` with twelve Observations and two films, one stored as JPEG 2000.
fn fixtures() -> (TempDir, Vec<PathBuf>) {
    let root = tempfile::tempdir().unwrap();
    let folders: Vec<PathBuf> = ["one", "two"].iter().map(|name| root.path().join(name)).collect();
    for folder in &folders {
        std::fs::create_dir_all(folder.join("images")).unwrap();
        let id = folder.file_name().unwrap().to_str().unwrap();
        let subject = json!({"reference": format!("Patient/{id}")});
        let mut resources = vec![
            json!({"resourceType": "Patient", "id": id, "identifier": [{"system": "urn:test:mrn", "value": id}]}),
            json!({"resourceType": "Endpoint", "id": format!("{id}-endpoint"), "address": "{{dicomweb}}"}),
            json!({"resourceType": "ImagingStudy", "id": format!("{id}-study"), "subject": subject,
                "endpoint": [{"reference": format!("Endpoint/{id}-endpoint")}]}),
            json!({"resourceType": "AllergyIntolerance", "id": format!("{id}-allergy"), "patient": subject, "category": ["medication"]}),
        ];
        for n in 1..=12 {
            let category = if n % 2 == 0 { "laboratory" } else { "vital-signs" };
            resources.push(json!({
                "resourceType": "Observation", "id": format!("{id}-{n}"), "status": if n == 12 { "amended" } else { "final" },
                "category": [{"coding": [{"system": "urn:c", "code": category}]}],
                "code": {"coding": [{"system": "http://loinc.org", "code": format!("{n}-0")}]},
                "subject": subject, "effectiveDateTime": format!("2025-01-{n:02}"),
            }));
        }
        let entries: Vec<Value> = resources.into_iter().map(|r| json!({"resource": r})).collect();
        let bundle = json!({"resourceType": "Bundle", "type": "collection", "entry": entries});
        std::fs::write(folder.join("fhir.json"), bundle.to_string()).unwrap();
        let request = json!({"hook": "order-sign", "hookInstance": "fixed", "fhirServer": "{{fhir}}", "context": {"patientId": id}});
        std::fs::write(folder.join("request.json"), request.to_string()).unwrap();
    }
    film(&folders[0].join("images/a.dcm"), ["1.2.1", "1.2.1.1", "1.2.1.1.1"], EXPLICIT);
    film(&folders[0].join("images/b.dcm"), ["1.2.1", "1.2.1.2", "1.2.1.2.1"], JPEG_2000);
    (root, folders)
}

struct Running {
    demo: Demo,
    egress: Egress,
    _root: TempDir,
}

async fn running() -> Running {
    let (root, folders) = fixtures();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    Running { demo: start(&folders, any, any).await.unwrap(), egress: Egress::new(1 << 30).unwrap(), _root: root }
}

impl Running {
    async fn ask(&self, url: &Url, accept: &str, token: Option<&str>) -> Result<Reply> {
        let allowed = [self.demo.fhir_base.clone().into(), self.demo.dicomweb_base.clone().into()];
        let token = token.map(|t| AccessToken::new(t.into()));
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        let get = Get { url, allowed: &allowed, accept, token: token.as_ref(), max_bytes: 1 << 20, deadline };
        self.egress.get(get).await
    }
    async fn fhir(&self, path: &str, token: Option<&str>) -> (u16, Value) {
        let url = if path.starts_with("http") {
            Url::parse(path).unwrap()
        } else {
            join(&self.demo.fhir_base, path).unwrap()
        };
        let reply = self.ask(&url, "application/fhir+json", token).await.unwrap();
        assert!(reply.content_type.starts_with("application/fhir+json"));
        (reply.status, serde_json::from_slice(&reply.body).unwrap())
    }
    async fn ids(&self, path: &str) -> Vec<String> {
        let (status, bundle) = self.fhir(path, None).await;
        assert_eq!(status, 200, "{path}");
        let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
        entries.iter().map(|e| e["resource"]["id"].as_str().unwrap().to_owned()).collect()
    }
    async fn film(&self, path: &str, accept: &str) -> Reply {
        self.ask(&join(&self.demo.dicomweb_base, path).unwrap(), accept, None).await.unwrap()
    }
}

fn token(request: &Value) -> &str {
    request["fhirAuthorization"]["access_token"].as_str().unwrap()
}

#[tokio::test]
async fn reads_and_searches_as_a_lenient_ehr() {
    let it = running().await;
    assert_eq!(it.fhir("Patient/one", None).await.1["id"], "one");
    assert_eq!(it.fhir("Patient/nobody", None).await.0, 404);
    assert_eq!(it.fhir("Nonsense?patient=one", None).await.0, 404);
    assert_eq!(it.fhir("metadata", None).await.1["resourceType"], "CapabilityStatement");
    assert_eq!(it.ids("Observation?patient=one").await.len(), 12);
    assert_eq!(it.ids("Observation?subject=Patient/one&category=laboratory").await.len(), 6);
    assert_eq!(it.ids("Observation?patient=one&category=urn:c|laboratory,urn:c|vital-signs").await.len(), 12);
    assert_eq!(it.ids("Observation?patient=one&category=urn:other|laboratory").await.len(), 0);
    assert_eq!(it.ids("Observation?patient=one&code=http://loinc.org|3-0").await, ["one-3"]);
    assert_eq!(it.ids("Observation?patient=one&status=amended").await, ["one-12"]);
    assert_eq!(it.ids("Observation?_id=one-4,two-4").await, ["one-4", "two-4"]);
    assert_eq!(it.ids("Observation?patient=one&no-such-parameter=x").await.len(), 12);
    assert_eq!(it.ids("AllergyIntolerance?patient=one&category=medication").await, ["one-allergy"]);
    assert_eq!(it.ids("Procedure?patient=one").await.len(), 0);
    assert_eq!(it.ids("ImagingStudy?patient=one&_include=ImagingStudy:endpoint").await, ["one-study", "one-endpoint"]);
    let (_, endpoint) = it.fhir("Endpoint/one-endpoint", None).await;
    assert_eq!(endpoint["address"], it.demo.dicomweb_base.as_str());
    let (_, bundle) = it.fhir("Procedure?patient=one", None).await;
    assert!(bundle.get("entry").is_none(), "FHIR has no empty arrays");
}

#[tokio::test]
async fn pages_are_linked_and_lose_nothing() {
    let it = running().await;
    let mut path = "Observation?patient=one&_sort=-date&_count=5".to_owned();
    let (mut pages, mut seen) = (0, Vec::new());
    loop {
        let (_, bundle) = it.fhir(&path, None).await;
        pages += 1;
        assert_eq!(bundle["total"], 12);
        for entry in bundle["entry"].as_array().unwrap() {
            assert_eq!(entry["search"]["mode"], "match");
            let id = entry["resource"]["id"].as_str().unwrap().to_owned();
            assert_eq!(entry["fullUrl"], format!("{}/Observation/{id}", it.demo.fhir_base));
            seen.push(id);
        }
        let links = bundle["link"].as_array().unwrap();
        let Some(next) = links.iter().find(|l| l["relation"] == "next") else { break };
        path = next["url"].as_str().unwrap().to_owned();
    }
    let expected: Vec<String> = (1..=12).rev().map(|n| format!("one-{n}")).collect();
    assert_eq!((pages, seen), (3, expected));
}

#[tokio::test]
async fn a_token_opens_one_patient_only() {
    let it = running().await;
    assert_eq!(it.demo.request("one").unwrap()["fhirServer"], it.demo.fhir_base.as_str());
    assert_eq!(it.fhir("Observation?patient=one", None).await.0, 200, "open until a token is given out");
    let request = it.demo.authorized_request("one").unwrap();
    assert_ne!(request["hookInstance"], "fixed");
    let one = token(&request);
    for path in
        ["Patient/one", "Observation?patient=one", "Observation/one-3", "Observation?_count=3", "Endpoint/one-endpoint"]
    {
        assert_eq!(it.fhir(path, None).await.0, 401, "{path}");
        assert_eq!(it.fhir(path, Some("made-up")).await.0, 401, "{path}");
        assert_eq!(it.fhir(path, Some(one)).await.0, 200, "{path}");
    }
    for path in [
        "Patient/two",
        "Observation?patient=two",
        "Observation?subject=Patient/two",
        "Observation/two-3",
        "Patient?_id=two",
    ] {
        assert_eq!(it.fhir(path, Some(one)).await.0, 403, "{path}");
    }
    let (_, bundle) = it.fhir("Observation?_count=100", Some(one)).await;
    assert_eq!(bundle["total"], 12, "a search without patient shows the token's patient only");
    assert_eq!(it.fhir("Patient/two", None).await.0, 200, "no token was given out for this one");
    let other = it.demo.authorized_request("two").unwrap();
    assert_ne!(token(&other), one);
    assert_eq!(it.fhir("Patient/one", Some(token(&other))).await.0, 403);
}

#[tokio::test]
async fn the_pacs_sends_what_it_has_or_refuses() {
    let it = running().await;
    let (explicit, stored) =
        ("studies/1.2.1/series/1.2.1.1/instances/1.2.1.1.1", "studies/1.2.1/series/1.2.1.2/instances/1.2.1.2.1");
    let asked = |syntax: &str| format!("multipart/related; type=\"application/dicom\"; transfer-syntax={syntax}");
    for (path, accept, status) in [
        (explicit, asked(EXPLICIT).as_str(), 200),
        (explicit, "multipart/related; type=application/dicom; transfer-syntax=*", 200),
        (explicit, "multipart/related; type=\"application/dicom\"", 200),
        (stored, "multipart/related; type=\"application/dicom\"", 406),
        (stored, asked(EXPLICIT).as_str(), 406),
        (stored, asked("*").as_str(), 200),
        (stored, asked(JPEG_2000).as_str(), 200),
        (stored, "image/png", 406),
        (stored, "multipart/related; type=\"application/octet-stream\"; transfer-syntax=*", 406),
        ("studies/1.2.1", asked(EXPLICIT).as_str(), 406),
        ("studies/1.2.1/series/1.2.1.1", asked(EXPLICIT).as_str(), 200),
        ("studies/1.2.2", asked("*").as_str(), 404),
        ("studies/1.2.1/series/1.2.1.1/instances/9", asked("*").as_str(), 404),
        ("studies/1.2.1/series/1.2.1.1/instances/1.2.1.1.1/rendered", "image/png", 404),
    ] {
        assert_eq!(it.film(path, accept).await.status, status, "{path} {accept}");
    }
    let study = it.film("studies/1.2.1", &asked("*")).await;
    let boundary = study.content_type.split("boundary=").nth(1).unwrap();
    let dicm = study.body.windows(4).filter(|w| w == b"DICM").count();
    let delimiter = format!("--{boundary}\r\n");
    let parts = study.body.windows(delimiter.len()).filter(|w| *w == delimiter.as_bytes()).count();
    assert_eq!((parts, dicm), (2, 2));
    assert!(study.body.ends_with(format!("--{boundary}--\r\n").as_bytes()));
    let file = std::fs::read(it._root.path().join("one/images/b.dcm")).unwrap();
    assert!(
        it.film(stored, &asked("*")).await.body.windows(file.len()).any(|w| w == file),
        "the stored bytes, unchanged"
    );
}

#[tokio::test]
async fn faults_happen_where_they_are_set_and_requests_are_remembered() {
    let it = running().await;
    let url = |path: &str| join(&it.demo.fhir_base, path).unwrap();
    it.demo.faults.set("/fhir/Observation", Fault::Status(500));
    assert_eq!(it.ask(&url("Observation?patient=one"), "*/*", Some("t")).await.unwrap().status, 500);
    assert_eq!(it.ask(&url("Patient/one"), "*/*", None).await.unwrap().status, 200);
    it.demo.faults.once("/fhir/Patient", Fault::RetryAfter(7));
    assert_eq!(it.ask(&url("Patient/one"), "*/*", None).await.unwrap().retry_after, Some(Duration::from_secs(7)));
    assert_eq!(it.ask(&url("Patient/one"), "*/*", None).await.unwrap().status, 200);
    it.demo.faults.set("/fhir/Patient", Fault::ContentType("text/html".into()));
    assert_eq!(it.ask(&url("Patient/one"), "*/*", None).await.unwrap().content_type, "text/html");
    it.demo.faults.set("/fhir/Patient", Fault::Body("<p>log in</p>".into()));
    assert_eq!(it.ask(&url("Patient/one"), "*/*", None).await.unwrap().body, "<p>log in</p>");
    it.demo.faults.set("/fhir/Patient", Fault::Redirect("http://elsewhere.example/".into()));
    assert_eq!(it.ask(&url("Patient/one"), "*/*", None).await.unwrap().status, 302);
    it.demo.faults.set("/fhir/Patient", Fault::Truncate);
    assert_eq!(it.ask(&url("Patient/one"), "*/*", None).await.err().unwrap().kind, Kind::Upstream);
    it.demo.faults.clear();
    assert_eq!(it.ask(&url("Patient/one"), "*/*", None).await.unwrap().status, 200);
    let received = it.demo.requests.under("/fhir/Observation");
    assert_eq!(received.len(), 1);
    assert_eq!((received[0].method.as_str(), received[0].path.as_str()), ("GET", "/fhir/Observation?patient=one"));
    assert!(received[0].authorization);
    assert!(it.demo.requests.under("/fhir/Patient").iter().all(|r| !r.authorization));
    assert_eq!(it.demo.requests.all().len(), 9);
}

#[tokio::test]
async fn shutdown_ends_even_what_hangs() {
    let it = running().await;
    it.demo.faults.set("/fhir/Patient", Fault::Hang);
    let (url, requests) = (join(&it.demo.fhir_base, "Patient/one").unwrap(), it.demo.requests.clone());
    let (egress, base) = (it.egress.clone(), [it.demo.fhir_base.clone().into()]);
    let hanging = tokio::spawn(async move {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        egress.get(Get { url: &url, allowed: &base, accept: "*/*", token: None, max_bytes: 1024, deadline }).await
    });
    while requests.all().is_empty() {
        tokio::task::yield_now().await;
    }
    let fhir = it.demo.fhir_base.clone();
    it.demo.shutdown().await;
    assert_eq!(hanging.await.unwrap().unwrap().status, 503);
    assert!(std::net::TcpStream::connect(("127.0.0.1", fhir.port().unwrap())).is_err());
}

#[tokio::test]
async fn a_taken_port_and_broken_fixtures_are_named() {
    let it = running().await;
    let taken = SocketAddr::from(([127, 0, 0, 1], it.demo.fhir_base.port().unwrap()));
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let e = start(&[], taken, any).await.err().unwrap();
    assert!(e.kind == Kind::EditConflict && e.message.contains(&taken.to_string()), "{e}");
    let root = it._root.path();
    std::fs::write(root.join("one/images/b.dcm"), b"no film").unwrap();
    let e = start(&[root.join("one")], any, any).await.err().unwrap();
    assert!(e.message.contains("b.dcm"), "{e}");
    std::fs::write(root.join("two/fhir.json"), b"{").unwrap();
    let e = start(&[root.join("two")], any, any).await.err().unwrap();
    assert!(e.message.contains("two/fhir.json"), "{e}");
}

#[tokio::test]
async fn the_allowed_base_names_what_is_served() {
    let it = running().await;
    let base = it.demo.allowed_base();
    assert_eq!(
        (&base.fhir, base.dicomweb.as_slice()),
        (&it.demo.fhir_base.clone().into(), [it.demo.dicomweb_base.clone().into()].as_slice())
    );
    assert_eq!(base.patient_id_systems, ["urn:test:mrn"]);
    assert_eq!(it.demo.names().collect::<Vec<_>>(), ["one", "two"]);
}

#[tokio::test]
async fn ehr_and_pacs_answer_to_no_foreign_name() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (_root, folders) = fixtures();
    let local: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let demo = start(&folders, local, local).await.unwrap();
    for base in [&demo.fhir_base, &demo.dicomweb_base] {
        let address = base.socket_addrs(|| None).unwrap()[0];
        for (host, foreign) in [("evil.example", true), ("localhost", false), ("127.0.0.1:9", false)] {
            let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
            let request = format!("GET /fhir/metadata HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert_eq!(answer.starts_with("HTTP/1.1 403"), foreign, "{base} {host}: {answer}");
        }
    }
}
