//! An ordered examination against one of the same kind that was done or ordered a short time ago.

use chrono::TimeDelta;

use super::{
    Cited, Condition, Examined, Rules,
    check::{Against, Alert, Checked, Input, Record, listed},
    drafts::{Kind, Order},
    terms::{Found, MatchedBy, TermId},
    words::{Text, words},
};
use crate::{
    chart::{Evidence, EvidenceId, Fact, Gap},
    fhir::Date,
    service::Check,
};

/// A day begins so many hours earlier where it begins first.
const EARLIEST_ZONE: TimeDelta = TimeDelta::hours(14);
/// Bytes from which on a word that two orders share is a hint: letters of English, syllables of Korean.
const LONG_WORD: usize = 4;

/// Whether it orders imaging, or does not say what else it orders.
pub fn may_be_imaging(rules: &Rules, order: &Order) -> bool {
    let Kind::Service(category) = &order.kind else { return false };
    category.is_empty() || imaging(rules).any(|imaging| is_imaging(rules, order, imaging))
}

/// The terms that say that something is imaging, and not which.
pub fn imaging(rules: &Rules) -> impl Iterator<Item = TermId> {
    rules.rules.iter().filter_map(|rule| match &rule.when {
        Condition::DuplicateImaging { imaging, .. } => Some(*imaging),
        Condition::SameSubstance | Condition::Allergy { .. } => None,
    })
}

fn is_imaging(rules: &Rules, order: &Order, imaging: TermId) -> bool {
    let Kind::Service(category) = &order.kind else { return false };
    [category, &order.named].into_iter().any(|named| rules.terms.among(&rules.terms.named(named), imaging).is_some())
}

/// A kind of examination, and all there is of it.
struct OfKind<'s, 'a> {
    term: TermId,
    days: i64,
    here: &'a [Vec<String>],
    records: Vec<&'s Record<'a>>,
    drafts: Vec<&'a Order>,
}

/// Examinations of the same kind among the studies, the open orders and the other draft orders.
pub fn duplicates<'a>(
    input: &Input<'a>,
    cited: &'a Cited,
    imaging: TermId,
    examinations: &'a [Examined],
    elsewhere: &[Vec<String>],
) -> Checked<'a> {
    let terms = &input.rules.terms;
    let of_kind = |Examined { term, days, here }: &'a Examined| {
        let records = input.records.iter().filter(|record| terms.among(&record.terms, *term).is_some()).collect();
        let is_one = |(order, names): &&(&'a Order, _)| {
            matches!(order.kind, Kind::Service(_)) && terms.among(names, *term).is_some()
        };
        let drafts = input.orders.iter().filter(is_one).map(|(order, _)| *order).collect();
        OfKind { term: *term, days: *days, here, records, drafts }
    };
    let kinds: Vec<OfKind> = examinations.iter().map(of_kind).collect();
    let is_unplaced = |record: &&Record| {
        let is_known = kinds.iter().any(|kind| terms.among(&record.terms, kind.term).is_some());
        !record.unread && !is_known
    };
    let unplaced: Vec<&Record> = input.records.iter().filter(is_unplaced).collect();
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
            let (against, untold) = repeats(input, kind, order);
            let ordered = terms.name(kind.term);
            let alert =
                |against| Alert { check: Check::DuplicateImaging, rule: cited, order, ordered, ordered_by, against };
            alerts.extend(against.into_iter().map(alert));
            // INVARIANT: another_part_of_the_body_hides_no_study_of_the_one_asked_for
            let is_elsewhere = |record: &Record| says(input, record, elsewhere) && !says(input, record, kind.here);
            let may_be = |record: &&&Record| may_be(input, record, order, kind, imaging) && !is_elsewhere(record);
            let unplaced: Vec<EvidenceId> = unplaced.iter().filter(may_be).map(|record| record.evidence.id).collect();
            let unplaced = (!unplaced.is_empty()).then_some((UNPLACED, unplaced));
            let untold = untold.into_iter().chain(unplaced);
            checked.not_evaluated.extend(untold.map(|(why, ids)| order.gap(format!("{why} ({})", listed(&ids)))));
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

const UNDATED: &str = "a study of the same kind does not say when it was done";
const UNCLEAR: &str = "whether one of the same kind is recent cannot be told from its date and that of the order";
const AHEAD: &str = "one of the same kind has a date in the future";
const UNPLACED: &str = "what is recorded may be one of the same kind: no rule knows it by code or name";

/// Why some of what is recorded was not evaluated.
type Untold = Vec<(&'static str, Vec<EvidenceId>)>;

/// What an order repeats, and records that do not say whether it does.
fn repeats<'a>(input: &Input<'a>, kind: &OfKind<'_, 'a>, order: &Order) -> (Vec<Against<'a>>, Untold) {
    let (mut against, mut untold) = (Vec::new(), Untold::new());
    let mut tell = |why: &'static str, id| match untold.iter_mut().find(|(known, _)| *known == why) {
        Some((_, ids)) => ids.push(id),
        None => untold.push((why, vec![id])),
    };
    for Record { evidence, .. } in &kind.records {
        let is_study = matches!(evidence.fact, Fact::Study { .. });
        if !is_study && is_itself(input, order, evidence) {
            continue;
        }
        let lies = evidence.date.as_ref().map(|date| lies(date, kind.days, order, input.now));
        match lies {
            None if is_study => tell(UNDATED, evidence.id),
            Some(Lies::Recent) if is_study => against.push(Against::Done(evidence.id)),
            // An order without a date is open all the same.
            None | Some(Lies::Recent) => against.push(Against::Ordered(evidence.id)),
            Some(Lies::Unclear) => tell(UNCLEAR, evidence.id),
            Some(Lies::Ahead) => tell(AHEAD, evidence.id),
            Some(Lies::Back) => {}
        }
    }
    // Two that are checked are told of once.
    let others = kind.drafts.iter().filter(|other| !other.checked || other.number < order.number);
    let others = others.filter(|other| other.number != order.number);
    against.extend(others.map(|other| Against::Draft(other.number)));
    (against, untold)
}

/// Where a record lies in time, seen from an order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lies {
    Back,
    Recent,
    Unclear,
    Ahead,
}

/// Recent is at most so many days before the order was written, and not after now. A date is all the time that it may mean.
// INVARIANT: a_date_that_may_be_recent_is_never_taken_for_an_old_one
fn lies(date: &Date, days: i64, order: &Order, now: &Date) -> Lies {
    let (now, days) = (now.instant(), TimeDelta::days(days));
    let written = order.authored_on.as_ref().map_or(now, |date| date.instant().min(now));
    // What was recent when an order of long ago was written says little of an order that is signed now.
    let from = if written < now - days { now } else { written } - days;
    let is_day = date.text().len() <= "2025-01-01".len();
    let first = if is_day { date.instant() - EARLIEST_ZONE } else { date.instant() };
    match () {
        () if first > now => Lies::Ahead,
        () if date.instant() >= from => Lies::Recent,
        () if date.latest() < written - days => Lies::Back,
        () => Lies::Unclear,
    }
}

/// Whether a record that is known as no examination may be one of that kind all the same.
// INVARIANT: a_record_that_no_rule_knows_is_told_where_it_may_be_the_same
fn may_be(input: &Input, record: &Record, order: &Order, kind: &OfKind, imaging: TermId) -> bool {
    let terms = &input.rules.terms;
    let date = record.evidence.date.as_ref();
    if date.is_some_and(|date| lies(date, kind.days, order, input.now) == Lies::Back) {
        return false;
    }
    let mut modalities = record.terms.keys().filter(|id| terms.is_within(**id, imaging)).peekable();
    if modalities.peek().is_some() {
        return modalities.any(|id| *id != imaging && terms.is_within(kind.term, *id));
    }
    match &record.evidence.fact {
        Fact::Study { modality, .. } => modality.as_deref().is_none_or(|code| code == "OT"),
        Fact::Order { text, .. } => {
            let its = words(text);
            let shared = |word: &str| word.len() >= LONG_WORD && its.iter().any(|other| other.is(word));
            words(&order.text).iter().any(|word| word.readings().any(shared))
        }
        _ => false,
    }
}

/// Whether one of these stands in what a record names.
fn says(input: &Input, record: &Record, phrases: &[Vec<String>]) -> bool {
    let Some(named) = input.chart.named.get(&record.evidence.reference) else { return false };
    let text = Text::of(named.words.iter().flat_map(|text| words(text)).collect());
    phrases.iter().any(|phrase| text.contains(phrase))
}

/// An order that is signed again has a record already. One of the same id that says something else is another.
fn is_itself(input: &Input, order: &Order, evidence: &Evidence) -> bool {
    let suffix = |reference: &String| evidence.reference.ends_with(&format!("/{reference}"));
    order.reference.as_ref().is_some_and(suffix) && input.chart.named.get(&evidence.reference) == Some(&order.named)
}
