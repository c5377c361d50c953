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
    let undated = if evidence.misdated { "the date given is not a valid date" } else { "date not stated" };
    let day = evidence.date.as_ref().map_or(undated, |d| d.day());
    let (_, text) = evidence.fact.described();
    match &evidence.fact {
        Fact::Problem { .. } => format!("{text}, since {day}"),
        Fact::Medication { .. } => format!("{text}, ordered {day}"),
        Fact::Allergy { .. } => format!("{text}, recorded {day}"),
        _ => format!("{text}, {day}"),
    }
}
