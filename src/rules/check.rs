//! Applies the rules to the orders of one request. Pure; what a rule finds never depends on another rule.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::{Deserialize, Serialize};

use super::{
    Cited, Condition, DraftOrders, LoadedRule, Order, Rules, TermPair,
    allergy::{self, Allergy},
    drafts::Kind,
    duplicate,
    terms::{Found, MatchedBy, TermId, TermKind, Terms},
};
use crate::{
    chart::{Chart, Evidence, EvidenceId, Fact, Gap},
    fhir::Date,
    service::{Check, PrefetchTemplate, Service},
};

/// Alerts of one rule about one order that are listed, and evidence that one sentence names; more are counted.
const MOST_ALERTS: usize = 20;
const MOST_NAMED: usize = 5;

/// How close what is ordered is to what the patient is allergic to, closest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Relation {
    SameSubstance,
    SameClass,
    CrossReactive,
}

/// One thing a rule says of one order.
#[derive(Clone, Debug)]
pub struct Alert<'a> {
    pub check: Check,
    pub rule: &'a Cited,
    pub order: &'a Order,
    /// The term the order was recognised as, and by what.
    pub ordered: &'a str,
    pub ordered_by: MatchedBy,
    pub against: Against<'a>,
}

/// What speaks against an order.
#[derive(Clone, Debug)]
pub enum Against<'a> {
    Allergy {
        evidence: EvidenceId,
        allergen: &'a str,
        known_by: MatchedBy,
        relation: Relation,
        grave: bool,
    },
    Done(EvidenceId),
    Ordered(EvidenceId),
    /// Another draft order of the same request, by its number.
    Draft(usize),
}

/// What came of the checks.
#[derive(Clone, Debug, Default)]
pub struct Checked<'a> {
    /// Most telling first.
    pub alerts: Vec<Alert<'a>>,
    pub not_evaluated: Vec<Gap>,
    /// What was left out by intention: told beside something else, and no reason for a card of its own.
    pub left_out: Vec<Gap>,
}

impl Against<'_> {
    /// The same; in doubt it is no danger.
    pub(super) fn unless(mut self, in_doubt: bool) -> Self {
        if let Against::Allergy { grave, .. } = &mut self {
            *grave &= !in_doubt;
        }
        self
    }
}

impl<'a> Checked<'a> {
    /// Adds what one rule says of one order, grave things first; beyond a number it is counted.
    // INVARIANT: many_orders_are_bounded_and_what_is_left_out_is_told
    pub(super) fn extend(&mut self, order: &Order, mut alerts: Vec<Alert<'a>>) {
        if alerts.len() > MOST_ALERTS {
            alerts.sort_by_key(|alert| !alert.is_grave());
            let beyond = alerts.split_off(MOST_ALERTS);
            let why = format!("{} more of what rule {} found are not listed", beyond.len(), beyond[0].rule.id);
            self.not_evaluated.push(order.gap(why));
        }
        self.alerts.extend(alerts);
    }
}

impl Alert<'_> {
    /// Whether the record itself calls it a danger.
    pub fn is_grave(&self) -> bool {
        matches!(self.against, Against::Allergy { grave: true, .. })
    }
}

/// What the rules are applied to.
pub(super) struct Input<'a> {
    pub rules: &'a Rules,
    pub chart: &'a Chart,
    pub now: &'a Date,
    /// Every order with the terms it names.
    pub orders: Vec<(&'a Order, Found)>,
    pub allergies: Vec<Allergy<'a>>,
    pub records: Vec<Record<'a>>,
    /// Whether there is still somebody to answer.
    pub in_time: &'a dyn Fn() -> bool,
}

impl<'a> Input<'a> {
    /// The orders to be checked, beside those that others are only checked against. None any more once it is too late.
    // INVARIANT: a_passed_deadline_ends_the_checks
    pub fn checked(&self) -> impl Iterator<Item = (&'a Order, &Found)> {
        let checked = self.orders.iter().filter(|(order, _)| order.checked);
        checked.take_while(|_| (self.in_time)()).map(|(order, terms)| (*order, terms))
    }
}

/// A study or an open order of the chart with the examinations it names.
pub(super) struct Record<'a> {
    pub evidence: &'a Evidence,
    pub terms: Found,
    /// It says more than a name does and was compared with nothing.
    pub unread: bool,
}

/// The service with only those keys that the checks of these orders need.
pub fn needed(rules: &Rules, service: &Service, drafts: &DraftOrders) -> Service {
    let orders = || drafts.orders.iter().filter(|order| order.checked);
    let imaging = orders().any(|order| duplicate::may_be_imaging(rules, order));
    let concerned = orders().any(|order| allergy::concerns(rules, order, &ordered(rules, order)));
    let has = |check| service.checks.contains(&check);
    let wanted = |template: &&PrefetchTemplate| match template.query.split(['?', '/']).next() {
        Some("AllergyIntolerance") => has(Check::Allergy) && concerned,
        _ => has(Check::DuplicateImaging) && imaging,
    };
    Service { prefetch: service.prefetch.iter().filter(wanted).cloned().collect(), ..service.clone() }
}

/// Checks the orders against the chart and against each other, for as long as `in_time` says so: what is left then is told.
pub fn check<'a>(
    rules: &'a Rules,
    checks: &[Check],
    drafts: &'a DraftOrders,
    chart: &'a Chart,
    now: &'a Date,
    in_time: &'a dyn Fn() -> bool,
) -> Checked<'a> {
    let record = |evidence: &'a Evidence| {
        let of_examination = matches!(evidence.fact, Fact::Study { .. } | Fact::Order { .. });
        let named = chart.named.get(&evidence.reference).filter(|_| of_examination)?;
        Some(Record { evidence, terms: rules.terms.named(named), unread: named.is_too_long() })
    };
    let input = Input {
        rules,
        chart,
        now,
        orders: drafts.orders.iter().take_while(|_| in_time()).map(|order| (order, ordered(rules, order))).collect(),
        allergies: allergy::allergies(rules, chart),
        records: chart.evidence.iter().take_while(|_| in_time()).filter_map(record).collect(),
        in_time,
    };
    let mut checked = Checked { not_evaluated: drafts.not_evaluated.clone(), ..Checked::default() };
    checked.not_evaluated.extend(chart.gaps.iter().cloned());
    let chosen = rules.rules.iter().filter(|rule| checks.contains(&rule.when.check()));
    // INVARIANT: a_fault_of_one_rule_hides_no_finding_of_another
    each(chosen.map(|rule| (rule.cited.id.as_str(), rule)), &mut checked, |rule| apply(&input, rule));
    if checks.contains(&Check::Allergy) {
        allergy::unknown(&input, &mut checked);
        beside(&input, &mut checked);
    }
    closest(&mut checked.alerts);
    if !in_time() {
        let why = "the time for an answer ended before all of them were checked".into();
        checked.not_evaluated.push(Gap { what: "draftOrders".into(), why });
    }
    checked
}

fn apply<'a>(input: &Input<'a>, rule: &'a LoadedRule) -> Checked<'a> {
    match &rule.when {
        Condition::SameSubstance => allergy::same(input, &rule.cited),
        Condition::Allergy { pair, relation, unclear } => allergy::pair(input, &rule.cited, pair, *relation, unclear),
        Condition::DuplicateImaging { imaging, examinations, elsewhere } => {
            duplicate::duplicates(input, &rule.cited, *imaging, examinations, elsewhere)
        }
    }
}

/// What an order is compared by.
// INVARIANT: the_name_of_a_medicine_is_no_examination_and_words_of_contrast_are_no_order_for_it
fn ordered(rules: &Rules, order: &Order) -> Found {
    let terms = &rules.terms;
    let mut found = terms.named(&order.named);
    if matches!(order.kind, Kind::Medicine) {
        return keep(terms, found, |kind| kind != TermKind::Examination);
    }
    // That something is imaging says nothing of what is given with it.
    found.retain(|id, _| !duplicate::imaging(rules).any(|imaging| imaging == *id));
    let is_examination = |id: &TermId| terms.kind(*id) == TermKind::Examination;
    let examines = found.keys().any(is_examination);
    let names = |pair: &TermPair, id: TermId| pair.ordered.iter().any(|of| terms.is_within(id, *of));
    // INVARIANT: an_examination_hides_nothing_that_is_given_with_it
    found.retain(|id, how| match terms.kind(*id) {
        TermKind::Examination => true,
        // INVARIANT: a_service_that_gives_nothing_orders_no_substance
        _ if !examines && order.may_give_nothing() && *how == MatchedBy::Words => false,
        TermKind::Substance => true,
        // What an examination says of contrast is judged by what the examination is, and `PCN` is given only where it says so.
        TermKind::Class if examines && *how == MatchedBy::Words => {
            let mut pairs = allergy::pairs(rules).filter(|pair| names(pair, *id)).peekable();
            order.says_given() && pairs.peek().is_some() && !pairs.any(|pair| pair.ordered.iter().any(is_examination))
        }
        // A class that no rule looks for in orders makes nothing known.
        TermKind::Class => allergy::pairs(rules).any(|pair| names(pair, *id)),
    });
    found
}

/// Whether it says that something is given beside an examination, and no rule knows what.
pub(super) fn gives_beside(rules: &Rules, order: &Order, terms: &Found) -> bool {
    let examines = !terms.is_empty() && terms.keys().all(|id| rules.terms.kind(*id) == TermKind::Examination);
    examines && matches!(order.kind, Kind::Service(_)) && order.says_given()
}

/// Tells of what is given beside an examination, where there are allergies that could have been compared with it.
fn beside(input: &Input, checked: &mut Checked) {
    let given = input.checked().filter(|(order, terms)| gives_beside(input.rules, order, terms));
    let why = "it says that something is given, and no rule knows what, so that was compared with no allergy";
    let gaps: Vec<Gap> = given.map(|(order, _)| order.gap(why)).collect();
    checked.not_evaluated.extend(gaps.into_iter().filter(|_| !input.allergies.is_empty()));
}

pub(super) fn keep(terms: &Terms, mut found: Found, kinds: impl Fn(TermKind) -> bool) -> Found {
    found.retain(|id, _| kinds(terms.kind(*id)));
    found
}

/// The first of some evidence, and how many there are beyond.
pub(super) fn listed(ids: &[EvidenceId]) -> String {
    let first: Vec<String> = ids.iter().take(MOST_NAMED).map(EvidenceId::to_string).collect();
    match ids.len().saturating_sub(MOST_NAMED) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

/// Applies each rule by itself; one that fails is told as not evaluated.
pub(super) fn each<'a, R>(
    rules: impl Iterator<Item = (impl ToString, R)>,
    checked: &mut Checked<'a>,
    apply: impl Fn(R) -> Checked<'a>,
) {
    for (id, rule) in rules {
        match catch_unwind(AssertUnwindSafe(|| apply(rule))) {
            Ok(found) => {
                checked.alerts.extend(found.alerts);
                checked.not_evaluated.extend(found.not_evaluated);
                checked.left_out.extend(found.left_out);
            }
            Err(_) => {
                tracing::error!(rule = id.to_string(), "a rule failed");
                let why = "the rule failed, so nothing was checked by it".into();
                checked.not_evaluated.push(Gap { what: format!("rule {}", id.to_string()), why });
            }
        }
    }
}

/// Of several alerts about one order and one allergy the closest is left; grave ones come first, then by order.
fn closest(alerts: &mut Vec<Alert>) {
    let key = |alert: &Alert| match alert.against {
        Against::Allergy { evidence, relation, .. } => (0, evidence.0, relation as usize),
        Against::Done(evidence) => (1, evidence.0, 0),
        Against::Ordered(evidence) => (2, evidence.0, 0),
        Against::Draft(number) => (3, u32::try_from(number).unwrap_or(u32::MAX), 0),
    };
    alerts.sort_by(|a, b| (a.order.number, key(a), &a.rule.id).cmp(&(b.order.number, key(b), &b.rule.id)));
    let same = |alert: &Alert| (alert.order.number, key(alert).0, key(alert).1);
    alerts.dedup_by(|later, earlier| same(later) == same(earlier));
    alerts.sort_by_key(|alert| (!alert.is_grave(), alert.check));
}
