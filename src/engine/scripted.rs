//! A backend that follows a script, for faults a real engine shows rarely. No configuration selects it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::{Completion, Finish, ModelInfo, Part, Prompt, backend::Failure};

/// One thing the scripted engine does. A call runs on until a step ends it; after the last step the script starts again.
#[derive(Clone, Debug)]
pub enum Step {
    /// Waits, even when the caller has gone, as prefill does; then the next step follows.
    Delay(Duration),
    /// As a delay, but until the test says so.
    Hold(Arc<Notify>),
    /// A whole answer.
    Text(String),
    /// An answer that reached the token limit.
    Cut(String),
    /// The engine closes the stream before it has said anything.
    ClosedEarly,
    /// The engine closes the stream in the middle of an answer.
    ClosedMidway,
    /// The engine reports an error.
    Fault,
    /// The engine cannot work under the schema.
    BadConstraint,
    /// The engine's thread panics before it has said anything.
    Panic,
    /// Nothing happens until the caller has gone.
    Stall,
    /// The canary that follows a lost call fails.
    SickCanary,
}

pub(super) struct Scripted {
    info: ModelInfo,
    script: Mutex<Script>,
}

struct Script {
    steps: Vec<Step>,
    next: usize,
    sick: bool,
}

impl Scripted {
    pub(super) fn new(info: ModelInfo, steps: Vec<Step>) -> Scripted {
        Scripted { info, script: Mutex::new(Script { steps, next: 0, sick: false }) }
    }

    fn next(&self) -> Option<Step> {
        let mut script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
        let step = script.steps.get(script.next).cloned()?;
        script.next = (script.next + 1) % script.steps.len();
        script.sick |= matches!(step, Step::SickCanary);
        Some(step)
    }

    pub(super) async fn generate(
        &self,
        prompt: &Prompt,
        cancelled: impl Future<Output = ()>,
    ) -> Result<Completion, Failure> {
        let began = Instant::now();
        let answer = |text: String, finish| {
            let completion_tokens = text.len().div_ceil(4);
            let (prompt_tokens, total) = (self.count_tokens(prompt), began.elapsed());
            Ok(Completion { text, finish, prompt_tokens, completion_tokens, time_to_first_token: total, total })
        };
        loop {
            match self.next() {
                Some(Step::Delay(wait)) => tokio::time::sleep(wait).await,
                Some(Step::Hold(until)) => until.notified().await,
                Some(Step::SickCanary) => {}
                Some(Step::Text(text)) => return answer(text, Finish::Stop),
                Some(Step::Cut(text)) => return answer(text, Finish::Length),
                Some(Step::ClosedEarly) => return Err(Failure::Lost { emitted: false }),
                Some(Step::ClosedMidway) => return Err(Failure::Lost { emitted: true }),
                Some(Step::BadConstraint) => return Err(Failure::BadConstraint),
                Some(Step::Fault) => return Err(Failure::Fault("model error")),
                Some(Step::Panic) => {
                    // A thread of its own, as the real engine has: its panic reaches us as a closed channel.
                    let engine = tokio::spawn(async { std::panic::resume_unwind(Box::new("scripted panic")) });
                    let _: Result<(), _> = engine.await;
                    return Err(Failure::Lost { emitted: false });
                }
                Some(Step::Stall) => {
                    cancelled.await;
                    return Err(Failure::Cancelled);
                }
                None => return Err(Failure::Fault("empty script")),
            }
        }
    }

    /// Depends on the pictures' pixels, so that a canary passes; not finite once after [`Step::SickCanary`].
    pub(super) fn first_logits(&self, prompt: &Prompt) -> Vec<f32> {
        let mut script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut script.sick) {
            return vec![f32::NAN];
        }
        let bright: u32 = prompt.images().flat_map(|image| image.as_raw()).map(|value| u32::from(*value > 127)).sum();
        vec![1.0, bright as f32]
    }

    /// One token for four bytes of text.
    pub(super) fn count_tokens(&self, prompt: &Prompt) -> usize {
        let part = |part: &Part| match part {
            Part::Text(text) => text.as_str().len().div_ceil(4),
            Part::Image(_) => self.info.tokens_per_image,
        };
        prompt.parts.iter().map(part).sum()
    }
}
