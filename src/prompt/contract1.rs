//! Contract 1: the prompt the bundled checkpoint was trained on, and nothing else. Outside this form it goes wrong, measured.
//!
//! It is a narrow view of the chart. What it leaves out stands in the ledger; the chart itself is never cut.

#[cfg(test)]
mod tests;

use serde_json::Value;

use super::{FULL, Rendered, neutralised, no_film, picture, scope::out_of_scope};
use crate::{
    chart::{Chart, Evidence, EvidenceId, FRESH_DAYS, Fact, Measurement, NotShown, Role, View},
    engine::{Neutral, Part, Prompt, Scope},
    error::Result,
    fhir::Date,
    imaging::Image,
};

pub const VERSION: &str = "contract 1";
/// What the checkpoint was trained to be asked.
const INSTRUCTION: &str = "Read the chest image with the chart. Answer with JSON.";
/// The one task a prompt of this contract asks for, as a checkpoint's scope names it.
const TASK: &str = "imaging-draft";
/// Evidence lines in a prompt, pictures included.
const MAX_LINES: usize = 13;
/// Tokens of a prompt, picture tokens included.
const MAX_TOKENS: usize = 350;
/// Highest evidence number with a token of its own.
const MAX_ID: u32 = 40;
pub const MAX_NEW_TOKENS: usize = 320;
const OUTSIDE: &str = "the model takes no line of this kind";
/// Longest text of a line, in characters.
const MAX_TEXT: usize = 80;

/// Renders the view of the chart that fits: the first lines in evidence order that contract 1 can express.
///
/// `schema` makes the answer's form from the ids shown; `count` gives the tokens of a prompt, pictures included.
pub fn render(
    chart: &Chart,
    scope: Option<&Scope>,
    schema: impl Fn(&[EvidenceId]) -> Value,
    count: impl Fn(&Prompt) -> Result<usize>,
) -> Result<Rendered> {
    let Some((current, film)) = chart.film(Role::Current) else {
        return Ok(no_film(chart));
    };
    let mut lines: Vec<Line> = Vec::new();
    let mut not_shown = Vec::new();
    for evidence in &chart.evidence {
        let full = lines.len() >= MAX_LINES || evidence.id.0 > MAX_ID;
        let why = match line(evidence, scope, film.date.as_ref()) {
            Err(why) => why,
            Ok(_) if full => FULL.to_owned(),
            Ok(line) => {
                lines.push(line);
                if count(&prompt(&lines, None))? <= MAX_TOKENS {
                    continue;
                }
                lines.pop();
                FULL.to_owned()
            }
        };
        // INVARIANT: without_the_current_film_the_model_is_not_asked
        if evidence.id == current {
            return Ok(Rendered::Refuse(why));
        }
        not_shown.push(NotShown { evidence: evidence.id, why });
    }
    let shown: Vec<EvidenceId> = lines.iter().map(|line| line.id).collect();
    let prompt = prompt(&lines, Some(schema(&shown)));
    let neutralised = neutralised(&prompt.parts);
    Ok(Rendered::Ask(Box::new(prompt), View { shown, not_shown, neutralised }))
}

struct Line<'a> {
    id: EvidenceId,
    text: String,
    image: Option<&'a Image>,
}

/// Text and pictures in order: a picture follows its line directly, with no newline on either side.
fn prompt(lines: &[Line], schema: Option<Value>) -> Prompt {
    let mut parts = Vec::new();
    let mut text = format!("{INSTRUCTION}\n");
    for (at, line) in lines.iter().enumerate() {
        text.push_str(&format!("[{}] {}", line.id, line.text));
        match line.image {
            Some(image) => picture(&mut parts, &mut text, image),
            None if at + 1 < lines.len() => text.push('\n'),
            None => {}
        }
    }
    if !text.is_empty() {
        parts.push(Part::Text(Neutral::new(&text)));
    }
    Prompt { parts, schema, max_new_tokens: MAX_NEW_TOKENS, ..Prompt::default() }
}

/// One line of the prompt, or why contract 1 cannot show the fact.
fn line<'a>(
    evidence: &'a Evidence,
    scope: Option<&Scope>,
    taken: Option<&Date>,
) -> std::result::Result<Line<'a>, String> {
    // A line carries no date, so a value of another year would read as today's.
    let fresh = |date: &Date| taken.is_some_and(|taken| date.is_within(FRESH_DAYS, taken));
    let dated = matches!(evidence.fact, Fact::Measurement(_) | Fact::Note { .. });
    if dated && !evidence.date.as_ref().is_some_and(fresh) {
        return Err(format!("not within {FRESH_DAYS} days of the film"));
    }
    // A line does not say either that a value is not verified yet.
    if let Fact::Measurement(Measurement { preliminary: true, .. }) | Fact::Note { preliminary: true, .. } =
        evidence.fact
    {
        return Err("preliminary".into());
    }
    let (kind, value, image) = match &evidence.fact {
        Fact::Image { role, image } => {
            if let Some(why) = out_of_scope(image, TASK, scope) {
                return Err(why);
            }
            let (Some(view), Some(date)) = (&image.view, &image.date) else {
                return Err(format!("the {} film does not state its date", role.word()));
            };
            ("image", format!("{} image ({view}) {}", role.word(), date.day()), Some(&**image))
        }
        Fact::Measurement(m) => {
            let (kind, value) = measured(m).ok_or(OUTSIDE)?;
            (kind, value, None)
        }
        Fact::Note { text, .. } => ("note", text.clone(), None),
        // Only words: a code's display, such as `Body mass index 30+ - obesity (finding)`, made it cite the wrong lines, measured.
        Fact::Medication { text, worded: true, .. } => ("med", text.clone(), None),
        Fact::Problem { unconfirmed: Some(_), .. } => return Err("not confirmed".into()),
        Fact::Problem { text, worded: true, .. } => ("history", text.clone(), None),
        Fact::Medication { .. } | Fact::Problem { .. } => return Err("given as a code only".into()),
        Fact::Allergy { .. } | Fact::Study { .. } | Fact::Report { .. } | Fact::Order { .. } => {
            return Err(OUTSIDE.into());
        }
    };
    Ok(Line { id: evidence.id, text: Neutral::line(&format!("{kind}: {value}"), MAX_TEXT), image })
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
        return any(&["/min", "{beats}/min", "beats/min", "bpm", "beats/minute"])
            .then(as_is)?
            .map(|v| ("vital", format!("pulse {v} /min")));
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
        return any(&["10*9/l", "10*3/ul", "x10^9/l", "10^9/l", "10*3/µl", "k/ul"])
            .then(as_is)?
            .map(|v| ("lab", format!("white cells {v} x10^9/l")));
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
