//! Whether the process lives, and whether it can answer; neither names a patient or a version.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::openapi::Any;
use crate::{
    app::App,
    engine::{Counts, Health},
    error::{Error, Result},
};

/// What a probe is told.
#[derive(Debug, Default, PartialEq, Serialize, ToSchema)]
struct Condition {
    status: Status,
    /// How far the model has been loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    phase: Option<String>,
    /// `none` where no model is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    model: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    engine: Option<Work>,
}

/// What the model's engine has done.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
struct Work {
    #[serde(flatten)]
    counts: Counts,
    /// Since the last canary; `null` before the first.
    #[schema(required = true)]
    canary_age_seconds: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Status {
    #[default]
    Live,
    Ready,
    Loading,
    Degraded,
    Unavailable,
}

/// Answers as long as anything is answered at all.
#[utoipa::path(
    get,
    path = "/livez",
    tag = "Server",
    responses((status = OK, description = "The process lives.", body = Condition), Any)
)]
pub async fn livez() -> Result<Response> {
    answer(StatusCode::OK, &Condition::default())
}

/// Says whether the server can answer, and if not, why.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "Server",
    responses(
        (status = OK, description = "It can.", body = Condition),
        (status = SERVICE_UNAVAILABLE, description = "It cannot.", body = Condition,
            headers(("Retry-After" = u32, description = "Seconds after which to ask again."))),
        Any
    )
)]
pub async fn readyz(State(app): State<Arc<App>>) -> Result<Response> {
    let (status, condition) = readiness(app.store.check().await, app.engine.health());
    let age = || app.engine.canary_age().map(|age| age.as_secs());
    let engine = app.engine.info().map(|_| Work { counts: app.engine.counts(), canary_age_seconds: age() });
    let mut response = answer(status, &Condition { engine, ..condition })?;
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(1));
    }
    Ok(response)
}

fn readiness(store: std::result::Result<(), &'static str>, health: Health) -> (StatusCode, Condition) {
    const NO_MODEL: &str = "no model is configured; services that need none answer";
    let but = |status, reason: String| {
        (StatusCode::SERVICE_UNAVAILABLE, Condition { status, reason: Some(reason), ..Condition::default() })
    };
    let ready = Condition { status: Status::Ready, ..Condition::default() };
    if let Err(reason) = store {
        return but(Status::Unavailable, reason.into());
    }
    match health {
        Health::Loading { phase } => {
            let loading = Condition { status: Status::Loading, phase: Some(phase), ..Condition::default() };
            (StatusCode::SERVICE_UNAVAILABLE, loading)
        }
        Health::Degraded { reason } => but(Status::Degraded, reason),
        Health::Dead { reason } => but(Status::Unavailable, reason),
        Health::Absent => (StatusCode::OK, Condition { model: Some("none"), reason: Some(NO_MODEL.into()), ..ready }),
        Health::Ready => (StatusCode::OK, ready),
    }
}

fn answer(status: StatusCode, condition: &Condition) -> Result<Response> {
    let body =
        serde_json::to_string(condition).map_err(|e| Error::fault("a probe could not be answered").because(e))?;
    Ok((status, [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn readiness(store: std::result::Result<(), &'static str>, health: Health) -> (StatusCode, Value) {
        let (status, condition) = super::readiness(store, health);
        (status, serde_json::to_value(condition).unwrap())
    }

    #[test]
    fn readiness_says_why_not() {
        let loading = Health::Loading { phase: "weights".into() };
        assert_eq!(
            readiness(Ok(()), loading),
            (StatusCode::SERVICE_UNAVAILABLE, json!({"status": "loading", "phase": "weights"}))
        );
        let (status, body) = readiness(Ok(()), Health::Dead { reason: "the canary failed".into() });
        assert_eq!((status.as_u16(), body["reason"].as_str()), (503, Some("the canary failed")));
        let (status, body) = readiness(Ok(()), Health::Degraded { reason: "restarting".into() });
        assert_eq!((status.as_u16(), body["status"].as_str()), (503, Some("degraded")));
        for health in [Health::Ready, Health::Absent] {
            assert_eq!(readiness(Ok(()), health.clone()).0, StatusCode::OK);
            let (status, body) = readiness(Err("the disk is full"), health);
            assert_eq!((status.as_u16(), body["reason"].as_str()), (503, Some("the disk is full")));
        }
        assert_eq!(readiness(Ok(()), Health::Absent).1["model"], "none");
    }
}
