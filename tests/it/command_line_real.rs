//! The binary with the real engine: the main job, and what is never logged.

use std::{
    io::{BufRead, BufReader, Read},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
};

use curbside::demo;
use serde_json::json;
use tempfile::TempDir;

use crate::{
    command_line::{curbside, run},
    harness::fixtures,
};

/// Three free ports in a row, as `demo` wants them; each caller gets others.
fn three_ports() -> String {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + (std::process::id() % 4_000) as u16 * 3;
    loop {
        let base = first + NEXT.fetch_add(3, Ordering::Relaxed);
        let taken: Vec<_> = (base..base + 3).map(|port| TcpListener::bind(("127.0.0.1", port))).collect();
        if taken.iter().all(Result::is_ok) {
            return base.to_string();
        }
    }
}

/// A demonstration that has shown its answer and serves on, with what it printed. Its temporary files are under `temporary`.
fn demonstration(arguments: &[&str], temporary: &Path) -> (Child, String) {
    let mut command = curbside(&[&["demo"], arguments].concat());
    command.env("TMPDIR", temporary).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary runs");
    let mut text = String::new();
    for line in BufReader::new(child.stdout.take().expect("its output")).lines() {
        text += &(line.expect("text") + "\n");
        if text.contains("Ctrl-C") {
            break;
        }
    }
    assert!(child.try_wait().expect("its state").is_none(), "it ended:\n{text}{}", complaints(&mut child));
    (child, text)
}

fn complaints(child: &mut Child) -> String {
    let mut text = String::new();
    child.stderr.take().expect("its complaints").read_to_string(&mut text).expect("text");
    text
}

/// Sends the signal and waits for a clean end.
fn stop(mut child: Child, signal: &str) {
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().expect("kill");
    let status = child.wait().expect("its end");
    assert!(sent.success() && status.code() == Some(0), "{status}: {}", complaints(&mut child));
}

#[test]
fn demo_answers_an_order_and_keeps_serving_until_it_is_stopped() {
    let port = three_ports();
    let temporary = TempDir::new().unwrap();
    let (child, text) = demonstration(&["--port", &port], temporary.path());
    stop(child, "-TERM");
    for words in ["AI draft", "DiagnosticReport", "partial", "medical device", &format!("http://127.0.0.1:{port}")] {
        assert!(text.contains(words), "{words:?} is not in\n{text}");
    }
}

#[test]
fn nothing_temporary_is_left_after_a_signal() {
    for signal in ["-TERM", "-INT"] {
        let temporary = TempDir::new().unwrap();
        let left = || std::fs::read_dir(temporary.path()).unwrap().flatten().map(|e| e.path()).collect::<Vec<_>>();
        let (child, _) = demonstration(&["--port", &three_ports()], temporary.path());
        assert!(!left().is_empty(), "the database is somewhere else");
        stop(child, signal);
        assert_eq!(left(), Vec::<PathBuf>::new(), "after {signal}");
    }
}

#[tokio::test]
async fn a_folder_given_with_data_keeps_the_reports() {
    let (data, temporary, port) = (TempDir::new().unwrap(), TempDir::new().unwrap(), three_ports());
    let arguments = ["--port", &port, "--data", data.path().to_str().unwrap()];
    let (child, text) = demonstration(&arguments, temporary.path());
    stop(child, "-INT");
    let address = |mark: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(mark)).unwrap_or_else(|| panic!("{mark} in\n{text}"));
        line.trim().to_owned()
    };
    let (page, report) = (address("REPORT PAGE "), address("REPORT http"));
    assert!(data.path().join("curbside.db").is_file());

    let (child, again) = demonstration(&arguments, temporary.path());
    assert!(!again.contains(&page), "the second run drafted a report of its own");
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for address in [page, format!("http{report}")] {
        assert_eq!(client.get(&address).send().await.unwrap().status().as_u16(), 200, "{address}");
    }
    stop(child, "-TERM");
}

/// INVARIANT: planted_markers_are_in_no_log_line
#[tokio::test]
async fn planted_markers_are_in_no_log_line() {
    const MARKER: &str = "zzPLANTEDzz";
    let copy = crate::harness::copy_of(&crate::harness::patient("demo"));
    let path = copy.path().join("fhir.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut bundle: serde_json::Value = serde_json::from_str(&text).unwrap();
    let patient = bundle["entry"]
        .as_array()
        .unwrap()
        .iter()
        .find(|e| e["resource"]["resourceType"] == "Patient")
        .unwrap()["resource"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    bundle["entry"].as_array_mut().unwrap().push(json!({"resource": {
        "resourceType": "Condition", "id": MARKER, "code": {"text": MARKER}, "subject": {"reference": format!("Patient/{patient}")},
    }}));
    std::fs::write(&path, bundle.to_string()).unwrap();
    let any = crate::harness::TOKEN_FREE;
    let ehr = demo::start(&[copy.path().to_owned()], any, any).await.unwrap();
    let data = TempDir::new().unwrap();
    let base = ehr.allowed_base();
    let config = data.path().join("curbside.toml");
    let port = three_ports();
    std::fs::write(
        &config,
        format!(
            "listen = \"127.0.0.1:{port}\"\nintended_use = \"research\"\n[[ehr]]\nfhir = \"{}\"\ndicomweb = [\"{}\"]\npatient_id_systems = {:?}\n[engine]\nmodel = {:?}\n[store]\npath = {:?}\n",
            base.fhir.as_str(), base.dicomweb[0].as_str(), base.patient_id_systems, fixtures().join("model").display().to_string(), data.path().join("c.db").display().to_string(),
        ),
    )
    .unwrap();
    let mut child = curbside(&["serve", "--config", &config.display().to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://127.0.0.1:{port}");
    for _ in 0..600 {
        match client.get(format!("{url}/readyz")).send().await {
            Ok(answer) if answer.status().is_success() => break,
            _ => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
        }
    }
    let name = ehr.names().next().unwrap().to_owned();
    let mut request = ehr.authorized_request(&name).unwrap();
    let token = request["fhirAuthorization"]["access_token"].as_str().unwrap().to_owned();
    let post = |path: &'static str, body: String| {
        client.post(format!("{url}{path}")).header("content-type", "application/json").body(body).send()
    };
    let signed = post("/cds-services/imaging-draft-report", request.to_string()).await.unwrap();
    assert_eq!(signed.status().as_u16(), 200);
    // Bad input of several kinds, each with the marker in it.
    request["context"]["patientId"] = json!(format!("{MARKER}/../{MARKER}"));
    assert_eq!(post("/cds-services/imaging-draft-report", request.to_string()).await.unwrap().status().as_u16(), 400);
    assert_eq!(
        post("/cds-services/imaging-draft-report", format!("{{\"{MARKER}\": {token}")).await.unwrap().status().as_u16(),
        400
    );
    assert_eq!(post("/cds-services/zzPLANTEDzz", request.to_string()).await.unwrap().status().as_u16(), 404);
    assert_eq!(
        client
            .get(format!("{url}/fhir/DiagnosticReport?patient={MARKER}&{MARKER}=1"))
            .send()
            .await
            .unwrap()
            .status()
            .as_u16(),
        400
    );
    assert_eq!(
        client.get(format!("{url}/fhir/DiagnosticReport/{MARKER}")).send().await.unwrap().status().as_u16(),
        404
    );
    Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    let status = child.wait().unwrap();
    let mut log = String::new();
    child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    child.stdout.take().unwrap().read_to_string(&mut log).unwrap();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.lines().count() >= 6, "the requests were logged: {log}");
    for secret in [MARKER, &token, &format!("/{patient}"), &format!("\"{patient}\""), "MRN-", "Patient/"] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
    ehr.shutdown().await;
}

#[test]
fn a_taken_port_is_one_sentence_naming_the_flag() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (output, text) = run(&["demo", "--port", &port]);
    assert_ne!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("--port"), "{text}");
}
