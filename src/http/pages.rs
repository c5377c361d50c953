//! The pages people see, and the pictures on them.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension,
    extract::{Path, State},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use uuid::Uuid;

use super::{
    extract::Arrival,
    openapi::{Any, Named, Stored},
    reply,
};
use crate::{
    app::App,
    caller::Caller,
    error::{Error, Result},
    store::{Action, Event, Patient},
    web,
};

/// When to ask again for what the store holds damaged.
const DAMAGED_RETRY: Duration = Duration::from_secs(30);
/// Reports that the start page lists.
const LISTED: u32 = 10;

/// What this server is, and the caller's newest reports.
#[utoipa::path(
    get,
    path = "/",
    tag = "Pages",
    responses((status = OK, description = "A page.", content_type = "text/html", body = String), Any, Stored)
)]
pub async fn start(
    State(app): State<Arc<App>>,
    caller: Caller,
    Extension(arrival): Extension<Arrival>,
) -> Result<Response> {
    let found = app.store.recent(&caller, LISTED).await;
    audited(&app, &caller, arrival, (Action::Search, "DiagnosticReport".to_owned()), None, &found).await?;
    let start = web::Start {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        intended_use: app.intended_use.clone(),
        reports: found?,
    };
    web::start_page(&start).map(page)
}

/// The style sheet of the pages.
#[utoipa::path(
    get,
    path = web::STYLE_PATH,
    tag = "Pages",
    responses((status = OK, description = "The style sheet.", content_type = "text/css", body = String), Any)
)]
pub async fn style() -> Response {
    typed("text/css; charset=utf-8", web::STYLE)
}

/// A draft report as a page.
#[utoipa::path(
    get,
    path = "/reports/{id}",
    tag = "Pages",
    params(("id" = String, Path, description = "The id of the DiagnosticReport.", format = "uuid")),
    responses((status = OK, description = "A page.", content_type = "text/html", body = String), Any, Named, Stored)
)]
pub async fn report(
    State(app): State<Arc<App>>,
    caller: Caller,
    Extension(arrival): Extension<Arrival>,
    Path(id): Path<String>,
) -> Result<Response> {
    let id = Uuid::try_parse(&id).map_err(|_| Error::not_found("There is no such report."))?.to_string();
    let found = app.store.page(&caller, &id).await;
    let patient = found.as_ref().ok().map(|page| page.patient.clone());
    audited(&app, &caller, arrival, (Action::Read, format!("DiagnosticReport/{id}")), patient, &found).await?;
    // What the store holds was fit to be shown when it was written: it is the file that is damaged, not the request.
    web::report_page(&found?.json).map(page).map_err(|e| {
        Error::busy("The page of this report cannot be shown. The failure has been logged.", DAMAGED_RETRY).because(e)
    })
}

/// A picture as the model saw it.
#[utoipa::path(
    get,
    path = "/pictures/{sha256}",
    tag = "Pages",
    params(("sha256" = String, Path, description = "The hash of its pixels, hex.", pattern = "^[0-9a-f]{64}$")),
    responses((status = OK, description = "A picture.", content(("image/png"))), Any, Named, Stored)
)]
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
    let patient = found.as_ref().ok().and_then(|picture| picture.patient.clone());
    audited(&app, &caller, arrival, (Action::Read, format!("Binary/{sha256}")), patient, &found).await?;
    Ok(typed("image/png", found?.png))
}

/// Puts into the audit trail that something was looked at, found or not, before it is answered.
// INVARIANT: no_page_of_a_patient_is_answered_that_the_audit_trail_does_not_hold
pub async fn audited<T>(
    app: &App,
    caller: &Caller,
    arrival: Arrival,
    (action, target): (Action, String),
    patient: Option<Patient>,
    found: &Result<T>,
) -> Result<()> {
    let outcome = reply::outcome(found);
    app.store.audit(caller, Event { action, target, patient, outcome, request_id: arrival.request_id }).await
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
