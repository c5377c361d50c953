//! A summary computed from the chart alone: every line is a fact with its evidence, no model is asked.

use super::{Assessment, Ledger, Section, Statement, Words, described};
use crate::{
    chart::{Chart, Evidence, Fact},
    task::Language,
};

/// Section key, and whether a fact belongs there. The order is the order on the card, and of the titles.
type Place = (&'static str, fn(&Fact) -> bool);

const PLACES: [Place; 7] = [
    ("problems", |f| matches!(f, Fact::Problem { .. })),
    ("medicines", |f| matches!(f, Fact::Medication { .. })),
    ("allergies", |f| matches!(f, Fact::Allergy { .. })),
    ("results", |f| matches!(f, Fact::Measurement(_))),
    ("notes", |f| matches!(f, Fact::Note { .. })),
    ("studies", |f| matches!(f, Fact::Study { .. } | Fact::Image { .. })),
    ("reports", |f| matches!(f, Fact::Report { .. })),
];

/// Puts every fact of the chart into words under its heading.
pub fn summarise(chart: &Chart, language: Language) -> Assessment {
    let section = |((key, belongs), title): (&Place, &str)| {
        let facts = chart.evidence.iter().filter(|e| belongs(&e.fact));
        let text = |e| Statement { text: line(e, language), finding: None, evidence: vec![e.id] };
        Section { key: (*key).into(), title: title.into(), statements: facts.map(text).collect() }
    };
    let sections = PLACES.iter().zip(Words::of(language).places).map(section).collect();
    let ledger = Ledger { examined: chart.examined.clone(), failed: chart.gaps.clone(), ..Ledger::default() };
    Assessment { sections, ledger, ..Assessment::default() }
}

/// One fact as a short line; the text within is the EHR's.
fn line(evidence: &Evidence, language: Language) -> String {
    let words = Words::of(language);
    let undated = if evidence.misdated { words.bad_date } else { words.no_date };
    let day = evidence.date.as_ref().map_or(undated, |d| d.day());
    let (_, text) = described(&evidence.fact, language);
    match &evidence.fact {
        Fact::Problem { .. } => format!("{text}, {} {day}", words.since),
        Fact::Medication { .. } => format!("{text}, {} {day}", words.ordered),
        Fact::Allergy { .. } => format!("{text}, {} {day}", words.recorded),
        _ => format!("{text}, {day}"),
    }
}
