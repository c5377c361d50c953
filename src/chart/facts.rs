//! Turns one EHR's resources into typed facts. What cannot be used or is doubtful is a gap, never a guess.
//!
//! A reader gives what a resource says; sentences on what is doubtful about it, though it is used, it adds to `doubts`.

use super::{Fact, Gap, Origin, allergies::Allergy, values::Value, words::short};
use crate::fhir::{
    Date,
    lenient::{self, Concept},
};

const AI_ASSERTED: &str = "AIAST";

/// The resource that states a fact, by absolute reference, and how it was had.
#[derive(Clone)]
pub struct Source {
    pub reference: String,
    pub origin: Origin,
}

/// When something was, as its record gives it.
#[derive(Clone, Debug, Default)]
pub struct When {
    pub date: Option<Date>,
    /// A date is given that is none, such as 30 February.
    pub misdated: bool,
}

pub const MISDATED: &str = "the date given is not a valid date";

/// Days that one study may take.
const SPREAD_DAYS: i64 = 2;
const NEWER: &str = "a series of it began days after the study itself, which may be newer than its date says";

impl When {
    /// The first that is given; one that is no date is not replaced by another.
    pub fn first<const N: usize>(given: [Option<&str>; N]) -> When {
        let first = given.into_iter().flatten().find(|text| !text.trim().is_empty());
        let date = first.and_then(Date::parse);
        When { misdated: first.is_some() && date.is_none(), date }
    }

    /// The same, with what is wrong with it added to `doubts`.
    pub fn told<const N: usize>(given: [Option<&str>; N], doubts: &mut Doubts) -> When {
        let when = When::first(given);
        doubts.extend(when.misdated.then_some(MISDATED));
        when
    }
}

/// A fact without its number yet.
pub struct Stated {
    pub source: Source,
    pub when: When,
    pub fact: Fact,
}

impl Stated {
    pub fn gap(&self, why: &str) -> Gap {
        let what = short(&self.source.reference);
        Gap { what, why: why.into() }
    }
}

/// What has to be said with a fact that is used.
pub type Doubts = Vec<&'static str>;

/// What one resource gave.
pub enum Found {
    Stated(Box<Stated>),
    Value(Box<Value>),
    Allergy(Box<Allergy>),
    /// Read and rightly left out: not current, not a value.
    Nothing,
    /// Rightly left out, and the reader is told why.
    LeftOut(&'static str),
    Unusable(&'static str),
}

impl Found {
    pub fn stated(fact: Stated) -> Found {
        Found::Stated(Box::new(fact))
    }
}

/// What a patient's record says against its being used as it stands.
pub fn patient(resource: &lenient::Patient) -> Doubts {
    let replaced = resource.link.iter().any(|link| link.relation.as_deref() == Some("replaced-by"));
    let said = [
        (resource.active == Some(false), "the record says that it is no longer in use"),
        (replaced, "the record says that another one has replaced it, and what is new may stand there"),
        (When::first([resource.birth_date.as_deref()]).misdated, "the birth date given is not a valid date"),
    ];
    said.into_iter().filter(|(is_so, _)| *is_so).map(|(_, said)| said).collect()
}

pub fn condition(resource: &lenient::Condition, source: Source, doubts: &mut Doubts) -> Found {
    if !asserted(&resource.verification_status) {
        return Found::Nothing;
    }
    let status = resource.clinical_status.as_ref();
    if status.is_some_and(|s| ["inactive", "remission", "resolved"].iter().any(|code| s.hl7(code))) {
        return Found::Nothing;
    }
    let status = status.and_then(|s| s.coding.iter().find_map(|c| c.code.clone()).or_else(|| s.text.clone()));
    let Some(text) = label(&resource.code) else { return Found::Unusable("it does not say which problem") };
    let onset = resource.onset_period.as_ref().and_then(|p| p.start.as_deref());
    let when = When::told([resource.onset_date_time.as_deref(), onset, resource.recorded_date.as_deref()], doubts);
    let unconfirmed = unconfirmed(&resource.verification_status);
    let status = status.map_or_else(|| "status not stated".into(), |status| status.to_string());
    Found::stated(Stated { source, when, fact: Fact::Problem { text, status, unconfirmed } })
}

pub fn medication(resource: &lenient::MedicationRequest, source: Source, doubts: &mut Doubts) -> Found {
    match resource.status.as_deref() {
        Some("active") => {}
        Some("on-hold" | "cancelled" | "completed" | "entered-in-error" | "stopped" | "draft") => {
            return Found::Nothing;
        }
        // INVARIANT: a_medicine_of_unknown_status_is_not_no_medicine
        _ => return Found::Unusable("its status is not stated"),
    }
    if resource.do_not_perform == Some(true) {
        return Found::Nothing;
    }
    if matches!(resource.intent.as_deref(), Some("proposal" | "option")) {
        return Found::Nothing;
    }
    let by_reference = resource.medication_reference.as_ref();
    let within = by_reference.and_then(|named| named.reference.as_deref()?.strip_prefix('#'));
    let contained = within.and_then(|id| resource.contained.iter().find(|m| m.id.as_deref() == Some(id)));
    if contained.is_some_and(|medicine| medicine.status.as_deref() == Some("entered-in-error")) {
        return Found::Unusable("the medicine it names was entered in error, so it was not used");
    }
    let text = label(&resource.medication_codeable_concept)
        .or_else(|| label(&contained?.code))
        .or_else(|| by_reference?.display.as_deref().map(str::to_owned));
    let Some(text) = text else { return Found::Unusable("it does not say which medicine") };
    let dosage = resource.dosage_instruction.iter().find_map(|d| d.text.clone());
    let when = When::told([resource.authored_on.as_deref()], doubts);
    Found::stated(Stated { source, when, fact: Fact::Medication { text, dosage } })
}

pub fn study(resource: &lenient::ImagingStudy, source: Source, doubts: &mut Doubts) -> Found {
    if matches!(resource.status.as_deref(), Some("cancelled")) {
        return Found::Nothing;
    }
    let modality = modalities(resource).into_iter().next();
    let text = resource.description.clone().or_else(|| resource.series.iter().find_map(|s| s.description.clone()));
    let text = text.unwrap_or_else(|| "imaging study".into());
    let when = When::told([resource.started.as_deref()], doubts);
    let mut series = resource.series.iter().filter_map(|series| Date::parse(series.started.as_deref()?));
    let newer = |date: &Date| series.any(|series| series > *date && !series.is_within(SPREAD_DAYS, date));
    doubts.extend(when.date.as_ref().is_some_and(newer).then_some(NEWER));
    Found::stated(Stated { source, when, fact: Fact::Study { text, modality } })
}

/// Modality codes of a study, its own and its series'.
pub fn modalities(study: &lenient::ImagingStudy) -> Vec<String> {
    let of_series = study.series.iter().filter_map(|s| s.modality.as_ref());
    study.modality.iter().chain(of_series).filter_map(|c| c.code.as_deref().map(str::to_owned)).collect()
}

pub fn report(
    resource: &lenient::DiagnosticReport,
    head: &lenient::Head,
    source: Source,
    doubts: &mut Doubts,
) -> Found {
    // INVARIANT: ai_reports_are_never_evidence
    if head.meta.as_ref().is_some_and(|m| m.security.iter().any(|c| c.code.as_deref() == Some(AI_ASSERTED))) {
        return Found::LeftOut("it is AI-generated and never evidence");
    }
    let status = resource.status.clone().unwrap_or_else(|| "status not stated".into());
    if matches!(status.as_str(), "cancelled" | "entered-in-error") {
        return Found::Nothing;
    }
    let text = label(&resource.code).unwrap_or_else(|| "report".into());
    let start = resource.effective_period.as_ref().and_then(|p| p.start.as_deref());
    let when = When::told([resource.effective_date_time.as_deref(), start, resource.issued.as_deref()], doubts);
    Found::stated(Stated { source, when, fact: Fact::Report { text, status, conclusion: resource.conclusion.clone() } })
}

/// An order that is open: given, and neither done nor taken back.
pub fn order(resource: &lenient::ServiceRequest, source: Source, doubts: &mut Doubts) -> Found {
    let Some(status @ ("active" | "on-hold")) = resource.status.as_deref() else { return Found::Nothing };
    let is_order = !matches!(resource.intent.as_deref(), Some("proposal" | "plan" | "option"));
    if resource.do_not_perform == Some(true) || !is_order {
        return Found::Nothing;
    }
    let Some(text) = label(&resource.code) else { return Found::Unusable("it does not say what is ordered") };
    let when = When::told([resource.authored_on.as_deref()], doubts);
    Found::stated(Stated { source, when, fact: Fact::Order { text, status: status.into() } })
}

pub fn label(concept: &Option<Concept>) -> Option<String> {
    concept.as_ref().and_then(|c| c.label().map(str::to_owned))
}

pub fn asserted(verification: &Option<Concept>) -> bool {
    !verification.as_ref().is_some_and(|v| v.hl7("refuted") || v.hl7("entered-in-error"))
}

/// In which way what is recorded is not confirmed.
pub fn unconfirmed(verification: &Option<Concept>) -> Option<String> {
    let words = ["unconfirmed", "provisional", "differential", "presumed"];
    words.into_iter().find(|word| verification.as_ref().is_some_and(|v| v.hl7(word))).map(str::to_owned)
}
