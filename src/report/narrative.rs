//! The sentences of a report that people read, and the only maker of markup in a resource. <https://hl7.org/fhir/R4/narrative.html>

use serde_json::{Value, json};

use crate::{
    chart::{EvidenceId, StudyRead, plain},
    engine::ModelInfo,
    grounding,
    task::Language,
};

use super::{Made, words::Words};

/// Longest piece of text in a narrative, in characters.
const MAX_TEXT: usize = 4000;

/// The `div` of a resource, built from lines and lists of text.
pub struct Div(String);

impl Div {
    /// Starts with the banner.
    pub fn draft(language: Language) -> Div {
        let (banner, not_reviewed) = (grounding::Words::of(language).banner, Words::of(language).not_reviewed);
        let mut div = Div::new(language);
        div.0.push_str(&format!("<p><b>{banner}.</b> {not_reviewed}</p>"));
        div
    }

    pub fn new(language: Language) -> Div {
        let word = language.word();
        Div(format!("<div xmlns=\"http://www.w3.org/1999/xhtml\" lang=\"{word}\" xml:lang=\"{word}\">"))
    }

    pub fn line(mut self, text: &str) -> Div {
        if !text.is_empty() {
            self.0.push_str(&format!("<p>{}</p>", escaped(text)));
        }
        self
    }

    pub fn list(mut self, title: &str, items: &[String]) -> Div {
        if !items.is_empty() {
            let items: String = items.iter().map(|item| format!("<li>{}</li>", escaped(item))).collect();
            self.0.push_str(&format!("<p>{}</p><ul>{items}</ul>", escaped(title)));
        }
        self
    }

    pub fn narrative(self) -> Value {
        json!({ "status": "generated", "div": self.0 + "</div>" })
    }
}

// INVARIANT: text_of_a_chart_is_never_a_code_a_link_or_an_id_and_is_escaped
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in plain(text, MAX_TEXT).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

pub fn ids(evidence: &[EvidenceId]) -> String {
    evidence.iter().map(|id| id.to_string()).collect::<Vec<_>>().join(", ")
}

/// The conclusion: our own sentences, made by code from the coded findings.
pub fn impression(made: &Made) -> String {
    let mut sentences: Vec<String> = made.statements().map(|s| format!("{}.", plain(&s.text, 600))).collect();
    if sentences.is_empty() {
        sentences.push(made.words().no_finding.to_owned());
    }
    // INVARIANT: a_reader_sees_what_was_looked_for_whatever_was_found
    sentences.push(grounding::looked_for(made.language));
    sentences.extend(made.assessment.urgency.map(|u| (made.words().urgency)(made.shared().urgency(u))));
    sentences.join(" ")
}

/// Which study was read, how it was chosen, and that it is not the one being ordered.
pub fn study_sentence(made: &Made) -> Option<String> {
    let study = made.study()?;
    let shared = made.shared();
    let what = if study.is_study() { shared.study_read } else { shared.picture_read };
    let (study, chosen) = (study_words(study, made.language), shared.chosen(study));
    Some(format!("{what}: {study}, {chosen}. {}", made.words().not_the_ordered))
}

pub fn study_words(study: &StudyRead, language: Language) -> String {
    let date = study.date.as_ref().map_or(grounding::Words::of(language).no_date, |d| d.day());
    let description = study.description.as_deref().map(|d| format!(", {}", plain(d, 120))).unwrap_or_default();
    format!("{date}{description}")
}

/// What the checkpoint says it was trained for.
pub fn scope_sentence(model: &ModelInfo, language: Language) -> String {
    let words = Words::of(language);
    let Some(scope) = &model.scope else { return words.general.to_owned() };
    let list = |items: &Vec<String>| if items.is_empty() { words.none_stated.to_owned() } else { items.join(", ") };
    let stated =
        [&scope.tasks, &scope.modalities, &scope.body_parts, &scope.views, &scope.languages, &scope.sources].map(list);
    plain(&(words.scope)(stated), 1000)
}
