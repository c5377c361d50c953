//! Applies the rules to the orders of one request. Pure; what a rule finds never depends on another rule.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::{Deserialize, Serialize};

use super::{
    Cited, Drafts, Looks, Order, Ready, Rules, allergy, duplicate,
    terms::{Found, How},
};
use crate::{
    chart::{Chart, Evidence, EvidenceId, Gap, Named},
    fhir::Date,
    service::{Check, PrefetchTemplate, Service},
};

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
pub struct Finding {
    pub check: Check,
    pub rule: Cited,
    pub order: Order,
    /// The term the order was recognised as, and by what.
    pub ordered: String,
    pub ordered_by: How,
    pub against: Against,
}

/// What speaks against an order.
#[derive(Clone, Debug)]
pub enum Against {
    Allergy {
        evidence: EvidenceId,
        allergen: String,
        known_by: How,
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
pub struct Checked {
    /// Most telling first.
    pub findings: Vec<Finding>,
    pub not_evaluated: Vec<Gap>,
    /// What was left out by intention: told beside something else, and no reason for a card of its own.
    pub left_out: Vec<Gap>,
}

/// What the rules are applied to.
pub(super) struct Scene<'a> {
    pub rules: &'a Rules,
    pub chart: &'a Chart,
    pub now: &'a Date,
    /// Every order with the terms it names.
    pub orders: Vec<(&'a Order, Found)>,
    pub records: Vec<Record<'a>>,
}

/// An allergy, a study or an open order of the chart with the terms it names.
pub(super) struct Record<'a> {
    pub evidence: &'a Evidence,
    pub named: &'a Named,
    pub terms: Found,
}

/// The service with only those keys that the checks of these orders need.
pub fn needed(rules: &Rules, service: &Service, drafts: &Drafts) -> Service {
    let orders = || drafts.orders.iter().filter(|order| order.checked);
    let imaging = orders().any(|order| duplicate::may_be_imaging(rules, order));
    let concerned = orders().any(|order| allergy::concerns(rules, order, &rules.terms.named(&order.named)));
    let has = |check| service.checks.contains(&check);
    let wanted = |template: &&PrefetchTemplate| match template.query.split(['?', '/']).next() {
        Some("AllergyIntolerance") => has(Check::Allergy) && concerned,
        _ => has(Check::DuplicateImaging) && imaging,
    };
    Service { prefetch: service.prefetch.iter().filter(wanted).cloned().collect(), ..service.clone() }
}

/// Checks the orders against the chart and against each other.
pub fn check<'a>(rules: &'a Rules, checks: &[Check], drafts: &'a Drafts, chart: &'a Chart, now: &'a Date) -> Checked {
    let orders = drafts.orders.iter().map(|order| (order, rules.terms.named(&order.named))).collect();
    let record = |evidence: &'a Evidence| {
        let named = chart.named.get(&evidence.reference)?;
        Some(Record { evidence, named, terms: rules.terms.named(named) })
    };
    let records = chart.evidence.iter().filter_map(record).collect();
    let scene = Scene { rules, chart, now, orders, records };
    let mut checked = Checked { not_evaluated: drafts.not_evaluated.clone(), ..Checked::default() };
    checked.not_evaluated.extend(chart.gaps.iter().cloned());
    let chosen = rules.rules.iter().filter(|rule| checks.contains(&rule.when.check()));
    // INVARIANT: a_fault_of_one_rule_hides_no_finding_of_another
    each(chosen.map(|rule| (rule.cited.id.as_str(), rule)), &mut checked, |rule| apply(&scene, rule));
    if checks.contains(&Check::Allergy) {
        allergy::unknown(&scene, &mut checked);
    }
    closest(&mut checked.findings);
    checked
}

fn apply(scene: &Scene, rule: &Ready) -> Checked {
    match &rule.when {
        Looks::SameSubstance => allergy::same(scene, &rule.cited),
        Looks::Allergy { allergen, ordered, relation, unclear } => {
            allergy::pair(scene, &rule.cited, allergen, ordered, *relation, unclear)
        }
        Looks::DuplicateImaging { imaging, examinations } => {
            duplicate::duplicates(scene, &rule.cited, *imaging, examinations)
        }
    }
}

/// Applies each rule by itself; one that fails is told as not evaluated.
pub(super) fn each<R>(
    rules: impl Iterator<Item = (impl ToString, R)>,
    checked: &mut Checked,
    apply: impl Fn(R) -> Checked,
) {
    for (id, rule) in rules {
        match catch_unwind(AssertUnwindSafe(|| apply(rule))) {
            Ok(found) => {
                checked.findings.extend(found.findings);
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

/// Of several findings about one order and one allergy the closest is left; grave ones come first, then by order.
fn closest(findings: &mut Vec<Finding>) {
    let key = |finding: &Finding| match finding.against {
        Against::Allergy { evidence, relation, .. } => (0, evidence.0, relation as usize),
        Against::Done(evidence) => (1, evidence.0, 0),
        Against::Ordered(evidence) => (2, evidence.0, 0),
        Against::Draft(number) => (3, u32::try_from(number).unwrap_or(u32::MAX), 0),
    };
    findings.sort_by(|a, b| (a.order.number, key(a), &a.rule.id).cmp(&(b.order.number, key(b), &b.rule.id)));
    let same = |finding: &Finding| (finding.order.number, key(finding).0, key(finding).1);
    findings.dedup_by(|later, earlier| same(later) == same(earlier));
    let grave = |finding: &Finding| matches!(finding.against, Against::Allergy { grave: true, .. });
    findings.sort_by_key(|finding| (!grave(finding), finding.check));
}
