//! The engine: what a directory must be to be served, the queue with its deadlines, and the real runtime on a tiny checkpoint.

mod conformance;
mod damaged;
#[cfg(feature = "mistralrs")]
mod death;
#[cfg(feature = "mistralrs")]
mod loading;
#[cfg(feature = "mistralrs")]
mod numbers;
#[cfg(feature = "mistralrs")]
mod pictures;
#[cfg(feature = "mistralrs")]
mod prompts;
#[cfg(feature = "mistralrs")]
mod real;
#[cfg(feature = "mistralrs")]
mod recorded;
mod rows;
mod scripted;
mod staging;

use std::{sync::Arc, time::Duration};

use curbside::engine::{Answer, Completion, Engine, EngineError, Event, Neutral, Part, Priority, Prompt};
use image::{Rgb, RgbImage};
use tokio::time::Instant;

/// A prompt of one text.
fn ask(text: &str) -> Prompt {
    Prompt { parts: vec![Part::Text(Neutral::new(text))], max_new_tokens: 8, ..Prompt::default() }
}

fn picture(side: u32, seed: u8) -> Part {
    Part::Image(Arc::new(RgbImage::from_fn(side, side, |x, y| Rgb([(x * 7 + y * 3) as u8 ^ seed; 3]))))
}

fn within(time: Duration) -> Instant {
    Instant::now() + time
}

/// Admits and asks, with a deadline no test reaches.
async fn generate(engine: &Engine, prompt: Prompt) -> Result<Completion, EngineError> {
    engine.generate(engine.admit(Priority::Clinician)?, prompt, within(Duration::from_secs(120))).await
}

/// The answer as it is written, to be read by the test.
fn stream(engine: &Engine, prompt: Prompt) -> Answer {
    engine.stream(engine.admit(Priority::Clinician).unwrap(), prompt, within(Duration::from_secs(120)))
}

/// All texts of the answer and how it ended. Fails where anything follows the end.
async fn read(mut answer: Answer) -> (String, String, Result<Completion, EngineError>) {
    let (mut text, mut reasoning) = (String::new(), String::new());
    loop {
        let end = match answer.next().await.expect("an end") {
            Ok(Event::Text(piece)) => {
                text += &piece;
                continue;
            }
            Ok(Event::Reasoning(piece)) => {
                reasoning += &piece;
                continue;
            }
            Ok(Event::Done(completion)) => Ok(completion),
            Err(error) => Err(error),
        };
        assert_eq!(answer.next().await, None);
        return (text, reasoning, end);
    }
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
