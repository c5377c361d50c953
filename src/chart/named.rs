//! What a record names, in codes and in words, as rules compare it: of allergies, studies and orders.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::{kind, words::clauses};
use crate::fhir::{
    Coding,
    lenient::{AllergyIntolerance, Code, Concept, ImagingStudy, ServiceRequest},
};

const SNOMED: &str = "http://snomed.info/sct";
const ANAPHYLAXIS: &str = "39579001";
/// ICD-10 and its American edition as OIDs, and its codes of anaphylaxis without their point.
const ICD: [&str; 2] = ["2.16.840.1.113883.6.3", "2.16.840.1.113883.6.90"];
const ICD_ANAPHYLAXIS: [&str; 4] = ["T780", "T782", "T805", "T886"];
/// Words that say it where no code does.
const ANAPHYLACTIC: [&str; 4] = ["anaphylaxis", "anaphylactic", "anaphylactoid", "아나필락시스"];
const DENIED_BEFORE: [&str; 7] = ["no", "not", "non", "denies", "denied", "without", "never"];
const DENIED_BEHIND: [&str; 6] = ["denied", "excluded", "negative", "없", "아님", "아니"];

/// Bytes of all words together.
const LONGEST: usize = 4_000;
const MOST_CODES: usize = 100;

/// All of it is the EHR's, and untrusted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    pub codes: Vec<Coding>,
    /// Texts, displays, and codes that have no display.
    pub words: Vec<String>,
    /// Of an allergy, what the record says it is to: such as `medication` or `food`.
    pub categories: Vec<String>,
    /// Of an allergy: a reaction recorded is anaphylaxis.
    pub anaphylaxis: bool,
}

impl Named {
    pub fn concepts<'a>(concepts: impl IntoIterator<Item = &'a Concept>) -> Named {
        let mut named = Named::default();
        for concept in concepts {
            named.words.extend(concept.text.as_deref().map(str::to_owned));
            concept.coding.iter().for_each(|code| named.add(code));
        }
        named.distinct()
    }

    /// What is said again is compared once: the work of comparing grows with the product of what two records say.
    // INVARIANT: what_is_said_again_is_compared_once
    fn distinct(mut self) -> Named {
        let mut codes = HashSet::new();
        self.codes.retain(|coding| codes.insert((coding.system.clone(), coding.code.clone())));
        let mut words = HashSet::new();
        self.words.retain(|text| words.insert(text.clone()));
        self
    }

    /// Bytes of all that is named.
    pub fn length(&self) -> usize {
        let codes = self.codes.iter().map(|coding| coding.system.len() + coding.code.len());
        codes.chain(self.words.iter().map(String::len)).sum()
    }

    /// Whether nothing at all is named.
    pub fn is_empty(&self) -> bool {
        self.codes.is_empty() && self.words.iter().all(|words| words.trim().is_empty())
    }

    /// Whether it is more than any name is: nothing is compared with it.
    pub fn is_too_long(&self) -> bool {
        self.codes.len() > MOST_CODES || self.words.iter().map(String::len).sum::<usize>() > LONGEST
    }

    fn add(&mut self, code: &Code) {
        let word = code.display.as_deref().or(code.code.as_deref());
        self.words.extend(word.map(str::to_owned));
        if let (Some(system), Some(value)) = (&code.system, &code.code) {
            let display = code.display.as_ref().map(|display| display.to_string());
            self.codes.push(Coding { system: system.to_string(), code: value.to_string(), display });
        }
    }
}

impl Named {
    pub fn allergy(resource: &AllergyIntolerance) -> Named {
        let anaphylaxis = resource.reaction.iter().any(|reaction| {
            let coded = |m: &Concept| m.has(SNOMED, ANAPHYLAXIS) || m.coding.iter().any(is_anaphylaxis_of_icd);
            reaction.manifestation.iter().any(|m| coded(m) || kind::words(m).any(says_anaphylaxis))
                || reaction.description.as_deref().is_some_and(says_anaphylaxis)
        });
        let categories = resource.category.iter().filter_map(|category| category.as_str().map(str::to_owned)).collect();
        // INVARIANT: what_a_reaction_was_to_is_a_name_of_the_allergy
        let substances = resource.reaction.iter().filter_map(|reaction| reaction.substance.as_ref());
        Named { categories, anaphylaxis, ..Named::concepts(resource.code.iter().chain(substances)) }
    }

    /// The examination, with modality and part of the body.
    pub fn study(resource: &ImagingStudy) -> Named {
        let mut named = Named::concepts(resource.procedure_code.iter());
        let series = || resource.series.iter();
        resource.modality.iter().chain(series().filter_map(|s| s.modality.as_ref())).for_each(|code| {
            // Two letters are a modality only where they are said to be one.
            named.words.extend(code.code.as_deref().map(|code| format!("modality {code}")));
        });
        series().filter_map(|s| s.body_site.as_ref()).for_each(|code| named.site(code));
        named.words.extend(resource.description.clone());
        named.words.extend(series().filter_map(|s| s.description.clone()));
        // Many series say the same.
        named.distinct()
    }

    pub fn order(resource: &ServiceRequest) -> Named {
        let mut named = Named::concepts(&resource.code);
        for site in resource.body_site.iter() {
            named.words.extend(site.text.as_deref().map(str::to_owned));
            site.coding.iter().for_each(|code| named.site(code));
        }
        named.distinct()
    }

    /// A part of the body: both its code and its display stand for it, and neither is an examination.
    fn site(&mut self, code: &Code) {
        self.words.extend([&code.code, &code.display].into_iter().flatten().map(|text| text.to_string()));
    }
}

fn is_anaphylaxis_of_icd(code: &Code) -> bool {
    let system = code.system.as_deref().unwrap_or_default();
    let value = code.code.as_deref().unwrap_or_default().replace('.', "").to_uppercase();
    (system.contains("icd-10") || ICD.iter().any(|oid| system.ends_with(oid)))
        && ICD_ANAPHYLAXIS.iter().any(|code| value.starts_with(code))
}

/// Whether a clause says it and does not deny it. `No rash, hives, anaphylaxis` denies all that it lists.
// INVARIANT: anaphylaxis_that_is_denied_is_no_danger
// INVARIANT: a_denial_beside_anaphylaxis_takes_nothing_from_it
fn says_anaphylaxis(text: &str) -> bool {
    let lower = text.to_lowercase();
    let words = |clause: &'_ str| -> Vec<String> {
        let words = clause.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        words.map(str::to_owned).collect()
    };
    let before = |word: &String| DENIED_BEFORE.contains(&word.as_str());
    let behind = |word: &String| DENIED_BEHIND.iter().any(|denied| word.starts_with(denied));
    let clauses: Vec<(&str, Vec<String>)> = clauses(&lower).into_iter().map(|clause| (clause, words(clause))).collect();
    let mut list_denied = false;
    clauses.iter().enumerate().any(|(at, (clause, words))| {
        list_denied |= words.first().is_some_and(before);
        let denied = list_denied;
        list_denied &= clause.ends_with(',');
        // `Anaphylaxis: denied`.
        let next = clauses.get(at + 1).map(|(_, words)| words.as_slice());
        let denied_next = matches!(next, Some([word]) if before(word) || behind(word));
        let said = words.iter().position(|word| ANAPHYLACTIC.contains(&word.as_str()));
        said.is_some_and(|said| {
            !denied && !denied_next && !words[..said].iter().any(before) && !words[said..].iter().any(behind)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse<T: for<'a> Deserialize<'a>>(text: &str) -> T {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn anaphylaxis_is_known_by_its_code_or_by_a_whole_word() {
        for (manifestation, is_one) in [
            (r#"{"coding":[{"system":"http://snomed.info/sct","code":"39579001"}],"text":"collapse"}"#, true),
            (r#"{"text":"Anaphylactic shock"}"#, true),
            (r#"{"text":"아나필락시스"}"#, true),
            (r#"{"coding":{"code":"39579001"}}"#, false),
            (r#"{"text":"rash"}"#, false),
        ] {
            let allergy: AllergyIntolerance =
                parse(&format!(r#"{{"code":{{"text":"x"}},"reaction":{{"manifestation":{manifestation}}}}}"#));
            assert_eq!(Named::allergy(&allergy).anaphylaxis, is_one, "{manifestation}");
        }
    }

    #[test]
    fn what_is_said_again_is_compared_once() {
        let coding = r#"{"system":"http://loinc.org","code":"36643-5","display":"XR Chest"}"#;
        let concept = format!(r#"{{"text":"XR Chest","coding":[{}]}}"#, [coding; 100].join(","));
        let order: ServiceRequest = parse(&format!(r#"{{"code":{concept},"bodySite":[{concept},{concept}]}}"#));
        let category: Concept = parse(&concept);
        for named in [Named::order(&order), Named::concepts([&category, &category])] {
            assert_eq!((named.codes.len(), named.words.len() <= 2), (1, true), "{named:?}");
        }
    }

    #[test]
    fn anaphylaxis_that_is_denied_is_no_danger() {
        for (text, is_one) in [
            ("Rash, no anaphylaxis", false),
            ("Rash (denies anaphylaxis)", false),
            ("Not anaphylactic; nausea", false),
            ("No signs of anaphylaxis", false),
            ("Non-anaphylactic rash", false),
            ("Anaphylaxis excluded", false),
            ("아나필락시스 없음, 발진", false),
            ("Anaphylaxis, no rash", true),
            ("Rash, then anaphylaxis", true),
            ("Anaphylaxis: denied", false),
            ("No rash, hives, or anaphylaxis", false),
            ("No rash; anaphylaxis", true),
        ] {
            let allergy: AllergyIntolerance =
                parse(&format!(r#"{{"code":{{"text":"x"}},"reaction":{{"manifestation":{{"text":"{text}"}}}}}}"#));
            assert_eq!(Named::allergy(&allergy).anaphylaxis, is_one, "{text}");
        }
    }

    #[test]
    fn a_study_names_its_modality_its_part_of_the_body_and_what_it_is_called() {
        let study: ImagingStudy = parse(
            r#"{"modality":[{"code":"DX"}],"description":"PA and lateral","series":[{"bodySite":{"system":"http://snomed.info/sct","code":"51185008"}}],
                "procedureCode":[{"coding":[{"system":"http://loinc.org","code":"36643-5"}]}]}"#,
        );
        let named = Named::study(&study);
        assert_eq!(named.words, ["36643-5", "modality DX", "51185008", "PA and lateral"]);
        assert_eq!(named.codes.len(), 1, "a part of the body is no examination");
    }
}
