//! What a clinical service is: data under `cds-hooks/services/<id>/service.json`, loaded and checked once at start.

use std::time::Duration;

use serde::Deserialize;

use crate::{
    error::{Error, Result},
    fhir::Coding,
    task::{Language, Question, Task, TaskKind},
};

mod check;
mod discovery;
mod load;

pub use discovery::{Discovery, discovery};
pub use load::load;

/// One clinical service. A new one is a new `service.json`, not new code.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Service {
    pub id: String,
    pub hook: String,
    /// Further hooks it is offered on: of each, `load` makes a service of the same id.
    #[serde(default)]
    pub also_on: Vec<String>,
    pub title: String,
    pub description: String,
    #[serde(default)]
    pub usage_requirements: Option<String>,
    /// Prefetch templates in the order in which they are published.
    pub prefetch: Vec<PrefetchTemplate>,
    /// The orders the service answers to; everything else gets no card, no fetch and no model call. Absent: every call.
    #[serde(default)]
    pub applies: Option<Applies>,
    /// LOINC codes of the tests that bear on the question, most telling first; they are numbered before other facts.
    #[serde(default)]
    pub relevant: Vec<String>,
    /// What a model is asked for. Absent: none is asked.
    #[serde(default)]
    pub task: Option<TaskKind>,
    /// What the draft orders are checked for, by rules and without a model.
    #[serde(default)]
    pub checks: Vec<Check>,
    /// Why a reader may not follow the advice, offered with it.
    #[serde(default)]
    pub override_reasons: Vec<Coding>,
    pub publishes: Publishes,
    /// Milliseconds from receipt to answer.
    pub deadline_ms: u64,
    /// Model calls one hook may cost.
    pub max_calls: u32,
    /// Label of `card.source`: what the reader is told the advice comes from.
    pub source_label: String,
    /// Static code of `card.source.topic`, so that an override sticks.
    pub topic: Coding,
    /// What a Korean card and report call it; absent: as in English.
    #[serde(default)]
    pub korean: Option<Named>,
}

/// What a reader sees of a service.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Named {
    pub title: String,
    pub source_label: String,
}

impl Service {
    /// From receipt to answer.
    pub fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms)
    }

    /// What a report calls it.
    pub fn title(&self, language: Language) -> &str {
        self.named(language).map_or(&self.title, |named| &named.title)
    }

    /// What a card calls its source.
    pub fn source_label(&self, language: Language) -> &str {
        self.named(language).map_or(&self.source_label, |named| &named.source_label)
    }

    fn named(&self, language: Language) -> Option<&Named> {
        self.korean.as_ref().filter(|_| language == Language::Korean)
    }

    /// Whether the service reads the films of an order.
    pub fn reads_images(&self) -> bool {
        self.applies.is_some()
    }

    /// Whether clients are told of it: one that asks a model only where somebody said what that is for.
    // INVARIANT: without_a_stated_intended_use_no_model_is_asked
    pub fn offered(&self, intended_use: Option<&str>) -> bool {
        intended_use.is_some() || self.task.is_none()
    }

    /// What the model is to be asked, where `question` is the code that came with the request; `None`: nothing.
    ///
    /// A code of no question that this service answers is `Invalid`, and the sentence lists those that are.
    pub fn asks(&self, question: Option<&str>) -> Result<Option<Task>> {
        let Some(task) = self.task else { return Ok(None) };
        let code = match (task, question) {
            (TaskKind::ImagingDraft, _) => return Ok(Some(Task::ImagingDraft)),
            (TaskKind::Summary, _) => return Ok(Some(Task::Summary)),
            (TaskKind::Question, None) => return Ok(None),
            (TaskKind::Question, Some(code)) => code,
        };
        let questions = Question::all_about(self.reads_images());
        let asked = Question::from_code(code).filter(|question| questions.contains(question));
        asked.map(|question| Some(Task::Question(question))).ok_or_else(|| {
            let codes: Vec<String> = questions.iter().map(|question| question.code()).collect();
            let sentence = format!("this is no question that may be asked here; these are: {}", codes.join(", "));
            Error::invalid(sentence).at("extension[\"curbside-question\"]")
        })
    }
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct PrefetchTemplate {
    pub key: String,
    pub query: String,
    /// Without it the hook is answered with 412. Everything else is a gap the card tells of.
    #[serde(default)]
    pub required: bool,
    /// Looked at only where no study answers the order, so that it costs nothing where one does.
    #[serde(default)]
    pub on_demand: bool,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Applies {
    /// Categories that make an order an imaging order.
    pub categories: Vec<Coding>,
    /// Codes that do, with what they order.
    pub codes: Vec<OrderCode>,
    /// How many days before the order's `authoredOn` an unreported study may have been taken to be read for it.
    pub window_days: u32,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct OrderCode {
    pub system: String,
    pub code: String,
    pub display: String,
    /// DICOM modality; CR and DX count as one.
    pub modality: String,
    /// DICOM Body Part Examined (0018,0015).
    pub body_part: String,
}

/// What orders are checked for. The rules are data of their own.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// An ordered medicine, or contrast for an ordered examination, against the allergies recorded.
    Allergy,
    /// An ordered examination against one that was done or ordered a short time ago.
    DuplicateImaging,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub enum Publishes {
    #[serde(rename = "none")]
    None,
    DiagnosticReport,
}

/// All services; the pair of path id and hook names one, since one id may be offered on several hooks.
#[derive(Clone, Debug)]
pub struct Services(pub Vec<Service>);
