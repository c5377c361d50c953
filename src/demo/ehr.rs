//! The FHIR side: read, search with paging, tokens bound to one patient. <https://hl7.org/fhir/R4/http.html>
//!
//! A Binary is sent as it is, or as a resource where FHIR is asked for. <https://hl7.org/fhir/R4/binary.html#rest>

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Json, Router,
    extract::{Path, RawQuery, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use url::{Url, form_urlencoded};
use uuid::Uuid;

use super::{
    folder::Folder,
    search::{Parameters, patient, search},
};
use crate::error::{Error, Result};

/// Resources on a page where `_count` does not say.
const PAGE: usize = 50;
/// Types that can be asked for though nobody has any: an empty Bundle is not an unknown type.
const TYPES: [&str; 18] = [
    "AllergyIntolerance",
    "Binary",
    "Condition",
    "Device",
    "DiagnosticReport",
    "DocumentReference",
    "Encounter",
    "Endpoint",
    "ImagingStudy",
    "Immunization",
    "Media",
    "MedicationRequest",
    "Observation",
    "Organization",
    "Patient",
    "Practitioner",
    "Procedure",
    "ServiceRequest",
];

/// Everything the EHR knows.
pub struct Ehr {
    base: Url,
    resources: Vec<Value>,
    /// Where each is, by type and id.
    named: HashMap<(String, String), usize>,
    /// Where those of a patient are.
    of_patient: HashMap<String, Vec<usize>>,
    /// Access token to patient id.
    tokens: Mutex<HashMap<String, String>>,
}

impl Ehr {
    /// The same resource in two folders is one; two under one id are refused.
    pub fn new(base: Url, folders: Vec<Folder>) -> Result<Ehr> {
        let (resources, named, of_patient) = Default::default();
        let mut ehr = Ehr { base, resources, named, of_patient, tokens: Mutex::default() };
        for Folder { name, resources, .. } in folders {
            for resource in resources {
                let key = name_of(&resource)
                    .ok_or_else(|| Error::invalid(format!("{name}/fhir.json: a resource has no type or id")))?;
                match ehr.named.get(&key) {
                    None => {
                        let at = ehr.resources.len();
                        if let Some(owner) = patient(&resource) {
                            ehr.of_patient.entry(owner.to_owned()).or_default().push(at);
                        }
                        ehr.named.insert(key, at);
                        ehr.resources.push(resource);
                    }
                    Some(at) if ehr.resources[*at] == resource => {}
                    Some(_) => {
                        let message =
                            format!("{name}/fhir.json: {}/{} is another resource in another folder", key.0, key.1);
                        return Err(Error::invalid(message));
                    }
                }
            }
        }
        Ok(ehr)
    }

    /// A new access token that opens this patient's data and no other's.
    pub fn grant(&self, patient: &str) -> String {
        let token = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        self.tokens().insert(token.clone(), patient.to_owned());
        token
    }

    pub fn patient_id_systems(&self) -> Vec<String> {
        let patients = self.resources.iter().filter(|r| r["resourceType"] == "Patient");
        let identifiers = patients.filter_map(|r| r["identifier"].as_array()).flatten();
        let systems: BTreeSet<_> = identifiers.filter_map(|i| i["system"].as_str()).collect();
        systems.into_iter().map(str::to_owned).collect()
    }

    fn tokens(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whose data the request may see: one patient's, or everybody's while the data asked for are open.
    fn authorize(&self, headers: &HeaderMap, owner: Option<&str>) -> std::result::Result<Option<String>, StatusCode> {
        let tokens = self.tokens();
        let bearer = headers
            .get(header::AUTHORIZATION)
            .map(|v| v.to_str().ok().and_then(|v| v.strip_prefix("Bearer ")).unwrap_or_default());
        match bearer.map(|token| tokens.get(token)) {
            // INVARIANT: a_token_opens_one_patient_only
            Some(Some(granted)) if owner.is_none_or(|owner| owner == granted) => Ok(Some(granted.clone())),
            Some(Some(_)) => Err(StatusCode::FORBIDDEN),
            Some(None) => Err(StatusCode::UNAUTHORIZED),
            None if tokens.values().any(|locked| owner.is_none_or(|owner| owner == locked)) => {
                Err(StatusCode::UNAUTHORIZED)
            }
            None => Ok(None),
        }
    }

    /// `of` is whose resources are asked for, where the parameters say.
    fn bundle(&self, kind: &str, parameters: &Parameters, of: Option<&str>, sees: Option<&str>) -> Value {
        let mine = |r: &&Value| {
            r["resourceType"] == kind && patient(r).is_none_or(|owner| sees.is_none_or(|sees| sees == owner))
        };
        let found = match of.and_then(|of| self.of_patient.get(of)) {
            Some(theirs) => search(theirs.iter().map(|at| &self.resources[*at]).filter(mine), parameters),
            None => search(self.resources.iter().filter(mine), parameters),
        };
        let number = |name: &str| parameters.iter().find(|(n, _)| n == name).and_then(|(_, v)| v.parse::<usize>().ok());
        let (count, offset) = (number("_count").unwrap_or(PAGE), number("_offset").unwrap_or(0));
        let page: Vec<&Value> = found.iter().skip(offset).take(count).copied().collect();
        let mut links = vec![json!({"relation": "self", "url": self.address(kind, parameters, offset)})];
        if count > 0 && offset + count < found.len() {
            links.push(json!({"relation": "next", "url": self.address(kind, parameters, offset + count)}));
        }
        let entry =
            |r: &Value, mode: &str| json!({"fullUrl": self.full_url(r), "resource": r, "search": {"mode": mode}});
        let included = self.included(&page, parameters);
        let entries = page.iter().map(|r| entry(r, "match")).chain(included.into_iter().map(|r| entry(r, "include")));
        let mut bundle = json!({
            "resourceType": "Bundle", "id": Uuid::new_v4(), "type": "searchset", "total": found.len(), "link": links,
        });
        let entries: Vec<Value> = entries.collect();
        if !entries.is_empty() {
            bundle["entry"] = Value::Array(entries);
        }
        bundle
    }

    fn included<'a>(&'a self, page: &[&Value], parameters: &Parameters) -> Vec<&'a Value> {
        if !parameters.iter().any(|(name, value)| name == "_include" && value == "ImagingStudy:endpoint") {
            return Vec::new();
        }
        let endpoints = page.iter().filter_map(|r| r["endpoint"].as_array()).flatten();
        let wanted: BTreeSet<&str> = endpoints.filter_map(|e| e["reference"].as_str()?.rsplit('/').next()).collect();
        let fits =
            |r: &&Value| r["resourceType"] == "Endpoint" && r["id"].as_str().is_some_and(|id| wanted.contains(id));
        self.resources.iter().filter(fits).collect()
    }

    fn resource(&self, kind: &str, id: &str) -> Option<&Value> {
        self.named.get(&(kind.to_owned(), id.to_owned())).map(|at| &self.resources[*at])
    }

    /// Whose a resource is; a Binary belongs to whom its security context belongs to.
    fn owner<'a>(&'a self, resource: &'a Value) -> Option<&'a str> {
        let context = || resource["securityContext"]["reference"].as_str()?.rsplit_once('/');
        patient(resource).or_else(|| context().and_then(|(kind, id)| patient(self.resource(kind, id)?)))
    }

    fn full_url(&self, resource: &Value) -> String {
        let text = |name: &str| resource[name].as_str().unwrap_or_default();
        format!("{}/{}/{}", self.base, text("resourceType"), text("id"))
    }

    fn address(&self, kind: &str, parameters: &Parameters, offset: usize) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(parameters.iter().filter(|(name, _)| name != "_offset"));
        if offset > 0 {
            query.append_pair("_offset", &offset.to_string());
        }
        format!("{}/{kind}?{}", self.base, query.finish())
    }
}

pub fn routes(ehr: Arc<Ehr>) -> Router {
    Router::new()
        .route("/fhir/metadata", get(metadata))
        .route("/fhir/{kind}", get(search_by_get))
        .route("/fhir/{kind}/_search", post(search_by_post))
        .route("/fhir/{kind}/{id}", get(read))
        .fallback(|| async { outcome(StatusCode::NOT_FOUND, "not-found") })
        .with_state(ehr)
}

async fn metadata(State(ehr): State<Arc<Ehr>>) -> Response {
    let interactions = json!([{"code": "read"}, {"code": "search-type"}]);
    let resources: Vec<Value> = TYPES.iter().map(|kind| json!({"type": kind, "interaction": interactions})).collect();
    fhir(json!({
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": "2025-01-01",
        "kind": "instance",
        "implementation": {"description": "EHR of the curbside demonstration", "url": ehr.base.as_str()},
        "fhirVersion": "4.0.1",
        "format": ["json"],
        "rest": [{"mode": "server", "resource": resources}],
    }))
}

async fn read(State(ehr): State<Arc<Ehr>>, Path((kind, id)): Path<(String, String)>, headers: HeaderMap) -> Response {
    let Some(resource) = ehr.resource(&kind, &id) else {
        return outcome(StatusCode::NOT_FOUND, "not-found");
    };
    match ehr.authorize(&headers, ehr.owner(resource)) {
        Ok(_) => content(resource, &headers).unwrap_or_else(|| fhir(resource.clone())),
        Err(status) => denied(status),
    }
}

/// The bytes of a Binary, where they can be had and FHIR is not what was asked for.
fn content(resource: &Value, headers: &HeaderMap) -> Option<Response> {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if resource["resourceType"] != "Binary" || accept.contains("json") {
        return None;
    }
    let kind = HeaderValue::from_str(resource["contentType"].as_str()?).ok()?;
    let bytes = BASE64_STANDARD.decode(resource["data"].as_str()?).ok()?;
    Some(([(header::CONTENT_TYPE, kind)], bytes).into_response())
}

async fn search_by_get(
    ehr: State<Arc<Ehr>>,
    Path(kind): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    answer_search(&ehr, &kind, &query.unwrap_or_default(), &headers)
}

async fn search_by_post(ehr: State<Arc<Ehr>>, Path(kind): Path<String>, headers: HeaderMap, form: String) -> Response {
    answer_search(&ehr, &kind, &form, &headers)
}

fn answer_search(ehr: &Ehr, kind: &str, query: &str, headers: &HeaderMap) -> Response {
    if !TYPES.contains(&kind) && !ehr.resources.iter().any(|r| r["resourceType"] == kind) {
        return outcome(StatusCode::NOT_FOUND, "not-supported");
    }
    let parameters: Parameters = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let owner = match kind {
        "Patient" => parameters.iter().find(|(name, _)| name == "_id"),
        _ => parameters.iter().find(|(name, _)| name == "patient" || name == "subject"),
    };
    let owner = owner.and_then(|(_, value)| value.rsplit('/').next());
    match ehr.authorize(headers, owner) {
        Ok(sees) => fhir(ehr.bundle(kind, &parameters, owner, sees.as_deref())),
        Err(status) => denied(status),
    }
}

fn name_of(resource: &Value) -> Option<(String, String)> {
    Some((resource["resourceType"].as_str()?.to_owned(), resource["id"].as_str()?.to_owned()))
}

fn denied(status: StatusCode) -> Response {
    outcome(status, if status == StatusCode::UNAUTHORIZED { "login" } else { "forbidden" })
}

fn outcome(status: StatusCode, code: &str) -> Response {
    let issue = json!([{"severity": "error", "code": code}]);
    (status, fhir(json!({"resourceType": "OperationOutcome", "issue": issue}))).into_response()
}

fn fhir(body: Value) -> Response {
    let kind = HeaderValue::from_static("application/fhir+json; charset=utf-8");
    ([(header::CONTENT_TYPE, kind)], Json(body)).into_response()
}
