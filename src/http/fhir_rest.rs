//! Reading and searching what we author, under `/fhir`. <https://hl7.org/fhir/R4/http.html>
//!
//! Whatever is answered is first written to the audit trail; where that fails, nothing is answered.

mod parameters;
mod searchset;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::{
    Extension,
    body::Body,
    extract::{Path, RawQuery, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use chrono::{DateTime, Utc};
use url::Url;

use super::{
    capability,
    extract::Arrival,
    openapi::{Any, Named, Negotiated, Resource, Stored},
    reply,
};
use crate::{
    app::App,
    caller::Caller,
    egress,
    error::{Error, Result},
    fhir::{FHIR_JSON, Reference},
    store::{
        Action, Event,
        search::{Query, served},
    },
};

/// The FHIR base as clients name it.
fn base(app: &App) -> Result<Url> {
    egress::join(&app.public_base, "fhir")
}

/// What the FHIR server serves.
#[utoipa::path(
    get,
    path = "/fhir/metadata",
    tag = "FHIR",
    params(parameters::Format),
    responses(
        (status = OK, description = "A CapabilityStatement.", body = Resource, content_type = FHIR_JSON),
        Any, Negotiated
    )
)]
pub async fn metadata(State(app): State<Arc<App>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Result<Response> {
    reply::takes_json(&headers, &query.unwrap_or_default())?;
    Ok(reply::fhir_json(StatusCode::OK, capability::statement(&base(&app)?).to_string()))
}

/// Reads a resource.
#[utoipa::path(
    get,
    path = "/fhir/{type}/{id}",
    tag = "FHIR",
    params(parameters::Read),
    responses(
        (status = OK, description = "The resource.", body = Resource, content_type = FHIR_JSON,
            headers(("ETag", description = "The version."), ("Last-Modified", description = "When it was stored."))),
        (status = NOT_MODIFIED, description = "The client has it already.",
            headers(("ETag", description = "The version."), ("Last-Modified", description = "When it was stored."))),
        Any, Named, Negotiated, Stored
    )
)]
pub async fn read(
    State(app): State<Arc<App>>,
    caller: Caller,
    Extension(arrival): Extension<Arrival>,
    Path((resource_type, id)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response> {
    let served = served(&resource_type)?;
    let query = query.unwrap_or_default();
    let found = async {
        reply::takes_json(&headers, &query)?;
        if url::form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name != "_format") {
            return Err(Error::invalid("A read has no parameter but _format."));
        }
        app.store.read(&caller, served.resource_type, &id).await
    };
    let found = found.await;
    let fresh = found.as_ref().is_ok_and(|stored| known(&headers, stored.version));
    // What is no id may be anything at all, and the audit trail has no free text.
    let target = format!("{}/{id}", served.resource_type);
    let named = id.len() <= 64 && Reference::parse(&target).is_some();
    let event = Event {
        action: Action::Read,
        target: if named { target } else { served.resource_type.to_owned() },
        patient: found.as_ref().ok().and_then(|stored| stored.patient.clone()),
        outcome: if fresh { StatusCode::NOT_MODIFIED.as_u16() } else { reply::outcome(&found) },
        request_id: arrival.request_id,
    };
    app.store.audit(&caller, event).await?;
    let stored = found?;

    let etag = etag(stored.version);
    let mut response = match fresh {
        true => reply::fhir_json(StatusCode::NOT_MODIFIED, Body::empty()),
        false => reply::fhir_json(StatusCode::OK, stored.resource),
    };
    if fresh {
        response.headers_mut().remove(header::CONTENT_TYPE);
    }
    // A client may keep it to ask again with If-None-Match; nobody between may.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    response.headers_mut().insert(header::ETAG, header_value(&etag)?);
    response.headers_mut().insert(header::LAST_MODIFIED, header_value(&http_date(stored.last_updated))?);
    Ok(response)
}

/// Searches among the resources of one type.
#[utoipa::path(
    get,
    path = "/fhir/{type}",
    tag = "FHIR",
    params(parameters::Search),
    responses(
        (status = OK, description = "A page of what was found.", body = searchset::Bundle, content_type = FHIR_JSON),
        Any, Named, Negotiated, Stored
    )
)]
pub async fn search(
    State(app): State<Arc<App>>,
    caller: Caller,
    Extension(arrival): Extension<Arrival>,
    Path(resource_type): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response> {
    let served = served(&resource_type)?;
    let (base, query) = (base(&app)?, query.unwrap_or_default());
    let query = reply::takes_json(&headers, &query)
        .and_then(|()| Query::read(served, &caller, &base, &query, lenient(&headers)));
    let patient = query.as_ref().ok().and_then(Query::patient).cloned();
    let found = match query {
        Ok(query) => app.store.search(&caller, &query.search).await.map(|found| (query, found)),
        Err(error) => Err(error),
    };
    let event = Event {
        action: Action::Search,
        target: served.resource_type.to_owned(),
        patient,
        outcome: reply::outcome(&found),
        request_id: arrival.request_id,
    };
    app.store.audit(&caller, event).await?;
    let (query, found) = found?;
    Ok(reply::fhir_json(StatusCode::OK, searchset::write(&base, &query, found)?))
}

fn etag(version: i64) -> String {
    format!("W/\"{version}\"")
}

/// Whether `If-None-Match` names the current version. Tags compare weakly: `W/"1"` and `"1"` are the same.
fn known(headers: &HeaderMap, version: i64) -> bool {
    let current = format!("\"{version}\"");
    let tags = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    tags.flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == current)
}

/// `Prefer: handling=lenient`. <https://hl7.org/fhir/R4/search.html#errors>
fn lenient(headers: &HeaderMap) -> bool {
    let preferences = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    preferences
        .flat_map(|value| value.split([',', ';']))
        .any(|preference| preference.trim().eq_ignore_ascii_case("handling=lenient"))
}

fn http_date(at: DateTime<Utc>) -> String {
    at.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn header_value(text: &str) -> Result<HeaderValue> {
    HeaderValue::from_str(text).map_err(|e| Error::fault("a header could not be written").because(e))
}
