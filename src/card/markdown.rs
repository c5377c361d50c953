//! Text of a model or a chart as an EHR may safely show it. <https://github.github.com/gfm/>

use crate::chart::plain;

/// Longest piece of text of others, in characters.
const MAX_TEXT: usize = 1000;
/// Word joiner: no width, no break.
const JOINER: char = '\u{2060}';

/// Cut at a word boundary to at most `max` UTF-16 units; a word that is longer than that, between characters.
pub fn cut(text: &str, max: usize) -> String {
    if text.encode_utf16().count() <= max {
        return text.to_owned();
    }
    let mut end = 0;
    let mut units = 0;
    for (at, c) in text.char_indices() {
        units += c.len_utf16();
        if units > max - 1 {
            let boundary = text[..at].rfind(' ').filter(|space| *space > 0);
            end = boundary.unwrap_or_else(|| before_joined(text, at));
            break;
        }
    }
    format!("{}…", text[..end].trim_end_matches([' ', ';', ',']))
}

/// The last place up to `at` where no character goes on with the one before: an accent, or part of a Hangul syllable in
/// jamo.
fn before_joined(text: &str, at: usize) -> usize {
    let joins = |c: char| matches!(c, '\u{300}'..='\u{36f}' | '\u{1160}'..='\u{11ff}' | '\u{d7b0}'..='\u{d7ff}' | '\u{1f3fb}'..='\u{1f3ff}');
    let mut places = text[..at].char_indices().rev().map(|(place, _)| place);
    let free = |place: usize| !text[place..].starts_with(joins);
    if free(at) { at } else { places.find(|place| *place > 0 && free(*place)).unwrap_or(at) }
}

/// Text of a model or a chart as Markdown that shows exactly that text: no link, image, HTML or emphasis survives.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in unlinked(text).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '|' | '~' | '!' | '@' | '$' => {
                out.push('\\');
                out.push(c);
            }
            _ => out.push(c),
        }
    }
    out
}

/// One line of text. Renderers make links of bare addresses, whatever is escaped; an invisible joiner inside keeps them text. Numbers and
/// units stay as they are.
pub fn unlinked(text: &str) -> String {
    let text = plain(text, MAX_TEXT);
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if c == '.' && is_web(&out) {
            out.push(JOINER);
        }
        out.push(c);
        let next = rest.peek().copied().unwrap_or(' ');
        let name = c == '.' && before.is_alphanumeric() && next.is_alphabetic();
        if c == '@' || name || (matches!(c, '/' | ':') && next == '/') {
            out.push(JOINER);
        }
        before = c;
    }
    out
}

/// Whether it ends in what makes a link of anything that stands behind its dot.
fn is_web(text: &str) -> bool {
    let last = text.len().checked_sub(3).and_then(|at| text.get(at..));
    last.is_some_and(|last| last.eq_ignore_ascii_case("www"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn model_text_is_data() {
        for (text, never) in [
            ("[click](https://evil.example)", "[click]("),
            ("<img src=x onerror=alert(1)>", "<img"),
            ("see https://evil.example now", "://"),
            ("www.evil.example", "www."),
            ("www.163.com", "www."),
            ("(WWW.1evil.com/a", "WWW."),
            ("see www.-evil.com", "www."),
            ("mail me@evil.example", "@evil"),
            ("evil.com/MARK", "evil.com"),
            ("//evil.example/x", "//"),
            ("xmpp:a@evil.example", "@evil"),
            ("`code` **bold**", "**bold"),
            ("a\n\n# heading", "\n"),
            ("left\u{202e}thgir\u{200b}", "\u{202e}"),
            ("&lt;b&gt;", "&lt;b"),
        ] {
            assert!(!escape(text).contains(never), "{text} became {}", escape(text));
        }
        assert_eq!(escape("temperature 38.3 C, 5×10⁹/L"), "temperature 38.3 C, 5×10⁹/L");
    }

    #[test]
    fn a_summary_stays_under_140_characters_in_every_way_of_counting() {
        let long = "effusion 🫁 ".repeat(60);
        let kept = cut(&unlinked(&long), 139);
        assert!(kept.encode_utf16().count() <= 139 && kept.ends_with('…'), "{kept}");
        let word = cut(&"𝒳".repeat(200), 139);
        assert!(word.encode_utf16().count() <= 139, "{}", word.encode_utf16().count());
        assert_eq!(cut("short", 139), "short");
    }

    #[test]
    fn a_cut_leaves_no_half_of_a_character() {
        let jamo = "\u{1112}\u{1161}\u{11ab}";
        for max in 4..40 {
            for (word, whole) in
                [("가".repeat(60), 1), (jamo.repeat(60), 3), ("e\u{301}".repeat(60), 2), ("𝒳".repeat(60), 1)]
            {
                let kept = cut(&word, max);
                let characters = kept.strip_suffix('…').unwrap().chars().count();
                assert!(
                    kept.encode_utf16().count() <= max && characters.is_multiple_of(whole) && characters > 0,
                    "{max} {kept}"
                );
            }
        }
        let sentence = "흉수, 왼쪽 하부, 중등도 (이전 영상보다 늘어남); ".repeat(8);
        for max in 10..139 {
            let kept = cut(&sentence, max);
            let said = kept.strip_suffix('…').unwrap();
            let next = sentence[said.len()..].trim_start_matches([',', ';']);
            assert!(sentence.starts_with(said) && next.starts_with(' '), "{max} {kept}");
        }
    }
}
