//! What a call asks of a model runtime, and what may become of it.

use std::time::Duration;

use uuid::Uuid;

#[cfg(feature = "mistralrs")]
use super::mistral::Mistral;
use super::{EngineError, Finish, Neutral, Part, Prompt, answer::Writer, scripted::Scripted};

/// A loaded model. An enum, not a trait: the runtimes are few and every match is exhaustive.
pub(super) enum Backend {
    #[cfg(feature = "mistralrs")]
    Mistral(Box<Mistral>),
    Scripted(Box<Scripted>),
}

/// How a call ended that was not broken off.
pub(super) struct Ended {
    pub(super) finish: Finish,
    pub(super) prompt_tokens: usize,
    pub(super) completion_tokens: usize,
    pub(super) time_to_first_token: Duration,
    pub(super) total: Duration,
    pub(super) label_probabilities: Option<Vec<f64>>,
}

/// What the runtime made of a prompt and computed for the first token of an answer.
pub struct FirstStep {
    /// The prompt as the runtime encoded it, pictures expanded.
    pub prompt: Vec<u32>,
    /// One for each entry of the vocabulary.
    pub logits: Vec<f32>,
}

impl FirstStep {
    /// The likeliest token.
    pub fn token(&self) -> Option<u32> {
        let likeliest = self.logits.iter().enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b));
        likeliest.and_then(|(token, _)| u32::try_from(token).ok())
    }
}

/// Why a call gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The caller went away, or the deadline passed; the runtime has let go of the call.
    Cancelled,
    BadConstraint,
    /// The runtime died or broke off.
    Lost,
    /// It had died before the call, and was replaced by one that nobody has checked.
    Replaced,
    /// The runtime cannot be trusted any more, in a fixed word for the log.
    Broken(&'static str),
    /// Anything else, in a fixed word for the log.
    Fault(&'static str),
}

impl Failure {
    /// A fixed word for the log.
    pub(super) fn class(self) -> &'static str {
        match self {
            Failure::Cancelled => "cancelled",
            Failure::BadConstraint => "bad constraint",
            Failure::Lost => "engine lost",
            Failure::Replaced => "engine replaced",
            Failure::Broken(class) | Failure::Fault(class) => class,
        }
    }
}

/// The word for logits that are not numbers.
pub(super) const NOT_FINITE: &str = "logits not finite";

// INVARIANT: a_stream_without_an_end_is_never_an_answer
/// What a closed stream means. Nothing is sent for a token that ends inside a character, so an answer that was cut there
/// ends without a word; every other silence is a loss.
pub(super) fn how_it_ended(said: Option<Finish>, tokens: usize, limit: usize) -> Result<Finish, Failure> {
    match said {
        Some(finish) => Ok(finish),
        None if tokens >= limit => Ok(Finish::Length),
        None => Err(Failure::Lost),
    }
}

/// The softmax over some logits, in their order.
pub(super) fn softmax(logits: &[f32]) -> Vec<f64> {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f64> = logits.iter().map(|logit| (f64::from(*logit) - f64::from(highest)).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

/// Turns a failure into what the caller is told; a fault is logged with an id and a fixed word, never with text.
pub(super) fn report(failure: Failure) -> EngineError {
    match failure {
        Failure::Cancelled => EngineError::Cancelled,
        Failure::BadConstraint => EngineError::BadConstraint,
        Failure::Lost | Failure::Replaced | Failure::Broken(_) | Failure::Fault(_) => {
            let id = Uuid::new_v4();
            tracing::error!(fault = %id, class = failure.class(), "model fault");
            EngineError::ModelFault(id)
        }
    }
}

impl Backend {
    /// Runs one call and returns only when the runtime has let go of it. `cancelled` resolves when nobody waits any more.
    pub(super) async fn generate(
        &self,
        prompt: &Prompt,
        writer: &mut Writer,
        cancelled: impl Future<Output = ()>,
    ) -> Result<Ended, Failure> {
        match self {
            #[cfg(feature = "mistralrs")]
            Backend::Mistral(mistral) => mistral.generate(prompt, writer, cancelled).await,
            Backend::Scripted(scripted) => scripted.generate(prompt, writer, cancelled).await,
        }
    }

    pub(super) async fn first_step(&self, prompt: &Prompt) -> Result<FirstStep, Failure> {
        match self {
            #[cfg(feature = "mistralrs")]
            Backend::Mistral(mistral) => mistral.first_step(prompt).await,
            Backend::Scripted(scripted) => scripted.first_step(prompt),
        }
    }

    /// The engine that was asked the last so many first steps has passed its canary: calls are made to it and to no other.
    /// None has if they were asked of more than one.
    pub(super) fn approve(&self, questions: usize) {
        match self {
            #[cfg(feature = "mistralrs")]
            Backend::Mistral(mistral) => mistral.approve(questions),
            Backend::Scripted(_) => {
                let _ = questions;
            }
        }
    }

    /// The next call's engine dies when it computes the answer's `token`-th token, counted from 1. For tests.
    pub(super) fn kill_at(&self, token: usize) {
        match self {
            #[cfg(feature = "mistralrs")]
            Backend::Mistral(mistral) => mistral.kill_at(token),
            Backend::Scripted(scripted) => scripted.kill_at(token),
        }
    }

    /// Each token takes at least so long. For tests.
    pub(super) fn pace(&self, pause: Duration) {
        match self {
            #[cfg(feature = "mistralrs")]
            Backend::Mistral(mistral) => mistral.pace(pause),
            Backend::Scripted(scripted) => scripted.pace(pause),
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
                    *before = Neutral::new(&format!("{}{}", before.as_str(), text.as_str()));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_without_an_end_is_never_an_answer() {
        for tokens in 0..20 {
            let ended = how_it_ended(None, tokens, 8);
            assert_eq!(ended, if tokens < 8 { Err(Failure::Lost) } else { Ok(Finish::Length) });
        }
        assert_eq!(how_it_ended(Some(Finish::Stop), 1, 8), Ok(Finish::Stop));
    }

    #[test]
    fn probabilities_sum_to_one() {
        for logits in [vec![0.0], vec![1.0, 1.0, 1.0], vec![-1e30, 1e30], vec![30.0, 29.5, -12.0]] {
            let probabilities = softmax(&logits);
            assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{probabilities:?}");
        }
    }
}
