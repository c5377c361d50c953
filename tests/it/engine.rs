//! The engine: what a directory must be to be served, the queue with its deadlines, and the real runtime on a tiny checkpoint.

mod damaged;
#[cfg(feature = "mistralrs")]
mod real;
mod scripted;
mod staging;

use std::{sync::Arc, time::Duration};

use curbside::engine::{Completion, Engine, EngineError, Neutral, Part, Prompt};
use image::{Rgb, RgbImage};
use tokio::time::Instant;

/// A prompt of one text.
fn ask(text: &str) -> Prompt {
    Prompt { parts: vec![Part::Text(Neutral::new(text))], schema: None, max_new_tokens: 8 }
}

fn picture(side: u32, seed: u8) -> Part {
    Part::Image(Arc::new(RgbImage::from_fn(side, side, |x, y| Rgb([(x * 7 + y * 3) as u8 ^ seed; 3]))))
}

fn within(time: Duration) -> Instant {
    Instant::now() + time
}

/// Admits and asks, with a deadline no test reaches.
async fn generate(engine: &Engine, prompt: Prompt) -> Result<Completion, EngineError> {
    engine.generate(engine.admit()?, prompt, within(Duration::from_secs(120))).await
}

/// Waits until the condition holds; the time only bounds a failure.
async fn eventually(mut holds: impl FnMut() -> bool) {
    for _ in 0..6000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never came to hold");
}
