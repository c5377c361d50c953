//! Tokens and patients' data stay where they belong: in no log, no error, no temporary file; tokens in no database either.
//! There are no metrics yet; a test holds that, so that whoever adds them comes by here.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use curbside::{
    demo::{self, Demo, Fault},
    engine::{Engine, Step},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    command_line::curbside,
    harness::{Plan, TOKEN_FREE, copy_of, fixtures, patient, read_json, scripted_model},
};

const MARKER: &str = "zzPLANTEDzz";

/// Every regular file below a folder with what is in it, and those that a process holds open though they were removed.
fn bytes_under(folder: &Path, process: Option<u32>) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                // Links lead to the model's own files.
                Ok(kind) if kind.is_file() => found.push((entry.path(), fs::read(entry.path()).unwrap_or_default())),
                _ => {}
            }
        }
    }
    let open = process.map(|id| PathBuf::from(format!("/proc/{id}/fd")));
    for entry in open.and_then(|open| fs::read_dir(open).ok()).into_iter().flatten().flatten() {
        let target = fs::read_link(entry.path()).unwrap_or_default().to_string_lossy().into_owned();
        if target.ends_with(" (deleted)") || target.starts_with("/memfd:") {
            found.push((target.into(), fs::read(entry.path()).unwrap_or_default()));
        }
    }
    found
}

fn holds(bytes: &[u8], secret: &str) -> bool {
    bytes.windows(secret.len()).any(|window| window == secret.as_bytes())
}

#[track_caller]
fn none_holds(files: &[(PathBuf, Vec<u8>)], secrets: &[String]) {
    for (path, bytes) in files {
        for secret in secrets {
            assert!(!holds(bytes, secret), "{secret} is in {}", path.display());
        }
    }
}

#[test]
fn a_secret_in_a_file_would_be_found() {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("deep")).unwrap();
    fs::write(folder.path().join("deep/file"), format!("\0\u{1}{MARKER}\0")).unwrap();
    assert!(bytes_under(folder.path(), None).iter().any(|(_, bytes)| holds(bytes, MARKER)));
    let mut removed = tempfile::tempfile_in(folder.path()).unwrap();
    std::io::Write::write_all(&mut removed, MARKER.as_bytes()).unwrap();
    fs::remove_dir_all(folder.path().join("deep")).unwrap();
    assert!(bytes_under(folder.path(), Some(std::process::id())).iter().any(|(_, bytes)| holds(bytes, MARKER)));
}

/// The demonstration's patient with markers wherever a person is described.
async fn marked_ehr() -> (Demo, TempDir) {
    let copy = copy_of(&patient("demo"));
    let path = copy.path().join("fhir.json");
    let mut bundle = read_json(&path);
    for entry in bundle["entry"].as_array_mut().unwrap() {
        let resource = &mut entry["resource"];
        match resource["resourceType"].as_str() {
            Some("Patient") => {
                resource["name"] = json!([{"family": MARKER, "given": [MARKER]}]);
                resource["address"] = json!([{"text": MARKER}]);
                resource["telecom"] = json!([{"value": MARKER}]);
            }
            Some("Condition" | "AllergyIntolerance" | "DiagnosticReport") => resource["code"]["text"] = json!(MARKER),
            _ => {}
        }
    }
    let condition = json!({"resourceType": "Condition", "id": MARKER, "code": {"text": MARKER}, "subject": {"reference": "Patient/demo"}});
    bundle["entry"].as_array_mut().unwrap().push(json!({"resource": condition}));
    fs::write(&path, bundle.to_string()).unwrap();
    let ehr = demo::start(&[copy.path().to_owned()], TOKEN_FREE, TOKEN_FREE).await.unwrap();
    (ehr, copy)
}

/// The running binary, its temporary files in a folder of their own.
struct Running {
    child: Child,
    url: String,
    temporary: TempDir,
    data: TempDir,
    client: reqwest::Client,
}

impl Running {
    async fn start(ehr: &Demo) -> Running {
        let (temporary, data) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let base = ehr.allowed_base();
        let model = if cfg!(feature = "mistralrs") {
            format!("[engine]\nmodel = {:?}\n", fixtures().join("model"))
        } else {
            String::new()
        };
        let text = format!(
            "listen = \"{free}\"\nintended_use = \"research\"\n[[ehr]]\nfhir = \"{}\"\ndicomweb = [\"{}\"]\npatient_id_systems = {:?}\n{model}[store]\npath = {:?}\n",
            base.fhir.named(),
            base.dicomweb[0].named(),
            base.patient_id_systems,
            data.path().join("curbside.db"),
        );
        fs::write(data.path().join("curbside.toml"), text).unwrap();
        let mut command = curbside(&["serve", "--config", &data.path().join("curbside.toml").display().to_string()]);
        let log = fs::File::create(data.path().join("log")).unwrap();
        command.env("TMPDIR", temporary.path()).stdout(log.try_clone().unwrap()).stderr(log).stdin(Stdio::null());
        let child = command.spawn().unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let running = Running { child, url: format!("http://{free}"), temporary, data, client };
        let probe = if cfg!(feature = "mistralrs") { "/readyz" } else { "/livez" };
        for _ in 0..600 {
            match running.client.get(format!("{}{probe}", running.url)).send().await {
                Ok(answer) if answer.status().is_success() => return running,
                _ => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
            }
        }
        panic!("it does not serve");
    }

    fn temporary_files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        bytes_under(self.temporary.path(), Some(self.child.id()))
    }

    /// Status, and everything else that came back as text.
    async fn send(&self, request: reqwest::RequestBuilder) -> (u16, String) {
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), format!("{:?}", response.headers()));
        (status, headers + &response.text().await.expect("a body"))
    }

    async fn post(&self, service: &str, body: impl Into<reqwest::Body>) -> (u16, String) {
        let url = format!("{}/cds-services/{service}", self.url);
        self.send(self.client.post(url).header("content-type", "application/json").body(body)).await
    }
}

/// Requests that are wrong, each with the secrets in the place that is wrong.
fn wrong_requests(right: &Value, secret: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut with = |pointer: &str, value: Value| {
        let mut request = right.clone();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        request.pointer_mut(parent).unwrap()[name] = value;
        all.push(request.to_string());
    };
    for pointer in [
        "/hook",
        "/hookInstance",
        "/fhirServer",
        "/fhirAuthorization",
        "/context",
        "/prefetch",
        "/context/patientId",
        "/context/userId",
        "/context/draftOrders",
        "/fhirAuthorization/token_type",
        "/fhirAuthorization/expires_in",
        "/fhirAuthorization/patient",
        "/fhirAuthorization/access_token",
    ] {
        for value in [
            json!(format!("{secret} {secret}")),
            json!({secret: secret}),
            json!([secret]),
            json!(format!("../{secret}")),
            json!(format!("http://{secret}@127.0.0.1/{secret}?{secret}#{secret}")),
        ] {
            with(pointer, value);
        }
    }
    with("/fhirServer", json!(format!("https://{secret}.example/{secret}")));
    with("/extension", json!({"com.epic.cdshooks.request.fhir-version": secret}));
    with("/prefetch", json!({"patient": {"resourceType": "Patient", "id": secret}}));
    with(
        "/prefetch",
        json!({"patient": {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": secret, "diagnostics": secret}]}}),
    );
    with("/prefetch", json!({"patient": {"response": {"status": secret}}}));
    let order = json!({"resourceType": "ServiceRequest", "id": secret, "status": "draft", "subject": {"reference": format!("Patient/{secret}")},
        "category": [{"coding": [{"system": "http://snomed.info/sct", "code": "363679005"}]}], "code": {"text": secret}});
    with("/context/draftOrders", json!({"resourceType": "Bundle", "entry": [{"resource": order}]}));
    all.push(format!("{{\"{secret}\": {secret}"));
    all.push(format!("{}{secret}", right));
    all.push(format!("\"{secret}\""));
    all.push(format!("{{\"hook\":\"{secret}\",\"hook\":\"{secret}\"}}"));
    all.push(format!("{{\"context\":{}\"{secret}\"{}}}", "[".repeat(10_000), "]".repeat(10_000)));
    all
}

/// What an EHR may say when it fails, with the secrets in it.
fn failures(secret: &str) -> Vec<Fault> {
    let outcome = json!({"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "processing", "diagnostics": secret}], "text": {"div": secret}});
    let fhir = || vec![("content-type", "application/fhir+json".to_owned())];
    let mut all = vec![
        Fault::Body(outcome.to_string()),
        Fault::Body(format!("<html>{secret}</html>")),
        Fault::Body(format!("{{\"resourceType\":\"Patient\",\"id\":\"{secret}\"}}")),
        Fault::Body(format!("{{\"resourceType\":\"{secret}\"}}")),
        Fault::Body(format!("{{\"resourceType\":\"Patient\",\"{secret}")),
        Fault::ContentType(format!("text/{secret}")),
        Fault::Redirect(format!("http://127.0.0.1:9/{secret}")),
        Fault::Truncate,
        Fault::Answer(
            503,
            vec![("retry-after", secret.to_owned()), ("www-authenticate", secret.to_owned())],
            secret.into(),
        ),
        Fault::Answer(
            200,
            vec![("content-type", secret.to_owned()), ("content-encoding", secret.to_owned())],
            secret.into(),
        ),
    ];
    all.extend(
        [400, 401, 403, 404, 410, 412, 429, 500, 502]
            .map(|status| Fault::Answer(status, fhir(), outcome.to_string().into())),
    );
    all
}

#[tokio::test]
async fn planted_markers_are_in_no_error_log_or_temporary_file() {
    let (ehr, copy) = marked_ehr().await;
    let running = Running::start(&ehr).await;
    let name = ehr.names().next().unwrap().to_owned();
    let mut tokens = Vec::new();
    let mut request = |hook: &str| {
        let mut request = ehr.authorized_request(&name).unwrap();
        request["hook"] = json!(hook);
        tokens.push(request["fhirAuthorization"]["access_token"].as_str().unwrap().to_owned());
        if hook == "patient-view" {
            request["context"].as_object_mut().unwrap().remove("draftOrders");
        }
        request
    };
    let services = [("chart-summary", "patient-view"), ("imaging-draft-report", "order-sign")];
    let mut errors: Vec<(u16, String)> = Vec::new();
    let mut answered = 0;
    for (service, hook) in services {
        let right = request(hook);
        let token = right["fhirAuthorization"]["access_token"].as_str().unwrap().to_owned();
        let (status, text) = running.post(service, right.to_string()).await;
        assert!(
            status == 200 || (service != "chart-summary" && !cfg!(feature = "mistralrs") && status == 503),
            "{status} {text}"
        );
        assert!(!text.contains(&token), "the token is on the card");
        none_holds(&running.temporary_files(), &[MARKER.to_owned(), token.clone()]);
        for body in wrong_requests(&right, MARKER).into_iter().chain(wrong_requests(&right, &token)) {
            let (status, text) = running.post(service, body).await;
            match status {
                200 => answered += 1,
                _ => errors.push((status, text)),
            }
        }
        for fault in failures(MARKER).into_iter().chain(failures(&token)) {
            for path in ["/fhir/Patient", "/fhir/", "/dicomweb"] {
                ehr.faults.set(path, fault.clone());
                let right = request(hook);
                let (status, text) = running.post(service, right.to_string()).await;
                ehr.faults.clear();
                let own = right["fhirAuthorization"]["access_token"].as_str().unwrap();
                assert!(!text.contains(own) && !text.contains(&token), "{fault:?}: {text}");
                match status {
                    200 => answered += 1,
                    _ => errors.push((status, text)),
                }
            }
            none_holds(&running.temporary_files(), &[MARKER.to_owned(), token.clone()]);
        }
    }
    // As an id it may be kept, with what was asked for; so it is no token that was given out.
    const MADE_UP: &str = "zzTOKENzzTOKENzzTOKENzz";
    for secret in [MARKER, MADE_UP] {
        let get = |path: String| running.client.get(format!("{}{path}", running.url));
        for path in [
            format!("/cds-services/{secret}"),
            format!("/{secret}"),
            format!("/fhir/{secret}"),
            format!("/fhir/{secret}/{secret}"),
            format!("/fhir/DiagnosticReport/{secret}"),
            format!("/fhir/DiagnosticReport?patient={secret}&{secret}={secret}"),
            format!("/fhir/DiagnosticReport?date={secret}"),
            format!("/reports/{secret}"),
            format!("/pictures/{secret}"),
        ] {
            errors.push(running.send(get(path)).await);
        }
        errors.push(running.send(get("/cds-services".into()).header("host", format!("{secret}.example"))).await);
        errors
            .push(running.send(get("/fhir/DiagnosticReport".into()).header("accept", format!("text/{secret}"))).await);
        errors.push(
            running
                .send(running.client.request(reqwest::Method::from_bytes(secret.as_bytes()).unwrap(), &running.url))
                .await,
        );
        let typed = running
            .client
            .post(format!("{}/cds-services/chart-summary", running.url))
            .header("content-type", format!("text/{secret}"));
        errors.push(
            running.send(typed.header("authorization", secret).header("cookie", secret).body(secret.to_owned())).await,
        );
    }
    println!("{} errors and {answered} answers looked at", errors.len());
    assert!(errors.len() > 200, "{} {answered}", errors.len());
    let secrets: Vec<String> =
        tokens.iter().cloned().chain([MARKER, MADE_UP, "Patient/demo", "MRN-"].map(String::from)).collect();
    for (status, text) in &errors {
        assert!(*status >= 400, "{status} {text}");
        for secret in &secrets {
            assert!(!text.contains(secret.as_str()), "{secret} is in an answer of status {status}: {text}");
        }
    }
    none_holds(&bytes_under(running.data.path(), Some(running.child.id())), &tokens);
    none_holds(&running.temporary_files(), &secrets);

    let Running { mut child, temporary, data, .. } = running;
    Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let mut log = String::new();
    fs::File::open(data.path().join("log")).unwrap().read_to_string(&mut log).unwrap();
    assert!(log.lines().count() >= errors.len(), "the requests were logged");
    for secret in &secrets {
        assert!(!log.contains(secret.as_str()), "{secret} is in the log");
    }
    none_holds(&bytes_under(temporary.path(), None), &secrets);
    none_holds(&bytes_under(data.path(), None), &tokens);
    ehr.shutdown().await;
    drop(copy);
}

#[tokio::test]
async fn tokens_are_in_no_table_and_no_page_of_the_database() {
    let data = TempDir::new().unwrap();
    let answer = r#"{"findings":[{"kind":"effusion","side":"left","region":"lower","severity":"large","change":"unknown","evidence":["E1"]}],"urgency":"urgent"}"#;
    let mut plan =
        Plan::new(vec![patient("demo")], Engine::scripted(scripted_model(), vec![Step::Text(answer.into())]));
    plan.data = Some(data.path().to_owned());
    let hospital = plan.open().await;
    let mut tokens = Vec::new();
    for fault in [None, Some(("/dicomweb", 500)), Some(("/fhir/Patient", 401)), Some(("/fhir/Condition", 503))] {
        hospital.ehr.faults.clear();
        if let Some((path, status)) = fault {
            hospital.ehr.faults.set(path, Fault::Status(status));
        }
        let request = hospital.ehr.authorized_request("demo").unwrap();
        tokens.push(request["fhirAuthorization"]["access_token"].as_str().unwrap().to_owned());
        hospital.sign(&request).await;
        let files = bytes_under(data.path(), Some(std::process::id()));
        assert!(files.iter().any(|(path, _)| path.ends_with("curbside.db-wal")), "the log of writes is looked at too");
        none_holds(&files, &tokens);
    }
    assert!(hospital.reports().await >= 1, "something was stored");
    hospital.close().await;
    let files = bytes_under(data.path(), None);
    assert!(files.iter().any(|(_, bytes)| holds(bytes, "Patient/demo")), "what is stored is looked at");
    none_holds(&files, &tokens);
}

#[tokio::test]
async fn there_are_no_metrics_yet() {
    let hospital = Plan::new(vec![patient("no-imaging")], Engine::absent()).open().await;
    for path in ["/metrics", "/stats", "/debug/vars"] {
        assert_eq!(hospital.get(path).await.status, 404, "{path}: what it tells has to be looked at for markers");
    }
    hospital.close().await;
}
