//! Questions with known properties, asked before a model may answer anyone, again whenever its engine was restarted, and
//! every few minutes.

use std::{sync::Arc, time::Instant};

use image::{Rgb, RgbImage};

use super::{
    FirstStep, ModelInfo, Neutral, Part, Prompt,
    backend::{Backend, Failure},
    health::Pulse,
};

/// File beside a model that holds what it once said: a list of [`Known`].
pub const KNOWN: &str = "canary.json";

/// The first tokens of a model's answers to the canary's questions, where it computes in this way.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    pub weights_sha256: String,
    pub dtype: String,
    pub device: String,
    /// In the order of the questions; empty where nothing is known yet.
    pub first_tokens: Vec<u32>,
}

impl Known {
    /// Whether both are about the same weights, computed in the same way.
    pub fn is_of(&self, other: &Known) -> bool {
        (&self.weights_sha256, &self.dtype, &self.device) == (&other.weights_sha256, &other.dtype, &other.device)
    }
}

// INVARIANT: no_answer_without_a_passed_canary
/// Passes when the numbers are finite, two different pictures give different ones (an engine that answers without seeing the
/// picture fails), and the first tokens are those that are known, if any are. Gives them; otherwise one sentence.
/// `pulse` is there while loading, and learns from it.
pub(super) async fn check(
    backend: &Backend,
    info: &ModelInfo,
    known: &Known,
    pulse: Option<&Pulse>,
) -> Result<Vec<u32>, String> {
    let mut steps = vec![ask(backend, None, pulse).await?];
    if info.max_images > 0 {
        for disc in [true, false] {
            steps.push(ask(backend, Some(picture(info.image_size, disc)), pulse).await?);
        }
        if steps[1].logits == steps[2].logits {
            return Err("The model gives the same answer to two different pictures, so it does not see them: check the weights of its vision tower.".into());
        }
    }
    let tokens: Vec<u32> = steps.iter().filter_map(FirstStep::token).collect();
    // INVARIANT: a_model_that_answers_otherwise_than_recorded_is_not_ready
    if !known.first_tokens.is_empty() && known.first_tokens != tokens {
        return Err(format!(
            "The model answers the questions it is checked with otherwise than before (tokens {tokens:?}, known {:?}): its files, this machine or this version of curbside compute something else. If the change is wanted, run `curbside check-model --record`.",
            known.first_tokens
        ));
    }
    backend.approve(steps.len());
    Ok(tokens)
}

async fn ask(backend: &Backend, picture: Option<Arc<RgbImage>>, pulse: Option<&Pulse>) -> Result<FirstStep, String> {
    const NOT_FINITE: &str =
        "The model's numbers are not finite: its weights are damaged, or overflow in this precision.";
    let parts = [Part::Text(Neutral::new("Say what you see."))].into_iter().chain(picture.map(Part::Image)).collect();
    let prompt = Prompt { parts, max_new_tokens: 1, ..Prompt::default() };
    let began = Instant::now();
    let step = match backend.first_step(&prompt).await {
        Ok(step) if !step.logits.is_empty() && step.logits.iter().all(|logit| logit.is_finite()) => step,
        Ok(_) | Err(Failure::Fault(super::backend::NOT_FINITE)) => return Err(NOT_FINITE.into()),
        Err(failure) => {
            return Err(format!(
                "The model's engine fails on the first question it is asked ({}): try another checkpoint or device.",
                failure.class()
            ));
        }
    };
    if let Some(pulse) = pulse {
        pulse.calibrate(step.prompt.len(), began.elapsed());
    }
    Ok(step)
}

/// A bright disc on a dark ground, or stripes: nothing a vision tower could take for the same.
fn picture(side: u32, disc: bool) -> Arc<RgbImage> {
    let middle = i64::from(side) / 2;
    Arc::new(RgbImage::from_fn(side, side, |x, y| {
        let (dx, dy) = (i64::from(x) - middle, i64::from(y) - middle);
        let bright =
            if disc { 9 * (dx * dx + dy * dy) < 4 * middle * middle } else { (8 * x / side.max(1)).is_multiple_of(2) };
        Rgb([if bright { 230 } else { 20 }; 3])
    }))
}
