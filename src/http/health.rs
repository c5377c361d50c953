//! Whether the process lives, and whether it can answer; neither names a patient or a version.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use crate::{app::App, engine::Health};

/// `GET /livez`: 200 as long as anything is answered at all.
pub async fn livez() -> Response {
    answer(StatusCode::OK, json!({ "status": "live" }))
}

/// `GET /readyz`: 200, or 503 with the reason.
pub async fn readyz(State(app): State<Arc<App>>) -> Response {
    let (status, mut body) = readiness(app.store.check().await, app.engine.health());
    if app.engine.info().is_some() {
        body["engine"] = json!(app.engine.counts());
        body["engine"]["canary_age_seconds"] = json!(app.engine.canary_age().map(|age| age.as_secs()));
    }
    answer(status, body)
}

fn readiness(store: Result<(), &'static str>, health: Health) -> (StatusCode, Value) {
    const NO_MODEL: &str = "no model is configured; services that need none answer";
    if let Err(reason) = store {
        return (StatusCode::SERVICE_UNAVAILABLE, json!({ "status": "unavailable", "reason": reason }));
    }
    match health {
        Health::Loading { phase } => (StatusCode::SERVICE_UNAVAILABLE, json!({ "status": "loading", "phase": phase })),
        Health::Degraded { reason } => {
            (StatusCode::SERVICE_UNAVAILABLE, json!({ "status": "degraded", "reason": reason }))
        }
        Health::Dead { reason } => {
            (StatusCode::SERVICE_UNAVAILABLE, json!({ "status": "unavailable", "reason": reason }))
        }
        Health::Absent => (StatusCode::OK, json!({ "status": "ready", "model": "none", "reason": NO_MODEL })),
        Health::Ready => (StatusCode::OK, json!({ "status": "ready" })),
    }
}

fn answer(status: StatusCode, body: Value) -> Response {
    (status, [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

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
