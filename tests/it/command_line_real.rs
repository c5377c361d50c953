//! The binary with the real engine: the main job, and what is never logged.

use std::{
    io::{BufRead, BufReader, Read},
    net::TcpListener,
    process::{Command, Stdio},
};

use curbside::demo;
use serde_json::json;

use crate::{
    command_line::{curbside, run},
    harness::fixtures,
};

/// Three free ports in a row, as `demo` wants them.
fn three_ports() -> String {
    for base in (20_000..60_000).step_by(7) {
        let taken: Vec<_> = (base..base + 3).map(|port| TcpListener::bind(("127.0.0.1", port))).collect();
        if taken.iter().all(Result::is_ok) {
            return base.to_string();
        }
    }
    panic!("no three free ports");
}

#[test]
fn demo_answers_an_order_and_keeps_serving_until_it_is_stopped() {
    let port = three_ports();
    let mut child = curbside(&["demo", "--port", &port])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let mut text = String::new();
    for line in lines.by_ref() {
        let line = line.expect("text");
        text.push_str(&line);
        text.push('\n');
        if line.contains("Ctrl-C") {
            break;
        }
    }
    let alive = child.try_wait().expect("its state").is_none();
    let stopped = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill");
    let status = child.wait().expect("its end");
    let mut complaints = String::new();
    child.stderr.take().expect("its complaints").read_to_string(&mut complaints).expect("text");
    assert!(alive && stopped.success(), "{text}\n{complaints}");
    assert_eq!(status.code(), Some(0), "{text}\n{complaints}");
    for words in ["AI draft", "DiagnosticReport", "partial", "medical device", &format!("http://127.0.0.1:{port}")] {
        assert!(text.contains(words), "{words:?} is not in\n{text}\n{complaints}");
    }
}

/// INVARIANT: no token, patient data or request text is in any log line
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
    let data = tempfile::TempDir::new().unwrap();
    let base = ehr.allowed_base();
    let config = data.path().join("curbside.toml");
    let port = three_ports();
    std::fs::write(
        &config,
        format!(
            "listen = \"127.0.0.1:{port}\"\nintended_use = \"research\"\n[[ehr]]\nfhir = \"{}\"\ndicomweb = [\"{}\"]\npatient_id_systems = {:?}\n[engine]\nmodel = {:?}\n[store]\npath = {:?}\n",
            base.fhir, base.dicomweb[0], base.patient_id_systems, fixtures().join("model").display().to_string(), data.path().join("c.db").display().to_string(),
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
