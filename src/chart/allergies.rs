//! Allergies, and statements that none are known: the one never stands beside the other. <https://hl7.org/fhir/R4/allergyintolerance.html>

use std::borrow::Cow;

use super::{
    Fact, Gap,
    facts::{Doubts, Found, Source, Stated, When, asserted, label, unconfirmed},
    words::{clauses, plain},
};
use crate::{
    fhir::lenient::{AllergyIntolerance, Code, Concept},
    task::Substance,
};

const SNOMED: &str = "http://snomed.info/sct";
const IPS: &str = "http://hl7.org/fhir/uv/ips/CodeSystem/absent-unknown-uv-ips";

const VERIFICATION: [&str; 5] = ["unconfirmed", "presumed", "confirmed", "refuted", "entered-in-error"];
const CLINICAL: [&str; 3] = ["active", "inactive", "resolved"];

/// What a statement that none are known speaks of.
#[derive(Clone, Copy)]
enum Scope {
    Everything,
    /// A category of FHIR.
    Category(&'static str),
    /// A word in the name of the allergen.
    Substance(&'static str),
}

/// Codes as read in charts, never emitted.
const NONE_KNOWN: [(&str, &str, Scope); 10] = [
    (SNOMED, "716186003", Scope::Everything),
    (SNOMED, "409137002", Scope::Category("medication")),
    (SNOMED, "428607008", Scope::Category("environment")),
    (SNOMED, "429625007", Scope::Category("food")),
    (SNOMED, "716184000", Scope::Substance("latex")),
    (SNOMED, "716220001", Scope::Substance("animal")),
    (IPS, "no-known-allergies", Scope::Everything),
    (IPS, "no-known-medication-allergies", Scope::Category("medication")),
    (IPS, "no-known-environmental-allergies", Scope::Category("environment")),
    (IPS, "no-known-food-allergies", Scope::Category("food")),
];
/// The word between "no known" and "allergies".
const KINDS: [(&str, Scope); 9] = [
    ("drug", Scope::Category("medication")),
    ("medication", Scope::Category("medication")),
    ("medicine", Scope::Category("medication")),
    ("environment", Scope::Category("environment")),
    ("environmental", Scope::Category("environment")),
    ("food", Scope::Category("food")),
    ("latex", Scope::Substance("latex")),
    ("animal", Scope::Substance("animal")),
    ("substance", Scope::Everything),
];

/// One AllergyIntolerance that is current.
pub struct Allergy {
    stated: Stated,
    name: String,
    categories: Vec<String>,
    none_known: Option<Scope>,
}

pub fn allergy(resource: &AllergyIntolerance, source: Source, doubts: &mut Doubts) -> Found {
    if !asserted(&resource.verification_status) {
        return Found::Nothing;
    }
    let status = resource.clinical_status.as_ref();
    // INVARIANT: an_allergy_of_a_status_that_nobody_knows_is_told
    if !is_known(&resource.verification_status, &VERIFICATION) || !is_known(&resource.clinical_status, &CLINICAL) {
        return Found::Unusable("its status is not one of the codes of HL7, so it was not used");
    }
    if status.is_some_and(|s| s.hl7("inactive") || s.hl7("resolved")) {
        return Found::Nothing;
    }
    let (Some(text), Some(code)) = (label(&resource.code), &resource.code) else {
        return Found::Unusable("it does not say to what");
    };
    if code.has(IPS, "no-allergy-info") {
        return Found::Unusable("it says that nothing is known of allergies");
    }
    let name = text.to_lowercase();
    let (coded, worded) = (scope_of_code(code), scope_of_words(&name));
    // Words of the EHR's own go before a code.
    let own_words = code.text.as_deref().is_some_and(|text| !text.trim().is_empty());
    let none_known = if own_words { worded } else { coded.or(worded) };
    // INVARIANT: words_that_say_none_are_known_never_hide_a_code_that_names_something
    let names_more = |code: &Code| {
        let value = code.code.as_deref().is_some_and(|code| !code.trim().is_empty());
        let none = |(system, known, _): &(&str, &str, Scope)| {
            code.system.as_deref() == Some(*system) && code.code.as_deref() == Some(*known)
        };
        let says = [&code.display, &code.code].into_iter().flatten();
        let worded = says.into_iter().any(|text| scope_of_words(&text.to_lowercase()).is_some());
        value && !worded && !NONE_KNOWN.iter().any(none)
    };
    if none_known.is_some() && code.coding.iter().any(names_more) {
        return Found::Unusable(
            "its words say that none are known and a code of it may name something, so it was not used",
        );
    }
    // INVARIANT: words_that_say_more_than_code_or_category_are_no_statement_that_none_are_known
    let kinds = ["medication", "food", "environment"];
    let categories = &resource.category;
    let of_one_kind = coded.is_some_and(|scope| !matches!(scope, Scope::Everything))
        || !categories.is_empty() && kinds.iter().any(|kind| !categories.iter().any(|has| has.as_str() == Some(kind)));
    if matches!(none_known, Some(Scope::Everything)) && of_one_kind {
        return Found::Unusable(
            "its words say that no allergies are known, its code or category speaks of one kind only",
        );
    }
    let harmful = !resource.reaction.is_empty() || resource.criticality.as_deref() == Some("high");
    if none_known.is_some() && harmful {
        return Found::Unusable("it says that none are known and how one showed itself, so it was not used");
    }
    if coded.is_some() && none_known.is_none() {
        doubts.push("its code says that none are known and its words name something, so it is shown as an allergy");
    } else if none_known.is_none() && begins_as_none_known(&name) {
        doubts.push("its words begin as a statement that none are known and go on, so they are shown as they stand");
    }
    let manifestations = resource.reaction.iter().flat_map(|reaction| reaction.manifestation.iter());
    let reactions = manifestations.filter_map(|m| m.label().map(str::to_owned)).collect();
    let when = When::told([resource.recorded_date.as_deref()], doubts);
    let criticality = resource.criticality.clone();
    let unconfirmed = unconfirmed(&resource.verification_status);
    let fact = Fact::Allergy { text, criticality, reactions, none_known: none_known.is_some(), unconfirmed };
    Found::Allergy(Box::new(Allergy {
        stated: Stated { source, when, fact },
        name,
        categories: resource.category.iter().filter_map(|category| category.as_str().map(str::to_owned)).collect(),
        none_known,
    }))
}

/// Whether a status is not given, or one of those codes; words alone are trusted where they end nothing.
fn is_known(status: &Option<Concept>, codes: &[&str]) -> bool {
    let Some(status) = status else { return true };
    let words = status.text.as_deref().map(str::trim).unwrap_or_default();
    let current =
        ["active", "confirmed", "unconfirmed", "presumed"].iter().any(|word| words.eq_ignore_ascii_case(word));
    let coded = status.coding.iter().any(|code| code.code.is_some() || code.display.is_some());
    codes.iter().any(|code| status.hl7(code)) || (!coded && (words.is_empty() || current))
}

fn scope_of_code(code: &Concept) -> Option<Scope> {
    NONE_KNOWN.iter().find(|(system, known, _)| code.has(system, known)).map(|(.., scope)| *scope)
}

/// Whether the words of a statement that none are known speak of this substance, too.
pub fn rules_out(text: &str, substance: Substance) -> bool {
    match scope_of_words(&text.to_lowercase()) {
        Some(Scope::Everything) => true,
        Some(Scope::Category(category)) => category == "medication" && substance.is_a_medicine(),
        Some(Scope::Substance(word)) => word == substance.word(),
        None => false,
    }
}

/// Only of a phrase that says no more than that: `except penicillin` behind it turns it round.
fn scope_of_words(name: &str) -> Option<Scope> {
    let words = whole_words(name);
    // What SNOMED CT puts behind its names, and the phrase's own abbreviation beside it.
    let words: Vec<&str> = words.filter(|word| !matches!(*word, "situation" | "finding")).collect();
    let (short, words): (Vec<&str>, Vec<&str>) = words.into_iter().partition(|word| matches!(*word, "nka" | "nkda"));
    let phrase = match words.as_slice() {
        [] => None,
        ["no", "known", "allergy" | "allergies"] => Some(Scope::Everything),
        ["no", "known", kind, "allergy" | "allergies"] => {
            Some(KINDS.iter().find(|(word, _)| word == kind).map(|(_, scope)| *scope)?)
        }
        _ => return None,
    };
    phrase.or_else(|| match *short.first()? {
        "nkda" => Some(Scope::Category("medication")),
        _ => Some(Scope::Everything),
    })
}

/// Words that begin as such a phrase does and go on to something else.
fn begins_as_none_known(name: &str) -> bool {
    let words: Vec<&str> = whole_words(name).take(2).collect();
    matches!(words.as_slice(), ["nka" | "nkda", ..] | ["no", "known"])
}

fn whole_words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty())
}

/// Whether words deny an allergy and except nothing, so that what they name may be what is not there: of `No known drug
/// allergies. Penicillin: hives` nobody but a reader can tell. The first clause may deny whatever it names; one behind it
/// speaks of a reaction, unless it says that it speaks of the allergy or says no more than a denial does.
// INVARIANT: what_is_denied_of_a_reaction_denies_no_allergy
pub fn denies(text: &str) -> bool {
    let lines: Vec<String> =
        clauses(text).into_iter().map(|clause| plain(clause, clause.len()).to_lowercase()).collect();
    let said = lines.iter().map(|clause| whole_words(clause).collect::<Vec<_>>());
    let said: Vec<Vec<&str>> = said.filter(|words| words.iter().any(|w| w.contains(char::is_alphabetic))).collect();
    let of_allergy = |word: &&str| {
        let named = ["allerg", "delabel", "알레르기", "알러지"].iter().any(|named| word.contains(named));
        named && *word != "allergist" || matches!(*word, "test" | "testing" | "challenge")
    };
    let of_this = |words: &Vec<&str>| words.iter().any(of_allergy) && !words.contains(&"other");
    let denied = said.iter().enumerate().any(|(at, words)| {
        let counts = at == 0 || words.len() == 1 || of_this(words);
        counts && (is_denial(words) || (at == 0 || words.len() == 1) && begins_with_denial(words))
    });
    let words: Vec<&str> = said.concat();
    let excepts = words.iter().any(|word| matches!(*word, "except" | "but"))
        || words.windows(2).any(|two| two == ["other", "than"]);
    denied && !excepts
}

fn begins_with_denial(words: &[&str]) -> bool {
    matches!(words, ["no" | "not" | "none" | "denies" | "denied" | "negative" | "nka" | "nkda", ..])
}

fn is_denial(words: &[&str]) -> bool {
    // `Do not give without allergy consult` asks for care, and denies nothing.
    let care = |word: &&str| {
        let asked = ["consult", "clinic", "review", "referral", "test", "team", "service", "evaluation", "specialist"];
        asked.iter().any(|asked| word.starts_with(asked))
    };
    let of_allergy = |rest: &[&str]| {
        let at = rest.iter().take(4).position(|word| word.starts_with("allerg") && *word != "allergist");
        at.is_some_and(|at| !rest.get(at + 1).is_some_and(care))
    };
    words.iter().enumerate().any(|(at, word)| match *word {
        "no" | "not" | "never" | "without" => of_allergy(&words[at + 1..]),
        "denies" | "denied" | "excluded" | "refuted" | "delabeled" | "delabelled" | "가족력" => true,
        "family" => words.get(at + 1) == Some(&"history"),
        "ruled" => words.get(at + 1) == Some(&"out"),
        "negative" => words[..at].iter().any(|word| matches!(*word, "test" | "testing" | "allergy" | "challenge")),
        word => ["없음", "없다", "없습니다", "아님", "아닙니다", "부인"].iter().any(|denied| word.ends_with(denied)),
    })
}

/// Words without what they say is tolerated, each time to the end of the clause: that is what the allergy is not to.
// INVARIANT: what_is_tolerated_ends_with_its_clause
pub fn without_tolerated(words: &str) -> Cow<'_, str> {
    const DOUBTS: [&str; 17] = [
        "not", "no", "never", "cannot", "cant", "couldnt", "didnt", "doesnt", "dont", "t", "unable", "failed", "fails",
        "poorly", "badly", "barely", "than",
    ];
    fn kept(clause: &str) -> &str {
        let lower = clause.to_ascii_lowercase();
        let doubted = || whole_words(&lower).any(|word| DOUBTS.contains(&word)) || lower.contains('못');
        let at = lower.find("tolerate").filter(|at| !lower[..*at].ends_with("in") && !doubted());
        at.map_or(clause, |at| &clause[..at])
    }
    let clauses = clauses(words);
    match clauses.iter().all(|clause| kept(clause).len() == clause.len()) {
        true => Cow::Borrowed(words),
        false => Cow::Owned(clauses.into_iter().map(kept).collect()),
    }
}

impl Scope {
    /// Whether that there is no such one speaks against this allergy. One that does not say what kind it is may be of any.
    fn covers(self, allergy: &Allergy) -> bool {
        match self {
            Scope::Everything => true,
            Scope::Category(kind) => allergy.categories.is_empty() || allergy.categories.iter().any(|c| c == kind),
            Scope::Substance(word) => allergy.name.contains(word),
        }
    }
}

/// What is stated of allergies. A statement that none are known is a gap where one is named that it speaks of.
pub fn consistent(allergies: Vec<Allergy>) -> (Vec<Stated>, Vec<Gap>) {
    let (none_known, named): (Vec<_>, Vec<_>) = allergies.into_iter().partition(|a| a.none_known.is_some());
    // INVARIANT: a_statement_that_none_are_known_never_stands_beside_an_allergy
    let contradicted = |a: &Allergy| a.none_known.is_some_and(|scope| named.iter().any(|n| scope.covers(n)));
    let (contradicted, kept): (Vec<_>, Vec<_>) = none_known.into_iter().partition(contradicted);
    let why = "it states that none are known, which the allergies recorded contradict, so it was not used";
    let gaps = contradicted.iter().map(|a| a.stated.gap(why)).collect();
    (named.into_iter().chain(kept).map(|a| a.stated).collect(), gaps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_known_of_one_kind_says_nothing_of_another() {
        for (text, drug, latex) in [
            ("No known allergies", true, true),
            ("No known drug allergies", true, false),
            ("NKDA", true, false),
            ("No known latex allergy", false, true),
            ("No known food allergies", false, false),
            ("No known allergies except penicillin", false, false),
        ] {
            let ruled_out = [Substance::Penicillin, Substance::Latex].map(|substance| rules_out(text, substance));
            assert_eq!(ruled_out, [drug, latex], "{text}");
        }
    }

    #[test]
    fn only_a_whole_phrase_says_that_none_are_known() {
        let covers = |name: &str| {
            scope_of_words(name).map(|scope| match scope {
                Scope::Everything => "everything",
                Scope::Category(kind) | Scope::Substance(kind) => kind,
            })
        };
        for (name, of) in [
            ("no known allergies", Some("everything")),
            ("no known allergy (situation)", Some("everything")),
            ("nka", Some("everything")),
            ("nkda", Some("medication")),
            ("nkda (no known drug allergies)", Some("medication")),
            ("no known drug allergies.", Some("medication")),
            ("no known food allergy", Some("food")),
            ("no known latex allergy (situation)", Some("latex")),
            ("no known allergies except penicillin", None),
            ("no known food or drug allergies", None),
            ("no known allergies to penicillin", None),
            ("nkda, but rash with amoxicillin", None),
            ("penicillin", None),
            ("", None),
        ] {
            assert_eq!(covers(name), of, "{name}");
        }
        assert!(begins_as_none_known("no known allergies except penicillin") && !begins_as_none_known("penicillin"));
    }

    #[test]
    fn words_that_deny_and_except_nothing_may_name_what_is_not_there() {
        for (text, is_so) in [
            ("No known drug allergies. Penicillin: hives", true),
            ("No known allergies to albuterol", true),
            ("Denies penicillin allergy", true),
            ("No known allergies except penicillin", false),
            ("NKDA, but rash with amoxicillin", false),
            ("No known allergies other than latex", false),
            ("Norfloxacin", false),
            ("Patient denies penicillin allergy", true),
            ("Penicillin: NOT allergic", true),
            ("Penicillin - skin test negative, allergy excluded", true),
            ("Family history of penicillin allergy", true),
            ("N\u{ad}o penicillin allergy", true),
            ("페니실린 알레르기 없음", true),
            ("페니실린 부작용 없음", true),
            ("페니실린에 두드러기", false),
            ("Penicillin (does not recall what happened)", false),
            ("Penicillin, no rash", false),
            ("Penicillin: none", true),
            ("Penicillin: hives; no other allergies", false),
            ("Penicillin: rash, no beta-lactams before allergy testing", false),
            ("Penicillin (patient denies allergy)", true),
        ] {
            assert_eq!(denies(text), is_so, "{text}");
        }
    }
}
