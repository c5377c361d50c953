//! Whether a service gives the patient anything, by its category and its own words.

use super::{Order, drafts::Kind, words::split};

/// Words of categories that give the patient nothing: of the laboratory, and others. Codes stand among them where they have
/// no display.
const LABORATORY: [&str; 16] = [
    "lab",
    "labs",
    "laboratory",
    "laboratories",
    "108252007",
    "pathology",
    "microbiology",
    "chemistry",
    "biochemistry",
    "hematology",
    "haematology",
    "serology",
    "immunology",
    "virology",
    "toxicology",
    "검사실",
];
const OTHERS_WITHOUT: [&str; 13] = [
    "referral",
    "referrals",
    "consult",
    "consultation",
    "3457005",
    "11429006",
    "diet",
    "dietary",
    "nutrition",
    "education",
    "counselling",
    "counseling",
    "physiotherapy",
];
/// Words that add nothing to those.
const PLAIN: [&str; 24] = [
    "and",
    "of",
    "to",
    "for",
    "test",
    "tests",
    "testing",
    "order",
    "orders",
    "service",
    "services",
    "request",
    "requests",
    "medicine",
    "patient",
    "outpatient",
    "inpatient",
    "specialist",
    "external",
    "internal",
    "clinical",
    "department",
    "procedure",
    "procedures",
];
/// Words of services that give nothing.
const SERVICES_WITHOUT: [&str; 13] = [
    "level",
    "levels",
    "ige",
    "igg",
    "antibody",
    "antibodies",
    "referral",
    "consult",
    "consultation",
    "bath",
    "baths",
    "culture",
    "naat",
];
/// Words of services that give something.
const GIVEN: [&str; 21] = [
    "infusion",
    "infusions",
    "infuse",
    "injection",
    "injections",
    "inject",
    "injected",
    "challenge",
    "provocation",
    "desensitization",
    "desensitisation",
    "administration",
    "administer",
    "parenteral",
    "enteral",
    "tpn",
    "주사",
    "주사제",
    "주입",
    "수액",
    "투여",
];

impl Order {
    /// Whether every word of its category says that it gives the patient nothing, such as one of the laboratory, and none of
    /// its own says that it does.
    // INVARIANT: a_category_hides_nothing_that_the_order_gives
    pub fn gives_nothing(&self) -> bool {
        self.is_all_of(&[&LABORATORY, &OTHERS_WITHOUT]) && !self.says_given()
    }

    /// Whether it measures something.
    pub fn is_of_laboratory(&self) -> bool {
        self.is_all_of(&[&LABORATORY])
    }

    /// Whether its own words say that something is given.
    pub fn says_given(&self) -> bool {
        !self.named.is_too_long() && has(&self.named.words, &GIVEN)
    }

    /// Whether its category is named, by these words and no others that tell anything.
    fn is_all_of(&self, lists: &[&[&str]]) -> bool {
        let Kind::Service(category) = &self.kind else { return false };
        let listed = |word: &String| lists.iter().any(|list| list.contains(&word.as_str()));
        let is_one = |text: &String| {
            let words = split(text.trim_end_matches("(procedure)"));
            let procedure = words.iter().any(|word| word.starts_with("procedure"));
            // `Laboratory procedure` is one thing, `Consultation and procedure` are two.
            let two = text.contains(['&', '/', '+', ',', ';']) || words.iter().any(|word| word == "and");
            let told = words.iter().all(|word| listed(word) || PLAIN.contains(&word.as_str()));
            told && words.iter().any(listed) && !(procedure && two)
        };
        !category.is_too_long() && !category.words.is_empty() && category.words.iter().all(is_one)
    }

    /// Whether it is a service that gives nothing, by its category or, which is less sure, its own words.
    pub fn may_give_nothing(&self) -> bool {
        let by_words = || !self.named.is_too_long() && has(&self.named.words, &SERVICES_WITHOUT);
        self.gives_nothing() || matches!(self.kind, Kind::Service(_)) && by_words()
    }
}

fn has(texts: &[String], words: &[&str]) -> bool {
    texts.iter().flat_map(|text| split(text)).any(|word| words.contains(&word.as_str()))
}
