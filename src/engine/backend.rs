//! What the queue asks of a model runtime, and what may become of a call.

#[cfg(feature = "mistralrs")]
use super::mistral::Mistral;
use super::{Completion, Part, Prompt, scripted::Scripted};

/// A loaded model. An enum, not a trait: the runtimes are few and every match is exhaustive.
pub(super) enum Backend {
    #[cfg(feature = "mistralrs")]
    Mistral(Box<Mistral>),
    Scripted(Box<Scripted>),
}

/// Why a call gave no completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The caller went away; the runtime has let go of the call.
    Cancelled,
    BadConstraint,
    /// The runtime died or broke off. Where it had said nothing yet, the call may be made once more.
    Lost {
        emitted: bool,
    },
    /// Anything else, in a fixed word for the log.
    Fault(&'static str),
}

impl Failure {
    /// A fixed word for the log.
    pub(super) fn class(self) -> &'static str {
        match self {
            Failure::Cancelled => "cancelled",
            Failure::BadConstraint => "bad constraint",
            Failure::Lost { .. } => "engine lost",
            Failure::Fault(class) => class,
        }
    }
}

/// The word for logits that are not numbers.
pub(super) const NOT_FINITE: &str = "logits not finite";

impl Backend {
    /// Runs one call and returns only when the runtime has let go of it. `cancelled` resolves when nobody waits any more.
    pub(super) async fn generate(
        &self,
        prompt: &Prompt,
        cancelled: impl Future<Output = ()>,
    ) -> Result<Completion, Failure> {
        match self {
            #[cfg(feature = "mistralrs")]
            Backend::Mistral(mistral) => mistral.generate(prompt, cancelled).await,
            Backend::Scripted(scripted) => scripted.generate(prompt, cancelled).await,
        }
    }

    /// The model's numbers at the first token of its answer, one per entry of the vocabulary.
    pub(super) async fn first_logits(&self, prompt: &Prompt) -> Result<Vec<f32>, Failure> {
        match self {
            #[cfg(feature = "mistralrs")]
            Backend::Mistral(mistral) => mistral.first_logits(prompt).await,
            Backend::Scripted(scripted) => Ok(scripted.first_logits(prompt)),
        }
    }

    /// Tokens of the whole prompt, pictures included.
    pub(super) fn count_tokens(&self, prompt: &Prompt) -> Result<usize, Failure> {
        match self {
            #[cfg(feature = "mistralrs")]
            Backend::Mistral(mistral) => mistral.count_tokens(prompt),
            Backend::Scripted(scripted) => Ok(scripted.count_tokens(prompt)),
        }
    }
}

impl Prompt {
    /// The same prompt with neighbouring texts made one: two harmless halves of a control token can meet where they join.
    pub(super) fn joined(mut self) -> Prompt {
        let mut parts: Vec<Part> = Vec::with_capacity(self.parts.len());
        for part in self.parts {
            match (parts.last_mut(), part) {
                (Some(Part::Text(before)), Part::Text(text)) => {
                    *before = super::Neutral::new(&format!("{}{}", before.as_str(), text.as_str()));
                }
                (_, part) => parts.push(part),
            }
        }
        self.parts = parts;
        self
    }

    pub(super) fn images(&self) -> impl Iterator<Item = &std::sync::Arc<image::RgbImage>> {
        self.parts.iter().filter_map(|part| match part {
            Part::Image(image) => Some(image),
            Part::Text(_) => None,
        })
    }
}
