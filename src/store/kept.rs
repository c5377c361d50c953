//! What goes into the store and what comes out of it.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::search::Position;

/// Names a hook call, together with the caller's tenant and client: the same call repeated gives the same answer.
#[derive(Clone, Debug)]
pub struct Key {
    /// FHIR base of the EHR that asks.
    pub source_base: String,
    pub service: String,
    pub hook_instance: String,
    /// What makes two calls of one hook the same: the body and the language of the answer.
    pub asked: String,
}

impl Key {
    pub fn new(source_base: &str, service: &str, hook_instance: Uuid, asked: &str) -> Key {
        let (service, asked) = (service.to_owned(), asked.to_owned());
        Key { source_base: source_base.to_owned(), service, hook_instance: hook_instance.to_string(), asked }
    }
}

/// Everything one hook call leaves behind.
#[derive(Clone, Debug)]
pub struct Commit {
    pub key: Option<Key>,
    pub answer: String,
    pub report: Option<Draft>,
    pub event: Event,
}

/// A draft report with what stands behind it. All of it is about one patient.
#[derive(Clone, Debug)]
pub struct Draft {
    pub report_id: String,
    /// FHIR base of the EHR the patient belongs to.
    pub source_base: String,
    /// Absolute reference.
    pub patient: String,
    /// New resources with `resourceType` and `id`; `meta.versionId` and `meta.lastUpdated` are ours to write.
    pub resources: Vec<Value>,
    pub page: Value,
    /// SHA-256 in hexadecimal, and PNG.
    pub pictures: Vec<(String, Arc<Vec<u8>>)>,
}

/// A patient of an EHR: the EHR's FHIR base, and the absolute reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patient {
    pub source_base: String,
    pub reference: String,
}

/// An entry of the audit trail: who (the caller) did what to whose data. It has no query and no free text.
#[derive(Clone, Debug)]
pub struct Event {
    pub action: Action,
    /// A service id, `Type/id` or `Type`.
    pub target: String,
    pub patient: Option<Patient>,
    /// The HTTP status answered.
    pub outcome: u16,
    pub request_id: String,
}

impl Event {
    /// A hook that is answered with data of `patient`, an absolute reference under `source_base`.
    pub fn hook(service: &str, source_base: &str, patient: &str, request_id: &str) -> Event {
        Event {
            action: Action::Hook,
            target: service.to_owned(),
            patient: Some(Patient { source_base: source_base.to_owned(), reference: patient.to_owned() }),
            outcome: 200,
            request_id: request_id.to_owned(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Hook,
    Read,
    Search,
}

impl Action {
    pub(super) fn word(self) -> &'static str {
        match self {
            Action::Hook => "hook",
            Action::Read => "read",
            Action::Search => "search",
        }
    }
}

/// A resource as it stands.
#[derive(Clone, Debug)]
pub struct Stored {
    pub id: String,
    /// The resource's JSON, final: it carries its version and time.
    pub resource: String,
    pub version: i64,
    pub last_updated: DateTime<Utc>,
    /// A Device belongs to nobody.
    pub patient: Option<Patient>,
}

/// A report's page, and whom it is about.
#[derive(Clone, Debug)]
pub struct Page {
    pub patient: Patient,
    pub json: String,
}

/// A picture as PNG.
#[derive(Clone, Debug)]
pub struct Picture {
    /// Whom the reports that show it are about; `None` also where the same picture was made of two patients' films.
    pub patient: Option<Patient>,
    pub png: Vec<u8>,
}

/// A report as a list names it; its page is at `/reports/<report_id>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Recent {
    pub report_id: String,
    /// The service's title.
    pub service: String,
    pub issued: String,
}

/// One page of a search, newest first.
#[derive(Clone, Debug)]
pub struct Found {
    pub resources: Vec<Stored>,
    /// How many match in all.
    pub total: i64,
    /// Where the next page begins, if there is one.
    pub next: Option<Position>,
}
