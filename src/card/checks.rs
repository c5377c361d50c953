//! Cards of order checks: what a rule found, with the rule and its source; and what could not be evaluated.

use std::{collections::BTreeMap, fmt::Write};

use uuid::Uuid;

use super::{
    Said, capital,
    markdown::{cut, escape, unlinked},
    short, uuid_of,
    words::{self, Words},
};
use crate::{
    cds_hooks::{Action, ActionType, Card, Indicator, SelectionBehavior, Suggestion},
    chart::{Chart, Evidence, EvidenceId, Fact, Gap},
    fhir::Coding,
    grounding::{self, described},
    rules::{Against, Alert, Checked, Cited, MatchedBy, Relation},
    service::{Check, Service},
    task::Language,
};

/// Cards of one check; what is found beyond stands together on the last of them.
const MAX_CARDS: usize = 8;
const MAX_LABEL: usize = 100;
/// Alerts, evidence, rules and gaps printed on one card; more than these are counted.
const MAX_LINES: usize = 40;

/// What is shown of the checks of one call: a card for each order that something speaks against, and where nothing does but
/// something was not evaluated, one card that says so. `suggestions`: the client can remove an order.
pub fn checks(
    service: &Service,
    chart: &Chart,
    checked: &Checked,
    language: Language,
    suggestions: bool,
    hook_instance: Uuid,
) -> Vec<Card> {
    let writer = Writer {
        service,
        chart,
        checked,
        language,
        all: Words::of(language),
        words: &Words::of(language).checks,
        shared: grounding::Words::of(language),
        suggestions,
        hook_instance,
    };
    writer.cards()
}

struct Writer<'a> {
    service: &'a Service,
    chart: &'a Chart,
    checked: &'a Checked<'a>,
    language: Language,
    all: &'static Words,
    words: &'static words::Checks,
    shared: &'static grounding::Words,
    suggestions: bool,
    hook_instance: Uuid,
}

impl Writer<'_> {
    fn cards(&self) -> Vec<Card> {
        let mut cards = Vec::new();
        for check in [Check::Allergy, Check::DuplicateImaging] {
            let mut orders: Vec<Vec<&Alert>> = Vec::new();
            for alert in self.checked.alerts.iter().filter(|alert| alert.check == check) {
                match orders.iter_mut().find(|order| order[0].order.number == alert.order.number) {
                    Some(order) => order.push(alert),
                    None => orders.push(vec![alert]),
                }
            }
            let beyond = orders.split_off(orders.len().min(MAX_CARDS - usize::from(orders.len() > MAX_CARDS)));
            let last = Some(beyond.concat()).filter(|alerts| !alerts.is_empty());
            for alerts in orders.into_iter().chain(last) {
                cards.push(self.found(check, &alerts, cards.is_empty()));
            }
        }
        if cards.is_empty() && !self.checked.not_evaluated.is_empty() {
            cards.push(self.only_gaps());
        }
        cards
    }

    fn found(&self, check: Check, alerts: &[&Alert], is_first: bool) -> Card {
        let mut detail = format!("{}\n\n", self.words.by_rule);
        detail.extend(alerts.iter().take(MAX_LINES).map(|alert| format!("- {}\n", self.sentence(alert))));
        self.more(&mut detail, alerts.len());
        let mut cited: Vec<EvidenceId> = alerts.iter().filter_map(|alert| evidence_of(&alert.against)).collect();
        cited.sort_unstable();
        cited.dedup();
        if !cited.is_empty() {
            let _ = writeln!(detail, "\n**{}**\n", self.all.evidence);
            for evidence in cited.iter().take(MAX_LINES).filter_map(|id| self.chart.evidence(*id)) {
                let day = evidence.date.as_ref().map_or(String::new(), |date| format!(", {}", date.day()));
                let (_, text) = described(&evidence.fact, self.language);
                let reference = escape(&short(&evidence.reference));
                let _ = writeln!(detail, "- {}: {}{day} ({reference})", evidence.id, escape(&text));
            }
            self.more(&mut detail, cited.len());
        }
        let rules: BTreeMap<&str, &Cited> = alerts.iter().map(|f| (f.rule.id.as_str(), f.rule)).collect();
        let _ = writeln!(detail, "\n**{}**\n", self.words.rule);
        for Cited { id, version, title, source, review, .. } in rules.into_values() {
            // The address of a rule's source is our own and stands as text: what is code is made no link.
            let [title, citation, licence, review] =
                [title, &source.citation, &source.licence, review].map(|text| escape(text));
            let _ = writeln!(detail, "- {id} {version}: {title}. {citation} `{}` ({licence}). {review}", source.url);
        }
        self.ledger(&mut detail, is_first);
        self.language(&mut detail);
        let seed = self.seed(&detail);
        let suggestions = self.removals(alerts, &seed);
        let said = self.said(self.summary(check, alerts), detail, indicator(alerts));
        let card = about(super::card(self.service, said, &seed), check, alerts[0].rule);
        Card {
            override_reasons: self.service.override_reasons.clone(),
            selection_behavior: (!suggestions.is_empty()).then_some(SelectionBehavior::Any),
            suggestions,
            ..card
        }
    }

    fn only_gaps(&self) -> Card {
        let mut detail = format!("{}\n", self.words.nothing_found);
        self.ledger(&mut detail, true);
        self.language(&mut detail);
        // What the orders could not be compared with is what the reader has to know first.
        let is_list = |gap: &&Gap| self.service.prefetch.iter().any(|template| template.key == gap.what);
        let (summary, indicator) = match self.chart.gaps.iter().find(is_list) {
            Some(Gap { what, why }) => ((self.words.not_compared)(what, why), Indicator::Warning),
            None => ((self.words.only_gaps)(self.checked.not_evaluated.len()), Indicator::Info),
        };
        let seed = self.seed(&detail);
        super::card(self.service, self.said(summary, detail, indicator), &seed)
    }

    fn seed(&self, detail: &str) -> String {
        format!("{}\n{detail}", self.hook_instance)
    }

    fn said(&self, summary: String, detail: String, indicator: Indicator) -> Said {
        Said { summary, detail, indicator, links: Vec::new(), language: self.language }
    }

    /// One for each order that can be named.
    fn removals(&self, alerts: &[&Alert], seed: &str) -> Vec<Suggestion> {
        if !self.suggestions {
            return Vec::new();
        }
        let named = |alert: &&Alert| Some((alert.order.reference.clone()?, alert.order.text.clone()));
        let mut removable: Vec<(String, String)> = alerts.iter().filter_map(named).collect();
        removable.dedup();
        let suggestion = |(reference, text): (String, String)| {
            let label = cut(&unlinked(&(self.words.remove)(&text)), MAX_LABEL);
            let uuid = uuid_of(&self.service.id, self.language, &format!("{seed}\n{reference}"));
            let action = Action { kind: ActionType::Delete, description: label.clone(), resource_id: reference };
            Suggestion { uuid, label, actions: vec![action] }
        };
        removable.into_iter().take(MAX_LINES).map(suggestion).collect()
    }

    /// In full on the first card, and named on every other.
    fn ledger(&self, detail: &mut String, is_first: bool) {
        let Checked { not_evaluated, left_out, .. } = self.checked;
        if !is_first {
            if !not_evaluated.is_empty() {
                let _ = writeln!(detail, "\n{}", (self.words.on_the_first)(not_evaluated.len()));
            }
            return;
        }
        for (title, gaps) in [(self.words.not_evaluated, not_evaluated), (self.words.left_out, left_out)] {
            if gaps.is_empty() {
                continue;
            }
            let _ = writeln!(detail, "\n**{title}: {}**\n", gaps.len());
            for Gap { what, why } in gaps.iter().take(MAX_LINES) {
                let _ = writeln!(detail, "- {}: {}", escape(what), escape(why));
            }
            self.more(detail, gaps.len());
        }
    }

    fn more(&self, detail: &mut String, all: usize) {
        if all > MAX_LINES {
            let _ = writeln!(detail, "- {}", (self.all.more)(all - MAX_LINES));
        }
    }

    fn language(&self, detail: &mut String) {
        if !self.words.language.is_empty() {
            let _ = writeln!(detail, "\n{}", self.words.language);
        }
    }

    fn evidence(&self, against: &Against) -> Option<&Evidence> {
        evidence_of(against).and_then(|id| self.chart.evidence(id))
    }

    fn summary(&self, check: Check, alerts: &[&Alert]) -> String {
        let words = self.words;
        let first = alerts[0];
        let others = alerts.iter().any(|alert| alert.order.number != first.order.number);
        let others = if others { words.other_orders } else { "" };
        let (order, evidence) = (first.order.text.as_str(), self.evidence(&first.against));
        match check {
            Check::Allergy => {
                let danger = if first.is_grave() { words.dangerous } else { "" };
                (words.allergy_found)([order, others, allergen(evidence), danger])
            }
            Check::DuplicateImaging => {
                let against = match &first.against {
                    Against::Draft(number) => (words.same_draft)(*number),
                    Against::Ordered(_) => (words.same_open)(day(evidence)),
                    Against::Done(_) | Against::Allergy { .. } => (words.same_done)(day(evidence)),
                };
                (words.duplicate_found)([order, others, &against])
            }
        }
    }

    /// What speaks against an order, as the record has it.
    fn sentence(&self, alert: &Alert) -> String {
        let words = self.words;
        let Alert { rule, order, ordered, ordered_by, against, .. } = alert;
        let mut text =
            (words.order)(order.number, [&escape(&order.text), &escape(ordered), self.recognised(*ordered_by)]);
        let evidence = self.evidence(against);
        text.push_str(&match against {
            Against::Allergy { evidence: id, allergen: term, known_by, relation, .. } => {
                let relation = match relation {
                    Relation::SameSubstance => words.same_substance,
                    Relation::SameClass => words.same_class,
                    Relation::CrossReactive => words.cross_reactive,
                };
                let (named, term, how) = (escape(allergen(evidence)), escape(term), self.recognised(*known_by));
                let recorded = self.recorded(evidence);
                format!("{} {recorded}", (words.allergy)([&named, &id.to_string(), &term, how, relation]))
            }
            Against::Done(id) => (words.done)(day(evidence), &id.to_string()),
            Against::Ordered(id) => (words.open)(day(evidence), &id.to_string()),
            Against::Draft(number) => (words.draft)(*number),
        });
        let _ = write!(text, " {} {}", escape(&rule.explanation), (words.rule_of)(&rule.id, &rule.version));
        text
    }

    /// How grave the record calls an allergy; what it does not say is said to be missing.
    fn recorded(&self, evidence: Option<&Evidence>) -> String {
        let Some(Fact::Allergy { criticality, reactions, unconfirmed, .. }) = evidence.map(|evidence| &evidence.fact)
        else {
            return String::new();
        };
        let criticality = criticality.as_deref().unwrap_or(self.all.not_stated);
        let reactions = match reactions.is_empty() {
            true => self.words.no_reaction.to_owned(),
            false => escape(&reactions.join(", ")),
        };
        let recorded = (self.words.recorded)(&escape(self.shared.coded(criticality)), &reactions);
        match unconfirmed {
            Some(how) => format!("{recorded} {}.", capital(&escape(self.shared.coded(how)))),
            None => recorded,
        }
    }

    fn recognised(&self, how: MatchedBy) -> &'static str {
        let [by_code, by_words, by_class] = self.words.recognised;
        match how {
            MatchedBy::Code => by_code,
            MatchedBy::Words => by_words,
            MatchedBy::CodeOfClass => by_class,
        }
    }
}

/// Each rule has a topic of its own: who overrides one piece of advice silences no other, such as a graver one.
// INVARIANT: an_override_of_one_rule_leaves_every_other
fn about(mut card: Card, check: Check, rule: &Cited) -> Card {
    let (code, display) = match check {
        Check::Allergy => ("allergy", "Allergy against an order"),
        Check::DuplicateImaging => ("duplicateimaging", "Duplicate imaging"),
    };
    let Coding { system, code: service, .. } = &card.source.topic;
    let rule: String = rule.id.chars().filter(char::is_ascii_alphanumeric).collect();
    let code = format!("{service}{code}{rule}");
    let topic = Coding { system: system.clone(), code, display: Some(display.into()) };
    card.source.topic = topic;
    card
}

/// A danger that the record itself states, a warning, or for information.
fn indicator(alerts: &[&Alert]) -> Indicator {
    // INVARIANT: only_a_recorded_danger_is_critical
    let of = |alert: &&Alert| match alert.against {
        _ if alert.is_grave() => 2,
        Against::Allergy { .. } => 1,
        Against::Done(_) | Against::Ordered(_) | Against::Draft(_) => 0,
    };
    match alerts.iter().map(of).max() {
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

fn allergen(evidence: Option<&Evidence>) -> &str {
    match evidence.map(|evidence| &evidence.fact) {
        Some(Fact::Allergy { text, .. }) => text,
        _ => "",
    }
}

fn day(evidence: Option<&Evidence>) -> &str {
    evidence.and_then(|evidence| evidence.date.as_ref()).map_or("", |date| date.day())
}
