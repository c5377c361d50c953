//! Turns one EHR's resources into typed facts. What cannot be used is a gap, never a guess.

use std::collections::HashMap;

use serde_json::Number;

use super::{Fact, Measurement, Origin};
use crate::fhir::{
    Date,
    lenient::{self, Concept, Quantity},
};

const LOINC: &str = "http://loinc.org";
const UCUM: &str = "http://unitsofmeasure.org";
const AI_ASSERTED: &str = "AIAST";
/// HL7's interpretations, the gravest first. What is none of them comes after these, and before "normal".
const GRAVEST: [&str; 6] = ["HH", "LL", "AA", "H", "L", "A"];

/// The resource that states a fact, by absolute reference, and how it was had.
#[derive(Clone)]
pub struct Source {
    pub reference: String,
    pub origin: Origin,
}

/// A fact without its number yet.
pub struct Stated {
    pub source: Source,
    pub date: Option<Date>,
    pub fact: Fact,
}

/// One Observation that may be the last value of its test.
pub struct Value {
    source: Source,
    date: Option<Date>,
    test: String,
    low: Option<f64>,
    high: Option<f64>,
    measurement: Measurement,
}

/// What one resource gave.
pub enum Found {
    Stated(Box<Stated>),
    Value(Box<Value>),
    /// Read and rightly left out: not current, not a value.
    Nothing,
    /// Rightly left out, and the reader is told why.
    LeftOut(&'static str),
    Unusable(&'static str),
}

impl Found {
    fn stated(fact: Stated) -> Found {
        Found::Stated(Box::new(fact))
    }
}

pub fn condition(resource: &lenient::Condition, source: Source) -> Found {
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
    let date = first_date([resource.onset_date_time.as_deref(), onset, resource.recorded_date.as_deref()]);
    let (worded, status) = (worded(&resource.code), status.unwrap_or_else(|| "status not stated".into()));
    Found::stated(Stated { source, date, fact: Fact::Problem { text, worded, status } })
}

pub fn medication(resource: &lenient::MedicationRequest, source: Source) -> Found {
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
    let contained = |r: &str| {
        resource.contained.iter().find(|m| r.strip_prefix('#') == m.id.as_deref()).and_then(|m| label(&m.code))
    };
    let by_reference = resource.medication_reference.as_ref();
    let text = label(&resource.medication_codeable_concept)
        .or_else(|| by_reference?.reference.as_deref().and_then(contained))
        .or_else(|| by_reference?.display.clone());
    let Some(text) = text else { return Found::Unusable("it does not say which medicine") };
    let dosage = resource.dosage_instruction.iter().find_map(|d| d.text.clone());
    let date = first_date([resource.authored_on.as_deref()]);
    Found::stated(Stated {
        source,
        date,
        fact: Fact::Medication { text, worded: worded(&resource.medication_codeable_concept), dosage },
    })
}

pub fn allergy(resource: &lenient::AllergyIntolerance, source: Source) -> Found {
    if !asserted(&resource.verification_status) {
        return Found::Nothing;
    }
    let status = resource.clinical_status.as_ref();
    if status.is_some_and(|s| s.hl7("inactive") || s.hl7("resolved")) {
        return Found::Nothing;
    }
    let Some(text) = label(&resource.code) else { return Found::Unusable("it does not say to what") };
    let reactions = resource
        .reaction
        .iter()
        .flat_map(|r| r.manifestation.iter().filter_map(|m| m.label().map(str::to_owned)))
        .collect();
    let date = first_date([resource.recorded_date.as_deref()]);
    Found::stated(Stated {
        source,
        date,
        fact: Fact::Allergy { text, criticality: resource.criticality.clone(), reactions },
    })
}

pub fn study(resource: &lenient::ImagingStudy, source: Source) -> Found {
    if matches!(resource.status.as_deref(), Some("cancelled")) {
        return Found::Nothing;
    }
    let modality = modalities(resource).into_iter().next();
    let text = resource.description.clone().or_else(|| resource.series.iter().find_map(|s| s.description.clone()));
    let text = text.unwrap_or_else(|| "imaging study".into());
    Found::stated(Stated {
        source,
        date: first_date([resource.started.as_deref()]),
        fact: Fact::Study { text, modality },
    })
}

/// Modality codes of a study, its own and its series'.
pub fn modalities(study: &lenient::ImagingStudy) -> Vec<String> {
    let of_series = study.series.iter().filter_map(|s| s.modality.as_ref());
    study.modality.iter().chain(of_series).filter_map(|c| c.code.clone()).collect()
}

pub fn report(resource: &lenient::DiagnosticReport, head: &lenient::Head, source: Source) -> Found {
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
    let date = first_date([resource.effective_date_time.as_deref(), start, resource.issued.as_deref()]);
    Found::stated(Stated { source, date, fact: Fact::Report { text, status, conclusion: resource.conclusion.clone() } })
}

pub fn observation(resource: &lenient::Observation, source: Source) -> Found {
    match resource.status.as_deref() {
        Some("final" | "amended" | "corrected" | "preliminary") => {}
        Some("registered" | "cancelled" | "unknown") => return Found::Nothing,
        _ => return Found::Unusable("its status is not stated"),
    }
    let Some(text) = label(&resource.code) else { return Found::Unusable("it does not say which test") };
    let start = resource.effective_period.as_ref().and_then(|p| p.start.as_deref());
    let times = [
        resource.effective_date_time.as_deref(),
        resource.effective_instant.as_deref(),
        start,
        resource.issued.as_deref(),
    ];
    let date = first_date(times);
    let category = |code| resource.category.iter().any(|c: &Concept| c.code(code));
    if category("exam")
        && let Some(note) = &resource.value_string
    {
        return Found::stated(Stated { source, date, fact: Fact::Note { text: note.clone() } });
    }
    let loinc: Vec<String> = resource
        .code
        .iter()
        .flat_map(|c| c.coding.iter())
        .filter(|c| c.system.as_deref() == Some(LOINC))
        .filter_map(|c| c.code.clone())
        .collect();
    let components = pressure(resource);
    let quantity = resource.value_quantity.as_ref();
    let value = match (&components, quantity) {
        (Some((systolic, diastolic)), _) => Some(format!("{systolic}/{diastolic}")),
        (None, Some(quantity)) => amount(quantity),
        (None, None) => plain_value(resource),
    };
    let Some(value) = value else {
        let absent = resource.data_absent_reason.is_some();
        return if absent { Found::Nothing } else { Found::Unusable("its value is of a form that is not read") };
    };
    // Several ranges are for several kinds of people; which one holds here is not ours to guess.
    let range = match &resource.reference_range.0[..] {
        [only] if only.applies_to.is_empty() && only.age.is_none() => Some(only),
        _ => None,
    };
    let bound =
        |q: Option<&Quantity>| q.filter(|q| comparable(q, quantity)).and_then(|q| q.value.as_ref()).and_then(number);
    let (low, high) = (bound(range.and_then(|r| r.low.as_ref())), bound(range.and_then(|r| r.high.as_ref())));
    let part = resource.component.iter().find_map(|c| c.value_quantity.as_ref()).filter(|_| components.is_some());
    let measured_in = quantity.or(part);
    let ucum = measured_in.filter(|q| q.system.as_deref() == Some(UCUM)).and_then(|q| q.code.clone());
    let unit = measured_in.and_then(|q| q.unit.clone().or_else(|| q.code.clone()));
    let interpretations = resource.interpretation.iter();
    let stated = interpretations.flat_map(|i| match i.coding.is_empty() {
        true => i.text.clone().into_iter().collect::<Vec<_>>(),
        false => i.coding.iter().filter_map(|c| c.code.clone()).collect(),
    });
    // INVARIANT: of_several_interpretations_the_gravest_is_said
    let rank = |flag: &String| (GRAVEST.iter().position(|known| known == flag).unwrap_or(GRAVEST.len()), flag == "N");
    let stated = stated.min_by_key(rank);
    let test = loinc.first().cloned().unwrap_or_else(|| text.to_lowercase());
    let measurement = Measurement {
        text,
        loinc,
        vital: category("vital-signs"),
        value,
        unit,
        ucum,
        components,
        flag: stated,
        change: None,
    };
    Found::Value(Box::new(Value { source, date, test, low, high, measurement }))
}

/// Keeps the last value of each test and says how it changed.
pub fn last_values(mut values: Vec<Value>) -> Vec<Stated> {
    values.sort_by(|a, b| b.date.cmp(&a.date).then_with(|| a.source.reference.cmp(&b.source.reference)));
    let mut tests: Vec<(Value, Option<Value>)> = Vec::new();
    let mut at: HashMap<String, usize> = HashMap::new();
    for value in values {
        match at.get(&value.test) {
            None => {
                at.insert(value.test.clone(), tests.len());
                tests.push((value, None));
            }
            Some(&i) if tests[i].1.is_none() => tests[i].1 = Some(value),
            Some(_) => {}
        }
    }
    tests.into_iter().map(|(last, before)| stated(last, before)).collect()
}

fn stated(last: Value, before: Option<Value>) -> Stated {
    let mut measurement = last.measurement;
    let value: Option<f64> = measurement.value.parse().ok();
    if measurement.flag.is_none() {
        measurement.flag = value.and_then(|v| match (last.low, last.high) {
            (Some(low), _) if v < low => Some("L".to_owned()),
            (_, Some(high)) if v > high => Some("H".to_owned()),
            _ => None,
        });
    }
    measurement.change = before.filter(|b| b.measurement.unit == measurement.unit).map(|b| {
        let day = b.date.as_ref().map_or(String::new(), |d| format!(" on {}", d.day()));
        let word = match (value, b.measurement.value.parse::<f64>().ok()) {
            (Some(now), Some(then)) if now > then => "up from",
            (Some(now), Some(then)) if now < then => "down from",
            (Some(_), Some(_)) => "unchanged from",
            _ if b.measurement.value == measurement.value => "unchanged from",
            _ => "before:",
        };
        format!("{word} {}{day}", b.measurement.value)
    });
    Stated { source: last.source, date: last.date, fact: Fact::Measurement(measurement) }
}

fn pressure(resource: &lenient::Observation) -> Option<(String, String)> {
    let part = |code| {
        let component = resource.component.iter().find(|c| c.code.as_ref().is_some_and(|k| k.has(LOINC, code)))?;
        component.value_quantity.as_ref().and_then(amount)
    };
    Some((part("8480-6")?, part("8462-4")?))
}

fn plain_value(resource: &lenient::Observation) -> Option<String> {
    let concept = resource.value_codeable_concept.as_ref().and_then(|c| c.label().map(str::to_owned));
    concept
        .or_else(|| resource.value_string.clone())
        .or_else(|| resource.value_integer.as_ref().map(Number::to_string))
        .or_else(|| resource.value_boolean.map(|b| if b { "yes".into() } else { "no".into() }))
}

/// The value as the EHR wrote it, comparator first.
fn amount(quantity: &Quantity) -> Option<String> {
    let value = quantity.value.as_ref()?;
    Some(format!("{}{value}", quantity.comparator.as_deref().unwrap_or("")))
}

fn number(value: &Number) -> Option<f64> {
    value.to_string().parse().ok().filter(|v: &f64| v.is_finite())
}

fn comparable(bound: &Quantity, value: Option<&Quantity>) -> bool {
    let unit = |q: &Quantity| q.code.clone().or_else(|| q.unit.clone());
    value.is_some_and(|v| v.comparator.is_none() && (unit(bound).is_none() || unit(bound) == unit(v)))
}

fn label(concept: &Option<Concept>) -> Option<String> {
    concept.as_ref().and_then(|c| c.label().map(str::to_owned))
}

fn worded(concept: &Option<Concept>) -> bool {
    concept.as_ref().is_some_and(|c| c.text.as_deref().is_some_and(|t| !t.trim().is_empty()))
}

fn asserted(verification: &Option<Concept>) -> bool {
    !verification.as_ref().is_some_and(|v| v.hl7("refuted") || v.hl7("entered-in-error"))
}

/// The first date that is one.
fn first_date<const N: usize>(texts: [Option<&str>; N]) -> Option<Date> {
    texts.into_iter().flatten().find_map(Date::parse)
}
