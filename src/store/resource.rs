//! One resource as a row: its final JSON and the parts of it that a search looks at.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::{Draft, Patient, period::Period};
use crate::{
    error::{Error, Result},
    fhir::{self, Reference},
};

/// A new resource, ready to be written.
#[derive(Debug)]
pub(super) struct Row {
    pub resource_type: String,
    pub id: String,
    /// A Device belongs to nobody.
    pub patient: Option<Patient>,
    pub status: Option<String>,
    pub date: Option<Period>,
    /// `Type/id` of every `target`.
    pub targets: Vec<String>,
    pub json: String,
}

pub(super) const FIRST_VERSION: i64 = 1;

/// The rows of a draft; version and time are written into each resource's `meta`.
pub(super) fn rows(draft: &mut Draft, now: DateTime<Utc>) -> Result<Vec<Row>> {
    draft.source_base.truncate(draft.source_base.trim_end_matches('/').len());
    let patient = Reference::parse(&draft.patient).filter(|patient| patient.resource_type == "Patient");
    if patient.is_none_or(|patient| patient.base != draft.source_base || patient.base.is_empty()) {
        return Err(Error::fault("the patient of a draft is not an absolute reference into its source"));
    }
    std::mem::take(&mut draft.resources).into_iter().map(|resource| row(resource, draft, now)).collect()
}

fn row(mut resource: Value, draft: &Draft, now: DateTime<Utc>) -> Result<Row> {
    let text = |key: &str| resource[key].as_str().map(str::to_owned);
    let (Some(resource_type), Some(id)) = (text("resourceType"), text("id")) else {
        return Err(Error::fault("a resource of a draft has no type or no id"));
    };
    // INVARIANT: a_report_never_mixes_patients
    if resource["subject"]["reference"].as_str().is_some_and(|subject| subject != draft.patient) {
        return Err(Error::fault("a resource of a draft is about another patient than the draft"));
    }
    let patient = (resource_type != "Device")
        .then(|| Patient { source_base: draft.source_base.clone(), reference: draft.patient.clone() });
    let targets = resource["target"].as_array().into_iter().flatten();
    // A target may name a version; it is looked for by the resource.
    let resource_of = |reference: &str| reference.split("/_history/").next().unwrap_or(reference).to_owned();
    let targets = targets.filter_map(|target| target["reference"].as_str()).map(resource_of).collect();
    let (status, date) = (text("status"), Period::effective(&resource));

    let Some(members) = resource.as_object_mut() else {
        return Err(Error::fault("a resource of a draft is not an object"));
    };
    let meta = members.entry("meta").or_insert_with(|| json!({}));
    meta["versionId"] = json!(FIRST_VERSION.to_string());
    meta["lastUpdated"] = json!(now.to_rfc3339_opts(SecondsFormat::Millis, true));
    // INVARIANT: what_is_not_valid_fhir_is_not_stored
    fhir::check(&resource).map_err(|e| Error::fault("a drafted resource is not fit to be stored").because(e))?;
    Ok(Row { resource_type, id, patient, status, date, targets, json: resource.to_string() })
}
