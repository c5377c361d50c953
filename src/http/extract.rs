//! What handlers take as arguments: who asks, when and under which id, and a body within its limits.

use std::{convert::Infallible, sync::Arc};

use axum::{
    body::Bytes,
    extract::{FromRequestParts, Request},
    http::{HeaderMap, header, request::Parts},
};
use bytes::BytesMut;
use futures::StreamExt;
use tokio::time::{Instant, timeout_at};

use super::Config;
use crate::{
    app::App,
    caller::Caller,
    capacity::{Memory, Processor, Share, crowded},
    error::{Error, Kind, Result},
};

/// How many bodies of the largest size are held at once.
const TOGETHER: usize = 4;

/// When a request's head had arrived, and the id that its log lines and its answer carry.
#[derive(Clone)]
pub struct Arrival {
    pub received: Instant,
    pub request_id: String,
}

/// A handler without a `Caller` among its arguments answers nobody's data.
impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, app: &Arc<App>) -> std::result::Result<Caller, Infallible> {
        Ok(app.caller.clone())
    }
}

/// Reads bodies, and counts how much memory they take together.
#[derive(Clone)]
pub struct Bodies {
    limits: Config,
    memory: Memory,
}

/// A body, and its share of the memory there is for bodies, to be kept as long as what was read from it.
#[derive(Debug)]
pub struct Body {
    pub bytes: Bytes,
    pub share: Share,
}

impl Bodies {
    /// Room for [`TOGETHER`] bodies of the largest size, whatever number of connections brings them.
    pub fn new(limits: &Config) -> Bodies {
        Bodies { limits: limits.clone(), memory: Memory::of(TOGETHER * limits.max_body_bytes) }
    }

    /// The JSON body, read whole; never more than a frame beyond the limit.
    ///
    /// Another media type or any encoding: `UnsupportedMedia`. Too long: `TooLarge`. Not there at the deadline, broken off, or
    /// of two media types: `Invalid`. No room beside the bodies held already: `Busy`. What is left of one that is refused is
    /// thrown away by [`leftover`](super::leftover).
    pub async fn json(&self, request: Request, deadline: Instant) -> Result<Body> {
        check_type(request.headers())?;
        let limit = self.limits.max_body_bytes;
        let too_large = || Error::too_large(format!("the body is larger than {limit} bytes"));
        let declared =
            request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if declared.is_some_and(|length| length > limit as u64) {
            return Err(too_large());
        }
        let read = async {
            let (mut body, mut share) = (BytesMut::new(), self.share(0)?);
            let mut chunks = request.into_body().into_data_stream();
            while let Some(chunk) = chunks.next().await {
                let chunk = chunk.map_err(|_| Error::invalid("the body broke off"))?;
                if body.len() + chunk.len() > limit {
                    return Err(too_large());
                }
                // INVARIANT: bodies_take_no_more_memory_than_there_is_for_them
                // What has arrived counts, not what was announced: who announces and waits keeps nobody out.
                share.add(self.share(chunk.len())?);
                if body.is_empty() {
                    // What is small is then not moved as it grows; room that is not written to takes no memory.
                    body.reserve(declared.unwrap_or_default().min(Processor::LITTLE as u64) as usize);
                }
                body.extend_from_slice(&chunk);
            }
            Ok(Body { bytes: body.freeze(), share })
        };
        timeout_at(deadline.min(Instant::now() + self.limits.body_timeout()), read)
            .await
            .unwrap_or_else(|_| Err(Error::invalid("the body did not arrive in time")))
    }

    fn share(&self, bytes: usize) -> Result<Share> {
        self.memory.share(bytes).ok_or_else(crowded)
    }
}

fn check_type(headers: &HeaderMap) -> Result<()> {
    let unsupported = |sentence| Error::new(Kind::UnsupportedMedia, sentence);
    // Who reads the first of two and who reads the second have read two different requests.
    if headers.get_all(header::CONTENT_TYPE).iter().nth(1).is_some() {
        return Err(Error::invalid("a request has one Content-Type"));
    }
    // `chunked` alone is undone before a body comes here; any other coding is still on it.
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let plain = codings.next().is_none_or(|coding| coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"));
    if headers.contains_key(header::CONTENT_ENCODING) || !plain || codings.next().is_some() {
        return Err(unsupported("the body must not be compressed"));
    }
    let media: Option<mime::Mime> = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()?.parse().ok());
    let json = media.is_some_and(|media| {
        let utf8 = media.get_param(mime::CHARSET).is_none_or(|charset| charset == mime::UTF_8);
        matches!(media.essence_str(), "application/json" | "application/fhir+json") && utf8
    });
    json.then_some(())
        .ok_or_else(|| unsupported("the body must be application/json or application/fhir+json, in UTF-8"))
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use axum::{Router, http::StatusCode, middleware::from_fn_with_state, routing::post};
    use futures::stream;
    use tower::ServiceExt as _;

    use super::{super::leftover, *};

    #[tokio::test]
    async fn bodies_take_no_more_memory_than_there_is_for_them() {
        let bodies = Bodies::new(&Config { max_body_bytes: 1024, ..Config::default() });
        let far = Instant::now() + Duration::from_secs(60);
        let json = async |length: usize| {
            let request = Request::post("/").header(header::CONTENT_TYPE, "application/json");
            bodies.json(request.body(axum::body::Body::from(" ".repeat(length))).unwrap(), far).await
        };
        let mut held = Vec::new();
        for _ in 0..TOGETHER {
            held.push(json(1024).await.unwrap());
        }
        let error = json(1).await.unwrap_err();
        assert!(error.kind == Kind::Busy && error.retry_after.is_some(), "{error}");
        held.pop();
        assert_eq!(json(1000).await.unwrap().bytes.len(), 1000);
        assert_eq!(json(1025).await.unwrap_err().kind, Kind::TooLarge);
        // Neither what was answered nor what was refused keeps its share.
        held.push(json(1024).await.unwrap());
    }

    #[tokio::test]
    async fn a_body_without_room_is_read_to_its_end_before_it_is_refused() {
        let config = Config { max_body_bytes: 1024, ..Config::default() };
        let bodies = Bodies::new(&config);
        let held = bodies.memory.share(TOGETHER * 1024 - 10).unwrap();
        let taken = Arc::new(AtomicUsize::new(0));
        let counted = taken.clone();
        let chunks = stream::repeat_with(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok::<_, Infallible>("12345678")
        });
        let request = Request::post("/").header(header::CONTENT_TYPE, "application/json");
        let request = request.body(axum::body::Body::from_stream(chunks.take(5))).unwrap();
        let (within, far) = (bodies.clone(), Instant::now() + Duration::from_secs(60));
        let handler = async move |request: Request| within.json(request, far).await.map(drop);
        let layer = from_fn_with_state(config, leftover::thrown_away);
        let answer = Router::new().route("/", post(handler)).layer(layer).oneshot(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!((taken.load(Ordering::Relaxed), bodies.memory.left()), (5, 10));
        drop(held);
    }

    #[tokio::test]
    async fn a_body_is_waited_for_no_longer_than_its_answer_may_take() {
        let bodies = Bodies::new(&Config { body_timeout_ms: 600_000, ..Config::default() });
        let request = Request::post("/").header(header::CONTENT_TYPE, "application/json");
        let never = stream::pending::<std::result::Result<Bytes, Infallible>>();
        let request = request.body(axum::body::Body::from_stream(never)).unwrap();
        let soon = Instant::now() + Duration::from_millis(20);
        let ended = tokio::time::timeout(Duration::from_secs(60), bodies.json(request, soon)).await;
        assert_eq!(ended.expect("it waits for its own timeout").unwrap_err().kind, Kind::Invalid);
    }
}
