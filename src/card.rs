//! From an Assessment to the cards an EHR shows. Pure: every sentence is ours, text of model or chart stands in it escaped.

use std::fmt::Write;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    cds_hooks::{Card, Indicator, Link, LinkType, Source},
    chart::{Chart, Evidence, EvidenceId, Fact, Reading, Role},
    grounding::{Assessment, BANNER, Section, Urgency},
    service::Service,
};

/// CDS Hooks wants fewer than 140 characters; counted in UTF-16 units, the strictest way any client counts.
const MAX_SUMMARY: usize = 139;
/// Evidence lines printed under a section; the rest is counted and stands on the page or in the chart.
const MAX_LINES: usize = 40;

/// What the card of an imaging draft says beside the assessment.
pub struct Draft<'a> {
    pub intended_use: &'a str,
    /// Name of the model, and the hash of its weights.
    pub model: (&'a str, &'a str),
    /// Page of the stored report; absent when nothing was stored.
    pub report_url: Option<String>,
}

/// The card of an imaging order: a draft to review, or why there is none.
pub fn imaging(service: &Service, chart: &Chart, assessment: &Assessment, draft: &Draft, seed: &str) -> Card {
    let mut detail = String::new();
    let reading = chart.reading.as_ref();
    let (summary, indicator) = match &assessment.abstained {
        Some(abstention) => {
            let _ = writeln!(detail, "**No draft was written.** {}.", escape(&capital(&abstention.reason)));
            if !abstention.model_asked {
                let _ = writeln!(detail, "\nThe model was not asked.");
            }
            (format!("No AI draft: {}", abstention.reason), Indicator::Info)
        }
        None => {
            let _ = writeln!(detail, "**{BANNER}.**");
            (headline(assessment), indicator(assessment.urgency))
        }
    };
    let _ = writeln!(detail, "\nIntended use: {}. Not a medical device.", escape(draft.intended_use));
    if assessment.abstained.as_ref().is_none_or(|a| a.model_asked) {
        let (name, weights) = draft.model;
        let _ = writeln!(detail, "\nModel: {} (weights {}).", escape(name), weights.get(..12).unwrap_or(weights));
    }
    if let Some(reading) = reading {
        study(&mut detail, reading, chart);
    }
    if assessment.abstained.is_none() {
        findings(&mut detail, assessment);
        let urgency = assessment.urgency.map_or("not stated", Urgency::word);
        let _ = writeln!(detail, "\nUrgency, the model's word: {urgency}.");
    }
    let cited = cited(assessment);
    if !cited.is_empty() {
        let _ = writeln!(detail, "\n**Evidence**\n");
        for evidence in cited.iter().filter_map(|id| chart.evidence(*id)) {
            let _ = writeln!(detail, "- {}: {}", evidence.id, evidence_line(evidence));
        }
    }
    ledger(&mut detail, assessment);
    let links = draft.report_url.iter().map(|url| Link {
        label: "Draft report with pictures and evidence".into(),
        url: url.clone(),
        kind: LinkType::Absolute,
    });
    card(service, summary, detail, indicator, links.collect(), seed)
}

/// The card of a chart summary: no model, every line with its evidence.
pub fn summary(service: &Service, chart: &Chart, assessment: &Assessment, seed: &str) -> Card {
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
    let count = |key: &str| assessment.sections.iter().find(|s| s.key == key).map_or(0, |s| s.statements.len());
    let words = format!(
        "Chart summary: {}, {}, {}, {}, {}",
        counted(count("problems"), "problem", "problems"),
        counted(count("medicines"), "medicine", "medicines"),
        counted(count("allergies"), "allergy line", "allergy lines"),
        counted(count("results"), "test", "tests"),
        counted(chart.gaps.len(), "gap", "gaps"),
    );
    card(service, words, detail, Indicator::Info, Vec::new(), seed)
}

/// INVARIANT: absence_is_stated_only_where_it_was_looked_for
///
/// An empty answer sent by an EHR may be a failed search. Only a search of ours that saw its last page proves absence.
fn absence(section: &Section, chart: &Chart) -> &'static str {
    let keys: &[&str] = match section.key.as_str() {
        "problems" => &["conditions"],
        "medicines" => &["medications"],
        "allergies" => &["allergies"],
        "results" => &["vitals", "laboratory"],
        "notes" => &["examinations"],
        "studies" => &["studies"],
        _ => &["reports"],
    };
    let proved = keys.iter().all(|key| chart.examined.iter().any(|e| e.what == *key && e.complete));
    let failed = chart.gaps.iter().any(|gap| keys.contains(&gap.what.as_str()));
    match (failed, proved) {
        (true, _) => "not known: it could not be read in full, see below",
        (false, true) => "none recorded in the EHR",
        (false, false) => "none received; that none exist was not established",
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
        Some(Urgency::Routine) | None => Indicator::Info,
    }
}

fn study(detail: &mut String, reading: &Reading, chart: &Chart) {
    let _ = writeln!(detail, "\nOrder: {}.", escape(&reading.order.text));
    let Some(study) = &reading.study else { return };
    let day = study.date.as_ref().map_or("date not stated", |d| d.day());
    let name = study.description.as_deref().unwrap_or("imaging study");
    let how = if study.named_by_order { "named by the order" } else { "the newest unreported one that fits the order" };
    let _ = writeln!(
        detail,
        "\nStudy read: {}, {day}, {how}. It is not the ordered examination, which has not been done yet.",
        escape(name)
    );
    let picture = |wanted: Role| {
        chart.evidence.iter().find_map(|e| match &e.fact {
            Fact::Image { role, image } if *role == wanted => Some(image),
            _ => None,
        })
    };
    match (picture(Role::Current), picture(Role::Prior)) {
        (Some(current), Some(prior)) => {
            let day = prior.date.as_ref().map_or("date not stated", |d| d.day());
            let _ = writeln!(detail, "\nCompared with the film of {day}.");
            if current.view != prior.view {
                let views = [&current.view, &prior.view].map(|v| v.as_deref().unwrap_or("not stated"));
                let _ = writeln!(
                    detail,
                    "The views differ ({} now, {} before), which changes how sizes look.",
                    escape(views[0]),
                    escape(views[1])
                );
            }
        }
        (Some(_), None) => {
            let _ = writeln!(detail, "\nNo earlier film was compared.");
        }
        _ => {}
    }
}

fn findings(detail: &mut String, assessment: &Assessment) {
    for section in &assessment.sections {
        let _ = writeln!(detail, "\n**{}**\n", section.title);
        for statement in &section.statements {
            let ids: Vec<String> = statement.evidence.iter().map(EvidenceId::to_string).collect();
            let _ = writeln!(detail, "- {} ({})", escape(&statement.text), ids.join(", "));
        }
        if section.statements.is_empty() {
            let _ = writeln!(
                detail,
                "- The model stated no finding. It looks for five kinds only; that is not a normal report."
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
        for gap in failed.iter().take(MAX_LINES) {
            let _ = writeln!(detail, "- {}: {}", escape(&gap.what), escape(&gap.why));
        }
        if failed.len() > MAX_LINES {
            let _ = writeln!(detail, "- and {} more", failed.len() - MAX_LINES);
        }
    }
    let not_shown = assessment.ledger.not_shown.len();
    if not_shown > 0 {
        let _ = writeln!(
            detail,
            "\nNot shown to the model: {}, listed in the report.",
            counted(not_shown, "line of the chart", "lines of the chart")
        );
    }
}

fn cited(assessment: &Assessment) -> Vec<EvidenceId> {
    let statements = assessment.sections.iter().flat_map(|s| &s.statements).flat_map(|s| &s.evidence);
    let mut ids: Vec<EvidenceId> =
        statements.chain(assessment.abstained.iter().flat_map(|a| &a.evidence)).copied().collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

fn evidence_line(evidence: &Evidence) -> String {
    let day = evidence.date.as_ref().map_or(String::new(), |d| format!(", {}", d.day()));
    let text = match &evidence.fact {
        Fact::Image { role, image } => {
            let which = if *role == Role::Current { "current film" } else { "prior film" };
            format!("{which}, {} {}", image.modality, image.view.as_deref().unwrap_or("view not stated"))
        }
        Fact::Measurement(m) => {
            format!("{} {} {}", m.text, m.value, m.unit.as_deref().unwrap_or("")).trim_end().to_owned()
        }
        Fact::Note { text } | Fact::Medication { text, .. } | Fact::Problem { text, .. } => text.clone(),
        Fact::Allergy { text, .. } | Fact::Study { text, .. } | Fact::Report { text, .. } => text.clone(),
    };
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
        summary: cut(&plain(&summary), MAX_SUMMARY),
        detail: detail.trim().to_owned(),
        indicator,
        source: Source { label: service.source_label.clone(), topic: service.topic.clone() },
        links,
    }
}

/// The same call repeated gives the same card with the same uuid (cds-hooks R6).
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

/// One line without control characters.
fn plain(text: &str) -> String {
    text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Cut at a word boundary to at most `max` UTF-16 units, never inside a character.
fn cut(text: &str, max: usize) -> String {
    if text.encode_utf16().count() <= max {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut units = 0;
    for word in text.split_inclusive(' ') {
        let more = word.encode_utf16().count();
        if units + more > max - 1 {
            break;
        }
        units += more;
        kept.push_str(word);
    }
    if kept.is_empty() {
        let mut units = 0;
        kept = text
            .chars()
            .take_while(|c| {
                units += c.len_utf16();
                units < max
            })
            .collect();
    }
    format!("{}…", kept.trim_end_matches([' ', ';', ',']))
}

/// Text of a model or a chart as Markdown that shows exactly that text: no link, image, HTML or emphasis survives.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let text = plain(text);
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '|' | '~' | '!' | '@' | '$' => {
                out.push('\\');
                out.push(c);
            }
            // GitHub's Markdown makes links of bare addresses; a broken one stays text.
            ':' if text[at..].starts_with("://") => out.push_str("&#58;"),
            '.' if before.eq_ignore_ascii_case(&'w') => out.push_str("&#46;"),
            _ => out.push(c),
        }
        before = c;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn model_text_is_data() {
        for (text, never) in [
            ("[click](https://evil.example)", "[click]("),
            ("<img src=x onerror=alert(1)>", "<img"),
            ("see https://evil.example now", "://"),
            ("www.evil.example", "www.evil"),
            ("mail me@evil.example", " me@"),
            ("`code` **bold**", "**bold"),
            ("a\n\n# heading", "\n"),
            ("&lt;b&gt;", "&lt;b"),
        ] {
            assert!(!escape(text).contains(never), "{text} became {}", escape(text));
        }
        assert_eq!(escape("temperature 38.3 C, 5×10⁹/L"), "temperature 38.3 C, 5×10⁹/L");
    }

    #[test]
    fn a_summary_stays_under_140_characters_in_every_way_of_counting() {
        let long = "effusion 🫁 ".repeat(60);
        let kept = cut(&plain(&long), MAX_SUMMARY);
        assert!(kept.encode_utf16().count() <= 139 && kept.ends_with('…'), "{kept}");
        let word = cut(&"𝒳".repeat(200), MAX_SUMMARY);
        assert!(word.encode_utf16().count() <= 139, "{}", word.encode_utf16().count());
        assert_eq!(cut("short", MAX_SUMMARY), "short");
    }

    #[test]
    fn the_same_call_gets_the_same_uuid() {
        assert_eq!(uuid_of("a", "seed"), uuid_of("a", "seed"));
        assert_ne!(uuid_of("a", "seed"), uuid_of("b", "seed"));
    }
}
