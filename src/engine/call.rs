//! One call on its way: a task that owns everything that must not be given back before the runtime has let go.

use std::sync::{Arc, PoisonError};

use jsonschema::Validator;
use serde_json::Value;
use tokio::time::{Instant, sleep_until};

use super::{
    Completion, EngineError, Finish, Neutral, Part, Prompt,
    answer::Writer,
    backend::{Failure, report},
    gate::Pass,
    health::{Loaded, State},
    queue::{Admission, Shared},
};

pub(super) struct Call {
    pub(super) shared: Arc<Shared>,
    pub(super) loaded: Arc<Loaded>,
    pub(super) prompt: Prompt,
    pub(super) form: Option<Validator>,
    pub(super) tokens: usize,
    pub(super) writer: Writer,
    pub(super) deadline: Instant,
    pub(super) admission: Admission,
}

impl Call {
    pub(super) async fn run(mut self) {
        let outcome = self.wait().await;
        let outcome = match outcome {
            Ok(pass) => {
                let began = Instant::now();
                let outcome = self.answer().await;
                self.shared.observe(began.elapsed());
                drop(pass);
                outcome
            }
            Err(refused) => Err(refused),
        };
        // Who has the answer finds the place free.
        drop(self.admission);
        self.writer.finish(outcome);
    }

    async fn wait(&self) -> Result<Pass, EngineError> {
        tokio::select! {
            biased;
            () = sleep_until(self.deadline) => Err(EngineError::Deadline),
            () = self.writer.deserted() => Err(EngineError::Cancelled),
            pass = self.shared.gate.enter(self.admission.priority) => Ok(pass),
        }
    }

    async fn answer(&mut self) -> Result<Completion, EngineError> {
        let mut prompt = self.prompt.clone();
        if let (Some(words), true) = (prompt.thinking.take(), self.form.is_some()) {
            let thoughts = self.think().await?;
            prompt = self.with(&words, &thoughts)?;
        }
        let completion = self.ask(&prompt).await?;
        if Instant::now() >= self.deadline {
            return Err(EngineError::Deadline);
        }
        // A grammar is no proof of validity.
        match &self.form {
            Some(form) if completion.finish == Finish::Stop && !is_of(form, &completion.text) => {
                Err(report(Failure::Fault("answer not of the schema's form")))
            }
            _ => Ok(completion),
        }
    }

    /// Under a constraint the model cannot think: a free call first, of which only the reasoning is kept.
    async fn think(&mut self) -> Result<String, EngineError> {
        self.writer.listen_aside();
        let free = Prompt { schema: None, labels: Vec::new(), stop: Vec::new(), ..self.prompt.clone() };
        self.ask(&free).await?;
        Ok(self.writer.come_back(&self.prompt))
    }

    /// The prompt with thoughts at its end. They are the model's words, and as untrusted as any.
    fn with(&mut self, words: &str, thoughts: &str) -> Result<Prompt, EngineError> {
        let mut prompt = self.prompt.clone();
        if !thoughts.is_empty() {
            prompt.parts.push(Part::Text(Neutral::new(&format!("{words}{thoughts}"))));
            prompt = prompt.joined();
        }
        self.tokens = self.loaded.fits(&prompt)?;
        Ok(prompt)
    }

    /// Asks, and once more if the engine was lost before it had said anything.
    async fn ask(&mut self, prompt: &Prompt) -> Result<Completion, EngineError> {
        let mut retried = false;
        loop {
            // The engine may have died while this call waited: no answer without a passed canary.
            if !matches!(&*self.shared.state.borrow(), State::Ready(_)) {
                return Err(EngineError::Unavailable);
            }
            // INVARIANT: a_prompt_that_kills_twice_is_not_asked_again
            if self.shared.poison.holds(&self.prompt) {
                return Err(EngineError::Quarantined);
            }
            let failure = match self.attempt(prompt).await {
                Ok(completion) => return Ok(completion),
                Err(failure) => failure,
            };
            match failure {
                Failure::Lost | Failure::Replaced => {
                    if failure == Failure::Lost {
                        self.shared.poison.note(&self.prompt);
                    }
                    let restored = self.shared.restore(&self.loaded).await;
                    if restored && !retried && !self.writer.spoken() && !self.is_over() {
                        retried = true;
                        self.shared.count(|counts| counts.retries += 1);
                        continue;
                    }
                }
                Failure::Broken(class) => self.shared.give_up(class),
                Failure::Cancelled if Instant::now() >= self.deadline => return Err(EngineError::Deadline),
                _ => {}
            }
            return Err(report(failure));
        }
    }

    async fn attempt(&mut self, prompt: &Prompt) -> Result<Completion, Failure> {
        self.shared.count(|counts| counts.calls += 1);
        self.shared.pulse.begin(self.tokens);
        let cancelled = self.writer.over(self.deadline);
        let ended = self.loaded.backend.generate(prompt, &mut self.writer, cancelled).await;
        self.shared.pulse.end();
        let ended = ended?;
        let mut written = self.shared.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.0 += ended.completion_tokens.saturating_sub(1);
        written.1 += ended.total.saturating_sub(ended.time_to_first_token);
        drop(written);
        self.writer.close(ended)
    }

    fn is_over(&self) -> bool {
        self.writer.is_deserted() || Instant::now() >= self.deadline
    }
}

/// The schema as something to hold an answer against; none that is no schema.
pub(super) fn form(schema: &Value) -> Result<Validator, EngineError> {
    jsonschema::validator_for(schema).map_err(|_| EngineError::BadConstraint)
}

fn is_of(form: &Validator, text: &str) -> bool {
    // The runtime trims what it says first, and a free answer may begin with a line end.
    serde_json::from_str::<Value>(text.trim()).is_ok_and(|answer| form.is_valid(&answer))
}
