//! A backend that follows a script, for faults a real engine shows rarely. No configuration selects it.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::{
    Finish, FirstStep, ModelInfo, Part, Prompt,
    answer::Writer,
    backend::{Ended, Failure, how_it_ended, softmax},
    splitter,
};

/// One thing the scripted engine does. A call runs on until a step ends it; after the last step the script starts again.
#[derive(Clone, Debug)]
pub enum Step {
    /// A call whose prompt holds the text begins after this step, whatever an earlier call has left.
    When(&'static str),
    /// Waits, even when the caller has gone, as prefill does; then the next step follows.
    Delay(Duration),
    /// As a delay, but until the test says so.
    Hold(Arc<Notify>),
    /// A piece of an answer.
    Say(String),
    /// A whole answer that depends on the prompt.
    Answer(Answers),
    /// Reasoning, between the marks a model writes.
    Reasoning(String),
    /// The beginning of reasoning that is never closed.
    OpenReasoning(String),
    /// Logits of the labels at the first token. Without it this engine cannot tell.
    Logits(Vec<f32>),
    /// A whole answer, or its last piece.
    Text(String),
    /// An answer that reached the token limit.
    Cut(String),
    /// An answer that reached the token limit inside its last character: that is not said, and the stream closes.
    CutInCharacter(String),
    /// The same piece for ever: this engine knows no token limit.
    Endless(String),
    /// The engine closes the stream before it has said anything.
    ClosedEarly,
    /// The engine closes the stream in the middle of an answer.
    ClosedMidway,
    /// The engine reports an error.
    Fault,
    /// The device has no memory left.
    OutOfMemory,
    /// The engine cannot work under the schema.
    BadConstraint,
    /// The engine's thread panics; another is started.
    Panic,
    /// The engine had died before the call, and another has been started.
    Restart,
    /// Nothing happens until the caller has gone.
    Stall,
    /// The canary that follows fails.
    SickCanary,
    /// The canary that follows sees no pictures.
    BlindCanary,
}

/// An answer to every prompt.
#[derive(Clone)]
pub struct Answers(pub Arc<dyn Fn(&Prompt) -> String + Send + Sync>);

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answers")
    }
}

pub(super) struct Scripted {
    info: ModelInfo,
    script: Mutex<Script>,
}

struct Script {
    steps: Vec<Step>,
    next: usize,
    sick: bool,
    blind: bool,
    kill_at: usize,
    pause: Duration,
}

impl Scripted {
    pub(super) fn new(info: ModelInfo, steps: Vec<Step>) -> Scripted {
        let script = Script { steps, next: 0, sick: false, blind: false, kill_at: 0, pause: Duration::ZERO };
        Scripted { info, script: Mutex::new(script) }
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, prompt: &Prompt) {
        let mut script = self.script();
        let holds = |text: &str| {
            prompt.parts.iter().any(|part| matches!(part, Part::Text(whole) if whole.as_str().contains(text)))
        };
        let place = script.steps.iter().position(|step| matches!(step, Step::When(text) if holds(text)));
        script.next = place.map_or(script.next, |place| place + 1);
    }

    fn next(&self) -> Option<Step> {
        let mut script = self.script();
        let step = script.steps.get(script.next).cloned()?;
        script.next = (script.next + 1) % script.steps.len();
        script.sick |= matches!(step, Step::SickCanary);
        script.blind |= matches!(step, Step::BlindCanary);
        Some(step)
    }

    pub(super) fn kill_at(&self, token: usize) {
        self.script().kill_at = token;
    }

    pub(super) fn pace(&self, pause: Duration) {
        self.script().pause = pause;
    }

    pub(super) async fn generate(
        &self,
        prompt: &Prompt,
        writer: &mut Writer,
        cancelled: impl Future<Output = ()>,
    ) -> Result<Ended, Failure> {
        let began = Instant::now();
        let (kill_at, pause) = {
            let mut script = self.script();
            (std::mem::take(&mut script.kill_at), script.pause)
        };
        let (mut text, mut logits) = (String::new(), None);
        self.begin(prompt);
        tokio::pin!(cancelled);
        // One piece at a time; the piece that ends the call gives how it ended.
        let said = loop {
            let (piece, end) = match self.next() {
                Some(Step::Delay(wait)) => {
                    tokio::time::sleep(wait).await;
                    continue;
                }
                Some(Step::Hold(until)) => {
                    until.notified().await;
                    continue;
                }
                Some(Step::When(_) | Step::SickCanary | Step::BlindCanary) => continue,
                Some(Step::Logits(given)) => {
                    logits = Some(given);
                    continue;
                }
                Some(Step::Say(piece)) => (piece, None),
                Some(Step::Reasoning(thought)) => (format!("{}{thought}{}", splitter::OPEN, splitter::CLOSE), None),
                Some(Step::OpenReasoning(thought)) => (format!("{}{thought}", splitter::OPEN), None),
                Some(Step::Text(piece)) => (piece, Some(Finish::Stop)),
                Some(Step::Answer(answers)) => ((answers.0)(prompt), Some(Finish::Stop)),
                Some(Step::Cut(piece)) => (piece, Some(Finish::Length)),
                Some(Step::CutInCharacter(piece)) => {
                    text.push_str(&piece);
                    let _ = writer.say(&piece);
                    break how_it_ended(None, prompt.max_new_tokens, prompt.max_new_tokens)?;
                }
                Some(Step::Endless(piece)) => {
                    while writer.say(&piece).is_continue() {
                        writer.meter.token();
                        tokio::task::yield_now().await;
                    }
                    break Finish::Stop;
                }
                Some(Step::ClosedEarly) => break how_it_ended(None, 0, prompt.max_new_tokens)?,
                Some(Step::ClosedMidway) => {
                    let _ = writer.say("half");
                    break how_it_ended(None, 1, prompt.max_new_tokens.max(2))?;
                }
                Some(Step::BadConstraint) => return Err(Failure::BadConstraint),
                Some(Step::Fault) => return Err(Failure::Fault("model error")),
                Some(Step::OutOfMemory) => return Err(Failure::Broken("out of memory")),
                Some(Step::Panic) => return Err(die().await),
                Some(Step::Restart) => return Err(Failure::Replaced),
                Some(Step::Stall) => {
                    cancelled.await;
                    return Err(Failure::Cancelled);
                }
                None => return Err(Failure::Fault("empty script")),
            };
            if kill_at == 1 {
                return Err(die().await);
            }
            text.push_str(&piece);
            writer.meter.token();
            tokio::time::sleep(pause).await;
            if writer.say(&piece).is_break() {
                break Finish::Stop;
            }
            if kill_at > 1 {
                return Err(die().await);
            }
            if let Some(finish) = end {
                break finish;
            }
            tokio::task::yield_now().await;
            if futures::FutureExt::now_or_never(cancelled.as_mut()).is_some() {
                return Err(Failure::Cancelled);
            }
        };
        let total = began.elapsed();
        Ok(Ended {
            finish: said,
            prompt_tokens: self.count_tokens(prompt),
            completion_tokens: text.len().div_ceil(4),
            time_to_first_token: total,
            total,
            label_probabilities: logits.filter(|_| !prompt.labels.is_empty()).map(|logits| softmax(&logits)),
        })
    }

    /// Depends on the pictures' pixels, so that a canary passes; otherwise only where a step said so, once.
    pub(super) fn first_step(&self, prompt: &Prompt) -> Result<FirstStep, Failure> {
        let mut script = self.script();
        let bright: u32 = prompt.images().flat_map(|image| image.as_raw()).map(|value| u32::from(*value > 127)).sum();
        let blind = script.blind && bright > 0;
        let logits = match std::mem::take(&mut script.sick) {
            true => vec![f32::NAN],
            false => vec![1.0, if blind { 2.0 } else { bright as f32 }],
        };
        Ok(FirstStep { prompt: Vec::new(), logits })
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

/// A thread of its own, as the real engine has: its panic reaches us as a closed channel.
async fn die() -> Failure {
    let engine = tokio::spawn(async { std::panic::resume_unwind(Box::new("scripted panic")) });
    let _: Result<(), _> = engine.await;
    Failure::Lost
}

#[cfg(test)]
pub(super) fn info() -> ModelInfo {
    ModelInfo::scripted()
}
