//! Questions with known properties, asked before a model may answer anyone and again whenever its engine was restarted.

use std::sync::Arc;

use image::{Rgb, RgbImage};

use super::{
    ModelInfo, Neutral, Part, Prompt,
    backend::{Backend, Failure},
};

// INVARIANT: no_answer_without_a_passed_canary
/// Passes when the numbers are finite and two different pictures give different ones: an engine that answers without
/// seeing the picture fails. Otherwise one sentence.
pub(super) async fn check(backend: &Backend, info: &ModelInfo) -> Result<(), String> {
    logits(backend, vec![text("Say what you see.")]).await?;
    if info.max_images == 0 {
        return Ok(());
    }
    let first = logits(backend, vec![text("Say what you see."), Part::Image(picture(info.image_size, true))]).await?;
    let second = logits(backend, vec![text("Say what you see."), Part::Image(picture(info.image_size, false))]).await?;
    if first == second {
        return Err("The model gives the same answer to two different pictures, so it does not see them: check the weights of its vision tower.".into());
    }
    Ok(())
}

async fn logits(backend: &Backend, parts: Vec<Part>) -> Result<Vec<f32>, String> {
    const NOT_FINITE: &str =
        "The model's numbers are not finite: its weights are damaged, or overflow in this precision.";
    let prompt = Prompt { parts, schema: None, max_new_tokens: 1 };
    match backend.first_logits(&prompt).await {
        Ok(logits) if !logits.is_empty() && logits.iter().all(|logit| logit.is_finite()) => Ok(logits),
        Ok(_) | Err(Failure::Fault(super::backend::NOT_FINITE)) => Err(NOT_FINITE.into()),
        Err(failure) => Err(format!(
            "The model's engine fails on the first question it is asked ({}): try another checkpoint or device.",
            failure.class()
        )),
    }
}

fn text(sentence: &str) -> Part {
    Part::Text(Neutral::new(sentence))
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
