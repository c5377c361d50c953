//! Gemma 3 in this process through mistralrs 0.8.1: the one file that names the runtime.
//!
//! The runtime has no deadline and no cancel, panics when a receiver is gone at the wrong moment, and can end a stream without
//! saying so; [`Mistral::ask`] is written around exactly that.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
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
use tokenizers::Tokenizer;
use tokio::sync::{mpsc, oneshot};

use super::{
    Completion, Config, Finish, Part, Prompt,
    backend::{Backend, Failure, NOT_FINITE},
    canary,
    queue::{Loaded, Shared, State},
    stage::{self, Staged},
};

const OPEN_IMAGE: &str = "<start_of_image>";
/// Longest wait for the runtime to let go of a call after its last word; it needs one decode step.
const LET_GO: Duration = Duration::from_secs(60);

pub(super) struct Mistral {
    model: Model,
    tokenizer: Tokenizer,
    /// What the runtime makes of `<start_of_image>` when it expands a picture.
    image_text: String,
    /// Holds the private directory: the weights stay mapped from it.
    _staged: Staged,
}

/// Loads on a thread of its own: the runtime's loader blocks, and its quantisation flag belongs to the thread.
pub(super) fn load_in_background(shared: Arc<Shared>, config: Config, model: PathBuf) {
    let for_thread = shared.clone();
    let thread = std::thread::Builder::new().name("model-loader".into()).spawn(move || {
        let load = std::panic::AssertUnwindSafe(|| load(&for_thread, &config, &model));
        let state = match std::panic::catch_unwind(load) {
            Ok(Ok(loaded)) => State::Ready(Arc::new(loaded)),
            Ok(Err(reason)) => State::Dead(reason),
            Err(_) => State::Dead(
                "The model runtime panicked while it loaded the model: run `curbside check-model` on the directory."
                    .into(),
            ),
        };
        if let State::Dead(reason) = &state {
            tracing::error!(%reason, "no model");
        }
        for_thread.set(state);
    });
    if thread.is_err() {
        shared.set(State::Dead("The system refused a thread to load the model on.".into()));
    }
}

fn load(shared: &Shared, config: &Config, model: &Path) -> Result<Loaded, String> {
    let cuda = config.device == "cuda";
    shared.set(State::Loading("checking the model directory"));
    let staged = stage::stage(model, config.context).map_err(|problems| match problems.as_slice() {
        [only] => only.to_string(),
        [first, rest @ ..] => format!("{first} And {} more: run `curbside check-model` on the directory.", rest.len()),
        [] => "The model directory cannot be served.".into(),
    })?;
    let mut info = staged.info.clone();
    if cuda {
        info.dtype = "BF16".into();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|_| "The system refused the threads the model is loaded with.")?;
    shared.set(State::Loading("loading the weights"));
    let began = Instant::now();
    let backend = Backend::Mistral(Box::new(runtime.block_on(Mistral::load(staged, cuda))?));
    let loaded_in = began.elapsed();
    shared.set(State::Loading("asking the canary"));
    runtime.block_on(canary::check(&backend, &info))?;
    tracing::info!(
        model = %info.name,
        load_ms = loaded_in.as_millis() as u64,
        canary_ms = (began.elapsed() - loaded_in).as_millis() as u64,
        "the model is ready"
    );
    Ok(Loaded { info, backend })
}

impl Mistral {
    async fn load(staged: Staged, cuda: bool) -> Result<Mistral, String> {
        let tokenizer = Tokenizer::from_file(staged.tokenizer())
            .map_err(|_| "tokenizer.json: the tokenizer cannot be built; copy the file again.")?;
        let ids = tokenizer.encode_fast("x", true).map_err(|_| "tokenizer.json: the tokenizer cannot encode.")?;
        let bos = tokenizer.token_to_id("<bos>");
        if ids.get_ids().first().copied() != bos || ids.get_ids().iter().filter(|id| Some(**id) == bos).count() != 1 {
            return Err("tokenizer.json: its post-processor must put exactly one <bos> before a text.".into());
        }
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
        let soft_tokens = "<image_soft_token>".repeat(staged.info.tokens_per_image);
        let image_text = format!("\n\n{OPEN_IMAGE}{soft_tokens}<end_of_image>\n\n");
        Ok(Mistral { model, tokenizer, image_text, _staged: staged })
    }

    pub(super) async fn generate(
        &self,
        prompt: &Prompt,
        cancelled: impl Future<Output = ()>,
    ) -> Result<Completion, Failure> {
        self.ask(prompt, Arc::default(), cancelled).await
    }

    pub(super) async fn first_logits(&self, prompt: &Prompt) -> Result<Vec<f32>, Failure> {
        let steps = Arc::new(Steps { keep_first: true, ..Steps::default() });
        self.ask(prompt, steps.clone(), std::future::pending()).await?;
        Ok(std::mem::take(&mut steps.seen().first_logits))
    }

    /// Encodes as the runtime will: once as rendered, then, with pictures, decoded, expanded and encoded again.
    pub(super) fn count_tokens(&self, prompt: &Prompt) -> Result<usize, Failure> {
        const FAULT: Failure = Failure::Fault("prompt cannot be encoded");
        let mut text = String::from("<start_of_turn>user\n");
        for part in &prompt.parts {
            text.push_str(match part {
                Part::Text(text) => text.as_str(),
                Part::Image(_) => OPEN_IMAGE,
            });
        }
        text.push_str("<end_of_turn>\n<start_of_turn>model\n");
        let encoding = self.tokenizer.encode_fast(text, true).map_err(|_| FAULT)?;
        if prompt.images().next().is_none() {
            return Ok(encoding.get_ids().len());
        }
        let decoded = self.tokenizer.decode(encoding.get_ids(), false).map_err(|_| FAULT)?;
        let expanded = decoded.replace(OPEN_IMAGE, &self.image_text);
        Ok(self.tokenizer.encode_fast(expanded, false).map_err(|_| FAULT)?.get_ids().len())
    }

    async fn ask(
        &self,
        prompt: &Prompt,
        steps: Arc<Steps>,
        cancelled: impl Future<Output = ()>,
    ) -> Result<Completion, Failure> {
        let began = Instant::now();
        let (let_go, gone) = oneshot::channel();
        // Room for every chunk there can be: the runtime waits on each send, and a slow reader would stall everybody.
        let (sender, mut responses) = mpsc::channel(prompt.max_new_tokens + 16);
        let request = self.request(prompt, sender, Probe { steps: steps.clone(), _let_go: let_go });
        // Also restarts an engine that died.
        let engine = self.model.inner().get_sender(None).map_err(|_| Failure::Lost { emitted: false })?;
        engine.send(request).await.map_err(|_| Failure::Lost { emitted: false })?;

        tokio::pin!(cancelled);
        let (mut text, mut started) = (String::new(), false);
        let mut end = None;
        let outcome = loop {
            let response = tokio::select! {
                response = responses.recv() => response,
                // INVARIANT: the_receiver_is_kept_until_the_first_chunk
                // An error before it is sent with an unwrap: without a receiver the runtime's thread would panic.
                () = &mut cancelled, if started => break Err(Failure::Cancelled),
            };
            match response {
                Some(Response::Chunk(chunk)) => {
                    started = true;
                    let Some(choice) = chunk.choices.first() else { continue };
                    text.push_str(choice.delta.content.as_deref().unwrap_or_default());
                    if let Some(reason) = &choice.finish_reason {
                        end = Some((
                            reason.clone(),
                            chunk.usage.map(|usage| (usage.prompt_tokens, usage.completion_tokens)),
                        ));
                    }
                }
                Some(Response::ValidationError(_)) if prompt.schema.is_some() => break Err(Failure::BadConstraint),
                Some(Response::ValidationError(_)) => break Err(Failure::Fault("request refused")),
                // The texts of these hold backtraces, and may hold the prompt: only the class is kept.
                Some(Response::ModelError(..)) => break Err(Failure::Fault("model error")),
                Some(_) => break Err(Failure::Fault("internal error")),
                None => break Ok(()),
            }
        };
        drop(responses);
        // INVARIANT: the_permit_is_held_until_the_engine_lets_go
        // The runtime drops the probe together with its sequence.
        let _ = tokio::time::timeout(LET_GO, gone).await;
        let seen = steps.seen();
        if seen.not_finite {
            return Err(Failure::Fault(NOT_FINITE));
        }
        outcome?;
        let (finish, usage) = match end {
            Some((reason, usage)) if reason == "stop" => (Finish::Stop, usage),
            Some((reason, usage)) if reason == "length" => (Finish::Length, usage),
            Some(_) => return Err(Failure::Fault("unknown end")),
            // Nothing is sent for a token that ends inside a character, so a cut answer may end without its last word.
            None if seen.count >= prompt.max_new_tokens => (Finish::Length, None),
            None => return Err(Failure::Lost { emitted: !text.is_empty() }),
        };
        let (prompt_tokens, completion_tokens) = match usage {
            Some(usage) => usage,
            None => (self.count_tokens(prompt)?, seen.count),
        };
        let total = began.elapsed();
        let time_to_first_token = seen.first_at.map_or(total, |at| at.duration_since(began));
        Ok(Completion { text, finish, prompt_tokens, completion_tokens, time_to_first_token, total })
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

/// Stands in the runtime's sampler: counts the tokens of an answer, looks at their logits, and is dropped with the sequence.
struct Probe {
    steps: Arc<Steps>,
    _let_go: oneshot::Sender<()>,
}

#[derive(Default)]
struct Steps {
    keep_first: bool,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    count: usize,
    /// Length of the context the last token was sampled for.
    context: usize,
    first_at: Option<Instant>,
    first_logits: Vec<f32>,
    not_finite: bool,
}

impl Steps {
    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
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
            let values = logits.to_vec1::<f32>()?;
            if values.iter().any(|value| !value.is_finite()) {
                seen.not_finite = true;
                return Err(std::io::Error::other(NOT_FINITE).into());
            }
            if self.steps.keep_first && seen.count == 1 {
                seen.first_logits = values;
            }
        }
        Ok(logits.clone())
    }
}
