//! What goes wrong on request, and a record of what was asked. Wraps the EHR and the PACS alike.

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use futures::{StreamExt, stream};
use tokio_util::sync::CancellationToken;

/// Requests remembered; a demonstration runs for long.
const REMEMBERED: usize = 10_000;
/// Largest answer that is cut or relabelled.
const LARGEST: usize = 256 << 20;

/// One way in which an answer is wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// This status and an empty body.
    Status(u16),
    /// 503 with `Retry-After` in seconds.
    RetryAfter(u64),
    /// No answer, ever.
    Hang,
    /// The right body under another `Content-Type`.
    ContentType(String),
    /// The right length announced, half of the body sent, the connection closed.
    Truncate,
    /// This body instead of the right one, under the right `Content-Type`.
    Body(String),
    /// 302 to this address.
    Redirect(String),
    /// Just this: status, headers and body.
    Answer(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// The right head, and a body of blanks that never ends.
    Endless,
    /// The right answer, one byte a second.
    Drip,
}

/// Faults by prefix of path and query, such as `/fhir/Observation`; the one set last wins.
#[derive(Clone, Default)]
pub struct Faults {
    sets: Arc<Mutex<Vec<Set>>>,
    endless: Arc<AtomicU64>,
}

struct Set {
    prefix: String,
    fault: Fault,
    once: bool,
}

impl Faults {
    pub fn set(&self, prefix: &str, fault: Fault) {
        lock(&self.sets).push(Set { prefix: prefix.into(), fault, once: false });
    }

    /// For the next request that fits, then no more.
    pub fn once(&self, prefix: &str, fault: Fault) {
        lock(&self.sets).push(Set { prefix: prefix.into(), fault, once: true });
    }

    pub fn clear(&self) {
        lock(&self.sets).clear();
    }

    /// Bytes of endless bodies that were taken so far.
    pub fn endless_bytes(&self) -> u64 {
        self.endless.load(Ordering::Relaxed)
    }

    fn take(&self, path: &str) -> Option<Fault> {
        let mut sets = lock(&self.sets);
        let at = sets.iter().rposition(|set| path.starts_with(&set.prefix))?;
        if sets[at].once { Some(sets.remove(at).fault) } else { Some(sets[at].fault.clone()) }
    }
}

/// One request as it arrived.
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    pub method: String,
    /// Path and query.
    pub path: String,
    pub accept: String,
    /// Whether an `Authorization` header came; never what it said.
    pub authorization: bool,
}

/// The last requests to both servers, oldest first.
#[derive(Clone, Default)]
pub struct Recorder(Arc<Mutex<VecDeque<Received>>>);

impl Recorder {
    pub fn all(&self) -> Vec<Received> {
        lock(&self.0).iter().cloned().collect()
    }
    /// Those whose path starts so.
    pub fn under(&self, prefix: &str) -> Vec<Received> {
        lock(&self.0).iter().filter(|r| r.path.starts_with(prefix)).cloned().collect()
    }
    pub fn clear(&self) {
        lock(&self.0).clear();
    }
    fn push(&self, received: Received) {
        let mut all = lock(&self.0);
        if all.len() == REMEMBERED {
            all.pop_front();
        }
        all.push_back(received);
    }
}

pub fn wrap(routes: Router, faults: Faults, requests: Recorder, stop: CancellationToken) -> Router {
    routes.layer(middleware::from_fn_with_state((faults, requests, stop), answer))
}

async fn answer(
    State((faults, requests, stop)): State<(Faults, Recorder, CancellationToken)>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path_and_query().map(|p| p.as_str().to_owned()).unwrap_or_default();
    let accept = request.headers().get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let authorization = request.headers().contains_key(header::AUTHORIZATION);
    let fault = faults.take(&path);
    requests.push(Received { method: request.method().to_string(), path, accept, authorization });
    match fault {
        None => next.run(request).await,
        Some(Fault::Status(code)) => {
            StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR).into_response()
        }
        Some(Fault::RetryAfter(seconds)) => {
            (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, seconds.to_string())]).into_response()
        }
        Some(Fault::Hang) => {
            stop.cancelled().await;
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
        Some(Fault::Redirect(to)) => (StatusCode::FOUND, [(header::LOCATION, to)]).into_response(),
        Some(Fault::ContentType(kind)) => {
            let mut response = next.run(request).await;
            if let Ok(value) = HeaderValue::from_str(&kind) {
                response.headers_mut().insert(header::CONTENT_TYPE, value);
            }
            response
        }
        Some(Fault::Body(text)) => with_body(next.run(request).await, Body::from(text)),
        Some(Fault::Truncate) => truncated(next.run(request).await).await,
        Some(Fault::Answer(status, headers, body)) => {
            let mut response = Response::new(Body::from(body));
            *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            for (name, value) in headers {
                if let Ok(value) = HeaderValue::from_str(&value) {
                    response.headers_mut().append(name, value);
                }
            }
            response
        }
        Some(Fault::Endless) => {
            let (taken, blanks) = (faults.endless.clone(), Bytes::from(vec![b' '; 64 << 10]));
            let body = stream::repeat_with(move || {
                taken.fetch_add(blanks.len() as u64, Ordering::Relaxed);
                Ok::<_, io::Error>(blanks.clone())
            });
            with_body(next.run(request).await, Body::from_stream(body))
        }
        Some(Fault::Drip) => {
            let (head, body) = next.run(request).await.into_parts();
            let Ok(whole) = to_bytes(body, LARGEST).await else {
                return StatusCode::INTERNAL_SERVER_ERROR.into_response();
            };
            let bytes = stream::iter(0..whole.len()).then(move |at| {
                let byte = whole.slice(at..=at);
                async move {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    Ok::<_, io::Error>(byte)
                }
            });
            with_body(Response::from_parts(head, Body::empty()), Body::from_stream(bytes))
        }
    }
}

/// The same head over another body.
fn with_body(mut response: Response, body: Body) -> Response {
    response.headers_mut().remove(header::CONTENT_LENGTH);
    *response.body_mut() = body;
    response
}

async fn truncated(response: Response) -> Response {
    let (mut head, body) = response.into_parts();
    let Ok(whole) = to_bytes(body, LARGEST).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(whole.len()));
    let cut = Err(io::Error::other("cut as asked"));
    let half = stream::iter([Ok(whole.slice(..whole.len() / 2)), cut]);
    Response::from_parts(head, Body::from_stream(half))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
