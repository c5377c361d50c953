//! The engine: takes a [`Prompt`], gives a [`Completion`] or an [`EngineError`], and never an answer it is not sure to have.
//!
//! Invariants: one file names the model runtime; one request is in flight; every request has a deadline, a token limit and
//! neutralised text; no answer without a passed canary. A prompt goes from [`Engine::stream`] (`queue`) through the `gate` to
//! a `call`, which has a `backend` answer it and writes what it hears into the caller's `answer`; `health` says what may
//! happen, and the `keeper` watches over all of it.

mod answer;
mod backend;
mod call;
mod canary;
mod config;
mod cpu;
mod gate;
mod health;
mod keeper;
mod levers;
#[cfg(feature = "mistralrs")]
mod load;
#[cfg(not(feature = "mistralrs"))]
#[path = "no_runtime.rs"]
mod load;
#[cfg(feature = "mistralrs")]
mod mistral;
pub mod neutral;
mod poison;
mod queue;
mod scripted;
mod splitter;
pub mod stage;
#[cfg(feature = "mistralrs")]
mod tokens;

use std::{fmt, sync::Arc, time::Duration};

use image::RgbImage;
use serde_json::Value;

use crate::error::{Error, Kind};

pub use self::{
    answer::Answer,
    backend::FirstStep,
    canary::{KNOWN, Known},
    config::Config,
    cpu::check_cpu,
    gate::Priority,
    health::{Counts, Health},
    neutral::Neutral,
    queue::{Admission, Engine},
    scripted::{Answers, Step},
};

/// Targets under which the runtime logs on its own account. Switch them off: an error of its may quote what it was given.
pub const RUNTIME_LOG_TARGETS: [&str; 6] =
    ["mistralrs", "mistralrs_core", "mistralrs_quant", "mistralrs_vision", "mistralrs_mcp", "llguidance"];

/// What the model is asked: text and pictures in order, and the form its answer must have.
#[derive(Clone, Default)]
pub struct Prompt {
    pub parts: Vec<Part>,
    /// JSON Schema the answer is generated under.
    pub schema: Option<Value>,
    /// Of each call: an answer that is thought about first is two.
    pub max_new_tokens: usize,
    /// Texts of one token each, whose probabilities as the answer's first token are wanted; the services set none yet.
    pub labels: Vec<String>,
    /// Under a schema nothing can be thought. With this a free call comes first, and its reasoning goes to the end of the
    /// second one's prompt, behind these words. The services do not set it yet.
    pub thinking: Option<String>,
    /// Texts the answer ends before; the services set none yet.
    pub stop: Vec<String>,
}

#[derive(Clone)]
pub enum Part {
    Text(Neutral),
    /// RGB8 of exactly the model's input size (`ModelInfo::image_size` squared).
    Image(Arc<RgbImage>),
}

/// What a stream tells, in order. The last is `Done`, or an error in its place.
#[derive(Clone, PartialEq)]
pub enum Event {
    /// What the model thought before it answered. It is no part of the answer.
    Reasoning(String),
    /// The next piece of the answer.
    Text(String),
    /// The whole answer: its text is all the pieces together.
    Done(Completion),
}

/// Leaves the texts out: a log line must never hold them.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Reasoning(text) => write!(f, "Reasoning({} bytes)", text.len()),
            Event::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Event::Done(completion) => f.debug_tuple("Done").field(completion).finish(),
        }
    }
}

/// The model's whole answer, without its reasoning. Text that was cut is no answer: see [`Finish`].
#[derive(Clone, Default, PartialEq)]
pub struct Completion {
    pub text: String,
    pub finish: Finish,
    pub prompt_tokens: usize,
    pub completion_tokens: usize,
    pub time_to_first_token: Duration,
    pub total: Duration,
    /// In the order of [`Prompt::labels`], together 1; absent without labels, or from a runtime that cannot tell.
    pub label_probabilities: Option<Vec<f64>>,
}

/// Leaves the text out: a log line must never hold it.
impl fmt::Debug for Completion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Completion")
            .field("finish", &self.finish)
            .field("prompt_tokens", &self.prompt_tokens)
            .field("completion_tokens", &self.completion_tokens)
            .field("time_to_first_token", &self.time_to_first_token)
            .field("total", &self.total)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Finish {
    Stop,
    /// The token limit was reached: the text is cut and no answer.
    #[default]
    Length,
}

#[derive(Clone, Debug, PartialEq)]
pub enum EngineError {
    /// The queue is full; nothing was done.
    Busy {
        retry_after: Duration,
    },
    /// The model is loading, or shows itself fit again; nothing was done.
    NotReady {
        retry_after: Duration,
    },
    /// No model will come: none is configured, loading failed, or it was given up.
    Unavailable,
    /// Of the prompt, pictures included, and what there is room for beside the answer.
    TooLong {
        tokens: usize,
        max: usize,
    },
    /// The schema is none, the runtime cannot work under it, or a label is not one token.
    BadConstraint,
    /// This very prompt killed the engine twice within the hour and is not tried again.
    Quarantined,
    Cancelled,
    Deadline,
    /// The runtime failed; the id is in the log, the prompt is not.
    ModelFault(uuid::Uuid),
}

/// What a checkpoint says of itself in `curbside.json`; absent for a general model.
#[derive(Clone, Debug, PartialEq, serde::Deserialize, serde::Serialize)]
pub struct Scope {
    /// What the checkpoint calls itself; without it, it goes by its folder's name.
    #[serde(default)]
    pub name: Option<String>,
    pub contract: u32,
    pub tasks: Vec<String>,
    pub modalities: Vec<String>,
    pub body_parts: Vec<String>,
    pub views: Vec<String>,
    pub languages: Vec<String>,
    /// Values of DICOM Manufacturer (0008,0070) the model was trained on.
    pub sources: Vec<String>,
    /// Room for a prompt, as contract 2 counts it; without it, what contract 2 gives any checkpoint.
    #[serde(default)]
    pub max_prompt_characters: Option<usize>,
    pub weights_sha256: String,
}

/// The loaded model as the rest of the product sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelInfo {
    pub name: String,
    /// SHA-256 over the names and contents of all files the model was loaded from, hex.
    pub revision: String,
    pub weights_sha256: String,
    pub runtime: String,
    pub dtype: String,
    pub context: usize,
    /// Side of the square picture the vision tower takes, in pixels.
    pub image_size: u32,
    pub tokens_per_image: usize,
    pub max_images: usize,
    pub scope: Option<Scope>,
}

impl ModelInfo {
    /// A small model without a scope, as the scripted engine states it: for the same tests as [`Engine::scripted`].
    pub fn scripted() -> ModelInfo {
        ModelInfo {
            name: "scripted".into(),
            revision: "0".into(),
            weights_sha256: "0".into(),
            runtime: "scripted".into(),
            dtype: "F32".into(),
            context: 64,
            image_size: 8,
            tokens_per_image: 4,
            max_images: 2,
            scope: None,
        }
    }
}

impl From<EngineError> for Error {
    fn from(error: EngineError) -> Error {
        match error {
            EngineError::Busy { retry_after } => {
                Error::busy("the model is answering others and as many as may wait are waiting", retry_after)
            }
            EngineError::NotReady { retry_after } => {
                Error::busy("the model is not ready yet; /readyz says how far it is", retry_after)
            }
            EngineError::Unavailable => Error::busy("no model is available; /readyz says why", Duration::from_secs(60)),
            EngineError::Deadline => Error::timeout("the model did not answer before the deadline; nothing was stored"),
            EngineError::TooLong { tokens, max } => {
                Error::fault(format!("a prompt of {tokens} tokens was made for a model that takes {max}"))
            }
            EngineError::BadConstraint => Error::fault("the model's runtime refused the answer's schema"),
            EngineError::Quarantined => Error::new(
                Kind::Unprocessable,
                "this question has broken the model's engine before; it is not asked again for an hour",
            ),
            EngineError::Cancelled => Error::fault("the call was cancelled"),
            EngineError::ModelFault(id) => Error::fault(format!("model fault {id}")),
        }
    }
}
