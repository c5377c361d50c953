//! What handlers take as arguments: who asks, when and under which id, and a body within its limits.

use std::{convert::Infallible, sync::Arc};

use axum::{
    body::Bytes,
    extract::{FromRequestParts, Request},
    http::{HeaderMap, header, request::Parts},
};
use bytes::BytesMut;
use futures::StreamExt;
use tokio::time::{Instant, timeout};

use super::Config;
use crate::{
    app::App,
    caller::Caller,
    error::{Error, Kind, Result},
};

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

/// The JSON body, read whole; never more than a frame beyond the limit.
///
/// Another media type or any encoding: `UnsupportedMedia`. Too long: `TooLarge`. Too slow or broken off: `Invalid`.
pub async fn json_body(request: Request, limits: &Config) -> Result<Bytes> {
    check_type(request.headers())?;
    let too_large = || Error::too_large(format!("the body is larger than {} bytes", limits.max_body_bytes));
    let declared =
        request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > limits.max_body_bytes as u64) {
        return Err(too_large());
    }
    let read = async {
        let mut chunks = request.into_body().into_data_stream();
        let mut body = BytesMut::new();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|_| Error::invalid("the body broke off"))?;
            if body.len() + chunk.len() > limits.max_body_bytes {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    };
    timeout(limits.body_timeout(), read)
        .await
        .unwrap_or_else(|_| Err(Error::invalid("the body did not arrive in time")))
}

fn check_type(headers: &HeaderMap) -> Result<()> {
    let unsupported = |sentence| Error::new(Kind::UnsupportedMedia, sentence);
    if headers.contains_key(header::CONTENT_ENCODING) {
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
