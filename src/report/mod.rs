//! From an Assessment to the draft report: FHIR R4 resources to store, and the page people read. Pure.
//!
//! <https://hl7.org/fhir/R4/diagnosticreport.html> and HL7 AI Transparency on FHIR <https://hl7.org/fhir/uv/aitransparency/>.
//! Every code, link and id in here is ours: text of a chart or a model stands only where a resource has text.

mod code;
mod device;
mod diagnostic_report;
mod narrative;
mod observation;
mod page;
mod provenance;
#[cfg(test)]
mod tests;
mod words;

use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    chart::{Chart, Evidence, EvidenceId, Fact, Role, StudyRead},
    egress::Base,
    engine::ModelInfo,
    error::{Error, Result},
    fhir::{Date, Reference},
    grounding::{self, Assessment, Statement},
    imaging::Image,
    service::Service,
    task::Language,
};

use words::Words;

/// What a report is drafted from. The model was asked and answered: an abstention makes no report.
pub struct Made<'a> {
    /// Of the assessment too.
    pub language: Language,
    pub service: &'a Service,
    pub chart: &'a Chart,
    pub assessment: &'a Assessment,
    pub model: &'a ModelInfo,
    pub prompt: PromptUsed<'a>,
    /// Such as `research`; printed on report and page.
    pub intended_use: &'a str,
    pub options: &'a Options,
    pub report_id: Uuid,
    pub issued: DateTime<Utc>,
}

/// Which prompt the model was asked with.
#[derive(Clone, Copy)]
pub struct PromptUsed<'a> {
    pub version: &'a str,
    /// Hex.
    pub sha256: &'a str,
}

/// The section `[report]` of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    pub draft_status: DraftStatus,
    /// Display of the organisation that answers for the drafts.
    pub organization: String,
}

impl Options {
    pub fn check(&self) -> Result<()> {
        let named = !self.organization.trim().is_empty() && self.organization.len() <= 200;
        let refused = || Error::invalid("report.organization must be a name of at most 200 characters");
        if named { Ok(()) } else { Err(refused().at("report.organization")) }
    }
}

impl Default for Options {
    fn default() -> Self {
        Options { draft_status: DraftStatus::Partial, organization: "curbside demonstration".to_owned() }
    }
}

/// `DiagnosticReport.status` of a draft. A final report is a person's, so no such value exists here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DraftStatus {
    /// R4: data may be incomplete or unverified.
    Partial,
    /// For sites whose systems expect it; R4 reads it as verified early results.
    Preliminary,
}

impl DraftStatus {
    pub fn word(self) -> &'static str {
        match self {
            DraftStatus::Partial => "partial",
            DraftStatus::Preliminary => "preliminary",
        }
    }
}

/// What is stored for one answer.
pub struct Draft {
    pub report_id: String,
    /// The DiagnosticReport, its Observations, the Device, then the Provenances; ids set, `meta` without version.
    pub resources: Vec<Value>,
    /// What `web::report_page` renders. Holds no numbers.
    pub page: Value,
    /// `(sha256, PNG)` of every picture shown to the model.
    pub pictures: Vec<(String, Arc<Vec<u8>>)>,
}

/// Drafts the report of one assessment. The same input gives the same output, ids included.
pub fn draft(made: &Made) -> Draft {
    let observations = observation::resources(made);
    let mut resources = vec![diagnostic_report::resource(made, &observations)];
    resources.extend(observations);
    resources.push(device::resource(made));
    resources.extend(provenance::resources(made));
    Draft {
        report_id: made.report_id.to_string(),
        resources: resources.into_iter().map(without_empty).collect(),
        page: page::view(made),
        pictures: pictures(made),
    }
}

fn pictures(made: &Made) -> Vec<(String, Arc<Vec<u8>>)> {
    let mut pictures: Vec<(String, Arc<Vec<u8>>)> = Vec::new();
    for (_, _, image) in made.images() {
        if !image.png.is_empty() && !pictures.iter().any(|(name, _)| *name == image.sha256) {
            pictures.push((image.sha256.clone(), image.png.clone()));
        }
    }
    pictures
}

impl Made<'_> {
    fn words(&self) -> &'static Words {
        Words::of(self.language)
    }

    /// What the card says too.
    fn shared(&self) -> &'static grounding::Words {
        grounding::Words::of(self.language)
    }

    /// Statements in the order in which report, Observations and page number them.
    fn statements(&self) -> impl Iterator<Item = &Statement> {
        self.assessment.sections.iter().flat_map(|section| &section.statements)
    }

    /// Id of a resource of this report, the same each time it is drafted.
    fn id(&self, part: &str) -> String {
        derived_id(&[self.report_id.as_bytes(), part.as_bytes()])
    }

    fn issued(&self) -> String {
        self.issued.to_rfc3339_opts(SecondsFormat::Millis, true)
    }

    fn study(&self) -> Option<&StudyRead> {
        self.chart.reading.as_ref()?.study.as_ref()
    }

    /// The study compared with: one whose picture the model was not shown was not compared with.
    // INVARIANT: only_what_the_model_was_shown_is_a_picture_of_the_report
    fn prior(&self) -> Option<&StudyRead> {
        let shown = self.images().any(|(_, role, _)| role == Role::Prior);
        self.chart.reading.as_ref()?.prior.as_ref().filter(|_| shown)
    }

    /// The pictures shown to the model.
    fn images(&self) -> impl Iterator<Item = (&Evidence, Role, &Image)> {
        let shown = self.chart.evidence.iter().filter(|e| self.assessment.ledger.shown.contains(&e.id));
        shown.filter_map(|e| match &e.fact {
            Fact::Image { role, image } => Some((e, *role, image.as_ref())),
            _ => None,
        })
    }

    /// When what the report speaks of was observed, to the day at least: the current study's date, else the current film's.
    fn studied(&self) -> Option<String> {
        let film =
            self.images().find(|(_, role, _)| *role == Role::Current).and_then(|(_, _, image)| image.date.as_ref());
        let study = self.study().and_then(|s| s.date.as_ref());
        study.into_iter().chain(film).find(|date| date.text().len() >= "2034-08-15".len()).map(date_time)
    }

    /// An EHR's resource by its absolute address; `None` where the text names none.
    fn absolute(&self, reference: &str) -> Option<String> {
        let base: Base = self.chart.source_base.parse().ok()?;
        Some(Reference::parse(reference)?.absolute(&base))
    }

    fn evidence(&self, id: EvidenceId) -> Option<&Evidence> {
        self.chart.evidence(id)
    }
}

/// A FHIR dateTime: RFC 3339 leaves freedoms that FHIR does not.
fn date_time(date: &Date) -> String {
    let exact = DateTime::parse_from_rfc3339(date.text());
    exact.map_or_else(|_| date.text().to_owned(), |t| t.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

/// A DICOM UID as FHIR writes it; `None` where the text is none. Leading zeros are let pass, as when films are read.
fn oid(uid: &str) -> Option<String> {
    let uid = uid.strip_prefix("urn:oid:").unwrap_or(uid);
    let groups = uid.split('.').all(|group| !group.is_empty() && group.bytes().all(|b| b.is_ascii_digit()));
    (groups && uid.len() <= 64).then(|| format!("urn:oid:{uid}"))
}

/// A UUID that names its parts: the same parts, the same id.
fn derived_id(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string()
}

/// FHIR knows no empty array, object or string: what has no value is left out.
fn without_empty(mut value: Value) -> Value {
    fn empty(value: &Value) -> bool {
        match value {
            Value::Null => true,
            Value::String(text) => text.trim().is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Object(members) => members.is_empty(),
            _ => false,
        }
    }
    fn clean(value: &mut Value) {
        match value {
            Value::Array(items) => {
                items.iter_mut().for_each(clean);
                items.retain(|item| !empty(item));
            }
            Value::Object(members) => {
                members.values_mut().for_each(clean);
                members.retain(|_, member| !empty(member));
            }
            _ => {}
        }
    }
    clean(&mut value);
    value
}
