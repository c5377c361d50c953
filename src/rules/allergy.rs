//! What is ordered against the allergies recorded. <https://hl7.org/fhir/R4/allergyintolerance.html>

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::{
    Cited, Condition, Rules, TermPair,
    check::{Against, Alert, Checked, Input, Relation, gives_beside, keep, listed},
    drafts::{Kind, LONGEST_TEXT, Order},
    terms::{ATC, Found, MatchedBy, RXNORM, SNOMED, TermId, TermKind, Terms, canonical},
    words::telling,
};
use crate::{
    chart::{self, Chart, Evidence, EvidenceId, Fact, Gap, Named},
    fhir::Coding,
    service::Check,
};

/// An allergy that is current, and what it names.
pub struct Allergy<'a> {
    evidence: &'a Evidence,
    text: &'a str,
    high: bool,
    named: &'a Named,
    terms: Found,
    /// Its words deny something and go on, so that only its codes were looked at.
    denies: bool,
    /// What of it no rule knows.
    unknown: BTreeSet<String>,
}

impl Allergy<'_> {
    /// Whether the record calls it a danger: to the substance itself or its class, nothing more remote.
    fn grave(&self, relation: Relation) -> bool {
        relation != Relation::CrossReactive && (self.high || self.named.anaphylaxis)
    }

    /// Whether the rules know it well enough to say that nothing speaks against an order.
    fn is_known(&self, rules: &Rules) -> bool {
        self.terms.iter().any(|(id, how)| match (rules.terms.kind(*id), how) {
            (_, MatchedBy::CodeOfClass) | (TermKind::Examination, _) => false,
            (TermKind::Substance, _) => true,
            (TermKind::Class, _) => pairs(rules).any(|pair| among(&rules.terms, &self.terms, &pair.allergen).is_some()),
        })
    }

    fn against<'a>(&self, allergen: &'a str, known_by: MatchedBy, relation: Relation) -> Against<'a> {
        Against::Allergy { evidence: self.evidence.id, allergen, known_by, relation, grave: self.grave(relation) }
    }
}

/// The allergies of a chart, with the substances and classes they name.
pub fn allergies<'a>(rules: &Rules, chart: &'a Chart) -> Vec<Allergy<'a>> {
    let allergy = |evidence: &'a Evidence| {
        // INVARIANT: a_statement_that_none_are_known_never_alerts
        let Fact::Allergy { text, criticality, none_known: false, .. } = &evidence.fact else { return None };
        let named = chart.named.get(&evidence.reference)?;
        let denies = chart::denies(text);
        // An allergy is to no examination, whatever letters stand in its name.
        let kept = |words: &String| chart::without_tolerated(words).into_owned();
        let compared = match named.is_too_long() {
            true => Named::default(),
            false => Named { words: named.words.iter().map(kept).collect(), ..named.clone() },
        };
        let mut terms = keep(&rules.terms, rules.terms.named(&compared), |kind| kind != TermKind::Examination);
        terms.retain(|_, how| !denies || *how != MatchedBy::Words);
        let (high, unknown) = (criticality.as_deref() == Some("high"), unknown_of(&rules.terms, &compared, |_| true));
        Some(Allergy { evidence, text, high, named, terms, denies, unknown })
    };
    chart.evidence.iter().filter_map(allergy).collect()
}

/// An allergy to a substance that the order holds: by term, or by a code that both carry, whether a rule knows it or not.
pub fn same<'a>(input: &Input<'a>, cited: &'a Cited) -> Checked<'a> {
    let terms = &input.rules.terms;
    let mut by_code: HashMap<(&str, &str), Vec<usize>> = HashMap::new();
    let mut by_term: BTreeMap<TermId, Vec<usize>> = BTreeMap::new();
    for (at, allergy) in input.allergies.iter().enumerate() {
        codes(terms, allergy.named).for_each(|code| by_code.entry(code).or_default().push(at));
        substances(terms, &allergy.terms).for_each(|(id, _)| by_term.entry(id).or_default().push(at));
    }
    let mut checked = Checked::default();
    for (order, names) in input.checked() {
        // By allergy: one term, or one code, is enough.
        let mut found: BTreeMap<usize, (&'a str, MatchedBy, &'a str, MatchedBy)> = BTreeMap::new();
        let mut doubtful = BTreeSet::new();
        for code in codes(terms, &order.named) {
            for at in by_code.get(&code).into_iter().flatten() {
                let allergy = &input.allergies[*at];
                // INVARIANT: a_code_that_two_things_carry_does_not_make_them_one
                if speaks_of_one(terms, code.0, (&order.named, names), (allergy.named, &allergy.terms)) {
                    found.insert(*at, (&order.text, MatchedBy::Code, allergy.text, MatchedBy::Code));
                } else {
                    doubtful.insert(*at);
                }
            }
        }
        for (id, how) in substances(terms, names) {
            for at in by_term.get(&id).into_iter().flatten() {
                let known_by = input.allergies[*at].terms.get(&id).copied().unwrap_or(how);
                found.insert(*at, (terms.name(id), how, terms.name(id), known_by));
            }
        }
        let ids = doubtful.iter().filter(|at| !found.contains_key(at)).map(|at| input.allergies[*at].evidence.id);
        let ids: Vec<EvidenceId> = ids.collect();
        if !ids.is_empty() {
            let why = "it carries a code that an allergy carries, too, which no rule knows, and their names differ";
            checked.not_evaluated.push(order.gap(format!("{why} ({})", listed(&ids))));
        }
        let alert =
            |(at, (ordered, ordered_by, allergen, known_by)): (usize, (&'a str, MatchedBy, &'a str, MatchedBy))| {
                let against = input.allergies[at].against(allergen, known_by, Relation::SameSubstance);
                Alert { check: Check::Allergy, rule: cited, order, ordered, ordered_by, against }
            };
        checked.extend(order, found.into_iter().map(alert).collect());
    }
    checked
}

fn substances<'a>(terms: &'a Terms, found: &'a Found) -> impl Iterator<Item = (TermId, MatchedBy)> + 'a {
    found.iter().filter(|(id, _)| terms.kind(**id) == TermKind::Substance).map(|(id, how)| (*id, *how))
}

/// Codes that two records of one substance may share.
fn codes<'a>(terms: &'a Terms, named: &'a Named) -> impl Iterator<Item = (&'a str, &'a str)> {
    let compared = if named.is_too_long() { &[][..] } else { &named.codes };
    let compared = compared.iter().filter(|coding| !stands_for_nothing(coding) && !terms.is_general(coding));
    compared.map(|coding| (canonical(&coding.system), coding.code.as_str()))
}

/// Codes that stand for nothing: empty or all zeros, of why something is not given, and the roots of SNOMED CT.
fn stands_for_nothing(coding: &Coding) -> bool {
    const ROOTS: [&str; 6] = ["105590001", "410942007", "763158003", "373873005", "416098002", "419199007"];
    let absent = ["NullFlavor", "data-absent-reason", "2.16.840.1.113883.5.1008"];
    !coding.code.chars().any(|c| c.is_alphanumeric() && c != '0')
        || absent.iter().any(|system| coding.system.ends_with(system))
        || canonical(&coding.system) == SNOMED && ROOTS.contains(&coding.code.as_str())
}

/// Whether two records that share a code no rule knows are of one thing: by a system that numbers substances, or by words.
fn speaks_of_one(terms: &Terms, system: &str, one: (&Named, &Found), other: (&Named, &Found)) -> bool {
    let known = |found: &Found| substances(terms, found).next().is_some();
    if known(one.1) && known(other.1) {
        return false;
    }
    let words = |named: &Named| -> BTreeSet<String> {
        let own = named.words.iter().filter(|words| !named.codes.iter().any(|coding| coding.code == **words));
        own.flat_map(|words| telling(words)).collect()
    };
    let (one, other) = (words(one.0), words(other.0));
    system == RXNORM || system == ATC || one.intersection(&other).next().is_some() || {
        system == SNOMED && (one.is_empty() || other.is_empty())
    }
}

/// An allergy to one of the pair's allergens and an order for one of what it names as ordered.
pub fn pair<'a>(
    input: &Input<'a>,
    cited: &'a Cited,
    of: &TermPair,
    relation: Relation,
    unclear: &[(TermPair, String)],
) -> Checked<'a> {
    let terms = &input.rules.terms;
    let known = |pair: &TermPair| -> Vec<(usize, (TermId, MatchedBy))> {
        let known = |(at, allergy): (usize, &Allergy)| Some((at, among(terms, &allergy.terms, &pair.allergen)?));
        input.allergies.iter().enumerate().filter_map(known).collect()
    };
    let allergens = known(of);
    let doubtful: Vec<_> = unclear.iter().map(|(pair, why)| (pair, why, known(pair))).collect();
    let mut checked = Checked::default();
    for (order, names) in input.checked() {
        let mut told = HashSet::new();
        if let Some((ordered, ordered_by)) = among(terms, names, &of.ordered) {
            let alert = |(at, (allergen, known_by)): &(usize, (TermId, MatchedBy))| {
                told.insert(*at);
                let against = input.allergies[*at].against(terms.name(*allergen), *known_by, relation);
                let against = against.unless(terms.is_vague(*allergen));
                let ordered = terms.name(ordered);
                Alert { check: Check::Allergy, rule: cited, order, ordered, ordered_by, against }
            };
            checked.extend(order, allergens.iter().map(alert).collect());
        }
        for (pair, why, allergens) in &doubtful {
            let ids = allergens.iter().filter(|(at, _)| !told.contains(at));
            let ids: Vec<EvidenceId> = ids.map(|(at, _)| input.allergies[*at].evidence.id).collect();
            if !ids.is_empty() && among(terms, names, &pair.ordered).is_some() {
                checked.not_evaluated.push(order.gap(format!("{why} ({})", listed(&ids))));
            }
        }
    }
    checked
}

fn among(terms: &Terms, found: &Found, wanted: &[TermId]) -> Option<(TermId, MatchedBy)> {
    wanted.iter().find_map(|of| terms.among(found, *of))
}

/// Every pair that a rule of allergies speaks of, be it to say that it does not know.
pub(super) fn pairs(rules: &Rules) -> impl Iterator<Item = &TermPair> {
    rules.rules.iter().flat_map(|rule| match &rule.when {
        Condition::Allergy { pair, unclear, .. } => {
            std::iter::once(pair).chain(unclear.iter().map(|(pair, _)| pair)).collect()
        }
        Condition::SameSubstance | Condition::DuplicateImaging { .. } => Vec::new(),
    })
}

/// A service that no rule knows and that may well give something: a procedure, or what does not say what it is.
fn is_unknown_service(rules: &Rules, order: &Order, terms: &Found) -> bool {
    // Beyond the laboratory, which measures substances, what names one may well give it, whatever its category says.
    let names_none = || rules.terms.named(&order.named).keys().all(|id| rules.terms.kind(*id) == TermKind::Examination);
    let gives_nothing = || order.gives_nothing() && (order.is_of_laboratory() || names_none());
    matches!(&order.kind, Kind::Service(_)) && terms.is_empty() && !gives_nothing()
}

/// Whether an allergy could speak against it: a medicine, a service no rule knows, or what a rule of allergies names.
pub fn concerns(rules: &Rules, order: &Order, terms: &Found) -> bool {
    matches!(order.kind, Kind::Medicine)
        || is_unknown_service(rules, order, terms)
        || gives_beside(rules, order, terms)
        || pairs(rules).any(|pair| among(&rules.terms, terms, &pair.ordered).is_some())
        || substances(&rules.terms, terms).next().is_some()
}

/// What a record names that no rule knows, as far as it may name something, its codes of systems that are `counted`.
fn unknown_of(terms: &Terms, named: &Named, counted: impl Fn(&str) -> bool) -> BTreeSet<String> {
    if named.is_too_long() {
        return BTreeSet::new();
    }
    let codes = terms.unknown_codes(&named.codes).filter(|coding| !stands_for_nothing(coding));
    let codes = codes.filter(|coding| counted(canonical(&coding.system)));
    let codes = codes.map(|coding| format!("code {}", coding.code));
    terms.unknown_words(named).into_iter().chain(codes).collect()
}

/// Why something that a rule knows was not compared by all that it names.
fn in_part(unknown: &BTreeSet<String>, compared: &str) -> String {
    let rest = unknown.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    format!("it is known in part only, and {compared} the rest: {}", chart::plain(&rest, LONGEST_TEXT))
}

/// Whether a code is one of ATC for a combination: its name holds one substance, and more is in it.
fn is_combination(named: &Named) -> bool {
    let is_one = |code: &Coding| {
        canonical(&code.system) == ATC && code.code.len() == 7 && matches!(code.code.as_bytes()[5], b'5'..=b'7')
    };
    named.codes.iter().any(is_one)
}

/// Tells what no rule could compare: allergies and medicines that no term fits, and a list that may not be all.
// INVARIANT: what_was_not_evaluated_is_told
pub fn unknown(input: &Input, checked: &mut Checked) {
    let rules = input.rules;
    let orders: Vec<_> = input.checked().filter(|(order, terms)| concerns(rules, order, terms)).collect();
    if orders.is_empty() {
        return;
    }
    let alerts = checked.alerts.iter().filter_map(|alert| match alert.against {
        Against::Allergy { evidence, .. } => Some((alert.order.number, evidence)),
        _ => None,
    });
    let told: HashSet<(usize, EvidenceId)> = alerts.collect();
    let alerted: HashSet<usize> = told.iter().map(|(order, _)| *order).collect();
    let against: HashSet<EvidenceId> = told.iter().map(|(_, allergy)| *allergy).collect();
    let untold = |order: &Order, allergy: &Allergy| !told.contains(&(order.number, allergy.evidence.id));
    let mut other = 0;
    for allergy in &input.allergies {
        let what = || format!("allergy to {} ({})", chart::plain(allergy.text, LONGEST_TEXT), allergy.evidence.id);
        if allergy.is_known(rules) || against.contains(&allergy.evidence.id) {
            // INVARIANT: what_is_known_in_part_only_is_told
            if !allergy.unknown.is_empty() && orders.iter().any(|(order, _)| untold(order, allergy)) {
                let why = in_part(&allergy.unknown, "no order was compared with");
                checked.not_evaluated.push(Gap { what: what(), why });
            }
            continue;
        }
        let categories = &allergy.named.categories;
        let elsewhere = !categories.is_empty()
            && categories.iter().all(|category| matches!(category.as_str(), "food" | "environment"));
        if elsewhere && !allergy.denies && allergy.terms.is_empty() {
            other += 1;
            continue;
        }
        let why = match (allergy.denies, allergy.terms.is_empty()) {
            (true, _) => {
                "its words begin as a statement that something is not there and go on, so no order was compared with them"
            }
            (false, true) => "no rule knows it by code or name, so what is ordered was not compared with it",
            (false, false) => {
                "no rule knows it by itself, only the class it is of, so it was compared as one of that class alone"
            }
        };
        checked.not_evaluated.push(Gap { what: what(), why: why.into() });
    }
    if other > 0 {
        let why = format!("{other} recorded as of food or environment only were not compared with medicines");
        checked.left_out.push(Gap { what: "allergies".into(), why });
    }
    for (order, terms) in &orders {
        let is_medicine = matches!(order.kind, Kind::Medicine);
        if input.allergies.is_empty() || !is_medicine && !is_unknown_service(rules, order, terms) {
            continue;
        }
        let known = substances(&rules.terms, terms).any(|(_, how)| how != MatchedBy::CodeOfClass)
            && !is_combination(&order.named);
        if !known && !alerted.contains(&order.number) {
            checked.not_evaluated.push(order.gap(match terms.is_empty() {
                _ if is_combination(&order.named) => "its code is of a combination, of which no rule knows every part",
                true => "no rule knows it by code or name, so it was compared with no allergy",
                false => "no rule knows which one of its class it is, so it was compared as one of that class alone",
            }));
        } else if input.allergies.iter().any(|allergy| untold(order, allergy)) {
            // Orders carry numbers of packages and of the house beside their names.
            let unknown = unknown_of(&rules.terms, &order.named, |system| [RXNORM, ATC, SNOMED].contains(&system));
            if !unknown.is_empty() {
                checked.not_evaluated.push(order.gap(in_part(&unknown, "no allergy was compared with")));
            }
        }
    }
    let why = match input.chart.examined("allergies") {
        // INVARIANT: an_allergy_list_that_may_have_failed_is_no_empty_one
        Some(list) if list.resources == 0 && !list.complete && list.unusable == 0 => {
            "none were received; that none exist was not established"
        }
        // Why they could not be had is told already.
        None if input.chart.gaps.iter().any(|gap| gap.what == "allergies") => return,
        None => "they were not looked for",
        Some(_) => return,
    };
    checked.not_evaluated.push(Gap { what: "allergies".into(), why: why.into() });
}
