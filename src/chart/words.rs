//! Facts in words, and text of others made fit to stand among ours.

use super::{Evidence, Fact, Role, StudyRead};
use crate::fhir::Reference;

/// One line of text from anywhere: control and invisible characters and changes of writing direction taken out, at most
/// `limit` characters. Markup is not touched: whoever prints it escapes it.
pub fn plain(text: &str, limit: usize) -> String {
    // Most is: words of ASCII with one space between them.
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_graphic());
    if text.len() <= limit && text.split(' ').all(is_word) { text.to_owned() } else { made_plain(text, limit) }
}

fn made_plain(text: &str, limit: usize) -> String {
    let spaced = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c });
    let visible: String = spaced.filter(|c| !c.is_control() && !hidden(*c)).collect();
    let line = visible.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= limit {
        return line;
    }
    line.chars().take(limit.saturating_sub(1)).chain(['…']).collect()
}

/// Invisible, or able to make the text around it read otherwise; and what XML cannot hold.
fn hidden(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}' | '\u{e0000}'..='\u{e0fff}')
}

/// The statements of a text as they stand, each with the sign that ends it: one says nothing of the next.
pub fn clauses(text: &str) -> Vec<&str> {
    const SIGNS: &str = ";.,:!?|()[]\r\n\u{2022}\u{2014}\u{3001}\u{3002}\u{ff08}\u{ff09}\u{ff0c}\u{ff1a}\u{ff1b}";
    const TURNS: [&str; 5] = ["but", "except", "however", "although", "though"];
    let turns = |rest: &str| {
        let begins = |word: &&str| rest.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word));
        TURNS
            .iter()
            .find(|word| begins(word))
            .is_some_and(|word| !rest[word.len()..].starts_with(char::is_alphanumeric))
    };
    let (mut found, mut start, mut before) = (Vec::new(), 0, ' ');
    for (at, c) in text.char_indices() {
        let ends = SIGNS.contains(c) || matches!(c, '-' | '\u{2013}') && before.is_whitespace();
        let end = at + if ends { c.len_utf8() } else { 0 };
        if ends || !before.is_alphanumeric() && turns(&text[at..]) {
            found.push(&text[start..end]);
            start = end;
        }
        before = c;
    }
    found.push(&text[start..]);
    found
}

/// `Type/id`.
pub fn short(reference: &str) -> String {
    Reference::parse(reference)
        .map_or_else(|| reference.to_owned(), |named| format!("{}/{}", named.resource_type, named.id))
}

impl StudyRead {
    /// Whether it is an ImagingStudy.
    pub fn is_study(&self) -> bool {
        Reference::parse(&self.reference).is_some_and(|reference| reference.resource_type == "ImagingStudy")
    }
}

impl Role {
    pub fn word(self) -> &'static str {
        match self {
            Role::Current => "current",
            Role::Prior => "prior",
        }
    }
}

/// A measurement as an English prompt prints it, and as an answer in any language has to copy it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Printed {
    pub value: String,
    /// Its UCUM code, else as received; empty where there is none.
    pub unit: String,
    /// The day, or `undated`.
    pub date: String,
    /// In words, such as `high`.
    pub flag: Option<String>,
}

impl Printed {
    /// Whether the flag says that the value stands out.
    pub fn is_flagged(&self) -> bool {
        self.flag.as_deref().is_some_and(|flag| FLAGGED.contains(&flag))
    }

    pub fn is_high(&self) -> bool {
        matches!(self.flag.as_deref(), Some("high" | "critically high"))
    }

    pub fn is_low(&self) -> bool {
        matches!(self.flag.as_deref(), Some("low" | "critically low"))
    }
}

/// Flags that say that a value stands out.
pub const FLAGGED: [&str; 6] = ["high", "low", "critically high", "critically low", "abnormal", "critically abnormal"];

impl Evidence {
    /// `None` where it is no measurement.
    pub fn printed(&self) -> Option<Printed> {
        let Fact::Measurement(m) = &self.fact else { return None };
        Some(Printed {
            value: plain(&m.value, 40),
            unit: plain(m.ucum.as_deref().or(m.unit.as_deref()).unwrap_or_default(), 20),
            date: self.date.as_ref().map_or("undated", |date| date.day()).to_owned(),
            flag: m.flag.as_deref().map(|code| plain(flag(code), 20)).filter(|flag| !flag.is_empty()),
        })
    }
}

/// A text and what else is known of it, with commas between; what is empty is left out.
pub fn joined<const N: usize>(text: &str, more: [Option<String>; N]) -> String {
    let mut text = text.to_owned();
    for part in more.into_iter().flatten().filter(|part| !part.is_empty()) {
        text.push_str(", ");
        text.push_str(&part);
    }
    text
}

/// HL7 interpretation codes in words; any other text as it came. <http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation>
pub fn flag(code: &str) -> &str {
    match code {
        "H" | "HU" | ">" => "high",
        "HH" => "critically high",
        "L" | "LU" | "<" => "low",
        "LL" => "critically low",
        "A" => "abnormal",
        "AA" => "critically abnormal",
        "N" => "normal",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_reads_otherwise_than_it_is_becomes_plain() {
        assert_eq!(plain("a\u{202e}b\u{200b}c\r\n\td\u{7}", 40), "abc d");
        assert_eq!(plain("abcdef", 4), "abc…");
        assert_eq!(plain("5×10⁹/L, m², ½ tab", 40), "5×10⁹/L, m², ½ tab");
    }

    #[test]
    fn a_clause_ends_with_its_sign_or_before_a_word_that_turns() {
        let of = "Penicillin: hives, rash - no shock; but fine (non-severe, butter)";
        let parts =
            ["Penicillin:", " hives,", " rash -", " no shock;", " ", "but fine (", "non-severe,", " butter)", ""];
        assert_eq!(clauses(of), parts);
    }

    proptest::proptest! {
        #[test]
        fn clauses_are_the_whole_text(text in "\\PC{0,20}|[a -;.]{0,8}but[a -;.]{0,8}") {
            proptest::prop_assert_eq!(clauses(&text).concat(), text);
        }

        #[test]
        fn what_is_plain_already_stays_as_it_is(text in "\\PC{0,12}|[a-c \t\u{7f}\u{200b}]{0,12}", limit in 0usize..14) {
            proptest::prop_assert_eq!(plain(&text, limit), made_plain(&text, limit));
        }
    }
}
