//! What is left of a body that nobody read: many clients look for an answer only once they have sent all of it.
//! <https://www.rfc-editor.org/rfc/rfc9112#section-9.6>

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, ready},
};

use axum::{
    Error,
    body::{Body, BodyDataStream, Bytes, HttpBody},
    extract::{Request, State},
    http::header,
    middleware::Next,
    response::Response,
};
use futures::{Stream, StreamExt};
use tokio::time::{Instant, timeout_at};

use super::Config;

/// Answers after what is left of the body has been read and thrown away: no more than twice the largest body in all, and
/// within the time a body has.
///
/// Not read are a body announced to be longer, the rest of one that was waited for in vain, and one that the client sends
/// only if it is asked to (`Expect`).
// INVARIANT: a_refusal_reaches_who_sends_the_whole_body_before_reading
pub async fn thrown_away(State(limits): State<Config>, request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let (deadline, limit) = (Instant::now() + limits.body_timeout(), 2 * limits.max_body_bytes as u64);
    let reading = if request.headers().contains_key(header::EXPECT) { Reading::Unwanted } else { Reading::Gave };
    let left = Left::default();
    let request = request.map(|body| {
        let body = Some(body.into_data_stream());
        Body::from_stream(Lent { body, reading, bytes: 0, left: left.clone() })
    });
    let response = next.run(request).await;
    if let Some((mut body, mut bytes)) = left.take() {
        let rest = async {
            while bytes.saturating_add(HttpBody::size_hint(&body).lower()) <= limit
                && let Some(Ok(chunk)) = body.next().await
            {
                bytes += chunk.len() as u64;
            }
        };
        // The answer goes out in any case.
        let _ = timeout_at(deadline, rest).await;
    }
    response
}

/// A body given back, and how many bytes of it were read.
#[derive(Clone, Default)]
struct Left(Arc<Mutex<Option<(BodyDataStream, u64)>>>);

impl Left {
    fn take(&self) -> Option<(BodyDataStream, u64)> {
        self.0.lock().ok()?.take()
    }
}

#[derive(PartialEq)]
enum Reading {
    /// Not begun, and the client waits for it to begin.
    Unwanted,
    /// It gave what it was last asked for, if anything.
    Gave,
    /// What it was last asked for had not arrived.
    Waits,
    Ended,
}

/// A body that is given back by whoever drops it before its end.
struct Lent {
    body: Option<BodyDataStream>,
    reading: Reading,
    bytes: u64,
    left: Left,
}

impl Stream for Lent {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let chunk = body.poll_next_unpin(cx);
        self.reading = Reading::Waits;
        let chunk = ready!(chunk);
        self.reading = Reading::Ended;
        if let Some(Ok(chunk)) = &chunk {
            self.reading = Reading::Gave;
            self.bytes += chunk.len() as u64;
        }
        Poll::Ready(chunk)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if self.reading == Reading::Gave
            && let Some(body) = self.body.take()
            && let Ok(mut left) = self.left.0.lock()
        {
            *left = Some((body, self.bytes));
        }
    }
}
