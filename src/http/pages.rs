//! The pages people see, and the pictures on them.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Path, State},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use uuid::Uuid;

use super::{extract::Arrival, reply};
use crate::{
    app::App,
    caller::Caller,
    error::{Error, Result},
    store::{Action, Event},
    web,
};

/// `GET /`: what this server is.
pub async fn start(State(app): State<Arc<App>>) -> Result<Response> {
    let start = web::Start {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        intended_use: app.intended_use.clone(),
        reports: Vec::new(),
    };
    web::start_page(&start).map(page)
}

pub async fn style() -> Response {
    typed("text/css; charset=utf-8", web::STYLE)
}

/// `GET /reports/{id}`: a draft report as a page; 404.
pub async fn report(
    State(app): State<Arc<App>>,
    caller: Caller,
    Extension(arrival): Extension<Arrival>,
    Path(id): Path<String>,
) -> Result<Response> {
    let id = Uuid::try_parse(&id).map_err(|_| Error::not_found("There is no such report."))?.to_string();
    let found = app.store.page(&caller, &id).await;
    audited(&app, &caller, arrival, format!("DiagnosticReport/{id}"), &found).await?;
    web::report_page(&found?).map(page)
}

/// `GET /pictures/{sha256}`: a picture as the model saw it, PNG; 404.
pub async fn picture(
    State(app): State<Arc<App>>,
    caller: Caller,
    Extension(arrival): Extension<Arrival>,
    Path(sha256): Path<String>,
) -> Result<Response> {
    if sha256.len() != 64 || !sha256.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
        return Err(Error::not_found("There is no such picture."));
    }
    let found = app.store.picture(&caller, &sha256).await;
    audited(&app, &caller, arrival, format!("Binary/{sha256}"), &found).await?;
    Ok(typed("image/png", found?))
}

// INVARIANT: no page of a patient is answered that the audit trail does not hold.
async fn audited<T>(app: &App, caller: &Caller, arrival: Arrival, target: String, found: &Result<T>) -> Result<()> {
    let outcome = found.as_ref().map_or_else(|error| reply::status(error.kind).as_u16(), |_| 200);
    let event = Event {
        action: Action::Read,
        target,
        source_base: None,
        patient: None,
        outcome,
        request_id: arrival.request_id,
    };
    app.store.audit(caller, event).await
}

fn page(html: String) -> Response {
    let mut response = typed("text/html; charset=utf-8", html);
    response
        .headers_mut()
        .insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(web::CONTENT_SECURITY_POLICY));
    response
}

fn typed(kind: &'static str, body: impl IntoResponse) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static(kind))], body).into_response()
}
