//! The routes under `/fhir`: what was asked is handed to `fhir_rest`.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Path, RawQuery, State},
    http::HeaderMap,
    response::Response,
};
use url::Url;

use super::{capability, extract::Arrival, fhir_rest};
use crate::{app::App, caller::Caller, egress, error::Result};

/// The FHIR base as clients name it.
fn base(app: &App) -> Result<Url> {
    egress::join(&app.public_base, "fhir")
}

pub async fn metadata(State(app): State<Arc<App>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Result<Response> {
    capability::metadata(&base(&app)?, &query.unwrap_or_default(), &headers)
}

pub async fn search(
    State(app): State<Arc<App>>,
    caller: Caller,
    Extension(arrival): Extension<Arrival>,
    Path(resource_type): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response> {
    let query = query.unwrap_or_default();
    fhir_rest::search(&app.store, &caller, &arrival.request_id, &base(&app)?, &resource_type, &query, &headers).await
}

pub async fn read(
    State(app): State<Arc<App>>,
    caller: Caller,
    Extension(arrival): Extension<Arrival>,
    Path((resource_type, id)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response> {
    let query = query.unwrap_or_default();
    fhir_rest::read(&app.store, &caller, &arrival.request_id, &resource_type, &id, &query, &headers).await
}
