//! Text of a model or a chart as an EHR may safely show it. <https://github.github.com/gfm/>

use crate::chart::plain;

/// Longest piece of text of others, in characters.
const MAX_TEXT: usize = 1000;
/// Word joiner: no width, no break.
const JOINER: char = '\u{2060}';

/// Cut at a word boundary to at most `max` UTF-16 units, never inside a character.
pub fn cut(text: &str, max: usize) -> String {
    if text.encode_utf16().count() <= max {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut units = 0;
    for word in text.split_inclusive(' ') {
        let more = word.encode_utf16().count();
        if units + more > max - 1 {
            break;
        }
        units += more;
        kept.push_str(word);
    }
    if kept.is_empty() {
        let mut units = 0;
        kept = text
            .chars()
            .take_while(|c| {
                units += c.len_utf16();
                units < max
            })
            .collect();
    }
    format!("{}…", kept.trim_end_matches([' ', ';', ',']))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn model_text_is_data() {
        for (text, never) in [
            ("[click](https://evil.example)", "[click]("),
            ("<img src=x onerror=alert(1)>", "<img"),
            ("see https://evil.example now", "://"),
            ("www.evil.example", "www.evil"),
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
}
