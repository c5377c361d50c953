//! Text as whole words: what is compared when no code is known.

use std::collections::HashMap;

use super::ordinary::is_ordinary;

/// Particles, dose forms and words for a class that Korean writes without a space behind a name.
const ENDINGS: [&str; 44] = [
    "정",
    "주",
    "캡슐",
    "시럽",
    "건조시럽",
    "주사",
    "주사제",
    "주사액",
    "서방정",
    "장용정",
    "과립",
    "연고",
    "크림",
    "나트륨",
    "칼륨",
    "수화물",
    "에",
    "에는",
    "은",
    "는",
    "이",
    "가",
    "을",
    "를",
    "의",
    "로",
    "으로",
    "와",
    "과",
    "도",
    "등",
    "계",
    "계열",
    "제",
    "제제",
    "약",
    "약물",
    "항생제",
    "알레르기",
    "알러지",
    "과민증",
    "과민반응",
    "부작용",
    "유사물질",
];

/// A word of a text, and the shorter words that it is made of with an ending behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word(Vec<String>);

/// Lower case, broken where letters, digits and Hangul meet and at everything else.
pub fn words(text: &str) -> Vec<Word> {
    split(text).into_iter().map(Word::new).collect()
}

/// The words of each part of a list: it is broken at signs, and at words such as `and`, that stand between parts.
pub fn parts(text: &str) -> Vec<Vec<Word>> {
    const BETWEEN: [&str; 4] = ["and", "or", "plus", "및"];
    let is_sign = |(at, c): (usize, char)| match c {
        // `w/o` is one word.
        '/' => !text[..at].ends_with(['w', 'W']),
        '.' => text[at + 1..].starts_with(char::is_whitespace),
        c => matches!(c, ',' | ';' | '+' | '&' | '\n'),
    };
    let (mut found, mut from) = (Vec::new(), 0);
    for (at, c) in text.char_indices().filter(|place| is_sign(*place)) {
        found.push(words(&text[from..at]));
        from = at + c.len_utf8();
    }
    found.push(words(&text[from..]));
    let is_between = |word: &Word| BETWEEN.iter().any(|between| word.is(between));
    let parts = found.iter().flat_map(|part| part.split_inclusive(Word::joins)).flat_map(|part| part.split(is_between));
    parts.filter(|part| !part.is_empty()).map(<[Word]>::to_vec).collect()
}

/// The words of a name that is looked for. `w/o` and `w/out` are one word, `wo` and `wout`, so that they are never `w`.
pub fn split(text: &str) -> Vec<String> {
    let (mut found, mut word, mut before) = (Vec::new(), String::new(), Kind::Other);
    let lower = text.to_lowercase();
    for (at, c) in lower.char_indices() {
        if c == '/' && word == "w" && is_without(&lower[at + 1..]) {
            continue;
        }
        let kind = Kind::of(c);
        if kind != before && !word.is_empty() {
            found.push(std::mem::take(&mut word));
        }
        if kind != Kind::Other {
            word.push(c);
        }
        before = kind;
    }
    found.extend(Some(word).filter(|word| !word.is_empty()));
    found
}

/// Whether it goes on as `w/o` does behind its stroke: `w/oral` does not.
fn is_without(rest: &str) -> bool {
    let ends = |rest: &str| rest.chars().next().is_none_or(|next| !next.is_alphanumeric());
    ["o", "out"].iter().any(|word| rest.strip_prefix(word).is_some_and(ends))
}

/// Words that may say what something is.
pub fn telling(text: &str) -> impl Iterator<Item = String> {
    words(text).into_iter().filter(Word::tells).map(|word| word.text().to_owned())
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Hangul,
    Digit,
    Letter,
    Other,
}

impl Kind {
    fn of(c: char) -> Kind {
        match c {
            '\u{ac00}'..='\u{d7a3}' => Kind::Hangul,
            c if c.is_numeric() => Kind::Digit,
            c if c.is_alphabetic() => Kind::Letter,
            _ => Kind::Other,
        }
    }
}

impl Word {
    fn new(word: String) -> Word {
        let bare = ENDINGS.iter().filter_map(|ending| word.strip_suffix(ending));
        let bare: Vec<String> = bare.filter(|bare| bare.chars().count() > 1).map(str::to_owned).collect();
        Word([word].into_iter().chain(bare).collect())
    }

    /// What it may stand for, itself first.
    pub fn readings(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether it ends in what Korean writes for `and`.
    fn joins(&self) -> bool {
        self.0.len() > 1 && self.0[0].ends_with(['와', '과'])
    }

    /// Itself.
    pub fn text(&self) -> &str {
        self.0.first().map_or("", String::as_str)
    }

    /// Whether it may say what something is: it has three letters or more, or two of Hangul, and names no form, dose,
    /// reaction or the like.
    pub fn tells(&self) -> bool {
        let text = self.text();
        let long = text.chars().count() >= if text.is_ascii() { 3 } else { 2 };
        let ordinary = |word: &str| is_ordinary(word) || ENDINGS.contains(&word);
        long && !text.starts_with(char::is_numeric) && !self.readings().any(ordinary)
    }

    pub fn is(&self, word: &str) -> bool {
        self.readings().any(|reading| reading == word)
    }
}

/// Whether the text begins with these words, each whole.
pub fn begins(text: &[Word], phrase: &[String]) -> bool {
    text.len() >= phrase.len() && text.iter().zip(phrase).all(|(word, wanted)| word.is(wanted))
}

/// Words with the places where each of them stands, for many questions about one text.
pub struct Text {
    words: Vec<Word>,
    places: HashMap<String, Vec<usize>>,
}

impl Text {
    pub fn of(words: Vec<Word>) -> Text {
        let mut places: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, word) in words.iter().enumerate() {
            word.readings().for_each(|reading| places.entry(reading.to_owned()).or_default().push(at));
        }
        Text { words, places }
    }

    /// What is left where these are taken away, at each place the longest.
    pub fn without(&self, phrases: &[Vec<String>]) -> Text {
        let (mut left, mut at) = (Vec::new(), 0);
        while at < self.words.len() {
            let standing = phrases.iter().filter(|phrase| begins(&self.words[at..], phrase));
            match standing.map(Vec::len).max() {
                Some(longest) => at += longest.max(1),
                None => {
                    left.push(self.words[at].clone());
                    at += 1;
                }
            }
        }
        Text::of(left)
    }

    /// Whether the words stand in the text, side by side.
    pub fn contains(&self, phrase: &[String]) -> bool {
        let places = phrase.first().and_then(|first| self.places.get(first));
        places.is_some_and(|places| places.iter().any(|at| begins(&self.words[*at..], phrase)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_words_are_found() {
        for (text, phrase, found) in [
            ("Amoxicillin 500mg capsule", "amoxicillin", true),
            ("AMOXICILLIN/CLAVULANATE", "amoxicillin", true),
            ("co-amoxiclav", "co-amoxiclav", true),
            ("non-penicillin", "penicillin", true),
            ("penicillinase", "penicillin", false),
            ("aspirins", "aspirin", false),
            ("penicillin V potassium", "penicillin v", true),
            ("penicillin, vomiting", "penicillin v", false),
            ("페니실린에 알레르기", "페니실린", true),
            ("아목시실린캡슐500밀리그램", "아목시실린", true),
            ("비페니실린", "페니실린", false),
            ("페니실린나아제", "페니실린", false),
            ("CT chest w/o contrast", "wo contrast", true),
            ("CT chest w/o contrast", "w", false),
            ("CT chest w/out contrast", "wout contrast", true),
            ("CT chest w/ and w/out contrast", "w and wout contrast", true),
            ("CT abdomen w/oral contrast", "w oral contrast", true),
            ("CT abdomen W/WO contrast", "w wo contrast", true),
            ("CT abdomen w/ & w/o contrast", "w wo contrast", true),
            ("", "aspirin", false),
        ] {
            assert_eq!(Text::of(words(text)).contains(&split(phrase)), found, "{text}: {phrase}");
        }
    }
}
