//! Gemma 3 in this process through mistralrs 0.8.1: the one file that names the runtime.
//!
//! The runtime has no deadline and no cancel, panics when a receiver is gone at the wrong moment, and can end a stream without
//! saying so; [`Mistral::ask`] is written around exactly that.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use either::Either;
use image::DynamicImage;
use indexmap::IndexMap;
use mistralrs::{
    Constraint, CustomLogitsProcessor, DeviceMapSetting, MessageContent, Model, ModelDType, MultimodalLoaderType,
    MultimodalModelBuilder, NormalRequest, Request, RequestMessage, Response, SamplingParams, Tensor, TokenSource,
};
use serde_json::json;
use tokio::sync::{
    mpsc::{self, Sender},
    oneshot,
};

use super::{
    Finish, FirstStep, Part, Prompt,
    answer::{Meter, Writer},
    backend::{Ended, Failure, NOT_FINITE, how_it_ended, softmax},
    health::Pulse,
    stage::Staged,
    tokens::Tokens,
};

/// Longest wait for the runtime to let go of a call after its last word; it needs one decode step.
const LET_GO: Duration = Duration::from_secs(60);
/// Longest wait for the thread of an engine that died to end: only then does the runtime start another.
const BURIAL: Duration = Duration::from_secs(2);

pub(super) struct Mistral {
    model: Model,
    tokens: Tokens,
    /// The way to the engine that passed its canary; the runtime starts another without a word.
    approved: Mutex<Option<Sender<Request>>>,
    /// The way to the engine that computed the last first step, and how many in a row were its.
    examined: Mutex<Option<(Sender<Request>, usize)>>,
    kill_at: Mutex<usize>,
    pause: Mutex<Duration>,
    /// Holds the private directory: the weights stay mapped from it.
    _staged: Staged,
}

impl Mistral {
    pub(super) async fn load(staged: Staged, cuda: bool) -> Result<Mistral, String> {
        let tokens = Tokens::of(&staged)?;
        let mut builder = MultimodalModelBuilder::new(staged.path().display())
            .with_loader_type(MultimodalLoaderType::Gemma3)
            .with_token_source(TokenSource::None)
            // Never automatic: on a CPU that means F16, in which Gemma 3 overflows.
            .with_dtype(if cuda { ModelDType::BF16 } else { ModelDType::F32 })
            // The automatic map opens every GPU and moves layers to the CPU in silence.
            .with_device_mapping(DeviceMapSetting::dummy())
            .with_jinja_explicit(staged.chat_template().display().to_string())
            .with_max_num_seqs(4)
            .with_prefix_cache_n(None);
        if !cuda {
            builder = builder.with_force_cpu();
        }
        let model = builder.build().await.map_err(|error| {
            let error = error.to_string();
            format!("The model runtime cannot load the model: {}", error.lines().next().unwrap_or("no reason given"))
        })?;
        Ok(Mistral {
            model,
            tokens,
            approved: Mutex::default(),
            examined: Mutex::default(),
            kill_at: Mutex::default(),
            pause: Mutex::default(),
            _staged: staged,
        })
    }

    pub(super) async fn generate(
        &self,
        prompt: &Prompt,
        writer: &mut Writer,
        cancelled: impl Future<Output = ()>,
    ) -> Result<Ended, Failure> {
        let steps = Steps {
            labels: self.tokens.of_labels(&prompt.labels)?,
            kill_at: std::mem::take(&mut lock(&self.kill_at)),
            pause: *lock(&self.pause),
            meter: Some(writer.meter.clone()),
            ..Steps::default()
        };
        let engine = self.engine()?;
        // An engine that died after its last call was let go of is replaced without a word: it has no canary yet.
        if !lock(&self.approved).as_ref().is_some_and(|approved| approved.same_channel(&engine)) {
            return Err(Failure::Replaced);
        }
        self.ask(engine, prompt, Arc::new(steps), writer, cancelled).await
    }

    pub(super) async fn first_step(&self, prompt: &Prompt) -> Result<FirstStep, Failure> {
        let steps = Arc::new(Steps { keep_first: true, ..Steps::default() });
        let (mut writer, _answer) = super::answer::answer(prompt, tokio::time::Instant::now(), Arc::new(Pulse::new()));
        let engine = self.engine()?;
        self.ask(engine.clone(), prompt, steps.clone(), &mut writer, std::future::pending()).await?;
        {
            let mut examined = lock(&self.examined);
            let before =
                examined.as_ref().filter(|(other, _)| other.same_channel(&engine)).map_or(0, |(_, times)| *times);
            *examined = Some((engine, before.saturating_add(1)));
        }
        let mut seen = steps.seen();
        Ok(FirstStep { prompt: std::mem::take(&mut seen.prompt), logits: std::mem::take(&mut seen.first_logits) })
    }

    /// The way to the engine. Starts another where it died.
    fn engine(&self) -> Result<Sender<Request>, Failure> {
        self.model.inner().get_sender(None).map_err(|_| Failure::Lost)
    }

    /// Never an engine that is there now but was not asked: it may have been started since.
    pub(super) fn approve(&self, questions: usize) {
        let examined = lock(&self.examined).clone();
        *lock(&self.approved) = examined.filter(|(_, times)| *times >= questions).map(|(engine, _)| engine);
    }

    pub(super) fn kill_at(&self, token: usize) {
        *lock(&self.kill_at) = token;
    }

    pub(super) fn pace(&self, pause: Duration) {
        *lock(&self.pause) = pause;
    }

    pub(super) fn count_tokens(&self, prompt: &Prompt) -> Result<usize, Failure> {
        self.tokens.count(prompt)
    }

    async fn ask(
        &self,
        engine: Sender<Request>,
        prompt: &Prompt,
        steps: Arc<Steps>,
        writer: &mut Writer,
        cancelled: impl Future<Output = ()>,
    ) -> Result<Ended, Failure> {
        let began = Instant::now();
        let (let_go, gone) = oneshot::channel();
        // Room for every chunk there can be: the runtime waits on each send, and a slow reader would stall everybody.
        let (sender, mut responses) = mpsc::channel(prompt.max_new_tokens + 16);
        let request = self.request(prompt, sender, Probe { steps: steps.clone(), _let_go: let_go });
        if engine.send(request).await.is_err() {
            self.bury(&engine).await;
            return Err(Failure::Lost);
        }

        tokio::pin!(cancelled);
        let mut started = false;
        let mut end = None;
        let outcome = loop {
            let response = tokio::select! {
                biased;
                // INVARIANT: the_receiver_is_kept_until_the_first_chunk
                // An error before it is sent with an unwrap: without a receiver the runtime's thread would panic.
                () = &mut cancelled, if started => break Err(Failure::Cancelled),
                response = responses.recv() => response,
            };
            match response {
                // INVARIANT: nothing_is_heard_after_the_end
                // After an end at the first token the runtime goes on; whatever it says then is no part of the answer.
                _ if end.is_some() => break Ok(()),
                Some(Response::Chunk(chunk)) => {
                    started = true;
                    let Some(choice) = chunk.choices.first() else { continue };
                    let stopped = writer.say(choice.delta.content.as_deref().unwrap_or_default()).is_break();
                    let tokens = chunk.usage.as_ref().map(|usage| usage.completion_tokens);
                    if let Some(reason) = &choice.finish_reason {
                        end = Some((finish(reason), tokens));
                    }
                    if stopped {
                        end = Some((Ok(Finish::Stop), tokens));
                        break Ok(());
                    }
                }
                Some(Response::ValidationError(_)) if prompt.schema.is_some() => break Err(Failure::BadConstraint),
                Some(Response::ValidationError(_)) => break Err(Failure::Fault("request refused")),
                // The texts of these hold backtraces, and may hold the prompt: only the class is kept.
                Some(Response::ModelError(text, _)) if is_out_of_memory(&text) => {
                    break Err(Failure::Broken("out of memory"));
                }
                Some(Response::ModelError(..)) => break Err(Failure::Fault("model error")),
                Some(_) => break Err(Failure::Fault("internal error")),
                None => break Ok(()),
            }
        };
        drop(responses);
        // INVARIANT: the_permit_is_held_until_the_engine_lets_go
        // The runtime drops the probe together with its sequence.
        if tokio::time::timeout(LET_GO, gone).await.is_err() {
            return Err(Failure::Broken("engine does not let go"));
        }
        if steps.seen().not_finite {
            return Err(Failure::Fault(NOT_FINITE));
        }
        outcome?;
        if end.is_none() && self.bury(&engine).await {
            return Err(Failure::Lost);
        }
        let (said, tokens) = end.map_or((None, None), |(finish, tokens)| (Some(finish), tokens));
        let seen = steps.seen();
        // The runtime's clock counts milliseconds, in which a short answer takes none.
        let total = began.elapsed();
        Ok(Ended {
            finish: how_it_ended(said.transpose()?, seen.count, prompt.max_new_tokens)?,
            prompt_tokens: seen.prompt_tokens,
            completion_tokens: tokens.unwrap_or(seen.count.min(prompt.max_new_tokens)),
            time_to_first_token: seen.first_at.map_or(total, |at| at.duration_since(began)),
            total,
            label_probabilities: (!seen.labels.is_empty()).then(|| softmax(&seen.labels)),
        })
    }

    /// After a stream that closed without an end: whether its engine has died, and another been started.
    async fn bury(&self, engine: &Sender<Request>) -> bool {
        let began = Instant::now();
        // The stream closes first and the thread ends last. One that has not closed its door by then is alive.
        let dead = tokio::time::timeout(BURIAL / 10, engine.closed()).await.is_ok();
        while dead && began.elapsed() < BURIAL && self.engine().is_ok_and(|now| now.same_channel(engine)) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        dead
    }

    fn request(&self, prompt: &Prompt, response: mpsc::Sender<Response>, probe: Probe) -> Request {
        let content = prompt.parts.iter().map(|part| match part {
            Part::Text(text) => IndexMap::from([("type".into(), json!("text")), ("text".into(), json!(text.as_str()))]),
            Part::Image(_) => IndexMap::from([("type".into(), json!("image"))]),
        });
        let message: IndexMap<String, MessageContent> = IndexMap::from([
            ("role".to_string(), Either::Left("user".to_string())),
            ("content".to_string(), Either::Right(content.collect())),
        ]);
        Request::Normal(Box::new(NormalRequest {
            id: self.model.inner().next_request_id(),
            messages: RequestMessage::MultimodalChat {
                images: prompt.images().map(|image| DynamicImage::ImageRgb8(image.as_ref().clone())).collect(),
                audios: Vec::new(),
                videos: Vec::new(),
                messages: vec![message],
                enable_thinking: None,
                reasoning_effort: None,
            },
            // Temperature zero takes the likeliest token; `None` would mean 1.0.
            sampling_params: SamplingParams {
                temperature: Some(0.0),
                top_k: Some(1),
                max_len: Some(prompt.max_new_tokens),
                n_choices: 1,
                ..SamplingParams::neutral()
            },
            constraint: prompt.schema.clone().map_or(Constraint::None, Constraint::JsonSchema),
            logits_processors: Some(vec![Arc::new(probe)]),
            response,
            // A request that does not stream cannot be cancelled at all.
            is_streaming: true,
            return_logprobs: false,
            return_raw_logits: false,
            suffix: None,
            tools: None,
            tool_choice: None,
            web_search_options: None,
            model_id: None,
            truncate_sequence: false,
        }))
    }
}

/// How the runtime says that a call has ended.
fn finish(reason: &str) -> Result<Finish, Failure> {
    match reason {
        "stop" => Ok(Finish::Stop),
        "length" => Ok(Finish::Length),
        _ => Err(Failure::Fault("unknown end")),
    }
}

/// What a device's driver says then: `CUDA_ERROR_OUT_OF_MEMORY`, `out of memory`. A backtrace follows, in which any name
/// may stand.
fn is_out_of_memory(text: &str) -> bool {
    text.lines().next().unwrap_or_default().to_ascii_lowercase().replace('_', " ").contains("out of memory")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Stands in the runtime's sampler: counts the tokens of an answer, looks at their logits, and is dropped with the sequence.
struct Probe {
    steps: Arc<Steps>,
    _let_go: oneshot::Sender<()>,
}

/// What the probe looks for, and what it has seen.
#[derive(Default)]
struct Steps {
    keep_first: bool,
    labels: Vec<u32>,
    kill_at: usize,
    pause: Duration,
    meter: Option<Meter>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    count: usize,
    /// Length of the context the last token was sampled for.
    context: usize,
    first_at: Option<Instant>,
    prompt_tokens: usize,
    prompt: Vec<u32>,
    first_logits: Vec<f32>,
    /// Logits of the labels at the first token.
    labels: Vec<f32>,
    not_finite: bool,
}

impl Steps {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        lock(&self.seen)
    }

    /// The first look at a token's logits; under a constraint that is before anything was forbidden.
    fn look(&self, seen: &mut Seen, values: Vec<f32>, context: &[u32]) -> mistralrs::Result<()> {
        if values.iter().any(|value| !value.is_finite()) {
            seen.not_finite = true;
            return Err(std::io::Error::other(NOT_FINITE).into());
        }
        if seen.count == 1 {
            seen.prompt_tokens = context.len();
            seen.labels = self.labels.iter().filter_map(|token| values.get(*token as usize).copied()).collect();
            if self.keep_first {
                seen.prompt = context.to_vec();
                seen.first_logits = values;
            }
        }
        Ok(())
    }
}

impl CustomLogitsProcessor for Probe {
    fn apply(&self, logits: &Tensor, context: &[u32]) -> mistralrs::Result<Tensor> {
        let mut seen = self.steps.seen();
        // A token the grammar refuses costs a second call for the same context, with minus infinity where it forbids.
        if context.len() > seen.context {
            seen.context = context.len();
            seen.count += 1;
            seen.first_at.get_or_insert_with(Instant::now);
            if let Some(meter) = &self.steps.meter {
                meter.token();
            }
            std::thread::sleep(self.steps.pause);
            if seen.count == self.steps.kill_at {
                drop(seen);
                std::panic::resume_unwind(Box::new("killed by a test"));
            }
            self.steps.look(&mut seen, logits.to_vec1::<f32>()?, context)?;
        }
        Ok(logits.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_line_tells_of_memory() {
        assert!(is_out_of_memory("DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")\n   0: backtrace"));
        assert!(!is_out_of_memory("shape mismatch\n   0: handle_out_of_memory") && !is_out_of_memory(""));
    }
}
