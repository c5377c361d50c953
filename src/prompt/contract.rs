//! Contract 2: the chart as the model is shown it, one line a fact, in English or Korean.
//!
//! Typed facts come first, in evidence order; free text comes last, inside a fence whose word the text cannot hold. What
//! does not fit stands in the ledger; the chart itself is never cut. How much fits is a pure rule over characters, so that
//! whoever writes a prompt writes the same one, with or without a tokenizer.

#[cfg(test)]
mod tests;
mod words;

use std::collections::HashSet;

use serde_json::Value;
use sha2::{Digest, Sha256};

use self::words::Words;
use super::{FULL, Rendered, neutralised, no_film, picture, scope::out_of_scope};
use crate::{
    chart::{Chart, Evidence, EvidenceId, Fact, Measurement, NotShown, Order, Range, Role, View, joined},
    engine::{Neutral, Part, Prompt, Scope},
    imaging::Image,
    task::{Language, Task},
};

pub const VERSION: &str = "contract 2";
pub const CONTRACT: u32 = 2;
/// Of an answer: eight findings or six statements.
pub const MAX_NEW_TOKENS: usize = 256;
/// Tokens that a prompt leaves for its answer at the least; few answers are longer.
pub const LEAST_NEW_TOKENS: usize = 128;
/// Room for a prompt of a checkpoint that does not say how much it has.
pub const MAX_CHARACTERS: usize = 1_600;
/// What one picture takes of that room.
const PICTURE: usize = 150;
/// Highest evidence number that is shown.
const MAX_ID: u32 = 999;
/// Longest text of a line of a typed fact, and of one of free text, in characters.
const MAX_TEXT: usize = 160;
const MAX_FREE_TEXT: usize = 320;

/// What is asked for, and how much room there is.
pub struct Asked<'a> {
    pub task: Task,
    pub language: Language,
    pub scope: Option<&'a Scope>,
    /// Room in characters, by [`cost`].
    pub room: usize,
}

impl Asked<'_> {
    /// Of a checkpoint that says of itself what `scope` holds.
    pub fn of(task: Task, language: Language, scope: Option<&Scope>) -> Asked<'_> {
        let room = scope.and_then(|scope| scope.max_prompt_characters).unwrap_or(MAX_CHARACTERS);
        Asked { task, language, scope, room }
    }
}

/// Renders the chart as far as it fits: in evidence order every line that still does.
///
/// `schema` makes the answer's form from the ids shown.
pub fn render(chart: &Chart, asked: &Asked, schema: impl FnOnce(&[EvidenceId]) -> Option<Value>) -> Rendered {
    let Asked { task, language, scope, room } = *asked;
    if let Some(why) = scope.and_then(|scope| not_taught(scope, task, language)) {
        return Rendered::Refuse(why);
    }
    let current = chart.film(Role::Current).map(|(id, _)| id);
    if task.is_about_the_film() && current.is_none() {
        return no_film(chart);
    }
    let words = Words::of(language);
    let order = chart.reading.as_ref().map(|reading| &reading.order).filter(|_| task.is_about_the_film());
    let head = head(chart, order, words, asked);
    let reason = order.and_then(|order| order.reason.as_deref());
    let reason = reason.map(|reason| format!("{}: {}\n", words.order, Neutral::line(reason, MAX_TEXT)));
    // Four digits twice, two brackets twice, three ends of lines.
    let fence = 15 + cost(words.texts);
    let mut taken = neutral_cost(&head) + fence + reason.as_deref().map_or(0, neutral_cost) + cost(words.answer);
    let mut lines: Vec<Line> = Vec::new();
    let mut not_shown = Vec::new();
    for evidence in &chart.evidence {
        let why = match line(evidence, words, asked) {
            Err(why) => why,
            Ok(line) if evidence.id.0 <= MAX_ID && taken + line.cost() <= room => {
                taken += line.cost();
                lines.push(line);
                continue;
            }
            Ok(_) => FULL.to_owned(),
        };
        // INVARIANT: no_question_about_a_film_goes_out_without_it
        if task.is_about_the_film() && Some(evidence.id) == current {
            return Rendered::Refuse(why);
        }
        not_shown.push(NotShown { evidence: evidence.id, why });
    }
    if lines.is_empty() {
        let full = not_shown.iter().any(|line| line.why == FULL);
        let nothing = "the chart holds nothing that could be shown to the model";
        return Rendered::Refuse(if full { "the model has no room for a line of the chart" } else { nothing }.into());
    }
    let (free, typed): (Vec<Line>, Vec<Line>) = lines.into_iter().partition(|line| line.free);
    let shown: Vec<EvidenceId> = typed.iter().chain(&free).map(|line| line.id).collect();
    let parts = parts(head, &typed, &free, reason, words);
    let neutralised = neutralised(&parts);
    let prompt = Prompt { parts, schema: schema(&shown), max_new_tokens: MAX_NEW_TOKENS, ..Prompt::default() };
    Rendered::Ask(Box::new(prompt), View { shown, not_shown, neutralised })
}

/// What a text takes of the room of a prompt: a character 1, one outside ASCII 2.
pub fn cost(text: &str) -> usize {
    text.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum()
}

/// Of a text that is not neutral yet: what stands in for an opening bracket takes more room than the bracket.
fn neutral_cost(text: &str) -> usize {
    cost(Neutral::new(text).as_str())
}

fn not_taught(scope: &Scope, task: Task, language: Language) -> Option<String> {
    let lacks = |known: &[String], word: &str| !known.iter().any(|k| k == word);
    if lacks(&scope.languages, language.word()) {
        return Some(format!("the loaded model does not read this language ({})", language.word()));
    }
    lacks(&scope.tasks, task.word()).then(|| format!("the loaded model was not taught this task ({})", task.word()))
}

/// Task, patient and order, each on a line that is no evidence.
fn head(chart: &Chart, order: Option<&Order>, words: &Words, asked: &Asked) -> String {
    let subject = &chart.subject;
    let person = words.person(subject.sex.as_deref(), subject.age_band.as_deref());
    let mut head = format!("{}\n{}: {person}\n", words.task(asked.task, asked.language), words.patient);
    if let Some(order) = order {
        let day = order.authored_on.as_ref().map_or(words.undated, |date| date.day());
        let side = order.side.as_deref().map(|side| format!(", {}", words.coded(side))).unwrap_or_default();
        head.push_str(&format!("{}: {}, {day}{side}\n", words.order, Neutral::line(&order.text, MAX_TEXT)));
    }
    head
}

struct Line<'a> {
    id: EvidenceId,
    text: String,
    image: Option<&'a Image>,
    /// Written by people, so it goes behind the fence.
    free: bool,
}

impl Line<'_> {
    fn cost(&self) -> usize {
        // Brackets, a space, the end of the line; E999.
        8 + neutral_cost(&self.text) + if self.image.is_some() { PICTURE } else { 0 }
    }
}

/// One line of the prompt, or why the fact is not shown.
fn line<'a>(evidence: &'a Evidence, words: &Words, asked: &Asked) -> Result<Line<'a>, String> {
    let day = evidence.date.as_ref().map_or(words.undated, |date| date.day());
    let kind = |kind: &str, text: String| format!("{day} {kind}: {text}");
    let coded = |word: &Option<String>| word.as_deref().map(|word| words.coded(word).to_owned());
    let (text, image, free) = match &evidence.fact {
        Fact::Image { role, image } => (film(*role, image, words, asked)?, Some(&**image), false),
        Fact::Measurement(m) => {
            (kind(if m.vital { words.vital } else { words.lab }, measured(evidence, m, words)), None, false)
        }
        Fact::Problem { text, status, unconfirmed, .. } => {
            let status = (status != "active").then(|| words.coded(status).to_owned());
            (kind(words.problem, joined(text, [status, coded(unconfirmed)])), None, false)
        }
        Fact::Medication { text, dosage, .. } => (kind(words.medicine, joined(text, [dosage.clone()])), None, false),
        Fact::Allergy { text, criticality, reactions, unconfirmed, .. } => {
            let risk = match criticality.as_deref() {
                Some("high") => Some(words.high_risk.to_owned()),
                Some("low") => Some(words.low_risk.to_owned()),
                _ => None,
            };
            let reactions = (!reactions.is_empty()).then(|| reactions.join(", "));
            (kind(words.allergy, joined(text, [risk, reactions, coded(unconfirmed)])), None, false)
        }
        Fact::Study { text, modality } => (kind(words.study, joined(text, [modality.clone()])), None, false),
        Fact::Order { .. } => return Err("an order says nothing of the patient's state".into()),
        Fact::Note { text, preliminary } => {
            let mark = preliminary.then(|| words.preliminary.to_owned());
            (kind(words.note, joined(text, [mark])), None, true)
        }
        Fact::Report { text, status, conclusion } => {
            let conclusion = conclusion.as_deref().map(|text| format!(": {text}")).unwrap_or_default();
            (kind(words.report, format!("{text}, {}{conclusion}", words.coded(status))), None, true)
        }
    };
    let longest = if free { MAX_FREE_TEXT } else { MAX_TEXT };
    Ok(Line { id: evidence.id, text: Neutral::line(&text, longest), image, free })
}

/// The film as its file labels it; a label says nothing of what the file leaves out.
fn film(role: Role, image: &Image, words: &Words, asked: &Asked) -> Result<String, String> {
    match asked.task {
        Task::ImagingDraft => {}
        Task::Question(_) if asked.task.is_about_the_film() && role == Role::Current => {}
        Task::Question(_) | Task::Summary => return Err("what is asked is not about this film".into()),
    }
    if let Some(why) = out_of_scope(image, asked.scope) {
        return Err(why);
    }
    let undated = || format!("the {} film does not state its date", role.word());
    let day = image.date.as_ref().ok_or_else(undated)?.day();
    let name = if role == Role::Current { words.current } else { words.prior };
    let sex = image.labelled.sex.as_deref().map(|sex| words.coded(sex));
    let label: Vec<&str> = sex.into_iter().chain(image.labelled.age_band.as_deref()).collect();
    let label = if label.is_empty() { String::new() } else { format!(", {} {}", words.labelled, label.join(", ")) };
    Ok(format!("{name}: {}, {day}{label}", image.view.as_deref().unwrap_or("?")))
}

/// Value, unit, range and flag: what an answer copies stands as [`Evidence::printed`] gives it.
fn measured(evidence: &Evidence, m: &Measurement, words: &Words) -> String {
    let Some(printed) = evidence.printed() else { return String::new() };
    let mut text = format!("{} {}", m.text, printed.value);
    let mut add = |part: &str| {
        text.push(' ');
        text.push_str(part);
    };
    if !printed.unit.is_empty() {
        add(&printed.unit);
    }
    if let Some(range) = range(&m.range) {
        add(&range);
    }
    if let Some(flag) = &printed.flag {
        add(words.coded(flag));
    }
    joined(&text, [m.preliminary.then(|| words.preliminary.to_owned())])
}

fn range(range: &Range) -> Option<String> {
    match (&range.low, &range.high) {
        (Some(low), Some(high)) => Some(format!("({low} to {high})")),
        (Some(low), None) => Some(format!("(>= {low})")),
        (None, Some(high)) => Some(format!("(<= {high})")),
        (None, None) => None,
    }
}

/// Text and pictures in order: a picture follows its line directly, with no newline on either side.
fn parts(head: String, typed: &[Line], free: &[Line], reason: Option<String>, words: &Words) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut text = head;
    for line in typed {
        text.push_str(&format!("[{}] {}", line.id, line.text));
        match line.image {
            Some(image) => picture(&mut parts, &mut text, image),
            None => text.push('\n'),
        }
    }
    let free = free.iter().map(|line| format!("[{}] {}\n", line.id, line.text));
    let fenced: String = reason.into_iter().chain(free).collect();
    if !fenced.is_empty() {
        let word = fence(&fenced);
        text.push_str(&format!("{}\n<<{word}\n{fenced}{word}>>\n", words.texts));
    }
    text.push_str(words.answer);
    parts.push(Part::Text(Neutral::new(&text)));
    parts
}

/// Four hex digits that the text does not hold, so that nothing in it can close the fence. The same for the same text.
///
/// A text that holds all of them gets the whole hash, which nothing can hold that it is the hash of.
// INVARIANT: no_text_of_the_record_holds_the_word_of_its_fence
fn fence(text: &str) -> String {
    let digest = Sha256::digest(text);
    let first = u16::from_be_bytes([digest[0], digest[1]]);
    let mut words = (0..=u16::MAX).map(|step| format!("{:04x}", first.wrapping_add(step)));
    let held: HashSet<&[u8]> = text.as_bytes().windows(4).collect();
    words.find(|word| !held.contains(word.as_bytes())).unwrap_or_else(|| format!("{digest:x}"))
}
