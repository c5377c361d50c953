//! An ordered examination against one of the same kind that was done or ordered a short time ago.

use super::{
    Cited, Looks, Rules,
    check::{Against, Checked, Finding, Record, Scene},
    drafts::{Kind, Order},
    terms::{How, TermId},
};
use crate::{
    chart::{Evidence, Fact, Gap},
    fhir::Date,
    service::Check,
};

/// Whether it orders imaging, or does not say what else it orders.
pub fn may_be_imaging(rules: &Rules, order: &Order) -> bool {
    let Kind::Service(category) = &order.kind else { return false };
    let imaging = rules.rules.iter().filter_map(|rule| match &rule.when {
        Looks::DuplicateImaging { imaging, .. } => Some(*imaging),
        Looks::SameSubstance | Looks::Allergy { .. } => None,
    });
    category.is_empty() || imaging.into_iter().any(|imaging| is_imaging(rules, order, imaging))
}

fn is_imaging(rules: &Rules, order: &Order, imaging: TermId) -> bool {
    let Kind::Service(category) = &order.kind else { return false };
    [category, &order.named].into_iter().any(|named| rules.terms.among(&rules.terms.named(named), imaging).is_some())
}

/// Examinations of the same kind among the studies, the open orders and the other draft orders.
pub fn duplicates(scene: &Scene, cited: &Cited, imaging: TermId, examinations: &[(TermId, i64)]) -> Checked {
    let terms = &scene.rules.terms;
    let mut checked = Checked::default();
    for (order, names) in scene.orders.iter().filter(|(order, _)| order.checked) {
        let Kind::Service(category) = &order.kind else { continue };
        let of_kind = |(of, _): &&(TermId, i64)| terms.among(names, *of).is_some();
        let kinds: Vec<&(TermId, i64)> = examinations.iter().filter(of_kind).collect();
        if kinds.is_empty() {
            let why = match (is_imaging(scene.rules, order, imaging), category.is_empty()) {
                (true, _) => "no rule knows this examination, so no duplicate was looked for",
                (false, true) => "no rule knows what it orders, and its category is not stated",
                (false, false) => continue,
            };
            let what = format!("draft order {}: {}", order.number, order.text);
            checked.not_evaluated.push(Gap { what, why: why.into() });
        }
        for (of, days) in kinds {
            let how = terms.among(names, *of).map_or(How::Words, |(_, how)| how);
            let mut found = |against| {
                checked.findings.push(Finding {
                    check: Check::DuplicateImaging,
                    rule: cited.clone(),
                    order: (*order).clone(),
                    ordered: terms.name(*of).to_owned(),
                    ordered_by: how,
                    against,
                });
            };
            let mut undated = Vec::new();
            let moment = order.authored_on.as_ref().unwrap_or(scene.now);
            for Record { evidence, terms: names, .. } in &scene.records {
                let record = || terms.among(names, *of).is_some();
                match &evidence.fact {
                    Fact::Study { .. } if is_recent(evidence, *days, moment) && record() => {
                        found(Against::Done(evidence.id));
                    }
                    Fact::Study { .. } if evidence.date.is_none() && record() => undated.push(evidence.id),
                    // An order without a date is open all the same.
                    Fact::Order { .. }
                        if (evidence.date.is_none() || is_recent(evidence, *days, moment))
                            && !is_itself(order, evidence)
                            && record() =>
                    {
                        found(Against::Ordered(evidence.id));
                    }
                    _ => {}
                }
            }
            checked.not_evaluated.extend(undated.into_iter().map(|id| Gap {
                what: format!("draft order {}: {}", order.number, order.text),
                why: format!("a study of the same kind does not say when it was done ({id})"),
            }));
            let others = scene.orders.iter().filter(|(other, _)| {
                // Two that are checked are told of once.
                other.number != order.number && (!other.checked || other.number < order.number)
            });
            for (other, names) in others {
                if matches!(other.kind, Kind::Service(_)) && terms.among(names, *of).is_some() {
                    found(Against::Draft(other.number));
                }
            }
        }
    }
    checked
}

/// Not after the moment, and at most so many days before it.
fn is_recent(evidence: &Evidence, days: i64, moment: &Date) -> bool {
    evidence.date.as_ref().is_some_and(|date| date.instant() <= moment.latest() && date.is_within(days, moment))
}

/// An order that is signed again has a record already.
fn is_itself(order: &Order, evidence: &Evidence) -> bool {
    let suffix = |reference: &String| evidence.reference.ends_with(&format!("/{reference}"));
    order.reference.as_ref().is_some_and(suffix)
}
