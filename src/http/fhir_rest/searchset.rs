//! The Bundle that a search is answered with. <https://hl7.org/fhir/R4/bundle.html#searchset>

use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json, value::RawValue};
use url::Url;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    error::{Error, Result},
    http::openapi::Resource,
    store::{Found, Stored, search::Query},
};

/// The JSON of one page, with the links to itself and to the next. `base` is the FHIR base as clients name it.
pub fn write(base: &Url, query: &Query, found: Found) -> Result<String> {
    let mut link = vec![json!({ "relation": "self", "url": query.url(base, query.search.after.as_ref()) })];
    if let Some(next) = &found.next {
        link.push(json!({ "relation": "next", "url": query.url(base, Some(next)) }));
    }
    let resources = found.resources.into_iter();
    let mut entry =
        resources.map(|stored| Entry::found(base, query.search.resource_type, stored)).collect::<Result<Vec<_>>>()?;
    if query.ignored > 0 {
        entry.push(Entry::ignored(query.ignored)?);
    }
    let bundle = Bundle { resource_type: "Bundle", kind: "searchset", total: found.total, link, entry };
    serde_json::to_string(&bundle).map_err(unwritable)
}

/// Resources go out as the text they are stored as.
#[derive(Serialize, ToSchema)]
#[schema(as = Searchset)]
pub struct Bundle {
    #[serde(rename = "resourceType")]
    resource_type: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    total: i64,
    link: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false, min_items = 1)]
    entry: Vec<Entry>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = SearchsetEntry)]
struct Entry {
    #[serde(rename = "fullUrl")]
    full_url: String,
    #[schema(value_type = Resource)]
    resource: Box<RawValue>,
    search: Value,
}

impl Entry {
    fn found(base: &Url, resource_type: &str, stored: Stored) -> Result<Entry> {
        let full_url = format!("{}/{resource_type}/{}", base.as_str().trim_end_matches('/'), stored.id);
        let resource = RawValue::from_string(stored.resource).map_err(damaged)?;
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

fn unwritable(error: serde_json::Error) -> Error {
    Error::fault("a Bundle could not be written").because(error)
}

/// What was stored was JSON: the store is damaged.
fn damaged(error: serde_json::Error) -> Error {
    Error::busy("a stored resource cannot be read", Duration::from_secs(30)).because(error)
}
