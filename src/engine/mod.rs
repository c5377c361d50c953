//! The engine: takes a [`Prompt`], gives a [`Completion`] or an [`EngineError`], and never an answer it is not sure to have.
//!
//! Invariants: one file names the model runtime; one request is in flight; every request has a deadline, a token limit and
//! neutralised text; no answer without a passed canary.

mod backend;
mod canary;
mod config;
mod cpu;
#[cfg(feature = "mistralrs")]
mod mistral;
pub mod neutral;
mod queue;
mod scripted;
pub mod stage;

use std::{fmt, sync::Arc, time::Duration};

use image::RgbImage;
use serde_json::Value;

use crate::error::Error;

pub use self::{
    config::Config,
    cpu::check_cpu,
    neutral::Neutral,
    queue::{Admission, Engine},
    scripted::Step,
};

/// Targets under which the runtime logs on its own account. Switch them off: an error of its may quote what it was given.
pub const RUNTIME_LOG_TARGETS: [&str; 6] =
    ["mistralrs", "mistralrs_core", "mistralrs_quant", "mistralrs_vision", "mistralrs_mcp", "llguidance"];

/// What the model is asked: text and pictures in order, and the form its answer must have.
#[derive(Clone)]
pub struct Prompt {
    pub parts: Vec<Part>,
    /// JSON Schema the answer is generated under.
    pub schema: Option<Value>,
    pub max_new_tokens: usize,
}

#[derive(Clone)]
pub enum Part {
    Text(Neutral),
    /// RGB8 of exactly the model's input size (`ModelInfo::image_size` squared).
    Image(Arc<RgbImage>),
}

/// The model's whole answer. Text that was cut is never a `Completion` the product uses: see [`Finish`].
#[derive(Clone, PartialEq)]
pub struct Completion {
    pub text: String,
    pub finish: Finish,
    pub prompt_tokens: usize,
    pub completion_tokens: usize,
    pub time_to_first_token: Duration,
    pub total: Duration,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    Stop,
    /// The token limit was reached: the text is cut and no answer.
    Length,
}

#[derive(Clone, Debug, PartialEq)]
pub enum EngineError {
    /// The queue is full or the model is not loaded yet; nothing was done.
    Busy {
        retry_after: Duration,
    },
    /// No model will come: none is configured, or loading failed.
    Unavailable,
    TooLong {
        tokens: usize,
        max: usize,
    },
    BadConstraint,
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

#[derive(Clone, Debug, PartialEq)]
pub enum Health {
    Loading {
        phase: String,
    },
    Ready,
    /// Loading failed or the canary did not pass; the sentence says why and what to do.
    Dead {
        reason: String,
    },
    /// No model is configured; services that need none still answer.
    Absent,
}

impl From<EngineError> for Error {
    fn from(error: EngineError) -> Error {
        match error {
            EngineError::Busy { retry_after } => Error::busy("the model is busy or not loaded yet", retry_after),
            EngineError::Unavailable => Error::busy("no model is available; /readyz says why", Duration::from_secs(60)),
            EngineError::Deadline => Error::timeout("the model did not answer before the deadline; nothing was stored"),
            EngineError::TooLong { tokens, max } => {
                Error::fault(format!("a prompt of {tokens} tokens was made for a model that takes {max}"))
            }
            EngineError::BadConstraint => Error::fault("the model's runtime refused the answer's schema"),
            EngineError::Cancelled => Error::fault("the call was cancelled"),
            EngineError::ModelFault(id) => Error::fault(format!("model fault {id}")),
        }
    }
}
