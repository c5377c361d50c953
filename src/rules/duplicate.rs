//! An ordered examination against one of the same kind that was done or ordered a short time ago.

use super::{
    Cited, Condition, Rules,
    check::{Against, Alert, Checked, Input, Record, listed},
    drafts::{Kind, Order},
    terms::{Found, MatchedBy, TermId},
};
use crate::{
    chart::{Evidence, EvidenceId, Fact, Gap},
    fhir::Date,
    service::Check,
};

/// Whether it orders imaging, or does not say what else it orders.
pub fn may_be_imaging(rules: &Rules, order: &Order) -> bool {
    let Kind::Service(category) = &order.kind else { return false };
    let imaging = rules.rules.iter().filter_map(|rule| match &rule.when {
        Condition::DuplicateImaging { imaging, .. } => Some(*imaging),
        Condition::SameSubstance | Condition::Allergy { .. } => None,
    });
    category.is_empty() || imaging.into_iter().any(|imaging| is_imaging(rules, order, imaging))
}

fn is_imaging(rules: &Rules, order: &Order, imaging: TermId) -> bool {
    let Kind::Service(category) = &order.kind else { return false };
    [category, &order.named].into_iter().any(|named| rules.terms.among(&rules.terms.named(named), imaging).is_some())
}

/// A kind of examination, and all there is of it.
struct OfKind<'s, 'a> {
    term: TermId,
    days: i64,
    records: Vec<&'s Record<'a>>,
    drafts: Vec<&'a Order>,
}

/// Examinations of the same kind among the studies, the open orders and the other draft orders.
pub fn duplicates<'a>(
    input: &Input<'a>,
    cited: &'a Cited,
    imaging: TermId,
    examinations: &[(TermId, i64)],
) -> Checked<'a> {
    let terms = &input.rules.terms;
    let of_kind = |(term, days): &(TermId, i64)| {
        let records = input.records.iter().filter(|record| terms.among(&record.terms, *term).is_some()).collect();
        let is_one = |(order, names): &&(&'a Order, _)| {
            matches!(order.kind, Kind::Service(_)) && terms.among(names, *term).is_some()
        };
        let drafts = input.orders.iter().filter(is_one).map(|(order, _)| *order).collect();
        OfKind { term: *term, days: *days, records, drafts }
    };
    let kinds: Vec<OfKind> = examinations.iter().map(of_kind).collect();
    let mut checked = Checked::default();
    for (order, names) in input.checked() {
        let Kind::Service(category) = &order.kind else { continue };
        let its: Vec<(&OfKind, MatchedBy)> =
            kinds.iter().filter_map(|kind| Some((kind, terms.among(names, kind.term)?.1))).collect();
        if its.is_empty() {
            let why = match (is_imaging(input.rules, order, imaging), category.is_empty()) {
                (true, _) => "no rule knows this examination, so no duplicate was looked for",
                (false, true) => "no rule knows what it orders, and its category is not stated",
                (false, false) => continue,
            };
            checked.not_evaluated.push(order.gap(why));
        }
        let mut alerts = Vec::new();
        for (kind, ordered_by) in its {
            let (against, undated) = repeats(kind, order, input.now);
            let ordered = terms.name(kind.term);
            let alert =
                |against| Alert { check: Check::DuplicateImaging, rule: cited, order, ordered, ordered_by, against };
            alerts.extend(against.into_iter().map(alert));
            if !undated.is_empty() {
                let why = format!("a study of the same kind does not say when it was done ({})", listed(&undated));
                checked.not_evaluated.push(order.gap(why));
            }
        }
        checked.extend(order, alerts);
    }
    let unread: Vec<EvidenceId> = input.records.iter().filter(|r| r.unread).map(|r| r.evidence.id).collect();
    let asked = |(order, names): (&Order, &Found)| {
        matches!(order.kind, Kind::Service(_)) && kinds.iter().any(|kind| terms.among(names, kind.term).is_some())
    };
    if !unread.is_empty() && input.checked().any(asked) {
        let why = format!("more is said of them than can be compared: {}", listed(&unread));
        checked.not_evaluated.push(Gap { what: "studies and orders".into(), why });
    }
    checked
}

/// What an order repeats, and studies that do not say whether it does.
fn repeats<'a>(kind: &OfKind<'_, 'a>, order: &Order, now: &Date) -> (Vec<Against<'a>>, Vec<EvidenceId>) {
    let (mut against, mut undated) = (Vec::new(), Vec::new());
    let moment = order.authored_on.as_ref().unwrap_or(now);
    for Record { evidence, .. } in &kind.records {
        match &evidence.fact {
            Fact::Study { .. } if evidence.date.is_none() => undated.push(evidence.id),
            Fact::Study { .. } if is_recent(evidence, kind.days, moment, now) => {
                against.push(Against::Done(evidence.id));
            }
            // An order without a date is open all the same.
            Fact::Order { .. }
                if (evidence.date.is_none() || is_recent(evidence, kind.days, moment, now))
                    && !is_itself(order, evidence) =>
            {
                against.push(Against::Ordered(evidence.id));
            }
            _ => {}
        }
    }
    // Two that are checked are told of once.
    let others = kind.drafts.iter().filter(|other| !other.checked || other.number < order.number);
    let others = others.filter(|other| other.number != order.number);
    against.extend(others.map(|other| Against::Draft(other.number)));
    (against, undated)
}

/// At most so many days before the moment the order was written, and not after what is later, that moment or now.
fn is_recent(evidence: &Evidence, days: i64, moment: &Date, now: &Date) -> bool {
    evidence.date.as_ref().is_some_and(|date| {
        let written = date.instant() > moment.instant() || date.is_within(days, moment);
        written && date.instant() <= moment.latest().max(now.latest())
    })
}

/// An order that is signed again has a record already.
fn is_itself(order: &Order, evidence: &Evidence) -> bool {
    let suffix = |reference: &String| evidence.reference.ends_with(&format!("/{reference}"));
    order.reference.as_ref().is_some_and(suffix)
}
