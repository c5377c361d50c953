//! Our own doors against bad input: what is answered, what is never said, and that the next good request works.

mod bodies;
mod hooks;
mod mutated;
mod odd_http;
mod requests;
mod search;
mod socket;
mod store;

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use curbside::http;
use serde_json::Value;
use tracing::level_filters::LevelFilter;

use crate::harness::{Answer, Hospital};

/// Planted in what is sent; it may stand in no error and in no line of the log.
const MARKER: &str = "zzPLANTEDzz";

/// Ends a test that would hang; no test measures it.
const GUARD: Duration = Duration::from_secs(120);

/// Codes an outcome may have: the closed list of `fhir::issue_code`.
const ISSUE_CODES: [&str; 14] = [
    "invalid",
    "login",
    "forbidden",
    "not-found",
    "not-supported",
    "conflict",
    "deleted",
    "too-long",
    "business-rule",
    "throttled",
    "transient",
    "timeout",
    "exception",
    "processing",
];

/// What no error may tell: places in the code, files, statements, versions.
const INSIDE: [&str; 13] = [
    "panicked",
    "src/",
    ".rs:",
    "/tmp",
    "/root",
    "/home",
    "sqlite",
    "SELECT ",
    "serde",
    "hyper",
    "stack backtrace",
    env!("CARGO_PKG_VERSION"),
    MARKER,
];

/// What was logged by this thread, on which a test's whole hospital runs.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Logs go here as long as the guard lives.
    fn capture() -> (Log, tracing::subscriber::DefaultGuard) {
        let log = Log::default();
        let writer = log.clone();
        let guard = tracing::subscriber::set_default(http::log::subscriber(LevelFilter::TRACE, move || writer.clone()));
        (log, guard)
    }

    /// What was logged since the last call.
    fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Posts bytes as they are. An answer that never comes fails the test.
async fn post(hospital: &Hospital, path: &str, body: Vec<u8>) -> Answer {
    tokio::time::timeout(GUARD, hospital.post(path, body)).await.expect("an answer")
}

/// The place an error names, after everything an error must and must not have was looked at.
#[track_caller]
fn refused(answer: &Answer, what: &str) -> String {
    assert_eq!(answer.headers["content-type"], "application/fhir+json", "{what}: {}", answer.text);
    let body: Value = answer.json();
    assert_eq!(body["resourceType"], "OperationOutcome", "{what}: {body}");
    assert_eq!(body["issue"].as_array().map(Vec::len), Some(1), "{what}: {body}");
    let issue = &body["issue"][0];
    assert_eq!(issue["severity"], "error", "{what}");
    assert!(ISSUE_CODES.contains(&issue["code"].as_str().unwrap_or_default()), "{what}: {body}");
    assert!(issue["details"]["coding"][0]["code"].is_string(), "{what}: {body}");
    let sentence = issue["diagnostics"].as_str().unwrap_or_default();
    assert!((10..500).contains(&sentence.len()), "{what}: {body}");
    for secret in INSIDE {
        assert!(!answer.text.contains(secret), "{what}: {secret:?} is in {}", answer.text);
    }
    issue["expression"][0].as_str().unwrap_or_default().to_owned()
}
