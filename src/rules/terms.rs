//! What rules speak of, and which of it a record names: by code first, by whole words where no code is known.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    ops::Range,
};

use serde::Deserialize;

use super::words::{Text, Word, begins, parts, split, words};
use crate::{chart::Named, fhir::Coding};

/// Of a substance's code, the longest.
const ATC_LENGTH: usize = 7;
pub const ATC: &str = "http://www.whocc.no/atc";
pub const RXNORM: &str = "http://www.nlm.nih.gov/research/umls/rxnorm";
pub const SNOMED: &str = "http://snomed.info/sct";
/// Systems of codes by the names rule files use, and by those of EHRs that write OIDs.
const SYSTEMS: [(&str, &str, &str); 4] = [
    (RXNORM, "rxnorm", "urn:oid:2.16.840.1.113883.6.88"),
    (ATC, "atc", "urn:oid:2.16.840.1.113883.6.73"),
    (SNOMED, "snomed", "urn:oid:2.16.840.1.113883.6.96"),
    ("http://loinc.org", "loinc", "urn:oid:2.16.840.1.113883.6.1"),
];

/// A substance, a class of substances, or a kind of examination.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Term {
    pub name: String,
    pub kind: TermKind,
    /// It stands for several things that go their own ways: an allergy to it is never a danger to one of them for certain.
    #[serde(default)]
    pub vague: bool,
    /// Terms it belongs to, of this file or another.
    #[serde(default)]
    pub of: Vec<String>,
    /// By `rxnorm`, `atc`, `snomed`, `loinc` or the URL of another system. An ATC code stands for all below it.
    #[serde(default)]
    pub codes: BTreeMap<String, Vec<String>>,
    /// By language; the same whatever language the record is in.
    #[serde(default)]
    pub names: BTreeMap<String, Vec<String>>,
    /// Named where of each list one stands in the text, in any order ...
    #[serde(default)]
    pub every: Vec<Vec<String>>,
    /// ... and none of these does.
    #[serde(default)]
    pub never: Vec<String>,
    /// Where any are listed, one of these must stand beside the words of the last list of `every`.
    #[serde(default)]
    pub beside: Vec<String>,
    /// It is looked for in each part of a list by itself, too: what one part says takes nothing from another.
    #[serde(default)]
    pub in_parts: bool,
}

/// What a term stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TermKind {
    Substance,
    Class,
    Examination,
}

/// A term by its place among all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TermId(usize);

/// How a term was recognised; what tells more stands first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MatchedBy {
    Code,
    Words,
    /// By a code of something in this class that no term stands for.
    CodeOfClass,
}

/// The terms that a record names, those they belong to left out unless it names them, too.
pub type Found = BTreeMap<TermId, MatchedBy>;

type Phrase = Vec<String>;

/// All terms of all rules.
#[derive(Debug, Default)]
pub struct Terms {
    names: Vec<String>,
    kinds: Vec<TermKind>,
    vague: Vec<bool>,
    /// The term itself and all it belongs to.
    within: Vec<BTreeSet<TermId>>,
    codes: HashMap<(String, String), Vec<TermId>>,
    /// By first word.
    phrases: HashMap<String, Vec<(Phrase, TermId)>>,
    combined: Vec<Combined>,
}

/// A term that is named by words in any order.
#[derive(Debug)]
struct Combined {
    every: Vec<Vec<Phrase>>,
    never: Vec<Phrase>,
    beside: Vec<Phrase>,
    in_parts: bool,
    id: TermId,
}

impl Combined {
    fn stands_in(&self, text: &Text) -> bool {
        let stands = |phrase: &Phrase| text.contains(phrase);
        let rest = || self.every.last().map(|last| text.without(last));
        self.every.iter().all(|list| list.iter().any(stands))
            && !self.never.iter().any(stands)
            && (self.beside.is_empty()
                || rest().is_some_and(|rest| self.beside.iter().any(|phrase| rest.contains(phrase))))
    }
}

impl Terms {
    /// Errors: one sentence that names the term.
    pub fn new<'a>(terms: impl IntoIterator<Item = &'a Term>) -> Result<Terms, String> {
        let terms: Vec<&Term> = terms.into_iter().collect();
        let mut all = Terms {
            names: terms.iter().map(|term| term.name.clone()).collect(),
            kinds: terms.iter().map(|term| term.kind).collect(),
            vague: terms.iter().map(|term| term.vague).collect(),
            ..Terms::default()
        };
        for (at, term) in terms.iter().enumerate() {
            let id = TermId(at);
            if all.id(&term.name) != Some(id) {
                return Err(format!("the term {} stands twice", term.name));
            }
            for (system, codes) in &term.codes {
                let known = SYSTEMS.iter().find(|(_, short, _)| short == system).map(|(url, ..)| *url);
                let system = known.or(system.contains(':').then_some(system.as_str()));
                let system = system.ok_or_else(|| format!("the term {} has codes of an unknown system", term.name))?;
                for code in codes {
                    all.codes.entry((system.to_owned(), code.clone())).or_default().push(id);
                }
            }
            let phrase = |text: &String| {
                let words = split(text);
                if words.is_empty() {
                    Err(format!("the term {} has a name without words", term.name))
                } else {
                    Ok(words)
                }
            };
            for name in term.names.values().flatten() {
                let phrase = phrase(name)?;
                all.phrases.entry(phrase[0].clone()).or_default().push((phrase, id));
            }
            let list = |texts: &Vec<String>| texts.iter().map(phrase).collect::<Result<Vec<_>, _>>();
            if !term.every.is_empty() {
                let every = term.every.iter().map(list).collect::<Result<_, _>>()?;
                let (never, beside) = (list(&term.never)?, list(&term.beside)?);
                all.combined.push(Combined { every, never, beside, in_parts: term.in_parts, id });
            } else if !term.never.is_empty() || !term.beside.is_empty() || term.in_parts {
                return Err(format!("the term {} has `never`, `beside` or `in_parts` and no `every`", term.name));
            }
        }
        for (at, term) in terms.iter().enumerate() {
            let mut within = BTreeSet::from([TermId(at)]);
            let mut open: Vec<&String> = term.of.iter().collect();
            while let Some(name) = open.pop() {
                let id =
                    all.id(name).ok_or_else(|| format!("the term {} belongs to {name}, which is none", term.name))?;
                if within.insert(id) {
                    open.extend(&terms[id.0].of);
                }
            }
            all.within.push(within);
        }
        Ok(all)
    }

    pub fn id(&self, name: &str) -> Option<TermId> {
        self.names.iter().position(|known| known == name).map(TermId)
    }

    pub fn name(&self, id: TermId) -> &str {
        &self.names[id.0]
    }

    pub fn kind(&self, id: TermId) -> TermKind {
        self.kinds[id.0]
    }

    pub fn is_vague(&self, id: TermId) -> bool {
        self.vague[id.0]
    }

    /// Whether the one is the other or belongs to it.
    pub fn is_within(&self, id: TermId, of: TermId) -> bool {
        self.within[id.0].contains(&of)
    }

    /// Which of the terms found is that one or belongs to it.
    pub fn among(&self, found: &Found, of: TermId) -> Option<(TermId, MatchedBy)> {
        found.iter().find(|(id, _)| self.is_within(**id, of)).map(|(id, how)| (*id, *how))
    }

    /// What a record names.
    pub fn named(&self, named: &Named) -> Found {
        let mut found = Found::new();
        if named.is_too_long() {
            return found;
        }
        let mut add = |id: &TermId, how: MatchedBy| {
            found.entry(*id).and_modify(|known| *known = how.min(*known)).or_insert(how);
        };
        for coding in &named.codes {
            let (ids, how) = self.of_code(coding);
            ids.iter().for_each(|id| add(id, how));
        }
        let texts: Vec<Vec<Word>> = named.words.iter().map(|text| words(text)).collect();
        for text in &texts {
            self.of_words(text).iter().for_each(|(id, _)| add(id, MatchedBy::Words));
        }
        let whole = Text::of(texts.concat());
        let parts = parts_of(named);
        self.combined_in(&whole, &parts).for_each(|term| add(&term.id, MatchedBy::Words));
        found
    }

    fn combined_in<'a>(&'a self, whole: &'a Text, parts: &'a [Text]) -> impl Iterator<Item = &'a Combined> {
        let stands =
            |term: &&Combined| term.stands_in(whole) || term.in_parts && parts.iter().any(|part| term.stands_in(part));
        self.combined.iter().filter(stands)
    }

    /// Codes without a name that no term stands for.
    pub fn unknown_codes<'a>(&'a self, codes: &'a [Coding]) -> impl Iterator<Item = &'a Coding> {
        let nameless = |coding: &Coding| coding.display.as_deref().is_none_or(|display| display.trim().is_empty());
        codes.iter().filter(move |coding| nameless(coding) && self.of_code(coding).0.is_empty())
    }

    /// Words of its names that may say what it is and by which no term was found. An examination found tells nothing of them.
    pub fn unknown_words(&self, named: &Named) -> BTreeSet<String> {
        let mut unknown = BTreeSet::new();
        let names = named.words.iter().filter(|text| !named.codes.iter().any(|coding| coding.code == **text));
        let texts: Vec<Vec<Word>> = names.map(|text| words(text)).collect();
        let (whole, parts) = (Text::of(texts.concat()), parts_of(named));
        let combined: HashSet<&str> = self
            .combined_in(&whole, &parts)
            .flat_map(|term| term.every.iter().flatten().flatten())
            .map(String::as_str)
            .collect();
        for text in &texts {
            let mut known = vec![false; text.len()];
            for (_, place) in self.of_words(text).into_iter().filter(|(id, _)| self.kind(*id) != TermKind::Examination)
            {
                known[place].fill(true);
            }
            let left = text.iter().zip(known).filter(|(word, known)| {
                !known && word.tells() && !word.readings().any(|reading| combined.contains(reading))
            });
            unknown.extend(left.map(|(word, _)| word.text().to_owned()));
            // A bare number is a code of no system.
            let number = |word: &Word| word.text().starts_with(char::is_numeric);
            unknown
                .extend(text.first().filter(|_| text.iter().all(number)).map(|word| format!("code {}", word.text())));
        }
        unknown
    }

    /// What a code stands for, or where nothing knows it, the nearest class of ATC it belongs to.
    // INVARIANT: members_of_one_class_are_not_the_same_substance
    fn of_code(&self, coding: &Coding) -> (&[TermId], MatchedBy) {
        let system = canonical(&coding.system);
        let code = coding.code.as_str();
        // Every shorter ATC code is a class that the longer one belongs to; of other systems only the whole code counts.
        let shortest = if system == ATC && code.len() <= ATC_LENGTH { 1 } else { code.len() };
        let lengths = (shortest..=code.len()).rev().filter(|length| code.is_char_boundary(*length));
        let known = |length: usize| Some((length, self.codes.get(&(system.to_owned(), code[..length].to_owned()))?));
        match lengths.filter_map(known).next() {
            Some((length, ids)) if length == code.len() => (ids, MatchedBy::Code),
            Some((_, ids)) => (ids, MatchedBy::CodeOfClass),
            None => (&[], MatchedBy::Code),
        }
    }

    /// Whether a code stands for more than one substance, as far as is known: a class, an examination.
    pub fn is_general(&self, coding: &Coding) -> bool {
        let (ids, how) = self.of_code(coding);
        let known = how == MatchedBy::Code && !ids.is_empty();
        let short = canonical(&coding.system) == ATC && coding.code.len() < ATC_LENGTH;
        short || known && ids.iter().all(|id| self.kind(*id) != TermKind::Substance)
    }

    /// At each place the longest name, so that `penicillin V` is not `penicillin`.
    fn of_words(&self, text: &[Word]) -> Vec<(TermId, Range<usize>)> {
        let (mut found, mut at) = (Vec::new(), 0);
        while at < text.len() {
            let candidates = text[at].readings().filter_map(|word| self.phrases.get(word)).flatten();
            // `Non-aspirin` and `sulfa-free` say what is not in it; `free text` says what kind of field it is.
            let is = |at: usize, word: &str| text.get(at).is_some_and(|next| next.is(word));
            let free = |len: usize| is(at + len, "free") && !is(at + len + 1, "text");
            let non = at > 0 && text[at - 1].is("non");
            let is_there = |phrase: &Phrase| begins(&text[at..], phrase) && !non && !free(phrase.len());
            let standing: Vec<_> = candidates.filter(|(phrase, _)| is_there(phrase)).collect();
            let longest = standing.iter().map(|(phrase, _)| phrase.len()).max();
            let next = at + longest.unwrap_or(1);
            let those = standing.iter().filter(|(phrase, _)| Some(phrase.len()) == longest);
            found.extend(those.map(|(_, id)| (*id, at..next)));
            at = next;
        }
        found
    }
}

/// The URL of a system that may be written as an OID.
pub fn canonical(system: &str) -> &str {
    SYSTEMS.iter().find(|(_, _, oid)| *oid == system).map_or(system, |(url, ..)| url)
}

/// The parts of its names, where they are lists.
fn parts_of(named: &Named) -> Vec<Text> {
    named.words.iter().flat_map(|text| parts(text)).map(Text::of).collect()
}
