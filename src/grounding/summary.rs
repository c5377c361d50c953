//! A summary computed from the chart alone: every line is a fact with its evidence, no model is asked.

use super::{Assessment, Ledger, Section, Statement};
use crate::chart::{Chart, Evidence, Fact};

/// Section key, title, and whether a fact belongs there. The order is the order on the card.
type Place = (&'static str, &'static str, fn(&Fact) -> bool);

const PLACES: [Place; 7] = [
    ("problems", "Problems", |f| matches!(f, Fact::Problem { .. })),
    ("medicines", "Current medicines", |f| matches!(f, Fact::Medication { .. })),
    ("allergies", "Allergies", |f| matches!(f, Fact::Allergy { .. })),
    ("results", "Last value of each test", |f| matches!(f, Fact::Measurement(_))),
    ("notes", "Examination notes", |f| matches!(f, Fact::Note { .. })),
    ("studies", "Imaging studies", |f| matches!(f, Fact::Study { .. } | Fact::Image { .. })),
    ("reports", "Reports", |f| matches!(f, Fact::Report { .. })),
];

/// Puts every fact of the chart into words under its heading.
pub fn summarise(chart: &Chart) -> Assessment {
    let section = |(key, title, belongs): &Place| {
        let facts = chart.evidence.iter().filter(|e| belongs(&e.fact));
        let statements = facts.map(|e| Statement { text: words(e), finding: None, evidence: vec![e.id] }).collect();
        Section { key: (*key).into(), title: (*title).into(), statements }
    };
    let ledger = Ledger { examined: chart.examined.clone(), failed: chart.gaps.clone(), ..Ledger::default() };
    Assessment { sections: PLACES.iter().map(section).collect(), ledger, ..Assessment::default() }
}

/// One fact as a short line; the text within is the EHR's.
fn words(evidence: &Evidence) -> String {
    let day = evidence.date.as_ref().map_or("date not stated", |d| d.day());
    let with = |text: &str, more: &[Option<&str>]| {
        let more: Vec<&str> = more.iter().flatten().copied().filter(|t| !t.is_empty()).collect();
        if more.is_empty() { text.to_owned() } else { format!("{text}, {}", more.join(", ")) }
    };
    match &evidence.fact {
        Fact::Problem { text, status, .. } => with(text, &[Some(status), Some(&format!("since {day}"))]),
        Fact::Medication { text, dosage, .. } => with(text, &[dosage.as_deref(), Some(&format!("ordered {day}"))]),
        Fact::Allergy { text, criticality, reactions } => {
            let criticality = criticality.as_ref().map(|c| format!("criticality {c}"));
            with(text, &[criticality.as_deref(), Some(&reactions.join(" and ")), Some(&format!("recorded {day}"))])
        }
        Fact::Measurement(m) => {
            let value = format!("{} {}", m.value, m.unit.as_deref().unwrap_or("")).trim_end().to_owned();
            let flag = m.flag.as_deref().map(flag);
            format!("{}: {}", m.text, with(&value, &[flag, m.change.as_deref(), Some(day)]))
        }
        Fact::Note { text } => with(text, &[Some(day)]),
        Fact::Study { text, modality } => with(text, &[modality.as_deref(), Some(day)]),
        Fact::Image { image, .. } => with("film", &[Some(&image.modality), image.view.as_deref(), Some(day)]),
        Fact::Report { text, status, conclusion } => with(text, &[Some(status), Some(day), conclusion.as_deref()]),
    }
}

/// HL7 interpretation codes in words; any other text as it came. <http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation>
fn flag(code: &str) -> &str {
    match code {
        "H" => "high",
        "HH" => "critically high",
        "L" => "low",
        "LL" => "critically low",
        "A" => "abnormal",
        "AA" => "critically abnormal",
        "N" => "normal",
        other => other,
    }
}
