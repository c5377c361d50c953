//! The log: JSON lines with a closed set of fields. No query strings, bodies, headers or ids of patients.

use std::panic::{self, PanicHookInfo};

use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderMap, HeaderValue, Method},
    middleware::Next,
    response::Response,
};
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use tracing::{Instrument, Subscriber, field::Empty, level_filters::LevelFilter};
use tracing_subscriber::{Layer, Registry, filter::Targets, fmt::MakeWriter, layer::SubscriberExt};
use uuid::Uuid;

use super::extract::Arrival;
use crate::error::{Error, Result};

const REQUEST_ID: &str = "x-request-id";

/// Starts the log of the process on stderr, and lets a panic say where it was and nothing else. Once a process.
pub fn init(level: LevelFilter) -> Result<()> {
    tracing::subscriber::set_global_default(subscriber(level, std::io::stderr))
        .map_err(|e| Error::fault("the log was started twice").because(e))?;
    panic::set_hook(Box::new(panicked));
    Ok(())
}

// INVARIANT: a_panic_is_a_fault_and_what_it_said_is_told_to_nobody
// It may quote what was being read.
pub(super) fn panicked(panic: &PanicHookInfo) {
    let place = panic.location().map(|place| format!("{}:{}", place.file(), place.line())).unwrap_or_default();
    tracing::error!(place, "panicked");
}

// INVARIANT: only_our_own_code_writes_to_the_log
// The model runtime prints messages, others print SQL and URLs.
/// JSON lines of this crate alone, at `level` and above, to `writer`.
pub fn subscriber<W>(level: LevelFilter, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let ours = Targets::new().with_target(env!("CARGO_CRATE_NAME"), level);
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_span_list(false)
        .with_target(false)
        .with_writer(writer);
    Registry::default().with(lines.with_filter(ours))
}

/// A word that is the same for the same hook instance and tells nothing else.
pub fn hashed(hook_instance: &Uuid) -> String {
    let hash = format!("{:x}", Sha256::digest(hook_instance.as_bytes()));
    hash[..16].to_owned()
}

/// Gives the request its id, and the log one line when it is answered.
pub async fn record(mut request: Request, next: Next) -> Response {
    let received = Instant::now();
    let request_id = given(request.headers()).unwrap_or_else(|| Uuid::now_v7().to_string());
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let method = known(request.method());
    // At the level of errors, so that they too carry the fields whatever the level of the log.
    let span = tracing::error_span!(
        "request",
        method,
        route,
        request_id,
        service = Empty,
        tenant = Empty,
        hook_instance = Empty
    );
    request.extensions_mut().insert(Arrival { received, request_id: request_id.clone() });
    let mut response = next.run(request).instrument(span.clone()).await;
    let ms = u64::try_from(received.elapsed().as_millis()).unwrap_or(u64::MAX);
    span.in_scope(|| tracing::info!(status = response.status().as_u16(), ms, "answered"));
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

fn given(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(REQUEST_ID)?.to_str().ok()?;
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    ((1..=64).contains(&text.len()) && plain).then(|| text.to_owned())
}

/// A method may be any word a client makes up.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use super::*;

    /// What was logged.
    #[derive(Clone, Default)]
    pub struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Lines {
        pub fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
        /// Logs of this thread go here as long as the guard lives.
        pub fn capture(&self) -> tracing::subscriber::DefaultGuard {
            let lines = self.clone();
            tracing::subscriber::set_default(subscriber(LevelFilter::TRACE, move || lines.clone()))
        }
    }

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn only_our_own_code_writes_to_the_log() {
        let lines = Lines::default();
        let guard = lines.capture();
        for_others();
        tracing::info!("ours");
        drop(guard);
        assert_eq!(lines.text().lines().count(), 1, "{}", lines.text());
        assert!(lines.text().contains("ours"));
    }

    fn for_others() {
        tracing::error!(target: "mistralrs_core::engine", "prompt");
        tracing::error!(target: "sqlx::query", "select");
    }

    #[test]
    fn a_request_id_is_taken_only_if_it_is_plain() {
        let given = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_str(text).unwrap());
            given(&headers)
        };
        assert_eq!(given("a-1_B.2").as_deref(), Some("a-1_B.2"));
        for odd in ["", "a b", "a\"b", "Jane/Doe", &"x".repeat(65)] {
            assert_eq!(given(odd), None, "{odd}");
        }
    }

    #[test]
    fn a_hook_instance_is_hashed() {
        let id = Uuid::new_v4();
        assert_eq!(hashed(&id).len(), 16);
        assert_eq!(hashed(&id), hashed(&id));
        assert_ne!(hashed(&id), hashed(&Uuid::new_v4()));
    }
}
