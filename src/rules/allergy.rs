//! What is ordered against the allergies recorded. <https://hl7.org/fhir/R4/allergyintolerance.html>

use super::{
    Cited, Looks, Ready, Rules,
    check::{Against, Checked, Finding, Relation, Scene},
    drafts::{Kind, Order},
    terms::{Found, How, TermId, canonical},
};
use crate::{
    chart::{Evidence, Fact, Gap, Named},
    service::Check,
};

/// An allergy that is current, and what it names.
struct Allergy<'a> {
    evidence: &'a Evidence,
    text: &'a str,
    high: bool,
    named: &'a Named,
    terms: &'a Found,
}

impl Allergy<'_> {
    /// Whether the record calls it a danger: to the substance itself or its class, nothing more remote.
    fn grave(&self, relation: Relation) -> bool {
        relation != Relation::CrossReactive && (self.high || self.named.anaphylaxis)
    }

    /// Its words deny that something is known, and go on.
    fn denies(&self) -> bool {
        let text = self.text.trim_start().to_lowercase();
        text.starts_with("no known") && !["except", "but", "other than"].iter().any(|word| text.contains(word))
    }
}

fn allergies<'a>(scene: &'a Scene) -> impl Iterator<Item = Allergy<'a>> {
    scene.records.iter().filter_map(|record| {
        // INVARIANT: a_statement_that_none_are_known_never_alerts
        let Fact::Allergy { text, criticality, none_known: false, .. } = &record.evidence.fact else { return None };
        let high = criticality.as_deref() == Some("high");
        let allergy = Allergy { evidence: record.evidence, text, high, named: record.named, terms: &record.terms };
        Some(match allergy.denies() {
            true => Allergy { terms: &NONE, ..allergy },
            false => allergy,
        })
    })
}

static NONE: Found = Found::new();

fn finding(cited: &Cited, scene: &Scene, order: &Order, ordered: (TermId, How), against: Against) -> Finding {
    Finding {
        check: Check::Allergy,
        rule: cited.clone(),
        order: order.clone(),
        ordered: scene.rules.terms.name(ordered.0).to_owned(),
        ordered_by: ordered.1,
        against,
    }
}

/// An allergy to what is ordered itself: by term, or by a code that both carry, whether a rule knows it or not.
pub fn same(scene: &Scene, cited: &Cited) -> Checked {
    let mut checked = Checked::default();
    for (order, terms) in scene.orders.iter().filter(|(order, _)| order.checked) {
        for allergy in allergies(scene) {
            let both = terms.iter().find_map(|(id, how)| Some(((*id, *how), *allergy.terms.get(id)?)));
            let against = |allergen: String, known_by| Against::Allergy {
                evidence: allergy.evidence.id,
                allergen,
                known_by,
                relation: Relation::SameSubstance,
                grave: allergy.grave(Relation::SameSubstance),
            };
            if let Some((ordered, known_by)) = both {
                let allergen = scene.rules.terms.name(ordered.0).to_owned();
                checked.findings.push(finding(cited, scene, order, ordered, against(allergen, known_by)));
            } else if !allergy.denies() && one_code(&order.named, allergy.named) {
                checked.findings.push(Finding {
                    check: Check::Allergy,
                    rule: cited.clone(),
                    order: (*order).clone(),
                    ordered: order.text.clone(),
                    ordered_by: How::Code,
                    against: against(allergy.text.to_owned(), How::Code),
                });
            }
        }
    }
    checked
}

fn one_code(one: &Named, other: &Named) -> bool {
    one.codes
        .iter()
        .any(|a| other.codes.iter().any(|b| a.code == b.code && canonical(&a.system) == canonical(&b.system)))
}

/// An allergy to one of the `allergen`s and an order for one of the `ordered`.
pub fn pair(
    scene: &Scene,
    cited: &Cited,
    allergen: &[TermId],
    ordered: &[TermId],
    relation: Relation,
    unclear: &[TermId],
) -> Checked {
    let terms = &scene.rules.terms;
    let among = |found: &Found, wanted: &[TermId]| wanted.iter().find_map(|of| terms.among(found, *of));
    let mut checked = Checked::default();
    for (order, names) in scene.orders.iter().filter(|(order, _)| order.checked) {
        for allergy in allergies(scene) {
            let Some((allergen, known_by)) = among(allergy.terms, allergen) else { continue };
            if let Some(ordered) = among(names, ordered) {
                let against = Against::Allergy {
                    evidence: allergy.evidence.id,
                    allergen: terms.name(allergen).to_owned(),
                    known_by,
                    relation,
                    grave: allergy.grave(relation),
                };
                checked.findings.push(finding(cited, scene, order, ordered, against));
            } else if among(names, unclear).is_some() {
                let what = format!("draft order {}: {}", order.number, order.text);
                let why = format!(
                    "it does not say whether it is given with {}, to which an allergy is recorded ({})",
                    terms.name(allergen),
                    allergy.evidence.id
                );
                checked.not_evaluated.push(Gap { what, why });
            }
        }
    }
    checked
}

/// Whether an allergy could speak against it: a medicine, or what a rule of allergies names.
pub fn concerns(rules: &Rules, order: &Order, terms: &Found) -> bool {
    let named = |ids: &[TermId]| ids.iter().any(|id| rules.terms.among(terms, *id).is_some());
    let of_rule = |rule: &Ready| match &rule.when {
        Looks::Allergy { ordered, unclear, .. } => named(ordered) || named(unclear),
        Looks::SameSubstance | Looks::DuplicateImaging { .. } => false,
    };
    matches!(order.kind, Kind::Medicine) || rules.rules.iter().any(of_rule)
}

/// Tells what no rule could compare: allergies and medicines that no term fits, and a list that may not be all.
// INVARIANT: what_was_not_evaluated_is_told
pub fn unknown(scene: &Scene, checked: &mut Checked) {
    let concerned = |(order, terms): &&(&Order, Found)| order.checked && concerns(scene.rules, order, terms);
    let orders: Vec<&(&Order, Found)> = scene.orders.iter().filter(concerned).collect();
    let found = |evidence| {
        let about = |against: &Against| matches!(against, Against::Allergy { evidence: of, .. } if *of == evidence);
        checked.findings.iter().any(|finding| about(&finding.against))
    };
    let alerts: Vec<usize> = checked.findings.iter().map(|finding| finding.order.number).collect();
    let (mut named, mut told, mut other) = (0, Vec::new(), 0);
    for allergy in allergies(scene) {
        named += 1;
        if !allergy.terms.is_empty() || found(allergy.evidence.id) {
            continue;
        }
        let elsewhere = !allergy.named.categories.is_empty()
            && allergy.named.categories.iter().all(|category| matches!(category.as_str(), "food" | "environment"));
        match elsewhere {
            true => other += 1,
            false => told.push(Gap {
                what: format!("allergy to {} ({})", allergy.text, allergy.evidence.id),
                why: "no rule knows it by code or name, so what is ordered was not compared with it".into(),
            }),
        }
    }
    if orders.is_empty() {
        return;
    }
    checked.not_evaluated.extend(told);
    if other > 0 {
        let why = format!("{other} recorded as of food or environment only were not compared with medicines");
        checked.left_out.push(Gap { what: "allergies".into(), why });
    }
    if named > 0 {
        let unknown = orders.iter().filter(|(order, terms)| terms.is_empty() && !alerts.contains(&order.number));
        checked.not_evaluated.extend(unknown.map(|(order, _)| Gap {
            what: format!("draft order {}: {}", order.number, order.text),
            why: "no rule knows it by code or name, so it was compared with no allergy".into(),
        }));
    }
    let list = scene.chart.examined("allergies");
    let unproved = list.is_some_and(|list| list.resources == 0 && !list.complete && list.unusable == 0);
    // INVARIANT: an_allergy_list_that_may_have_failed_is_no_empty_one
    if unproved {
        let why = "none were received; that none exist was not established".into();
        checked.not_evaluated.push(Gap { what: "allergies".into(), why });
    }
}
