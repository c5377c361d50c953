//! Reading and searching what we author, under `/fhir`. <https://hl7.org/fhir/R4/http.html>
//!
//! Whatever is answered is first written to the audit trail; where that fails, nothing is answered.

#[cfg(test)]
mod tests;

use std::time::Duration;

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json, value::RawValue};
use url::Url;
use uuid::Uuid;

use super::reply;
use crate::{
    caller::Caller,
    error::{Error, Result},
    fhir::Reference,
    store::{
        Action, Event, Store, Stored,
        search::{Query, served},
    },
};

const RETRY: Duration = Duration::from_secs(30);

/// `GET /fhir/{resource_type}/{id}`: 200, 304, 404, or 406.
pub async fn read(
    store: &Store,
    caller: &Caller,
    request_id: &str,
    resource_type: &str,
    id: &str,
    raw_query: &str,
    headers: &HeaderMap,
) -> Result<Response> {
    let served = served(resource_type)?;
    let found = async {
        reply::takes_json(headers, raw_query)?;
        if url::form_urlencoded::parse(raw_query.as_bytes()).any(|(name, _)| name != "_format") {
            return Err(Error::invalid("A read has no parameter but _format."));
        }
        store.read(caller, served.resource_type, id).await
    };
    let found = found.await;
    let fresh = found.as_ref().is_ok_and(|stored| known(headers, stored.version));
    // What is no id may be anything at all, and the audit trail has no free text.
    let target = format!("{}/{id}", served.resource_type);
    let named = id.len() <= 64 && Reference::parse(&target).is_some();
    let event = Event {
        action: Action::Read,
        target: if named { target } else { served.resource_type.to_owned() },
        source_base: found.as_ref().ok().and_then(|stored| stored.source_base.clone()),
        patient: found.as_ref().ok().and_then(|stored| stored.patient.clone()),
        outcome: if fresh { StatusCode::NOT_MODIFIED.as_u16() } else { outcome(&found) },
        request_id: request_id.to_owned(),
    };
    record(store, caller, event).await?;
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

/// `GET /fhir/{resource_type}`: a searchset Bundle, 400 or 406. `public_base` is the FHIR base as clients name it.
pub async fn search(
    store: &Store,
    caller: &Caller,
    request_id: &str,
    public_base: &Url,
    resource_type: &str,
    raw_query: &str,
    headers: &HeaderMap,
) -> Result<Response> {
    let served = served(resource_type)?;
    let query = reply::takes_json(headers, raw_query)
        .and_then(|()| Query::read(served, caller, public_base, raw_query, lenient(headers)));
    let patient = query.as_ref().ok().and_then(Query::patient).cloned();
    let found = match query {
        Ok(query) => store.search(caller, &query.search).await.map(|found| (query, found)),
        Err(error) => Err(error),
    };
    let event = Event {
        action: Action::Search,
        target: served.resource_type.to_owned(),
        source_base: patient.as_ref().map(|patient| patient.source_base.clone()),
        patient: patient.map(|patient| patient.reference),
        outcome: outcome(&found),
        request_id: request_id.to_owned(),
    };
    record(store, caller, event).await?;
    let (query, found) = found?;

    let mut link = vec![json!({ "relation": "self", "url": query.url(public_base, query.search.after.as_ref()) })];
    if let Some(next) = &found.next {
        link.push(json!({ "relation": "next", "url": query.url(public_base, Some(next)) }));
    }
    let mut entry = found
        .resources
        .into_iter()
        .map(|stored| Entry::found(public_base, resource_type, stored))
        .collect::<Result<Vec<_>>>()?;
    if query.ignored > 0 {
        entry.push(Entry::ignored(query.ignored)?);
    }
    let bundle = Bundle { resource_type: "Bundle", kind: "searchset", total: found.total, link, entry };
    Ok(reply::fhir_json(StatusCode::OK, serde_json::to_string(&bundle).map_err(unwritable)?))
}

/// Resources go out as the text they are stored as.
#[derive(Serialize)]
struct Bundle {
    #[serde(rename = "resourceType")]
    resource_type: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    total: i64,
    link: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    entry: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    #[serde(rename = "fullUrl")]
    full_url: String,
    resource: Box<RawValue>,
    search: Value,
}

impl Entry {
    fn found(public_base: &Url, resource_type: &str, stored: Stored) -> Result<Entry> {
        let full_url = format!("{}/{resource_type}/{}", public_base.as_str().trim_end_matches('/'), stored.id);
        let resource = RawValue::from_string(stored.resource).map_err(unwritable)?;
        Ok(Entry { full_url, resource, search: json!({ "mode": "match" }) })
    }

    /// Tells a lenient client that it got more than it asked for, without repeating what it wrote.
    fn ignored(count: usize) -> Result<Entry> {
        let resource = json!({
            "resourceType": "OperationOutcome",
            "issue": [{
                "severity": "warning",
                "code": "not-supported",
                "diagnostics": format!("Search parameters that are not supported and were ignored: {count}. The self link shows those applied."),
            }],
        });
        let resource = RawValue::from_string(resource.to_string()).map_err(unwritable)?;
        Ok(Entry { full_url: Uuid::new_v4().urn().to_string(), resource, search: json!({ "mode": "outcome" }) })
    }
}

// INVARIANT: no_audit_no_answer
async fn record(store: &Store, caller: &Caller, event: Event) -> Result<()> {
    let written = store.audit(caller, event).await;
    written.map_err(|e| {
        Error::busy("The audit trail cannot be written, so nothing is answered.", e.retry_after.unwrap_or(RETRY))
            .because(e)
    })
}

fn outcome<T>(result: &Result<T>) -> u16 {
    result.as_ref().map_or_else(|error| reply::status(error.kind), |_| StatusCode::OK).as_u16()
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

fn unwritable(error: serde_json::Error) -> Error {
    Error::fault("a Bundle could not be written").because(error)
}
