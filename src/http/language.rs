//! In which language a client wants to be answered. <https://www.rfc-editor.org/rfc/rfc9110#section-12.5.4>

use axum::http::{HeaderMap, header};

use crate::task::Language;

/// The language of ours that the client prefers: English unless it prefers Korean. What cannot be read is passed over.
pub fn preferred(headers: &HeaderMap) -> Language {
    let values = headers.get_all(header::ACCEPT_LANGUAGE).iter().filter_map(|value| value.to_str().ok());
    let ranges: Vec<(&str, f32)> = values.flat_map(|value| value.split(',')).filter_map(range).collect();
    let is = |range: &str, of: &str| range.split('-').next().is_some_and(|primary| primary.eq_ignore_ascii_case(of));
    let best =
        |of: &str| ranges.iter().filter(|(range, _)| is(range, of)).map(|(_, quality)| *quality).reduce(f32::max);
    // `*` is every language that is not named.
    let quality = |language: Language| best(language.word()).or(best("*")).unwrap_or(0.0);
    let [english, korean] = [Language::English, Language::Korean].map(quality);
    let named = ranges.iter().map(|(range, _)| *range).find(|range| is(range, "en") || is(range, "ko"));
    let first = named.is_some_and(|range| is(range, "ko"));
    if korean > english || korean == english && korean > 0.0 && first { Language::Korean } else { Language::English }
}

/// A language range and its quality, 0 to 1.
fn range(text: &str) -> Option<(&str, f32)> {
    let mut parts = text.split(';').map(str::trim);
    let range = parts.next().filter(|range| !range.is_empty())?;
    let quality = match parts.next() {
        None => 1.0,
        Some(weight) => weight.strip_prefix(['q', 'Q'])?.trim_start().strip_prefix('=')?.trim().parse().ok()?,
    };
    (parts.next().is_none() && (0.0..=1.0).contains(&quality)).then_some((range, quality))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn of(values: &[&str]) -> &'static str {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::ACCEPT_LANGUAGE, HeaderValue::from_str(value).unwrap());
        }
        preferred(&headers).word()
    }

    #[test]
    fn the_language_is_the_one_preferred_of_ours() {
        assert_eq!(of(&[]), "en");
        for (value, language) in [
            ("ko", "ko"),
            ("KO-kr", "ko"),
            ("en", "en"),
            ("ko, en", "ko"),
            ("en, ko", "en"),
            ("en;q=0.8, ko;q=0.9", "ko"),
            ("ko;q=0.8,en;q=0.9", "en"),
            ("ko-KR,ko;q=0.9,en-US;q=0.8,en;q=0.7", "ko"),
            ("en-US,en;q=0.9,ko;q=0.8", "en"),
            ("de, fr;q=0.9", "en"),
            ("de, ko;q=0.1", "ko"),
            ("ko;q=0", "en"),
            ("en;q=0, ko;q=0", "en"),
            ("*", "en"),
            ("*;q=0.5, ko", "ko"),
            ("*, ko;q=0.5", "en"),
            ("en;q=0, *", "ko"),
            ("ko ; q = 0.7", "ko"),
            ("kok", "en"),
            ("korean", "en"),
            ("", "en"),
            (",;,q=1;;,", "en"),
            ("ko;q=x", "en"),
            ("ko;q=2", "en"),
            ("ko;q=-1", "en"),
            ("ko;q=nan", "en"),
            ("ko;q=1;q=0", "en"),
            ("ko;level=1", "en"),
            ("ko;q=inf, en;q=0.1", "en"),
        ] {
            assert_eq!(of(&[value]), language, "{value}");
        }
        assert_eq!(of(&["en;q=0.5", "ko"]), "ko", "two headers are one list");
    }

    proptest! {
        #[test]
        fn whatever_is_sent_is_a_language(value in "[ -~]{0,60}|((ko|en|\\*|de)(-[A-Z]{2})?(;q=[0-9.]{0,4})?,?){0,6}") {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_LANGUAGE, value.parse().unwrap());
            let language = preferred(&headers);
            prop_assert!(language == Language::English || value.to_lowercase().contains("ko") || value.contains('*'));
        }
    }
}
