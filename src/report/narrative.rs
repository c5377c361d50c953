//! The words of a report that people read, and the only maker of markup in a resource. <https://hl7.org/fhir/R4/narrative.html>

use serde_json::{Value, json};

use crate::{
    chart::{EvidenceId, Fact, Measurement, Role, StudyRead},
    engine::ModelInfo,
};

use super::{BANNER, Made};

/// One line of text from anywhere: control and invisible characters and changes of writing direction taken out, at most
/// `limit` characters.
pub fn plain(text: &str, limit: usize) -> String {
    let visible =
        text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).filter(|c| !c.is_control() && !hidden(*c));
    let mut line = String::new();
    for (count, word) in visible.collect::<String>().split_whitespace().enumerate() {
        if count > 0 {
            line.push(' ');
        }
        line.push_str(word);
    }
    if line.chars().count() > limit {
        line = line.chars().take(limit.saturating_sub(1)).collect();
        line.push('…');
    }
    line
}

/// Invisible, or able to make the text around it read otherwise; and what XML cannot hold.
fn hidden(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}' | '\u{e0000}'..='\u{e0fff}')
}

/// The `div` of a resource, built from lines and lists of text.
pub struct Div(String);

impl Div {
    /// Starts with the banner.
    pub fn draft() -> Div {
        let mut div = Div::new();
        div.0.push_str(&format!("<p><b>{BANNER}.</b> Not reviewed by a clinician.</p>"));
        div
    }

    pub fn new() -> Div {
        Div("<div xmlns=\"http://www.w3.org/1999/xhtml\">".to_owned())
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
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if (c.is_control() && !c.is_whitespace()) || hidden(c) => {}
            c => out.push(c),
        }
    }
    out
}

/// What kind of evidence a fact is, and what it says, each in a few words.
pub fn described(fact: &Fact) -> (&'static str, String) {
    let (kind, text) = match fact {
        Fact::Image { role, image } => {
            let view = image.view.as_deref().map(|v| format!(", {v}")).unwrap_or_default();
            let part = image.body_part.as_deref().map(|p| format!(" {}", p.to_lowercase())).unwrap_or_default();
            ("picture", format!("{} film: {}{part}{view}", role_word(*role), image.modality))
        }
        Fact::Measurement(m) => (if m.vital { "vital sign" } else { "measurement" }, measured(m)),
        Fact::Note { text } => ("note", text.clone()),
        Fact::Medication { text, dosage, .. } => ("medication", joined(text, dosage.as_deref())),
        Fact::Problem { text, status, .. } => ("problem", format!("{text} ({status})")),
        Fact::Allergy { text, criticality, reactions } => {
            let reactions = (!reactions.is_empty()).then(|| format!("reactions: {}", reactions.join(", ")));
            let criticality = criticality.as_deref().map(|c| format!("criticality {c}"));
            (
                "allergy",
                [Some(text.clone()), criticality, reactions].into_iter().flatten().collect::<Vec<_>>().join("; "),
            )
        }
        Fact::Study { text, modality } => ("imaging study", joined(text, modality.as_deref())),
        Fact::Report { text, status, conclusion } => {
            ("report", joined(&format!("{text} ({status})"), conclusion.as_deref()))
        }
    };
    (kind, plain(&text, 600))
}

fn joined(text: &str, more: Option<&str>) -> String {
    more.map_or_else(|| text.to_owned(), |more| format!("{text}; {more}"))
}

fn measured(m: &Measurement) -> String {
    let value = match &m.components {
        Some((systolic, diastolic)) => format!("{systolic}/{diastolic}"),
        None => m.value.clone(),
    };
    let unit = m.unit.as_deref().map(|u| format!(" {u}")).unwrap_or_default();
    let flag = m.flag.as_deref().map(|f| format!(" ({f})")).unwrap_or_default();
    let change = m.change.as_deref().map(|c| format!(", {c}")).unwrap_or_default();
    format!("{} {value}{unit}{flag}{change}", m.text)
}

pub fn role_word(role: Role) -> &'static str {
    match role {
        Role::Current => "current",
        Role::Prior => "prior",
    }
}

pub fn ids(evidence: &[EvidenceId]) -> String {
    evidence.iter().map(|id| id.to_string()).collect::<Vec<_>>().join(", ")
}

/// The conclusion: our own sentences, made by code from the coded findings.
pub fn impression(made: &Made) -> String {
    let mut sentences: Vec<String> = made.statements().map(|s| format!("{}.", plain(&s.text, 600))).collect();
    if sentences.is_empty() {
        sentences.push("No finding is stated, which does not say that the examination is normal.".to_owned());
    }
    sentences.extend(made.assessment.urgency.map(|u| format!("Suggested urgency: {}.", u.word())));
    sentences.join(" ")
}

/// Which study was read, how it was chosen, and that it is not the one being ordered.
pub fn study_sentence(made: &Made) -> Option<String> {
    let study = made.study()?;
    let chosen = match study.named_by_order {
        true => "the study the order names",
        false => "the newest unreported study that fits the order",
    };
    Some(format!("Study read: {}, {chosen}. This is not the ordered examination.", study_words(study)))
}

pub fn study_words(study: &StudyRead) -> String {
    let date = study.date.as_ref().map_or("no date stated", |d| d.day());
    let description = study.description.as_deref().map(|d| format!(", {}", plain(d, 120))).unwrap_or_default();
    format!("{date}{description}")
}

/// What the checkpoint says it was trained for.
pub fn scope_sentence(model: &ModelInfo) -> String {
    let Some(scope) = &model.scope else {
        return "A general model: its files state no scope it was trained for.".to_owned();
    };
    let list = |items: &[String]| if items.is_empty() { "none stated".to_owned() } else { items.join(", ") };
    let sentence = format!(
        "Answer contract {}. Trained for {}; modalities: {}; body parts: {}; views: {}; languages: {}; pictures made by: {}.",
        scope.contract,
        list(&scope.tasks),
        list(&scope.modalities),
        list(&scope.body_parts),
        list(&scope.views),
        list(&scope.languages),
        list(&scope.sources),
    );
    plain(&sentence, 1000)
}
