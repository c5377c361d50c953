//! Cards of order checks: what a rule found, with the rule and its source; and what could not be evaluated.

use std::{collections::BTreeMap, fmt::Write};

use uuid::Uuid;

use super::{
    MAX_LINES, capital, counted, evidence_line,
    markdown::{cut, escape, unlinked},
    uuid_of,
};
use crate::{
    cds_hooks::{Action, ActionType, Card, Indicator, SelectionBehavior, Suggestion},
    chart::{Chart, Evidence, EvidenceId, Fact, Gap},
    fhir::Coding,
    rules::{Against, Checked, Cited, Finding, How, Relation},
    service::{Check, Service},
};

/// Cards of one check; what is found beyond stands together on the last of them.
const MAX_CARDS: usize = 8;
const MAX_LABEL: usize = 100;

/// What is shown of the checks of one call: a card for each order that something speaks against, and where nothing does but
/// something was not evaluated, one card that says so. `suggestions`: the client can remove an order.
pub fn checks(
    service: &Service,
    chart: &Chart,
    checked: &Checked,
    suggestions: bool,
    hook_instance: Uuid,
) -> Vec<Card> {
    let mut cards = Vec::new();
    for check in [Check::Allergy, Check::DuplicateImaging] {
        let mut orders: Vec<Vec<&Finding>> = Vec::new();
        for finding in checked.findings.iter().filter(|finding| finding.check == check) {
            match orders.iter_mut().find(|order| order[0].order.number == finding.order.number) {
                Some(order) => order.push(finding),
                None => orders.push(vec![finding]),
            }
        }
        let beyond = orders.split_off(orders.len().min(MAX_CARDS - usize::from(orders.len() > MAX_CARDS)));
        let last = Some(beyond.concat()).filter(|findings| !findings.is_empty());
        for findings in orders.into_iter().chain(last) {
            let ledger = ledger(checked, cards.is_empty());
            cards.push(found(service, chart, check, &findings, &ledger, suggestions, hook_instance));
        }
    }
    if cards.is_empty() && !checked.not_evaluated.is_empty() {
        cards.push(not_evaluated(service, checked, hook_instance));
    }
    cards
}

fn found(
    service: &Service,
    chart: &Chart,
    check: Check,
    findings: &[&Finding],
    ledger: &str,
    suggestions: bool,
    hook_instance: Uuid,
) -> Card {
    let mut detail = String::from("Found by a rule, not by AI: no model was asked.\n\n");
    let line = |finding: &&Finding| format!("- {}\n", sentence(finding, chart));
    detail.extend(findings.iter().take(MAX_LINES).map(line));
    if findings.len() > MAX_LINES {
        let _ = writeln!(detail, "- and {} more", findings.len() - MAX_LINES);
    }
    let mut cited: Vec<EvidenceId> = findings.iter().filter_map(|finding| evidence_of(&finding.against)).collect();
    cited.sort_unstable();
    cited.dedup();
    if !cited.is_empty() {
        let _ = writeln!(detail, "\n**Evidence**\n");
        for evidence in cited.iter().take(MAX_LINES).filter_map(|id| chart.evidence(*id)) {
            let _ = writeln!(detail, "- {}: {}", evidence.id, evidence_line(evidence));
        }
    }
    let rules: BTreeMap<&str, &Cited> = findings.iter().map(|f| (f.rule.id.as_str(), &f.rule)).collect();
    let _ = writeln!(detail, "\n**Rule**\n");
    for Cited { id, version, title, source, .. } in rules.into_values() {
        // The address of a rule's source is our own and stands as text: what is code is made no link.
        let (title, citation, licence) = (escape(title), escape(&source.citation), escape(&source.licence));
        let _ = writeln!(detail, "- {id} {version}: {title}. {citation} `{}` ({licence})", source.url);
    }
    detail.push_str(ledger);
    let seed = format!("{hook_instance}\n{}\n{detail}", service.id);
    let mut removable: Vec<(&str, &str)> =
        findings.iter().filter_map(|f| Some((f.order.reference.as_deref()?, f.order.text.as_str()))).collect();
    removable.dedup();
    let suggestion = |(reference, text): (&str, &str)| {
        let label = cut(&unlinked(&format!("Remove the order: {text}")), MAX_LABEL);
        Suggestion {
            uuid: uuid_of(&service.id, &format!("{seed}\n{reference}")),
            actions: vec![Action {
                kind: ActionType::Delete,
                description: label.clone(),
                resource_id: reference.to_owned(),
            }],
            label,
        }
    };
    let suggestions: Vec<Suggestion> = match suggestions {
        true => removable.into_iter().take(MAX_LINES).map(suggestion).collect(),
        false => Vec::new(),
    };
    let card = super::card(service, summary(check, findings, chart), detail, indicator(findings), Vec::new(), &seed);
    let mut card = Card { override_reasons: service.override_reasons.clone(), ..about(card, check) };
    card.selection_behavior = (!suggestions.is_empty()).then_some(SelectionBehavior::Any);
    card.suggestions = suggestions;
    card
}

/// The topic of one check is another than that of the next, so that an override of one leaves the other.
fn about(mut card: Card, check: Check) -> Card {
    let (code, display) = match check {
        Check::Allergy => ("allergy", "Allergy against an order"),
        Check::DuplicateImaging => ("duplicateimaging", "Duplicate imaging"),
    };
    let Coding { system, code: service, .. } = &card.source.topic;
    let topic = Coding { system: system.clone(), code: format!("{service}{code}"), display: Some(display.into()) };
    card.source.topic = topic;
    card
}

fn not_evaluated(service: &Service, checked: &Checked, hook_instance: Uuid) -> Card {
    let number = checked.not_evaluated.len();
    let mut detail = String::from(
        "Checked by rules, not by AI. The rules found nothing in what they could check; that says nothing of what follows.\n",
    );
    detail.push_str(&ledger(checked, true));
    let summary = format!("Order checks: {} not evaluated", counted(number, "thing was", "things were"));
    let seed = format!("{hook_instance}\n{}\n{detail}", service.id);
    super::card(service, summary, detail, Indicator::Info, Vec::new(), &seed)
}

/// In full on the first card, and named on every other.
fn ledger(checked: &Checked, in_full: bool) -> String {
    let mut text = String::new();
    let number = checked.not_evaluated.len();
    if !in_full {
        if number > 0 {
            let _ = writeln!(text, "\nNot evaluated: {number}, listed on the first card.");
        }
        return text;
    }
    let mut list = |title: &str, gaps: &[Gap]| {
        if gaps.is_empty() {
            return;
        }
        let _ = writeln!(text, "\n**{title}: {}**\n", gaps.len());
        for Gap { what, why } in gaps.iter().take(MAX_LINES) {
            let _ = writeln!(text, "- {}: {}", escape(what), escape(why));
        }
        if gaps.len() > MAX_LINES {
            let _ = writeln!(text, "- and {} more", gaps.len() - MAX_LINES);
        }
    };
    list("Not evaluated", &checked.not_evaluated);
    list("Left out", &checked.left_out);
    text
}

/// A danger that the record itself states, a warning, or for information.
fn indicator(findings: &[&Finding]) -> Indicator {
    // INVARIANT: only_a_recorded_danger_is_critical
    let of = |finding: &&Finding| match finding.against {
        Against::Allergy { grave: true, .. } => 2,
        Against::Allergy { .. } => 1,
        Against::Done(_) | Against::Ordered(_) | Against::Draft(_) => 0,
    };
    match findings.iter().map(of).max() {
        Some(2) => Indicator::Critical,
        Some(1) => Indicator::Warning,
        _ => Indicator::Info,
    }
}

fn evidence_of(against: &Against) -> Option<EvidenceId> {
    match against {
        Against::Allergy { evidence, .. } | Against::Done(evidence) | Against::Ordered(evidence) => Some(*evidence),
        Against::Draft(_) => None,
    }
}

fn summary(check: Check, findings: &[&Finding], chart: &Chart) -> String {
    let first = findings[0];
    let orders = findings.iter().filter(|finding| finding.order.number != first.order.number).count();
    let order = &first.order.text;
    let evidence = evidence_of(&first.against).and_then(|id| chart.evidence(id));
    let more = if orders > 0 { " (and other orders)" } else { "" };
    match check {
        Check::Allergy => {
            let grave = matches!(first.against, Against::Allergy { grave: true, .. });
            let grave = if grave { ", recorded as dangerous" } else { "" };
            format!("Allergy: {order} is ordered{more}; on record: allergy to {}{grave}", allergen(evidence))
        }
        Check::DuplicateImaging => {
            let against = match &first.against {
                Against::Draft(number) => format!("draft order {number} is of the same kind"),
                Against::Ordered(_) => format!("an open order is of the same kind{}", day(evidence)),
                Against::Done(_) | Against::Allergy { .. } => format!("one of the same kind was done{}", day(evidence)),
            };
            format!("Possible duplicate: {order}{more}; {against}")
        }
    }
}

fn allergen(evidence: Option<&Evidence>) -> &str {
    match evidence.map(|evidence| &evidence.fact) {
        Some(Fact::Allergy { text, .. }) => text,
        _ => "what is ordered",
    }
}

fn day(evidence: Option<&Evidence>) -> String {
    evidence.and_then(|e| e.date.as_ref()).map_or(String::new(), |date| format!(" on {}", date.day()))
}

/// What speaks against an order, as the record has it.
fn sentence(finding: &Finding, chart: &Chart) -> String {
    let Finding { rule, order, ordered, ordered_by, against, .. } = finding;
    let mut text = format!("Draft order {}, {}", order.number, escape(&order.text));
    let _ = write!(text, " (recognised as {} by {})", escape(ordered), by(*ordered_by));
    let evidence = evidence_of(against).and_then(|id| chart.evidence(id));
    let day = day(evidence);
    let _ = match against {
        Against::Allergy { evidence: id, allergen: term, known_by, relation, .. } => {
            let relation = match relation {
                Relation::SameSubstance => "the same substance",
                Relation::SameClass => "the same class",
                Relation::CrossReactive => "cross-reactions are described",
            };
            let named = escape(allergen(evidence));
            let (term, by) = (escape(term), by(*known_by));
            write!(text, ": an allergy to {named} is recorded ({id}; recognised as {term} by {by}), {relation}.")
                .and_then(|()| write!(text, " {}", recorded(evidence)))
        }
        Against::Done(id) => write!(text, ": an examination of the same kind was done{day} ({id})."),
        Against::Ordered(id) => write!(text, ": an order of the same kind is open{day} ({id})."),
        Against::Draft(number) => write!(text, ": draft order {number} is of the same kind."),
    };
    let _ = write!(text, " {} (rule {} {})", escape(&rule.explanation), rule.id, rule.version);
    text
}

/// How grave the record calls an allergy; what it does not say is said to be missing.
fn recorded(evidence: Option<&Evidence>) -> String {
    let Some(Fact::Allergy { criticality, reactions, unconfirmed, .. }) = evidence.map(|evidence| &evidence.fact)
    else {
        return String::new();
    };
    let criticality = criticality.as_deref().map_or("not stated".into(), escape);
    let reactions = if reactions.is_empty() { "not recorded".into() } else { escape(&reactions.join(", ")) };
    let unconfirmed = unconfirmed.as_deref().map_or(String::new(), |how| format!(" {}.", capital(&escape(how))));
    format!("Criticality: {criticality}. Reaction: {reactions}.{unconfirmed}")
}

fn by(how: How) -> &'static str {
    match how {
        How::Code => "its code",
        How::Words => "its words",
    }
}
