//! Text that may stand in a prompt: no invisible characters, and nothing the tokenizer would read as a control token.
//!
//! The runtime encodes a prompt with control tokens live, so `<start_of_turn>` inside a note would open a turn. The opening
//! character of everything that looks like such a token is replaced by a look-alike: the text stays readable, and nothing
//! can form again when the runtime decodes the prompt and encodes it a second time.

/// Stands in for `<` and `[` where they would open a control token (U+2039).
pub const LOOK_ALIKE: char = '\u{2039}';

/// Longest control token looked for, in characters between the brackets. A model with a longer one is refused.
const LONGEST: usize = 64;

/// A finished text part of a prompt. Only [`Neutral::new`] makes one.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Neutral {
    text: String,
    replacements: usize,
}

impl Neutral {
    // INVARIANT: neutral_text_holds_no_control_token
    /// Neutralises a whole text part. Run it on the finished part: two harmless fragments can meet and form a token.
    pub fn new(untrusted: &str) -> Neutral {
        // Invisible characters go first: they could hold a token apart until they are removed.
        let visible = visible(untrusted);
        let mut text = String::with_capacity(visible.len());
        let mut replacements = 0;
        for (at, character) in visible.char_indices() {
            if opens_token(&visible[at..]) {
                text.push(LOOK_ALIKE);
                replacements += 1;
            } else {
                text.push(character);
            }
        }
        Neutral { text, replacements }
    }

    /// One line of at most `max_chars` characters: newlines and runs of white space become one space; a cut ends in `…`.
    ///
    /// Still untrusted: [`Neutral::new`] is for the finished part it becomes a line of, and counts there.
    pub fn line(untrusted: &str, max_chars: usize) -> String {
        let folded = visible(untrusted).split_whitespace().collect::<Vec<_>>().join(" ");
        if folded.chars().count() <= max_chars {
            return folded;
        }
        let mut cut: String = folded.chars().take(max_chars.saturating_sub(1)).collect();
        cut.truncate(cut.trim_end().len());
        cut.push('…');
        cut
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How many control tokens the text tried to hold: a finding about the record it came from.
    pub fn replacements(&self) -> usize {
        self.replacements
    }
}

/// Whether `token`, standing anywhere in untrusted text, would be broken by [`Neutral::new`].
///
/// The stager asks this of every added token of a tokenizer and refuses a model that has one it cannot break.
pub fn breaks(token: &str) -> bool {
    opens_token(token)
}

/// Whether the text starts with something a tokenizer could hold as a control token: `<word>`, `</word>`, `<|word|>`, or
/// `[multimodal]`. Deliberately wider than any one tokenizer's list, because the text is made before the model is known.
fn opens_token(text: &str) -> bool {
    let mut characters = text.chars();
    match characters.next() {
        Some('<') => {
            let mut length = 0;
            for character in characters {
                match character {
                    '>' => return length > 0,
                    '_' | '|' | '/' | '-' | '.' | ':' => length += 1,
                    letter if letter.is_alphanumeric() => length += 1,
                    _ => return false,
                }
                if length > LONGEST {
                    return false;
                }
            }
            false
        }
        // Square brackets are common in charts and prompts alike, so only the one known token counts.
        Some('[') => text.get(..12).is_some_and(|head| head.eq_ignore_ascii_case("[multimodal]")),
        _ => false,
    }
}

/// Removes what a reader cannot see (controls, terminal escapes, format, bidi and zero-width characters, variation
/// selectors, tags) and writes every line end as `\n`. Nothing visible is normalised: NFKC would turn 10⁹ into 109.
fn visible(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\r' => {
                characters.next_if_eq(&'\n');
                kept.push('\n');
            }
            '\n' | '\u{85}' | '\u{2028}' | '\u{2029}' => kept.push('\n'),
            '\t' => kept.push(' '),
            '\u{1b}' => {
                if characters.next_if_eq(&'[').is_some() {
                    while characters.next_if(|c| matches!(c, '\u{20}'..='\u{3f}')).is_some() {}
                    characters.next_if(|c| matches!(c, '\u{40}'..='\u{7e}'));
                }
            }
            hidden if is_invisible(hidden) => {}
            shown => kept.push(shown),
        }
    }
    kept
}

fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LITERALS: [&str; 14] = [
        "<start_of_turn>",
        "<end_of_turn>",
        "<start_of_image>",
        "<end_of_image>",
        "<image_soft_token>",
        "<bos>",
        "<eos>",
        "<pad>",
        "<unk>",
        "<mask>",
        "<unused94>",
        "[multimodal]",
        "</s>",
        "<|im_start|>",
    ];

    proptest! {
        #[test]
        fn neutral_text_holds_no_control_token(before in "\\PC{0,8}|[<\\[>a-z_|/]{0,6}", literal in 0..LITERALS.len(),
                                               after in "\\PC{0,8}|[<\\[>a-z_|/]{0,6}", hidden in 0usize..12) {
            let literal = LITERALS[literal];
            let mut split = literal.to_string();
            split.insert(hidden.min(literal.len()), '\u{200b}');
            for text in [format!("{before}{literal}{after}"), format!("{before}{split}{after}"), literal.repeat(2)] {
                let neutral = Neutral::new(&text);
                prop_assert!(neutral.replacements() > 0);
                for each in LITERALS {
                    prop_assert!(!neutral.as_str().contains(each));
                }
            }
        }

        #[test]
        fn neutralising_twice_changes_nothing(text in "[<>\\[\\]a-z_ \\n\u{200b}\u{e0041}\u{1b}]{0,40}") {
            let once = Neutral::new(&text);
            let twice = Neutral::new(once.as_str());
            prop_assert_eq!(twice.as_str(), once.as_str());
        }
    }

    #[test]
    fn clinical_text_passes_unchanged() {
        for text in
            ["5×10⁹/L", "½ tab", "m²", "CRP <5 mg/l", "[E1] lab: crp 12 mg/l\n[E2] note: <3 days", "흉부 사진", "a > b"]
        {
            assert_eq!(Neutral::new(text).as_str(), text);
            assert_eq!(Neutral::new(text).replacements(), 0);
        }
    }

    #[test]
    fn invisible_characters_and_escapes_are_removed() {
        let neutral = Neutral::new("\u{1b}[31mred\u{1b}[0m a\u{202e}b\u{200d}\u{fe0f}c\0\r\nline\u{2028}end\ttab");
        assert_eq!(neutral.as_str(), "red abc\nline\nend tab");
    }

    #[test]
    fn a_line_is_one_line_and_bounded() {
        assert_eq!(Neutral::line("  two\n lines\t here ", 40), "two lines here");
        assert_eq!(Neutral::line("abcdef", 4), "abc…");
        assert_eq!(Neutral::new(&Neutral::line("<bos>\nx", 40)).as_str(), "‹bos> x");
    }
}
