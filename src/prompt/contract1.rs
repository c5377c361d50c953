//! Contract 1: the prompt the bundled checkpoint was trained on, and nothing else. Outside this form it goes wrong, measured.
//!
//! It is a narrow view of the chart. What it leaves out stands in the ledger; the chart itself is never cut.

use super::Rendered;
use crate::{
    chart::{Chart, Evidence, EvidenceId, Fact, Measurement, NotShown, Role},
    engine::{Neutral, Part, Prompt, Scope},
    imaging::Image,
};

pub const VERSION: &str = "contract 1";
/// What the checkpoint was trained to be asked.
const INSTRUCTION: &str = "Read the chest image with the chart. Answer with JSON.";
/// Evidence lines in a prompt, pictures included.
const MAX_LINES: usize = 13;
/// Tokens of a prompt, picture tokens included.
const MAX_TOKENS: usize = 350;
/// Highest evidence number with a token of its own.
const MAX_ID: u32 = 40;
pub const MAX_NEW_TOKENS: usize = 320;
const OUTSIDE: &str = "outside contract 1";
/// Longest text of a line, in characters.
const MAX_TEXT: usize = 80;

/// Why the model may not be shown this film; `None` when all of it lies within what the checkpoint says it can read.
///
/// A general model (no scope) is held only to what this contract can say: a frontal chest film.
pub fn out_of_scope(image: &Image, scope: Option<&Scope>) -> Option<String> {
    let view = image.view.as_deref().unwrap_or("not stated");
    let body_part = image.body_part.as_deref().unwrap_or("not stated");
    let Some(scope) = scope else {
        let chest = body_part.eq_ignore_ascii_case("CHEST") && matches!(view, "AP" | "PA");
        return (!chest).then(|| format!("this service reads frontal chest films (body part {body_part}, view {view})"));
    };
    let source = image.manufacturer.as_deref();
    let checks = [
        ("task", "imaging-draft", scope.tasks.iter().any(|t| t == "imaging-draft")),
        ("modality", image.modality.as_str(), scope.modalities.contains(&image.modality)),
        ("body part", body_part, scope.body_parts.iter().any(|b| b == body_part)),
        ("view", view, scope.views.iter().any(|v| v == view)),
        ("source", source.unwrap_or("not stated"), source.is_some_and(|s| scope.sources.iter().any(|known| known == s))),
    ];
    let failed = checks.into_iter().find(|(.., fits)| !fits)?;
    Some(format!("the loaded model was never shown such a film ({}: {})", failed.0, failed.1))
}

/// Renders the view of the chart that fits: the first lines in evidence order that contract 1 can express.
///
/// `schema` makes the answer's form from the ids shown; `count` gives the tokens of a prompt, pictures included.
pub fn render(
    chart: &Chart,
    schema: impl Fn(&[EvidenceId]) -> serde_json::Value,
    count: impl Fn(&Prompt) -> usize,
) -> Rendered {
    let mut lines: Vec<(EvidenceId, Neutral, Option<&Image>)> = Vec::new();
    let mut not_shown = Vec::new();
    for evidence in &chart.evidence {
        let full = lines.len() >= MAX_LINES;
        let line = if full || evidence.id.0 > MAX_ID { None } else { line(evidence) };
        match line {
            Some((text, image)) => {
                lines.push((evidence.id, text, image));
                if count(&prompt(&lines, None)) > MAX_TOKENS {
                    lines.pop();
                    not_shown.push(NotShown { evidence: evidence.id, why: OUTSIDE.into() });
                }
            }
            None => not_shown.push(NotShown { evidence: evidence.id, why: OUTSIDE.into() }),
        }
    }
    let shown: Vec<EvidenceId> = lines.iter().map(|(id, ..)| *id).collect();
    let neutralised = lines.iter().map(|(_, text, _)| text.replacements()).sum();
    let prompt = prompt(&lines, Some(schema(&shown)));
    Rendered { prompt, shown, not_shown, neutralised }
}

/// Text and pictures in order: a picture follows its line directly, with no newline on either side.
fn prompt(lines: &[(EvidenceId, Neutral, Option<&Image>)], schema: Option<serde_json::Value>) -> Prompt {
    let mut parts = Vec::new();
    let mut text = format!("{INSTRUCTION}\n");
    for (at, (id, line, image)) in lines.iter().enumerate() {
        text.push_str(&format!("[{id}] {}", line.as_str()));
        match image {
            Some(image) => {
                parts.push(Part::Text(Neutral::new(&text)));
                parts.push(Part::Image(image.pixels.clone()));
                text.clear();
            }
            None if at + 1 < lines.len() => text.push('\n'),
            None => {}
        }
    }
    if !text.is_empty() {
        parts.push(Part::Text(Neutral::new(&text)));
    }
    Prompt { parts, schema, max_new_tokens: MAX_NEW_TOKENS }
}

/// One line of the prompt, or `None` where contract 1 has no form for the fact.
fn line(evidence: &Evidence) -> Option<(Neutral, Option<&Image>)> {
    let text = |kind: &str, text: &str| Neutral::line(&format!("{kind}: {text}"), MAX_TEXT);
    match &evidence.fact {
        Fact::Image { role, image } => {
            let role = match role {
                Role::Current => "current image",
                Role::Prior => "prior image",
            };
            let (view, date) = (image.view.as_deref()?, image.date.as_ref()?.day());
            Some((text("image", &format!("{role} ({view}) {date}")), Some(image)))
        }
        Fact::Measurement(m) => measured(m).map(|(kind, value)| (text(kind, &value), None)),
        Fact::Note { text: note } => Some((text("note", note), None)),
        Fact::Medication { text: medicine, .. } => Some((text("med", medicine), None)),
        Fact::Problem { text: problem, .. } => Some((text("history", problem), None)),
        Fact::Allergy { .. } | Fact::Study { .. } | Fact::Report { .. } => None,
    }
}

/// The tests contract 1 knows, by LOINC, in the unit it was trained on; any other unit is converted or left out.
fn measured(m: &Measurement) -> Option<(&'static str, String)> {
    let is = |codes: &[&str]| m.loinc.iter().any(|c| codes.contains(&c.as_str()));
    let units = [m.ucum.as_deref(), m.unit.as_deref()].map(|u| u.unwrap_or("").to_lowercase());
    let value = || m.value.parse::<f64>().ok().filter(|v| v.is_finite());
    let as_is = || value().map(|_| m.value.clone());
    let any = |known: &[&str]| units.iter().any(|u| known.contains(&u.as_str()));
    if is(&["8310-5"]) {
        let celsius = match () {
            _ if any(&["cel", "c", "°c", "degc", "[degc]"]) => as_is()?,
            _ if any(&["[degf]", "degf", "f", "°f"]) => rounded((value()? - 32.0) / 1.8, 1),
            _ => return None,
        };
        return Some(("vital", format!("temperature {celsius} C")));
    }
    if is(&["59408-5", "2708-6"]) {
        return any(&["%"]).then(as_is)?.map(|v| ("vital", format!("spo2 {v} %")));
    }
    if is(&["8867-4"]) {
        return any(&["/min", "{beats}/min", "beats/min", "bpm", "beats/minute"]).then(as_is)?.map(|v| ("vital", format!("pulse {v} /min")));
    }
    if is(&["85354-9"]) {
        let (systolic, diastolic) = m.components.as_ref()?;
        let number = |text: &str| text.parse::<f64>().is_ok();
        let usable = any(&["mm[hg]", "mmhg"]) && number(systolic) && number(diastolic);
        return usable.then(|| ("vital", format!("blood pressure {systolic}/{diastolic}")));
    }
    if is(&["1988-5"]) {
        let milligrams = match () {
            _ if any(&["mg/l"]) => as_is()?,
            _ if any(&["mg/dl"]) => rounded(value()? * 10.0, 1),
            _ => return None,
        };
        return Some(("lab", format!("crp {milligrams} mg/l")));
    }
    if is(&["6690-2"]) {
        // 10*3/uL and 10*9/L are the same number.
        return any(&["10*9/l", "10*3/ul", "x10^9/l", "10^9/l", "10*3/µl", "k/ul"]).then(as_is)?.map(|v| ("lab", format!("white cells {v} x10^9/l")));
    }
    if is(&["30934-4"]) {
        return any(&["ng/l", "pg/ml"]).then(as_is)?.map(|v| ("lab", format!("bnp {v} ng/l")));
    }
    if is(&["33762-6"]) {
        return any(&["ng/l", "pg/ml"]).then(as_is)?.map(|v| ("lab", format!("NT-proBNP {v}")));
    }
    if is(&["1751-7"]) {
        let grams = match () {
            _ if any(&["g/l"]) => as_is()?,
            _ if any(&["g/dl"]) => rounded(value()? * 10.0, 1),
            _ => return None,
        };
        return Some(("lab", format!("serum albumin {grams} g/l")));
    }
    None
}

/// Rounded to `places`, without a trailing zero fraction.
fn rounded(value: f64, places: usize) -> String {
    let text = format!("{value:.places$}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}
