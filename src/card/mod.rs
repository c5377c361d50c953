//! From an Assessment to the cards an EHR shows. Pure: every sentence is ours, text of model or chart stands in it escaped.

mod checks;
mod markdown;

pub use checks::checks;

use std::fmt::Write;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    cds_hooks::{Card, Indicator, Link, LinkType, Source},
    chart::{Chart, Evidence, EvidenceId, Fact, Reading, Role},
    fhir::Date,
    grounding::{Assessment, BANNER, Section, Statement, Urgency},
    service::Service,
};

use markdown::{cut, escape, unlinked};

/// CDS Hooks wants fewer than 140 characters; counted in UTF-16 units, the strictest way any client counts.
const MAX_SUMMARY: usize = 139;
/// Facts printed under a heading; the rest is counted and stands in the chart.
const MAX_LINES: usize = 40;
/// Gaps printed; more than these are counted.
const MAX_GAPS: usize = 200;

/// What the card of an imaging draft says beside the assessment.
pub struct Draft<'a> {
    pub intended_use: &'a str,
    pub model: Model<'a>,
    /// Page of the stored report; absent when nothing was stored.
    pub report_url: Option<String>,
}

/// What a reader is told of the model.
#[derive(Clone, Copy)]
pub struct Model<'a> {
    pub name: &'a str,
    pub weights_sha256: &'a str,
    /// Whether its makers say what it can read. If not, nothing keeps it from films it was never made for.
    pub states_scope: bool,
}

/// The card of an imaging order: a draft to review, or why there is none.
pub fn imaging(service: &Service, chart: &Chart, assessment: &Assessment, draft: &Draft, seed: &str) -> Card {
    let mut detail = String::new();
    let (summary, indicator) = match &assessment.abstained {
        Some(abstention) => {
            let _ = writeln!(detail, "**No draft was written.** {}.", escape(&capital(&abstention.reason)));
            (format!("No AI draft: {}", abstention.reason), Indicator::Info)
        }
        None => {
            let _ = writeln!(detail, "**{BANNER}.**");
            (headline(assessment), indicator(assessment.urgency))
        }
    };
    let _ = writeln!(detail, "\nIntended use: {}. Not a medical device.", escape(draft.intended_use));
    let Model { name, weights_sha256, states_scope } = draft.model;
    let _ = match assessment.abstained.as_ref().is_some_and(|a| !a.model_asked) {
        true => writeln!(detail, "\nThe model was not asked."),
        false => {
            let scope =
                if states_scope { "" } else { " It states no scope: nothing is known of which films it can read." };
            let weights = weights_sha256.get(..12).unwrap_or(weights_sha256);
            writeln!(detail, "\nModel: {} (weights {weights}).{scope}", escape(name))
        }
    };
    if let Some(reading) = &chart.reading {
        study(&mut detail, reading, chart, assessment);
    }
    if assessment.abstained.is_none() {
        findings(&mut detail, assessment, chart);
        let urgency = assessment.urgency.map_or("not stated", Urgency::word);
        let _ = writeln!(detail, "\nUrgency, the model's word: {urgency}.");
    }
    let cited = cited(assessment, chart);
    if !cited.is_empty() {
        let _ = writeln!(detail, "\n**Evidence**\n");
        for evidence in cited.iter().filter_map(|id| chart.evidence(*id)) {
            let _ = writeln!(detail, "- {}: {}", evidence.id, evidence_line(evidence));
        }
    }
    ledger(&mut detail, assessment);
    let not_shown = assessment.ledger.not_shown.len();
    if draft.report_url.is_some() && not_shown > 0 {
        let lines = counted(not_shown, "line of the chart", "lines of the chart");
        let _ = writeln!(detail, "\nNot shown to the model: {lines}, listed with the reason in the report.");
    }
    let link = |url: &String| Link {
        label: "Draft report with pictures and evidence".into(),
        url: url.clone(),
        kind: LinkType::Absolute,
    };
    card(service, summary, detail, indicator, draft.report_url.iter().map(link).collect(), seed)
}

/// The card of a chart summary: no model, every line with its evidence.
pub fn summary(service: &Service, chart: &Chart, assessment: &Assessment, hook_instance: Uuid) -> Card {
    let mut detail = String::from("Computed from the chart; no model was asked.\n");
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
            let _ = writeln!(detail, "- and {} more in the chart", section.statements.len() - MAX_LINES);
        }
        if section.statements.is_empty() {
            let _ = writeln!(detail, "- {}", absence(section, chart));
        }
    }
    ledger(&mut detail, assessment);
    let parts = assessment
        .sections
        .iter()
        .filter(|s| ["problems", "medicines", "allergies", "results"].contains(&s.key.as_str()));
    let parts = parts.map(|section| {
        let name = section.title.to_lowercase();
        let named = section.statements.iter().filter(|statement| !says_none(statement, chart)).count();
        match (named, known(section, chart)) {
            (0, Known::Absent { .. }) if !section.statements.is_empty() => "no allergy named".into(),
            (0, Known::Absent { .. }) => format!("no {name}"),
            (0, _) => format!("{name} not known"),
            (n, _) => format!("{name} {n}"),
        }
    });
    let words = format!(
        "Chart summary: {}; {}",
        parts.collect::<Vec<_>>().join(", "),
        counted(chart.gaps.len(), "gap", "gaps")
    );
    let seed = format!("{hook_instance}\n{detail}");
    card(service, words, detail, Indicator::Info, Vec::new(), &seed)
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

fn absence(section: &Section, chart: &Chart) -> String {
    match known(section, chart) {
        Known::Failed => "not known: it could not be read in full, see the gaps".into(),
        Known::Unproved => "none received; that none exist was not established".into(),
        Known::Absent { not_current: 0 } if section.key == "medicines" => "no active ones recorded in the EHR".into(),
        Known::Absent { not_current: 0 } => "none recorded in the EHR".into(),
        Known::Absent { not_current } => format!("none current; {not_current} recorded that are not current"),
    }
}

fn counted(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

fn headline(assessment: &Assessment) -> String {
    let statements: Vec<&str> =
        assessment.sections.iter().flat_map(|s| &s.statements).map(|s| s.text.as_str()).collect();
    let urgency = assessment.urgency.map_or(String::new(), |u| format!(" ({})", u.word()));
    if statements.is_empty() {
        return format!("AI draft to review{urgency}: no finding stated");
    }
    format!("AI draft to review{urgency}: {}", statements.join("; "))
}

/// A model alone never yields `critical`: that word is for a danger somebody checked.
fn indicator(urgency: Option<Urgency>) -> Indicator {
    match urgency {
        Some(Urgency::Urgent | Urgency::Critical) => Indicator::Warning,
        Some(Urgency::Routine | Urgency::Soon | Urgency::CannotDetermine) | None => Indicator::Info,
    }
}

/// Which study it is about, and what the model was shown of it.
fn study(detail: &mut String, reading: &Reading, chart: &Chart, assessment: &Assessment) {
    let _ = writeln!(detail, "\nOrder: {}.", escape(&reading.order.text));
    let Some(study) = &reading.study else { return };
    let day = |date: &Option<Date>| date.as_ref().map_or("date not stated".to_owned(), |d| d.day().to_owned());
    let shown = |role| chart.film(role).filter(|(id, _)| assessment.ledger.shown.contains(id)).map(|(_, film)| film);
    let (current, prior) = (shown(Role::Current), shown(Role::Prior));
    let done = if current.is_some() { "read" } else { "looked for" };
    let what = format!("{} {done}", capital(study.noun()));
    let unnamed = if study.is_study() { "imaging study" } else { "untitled" };
    let name = escape(study.description.as_deref().unwrap_or(unnamed));
    let _ = writeln!(
        detail,
        "\n{what}: {name}, {}, {}. It is not the ordered examination, which has not been done yet.",
        day(&study.date),
        study.chosen()
    );
    let Some(current) = current else { return };
    let Some(prior) = prior else {
        let _ = writeln!(detail, "\nNo earlier film was compared.");
        return;
    };
    let _ = writeln!(detail, "\nCompared with the film of {}.", day(&prior.date));
    if current.view != prior.view {
        let views = [&current.view, &prior.view].map(|v| escape(v.as_deref().unwrap_or("not stated")));
        let _ =
            writeln!(detail, "The views differ ({} now, {} before), which changes how sizes look.", views[0], views[1]);
    }
}

fn findings(detail: &mut String, assessment: &Assessment, chart: &Chart) {
    for section in &assessment.sections {
        let _ = writeln!(detail, "\n**{}**\n", section.title);
        for statement in &section.statements {
            let ids: Vec<String> = statement.evidence.iter().map(EvidenceId::to_string).collect();
            let _ = writeln!(detail, "- {} ({})", escape(&statement.text), ids.join(", "));
        }
        if section.statements.is_empty() {
            let films: Vec<String> = films_shown(assessment, chart).map(|id| id.to_string()).collect();
            let _ = writeln!(
                detail,
                "- The model stated no finding ({}). It looks for five kinds only; that is not a normal report.",
                films.join(", ")
            );
        }
    }
}

fn ledger(detail: &mut String, assessment: &Assessment) {
    if !assessment.rejected.is_empty() {
        let _ = writeln!(detail, "\n**Not kept of the model's answer: {}**\n", assessment.rejected.len());
        for rejected in &assessment.rejected {
            let _ = writeln!(detail, "- {}: {}", escape(&rejected.what), escape(&rejected.why));
        }
    }
    let failed = &assessment.ledger.failed;
    if !failed.is_empty() {
        let _ = writeln!(detail, "\n**Gaps: {}**\n", failed.len());
        for gap in failed.iter().take(MAX_GAPS) {
            let _ = writeln!(detail, "- {}: {}", escape(&gap.what), escape(&gap.why));
        }
        if failed.len() > MAX_GAPS {
            let _ = writeln!(detail, "- and {} more", failed.len() - MAX_GAPS);
        }
    }
}

/// The films the model was shown: what an answer without a finding rests on.
fn films_shown(assessment: &Assessment, chart: &Chart) -> impl Iterator<Item = EvidenceId> {
    let films = [Role::Current, Role::Prior].into_iter().filter_map(|role| chart.film(role)).map(|(id, _)| id);
    films.filter(|id| assessment.ledger.shown.contains(id))
}

fn cited(assessment: &Assessment, chart: &Chart) -> Vec<EvidenceId> {
    let statements = assessment.sections.iter().flat_map(|s| &s.statements).flat_map(|s| &s.evidence);
    let mut ids: Vec<EvidenceId> =
        statements.chain(assessment.abstained.iter().flat_map(|a| &a.evidence)).copied().collect();
    if ids.is_empty() && assessment.abstained.is_none() {
        ids.extend(films_shown(assessment, chart));
    }
    ids.sort_unstable();
    ids.dedup();
    ids
}

fn evidence_line(evidence: &Evidence) -> String {
    let day = evidence.date.as_ref().map_or(String::new(), |d| format!(", {}", d.day()));
    let (_, text) = evidence.fact.described();
    format!("{}{day} ({})", escape(&text), escape(&short(&evidence.reference)))
}

/// `Type/id` of an EHR's resource; a DICOM instance keeps its UID.
fn short(reference: &str) -> String {
    if reference.starts_with("urn:") {
        return reference.to_owned();
    }
    let mut parts = reference.rsplitn(3, '/');
    match (parts.next(), parts.next()) {
        (Some(id), Some(resource_type)) => format!("{resource_type}/{id}"),
        _ => reference.to_owned(),
    }
}

fn card(
    service: &Service,
    summary: String,
    detail: String,
    indicator: Indicator,
    links: Vec<Link>,
    seed: &str,
) -> Card {
    Card {
        uuid: uuid_of(&service.id, seed),
        summary: cut(&unlinked(&summary), MAX_SUMMARY),
        detail: detail.trim().to_owned(),
        indicator,
        source: Source { label: service.source_label.clone(), topic: service.topic.clone() },
        links,
        suggestions: Vec::new(),
        selection_behavior: None,
        override_reasons: Vec::new(),
    }
}

/// The same call repeated gives the same card with the same uuid.
fn uuid_of(service: &str, seed: &str) -> Uuid {
    let digest = Sha256::digest(format!("{service}\n{seed}"));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_call_gets_the_same_uuid() {
        assert_eq!(uuid_of("a", "seed"), uuid_of("a", "seed"));
        assert_ne!(uuid_of("a", "seed"), uuid_of("b", "seed"));
    }
}
