//! The card of a chart summary: no model, every line with its evidence.

use std::fmt::Write;

use uuid::Uuid;

use super::{Said, card, ledger, markdown::escape, reasons, short, words::Words};
use crate::{
    cds_hooks::{Card, Indicator},
    chart::{Chart, EvidenceId, Fact},
    grounding::{Assessment, Section, Statement},
    service::Service,
    task::Language,
};

/// Facts printed under a heading; the rest is counted and stands in the chart.
const MAX_LINES: usize = 40;

/// The card of a chart summary in the language of the assessment.
pub fn summary(
    service: &Service,
    chart: &Chart,
    assessment: &Assessment,
    language: Language,
    hook_instance: Uuid,
) -> Card {
    let words = Words::of(language);
    let mut detail = format!("{}\n", words.computed);
    for section in &assessment.sections {
        let _ = writeln!(detail, "\n**{}**\n", section.title);
        let references = |ids: &[EvidenceId]| {
            let cited = ids.iter().filter_map(|id| chart.evidence(*id));
            cited.map(|e| format!("{} {}", e.id, escape(&short(&e.reference)))).collect::<Vec<_>>().join(", ")
        };
        for statement in section.statements.iter().take(MAX_LINES) {
            let _ = writeln!(detail, "- {} ({})", escape(&statement.text), references(&statement.evidence));
        }
        if section.statements.len() > MAX_LINES {
            let _ = writeln!(detail, "- {}", (words.more_in_the_chart)(section.statements.len() - MAX_LINES));
        }
        if section.statements.is_empty() {
            let _ = writeln!(detail, "- {}", absence(section, chart, words));
        }
    }
    ledger(&mut detail, assessment, language);
    reasons(&mut detail, !assessment.ledger.failed.is_empty(), words);
    let parts = assessment
        .sections
        .iter()
        .filter(|s| ["problems", "medicines", "allergies", "results"].contains(&s.key.as_str()));
    let parts = parts.map(|section| {
        let name = section.title.to_lowercase();
        let named = section.statements.iter().filter(|statement| !says_none(statement, chart)).count();
        match (named, known(section, chart)) {
            (0, Known::Absent { .. }) if !section.statements.is_empty() => words.no_allergy.into(),
            (0, Known::Absent { .. }) => (words.no_such)(&name),
            (0, _) => (words.not_known)(&name),
            (n, _) => format!("{name} {n}"),
        }
    });
    let summary = (words.summary)(&parts.collect::<Vec<_>>().join(", "), chart.gaps.len());
    let seed = format!("{hook_instance}\n{detail}");
    card(service, Said { summary, detail, indicator: Indicator::Info, links: Vec::new(), language }, &seed)
}

/// Whether it is the EHR's statement that there is no such allergy.
fn says_none(statement: &Statement, chart: &Chart) -> bool {
    let mut cited = statement.evidence.iter().filter_map(|id| chart.evidence(*id));
    cited.any(|evidence| matches!(evidence.fact, Fact::Allergy { none_known: true, .. }))
}

/// What an empty section means.
enum Known {
    /// We searched the EHR to the last page and could use all there was; so many were not current.
    Absent { not_current: usize },
    /// Nothing was received, and an EHR that sends nothing may have failed to search.
    Unproved,
    /// It could not be read in full.
    Failed,
}

// INVARIANT: absence_is_stated_only_where_it_was_looked_for
fn known(section: &Section, chart: &Chart) -> Known {
    let keys: &[&str] = match section.key.as_str() {
        "problems" => &["conditions"],
        "medicines" => &["medications"],
        "allergies" => &["allergies"],
        "results" => &["vitals", "laboratory"],
        "notes" => &["examinations"],
        "studies" => &["studies"],
        _ => &["reports"],
    };
    let mut not_current = 0;
    let mut proved = true;
    for key in keys {
        match chart.examined(key) {
            None => return Known::Failed,
            Some(examined) if examined.unusable > 0 => return Known::Failed,
            Some(examined) => {
                not_current += examined.left_out;
                proved &= examined.complete;
            }
        }
    }
    if proved { Known::Absent { not_current } } else { Known::Unproved }
}

fn absence(section: &Section, chart: &Chart, words: &Words) -> String {
    match known(section, chart) {
        Known::Failed => words.failed.into(),
        Known::Unproved => words.unproved.into(),
        Known::Absent { not_current: 0 } if section.key == "medicines" => words.no_active.into(),
        Known::Absent { not_current: 0 } => words.none.into(),
        Known::Absent { not_current } => (words.none_current)(not_current),
    }
}
