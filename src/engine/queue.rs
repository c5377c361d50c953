//! One model, one call at a time, a bounded number waiting, and a deadline for every caller.
//!
//! A place in the queue is taken before anything is fetched ([`Engine::admit`]), so that an overloaded product refuses at once.
//! The call itself runs in a task that owns the place and the permit: a caller may leave at any moment, the model is free
//! again only when the runtime has let go.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::Value;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch},
    time::{Instant, timeout_at},
};
use uuid::Uuid;

use super::{
    Completion, Config, EngineError, Finish, Health, ModelInfo, Prompt,
    backend::{Backend, Failure},
    canary,
    scripted::{Scripted, Step},
};

/// So many restarts within [`RESTART_WINDOW`] and the model is given up.
const MOST_RESTARTS: usize = 3;
const RESTART_WINDOW: Duration = Duration::from_secs(600);
/// Said to callers while a model is loading.
const LOADING_RETRY: Duration = Duration::from_secs(5);

/// Hands prompts to the loaded model. Cheap to clone; all clones share one queue.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

/// A place in the queue. Dropping it gives the place back.
pub struct Admission {
    place: OwnedSemaphorePermit,
}

pub(super) enum State {
    Absent,
    Loading(&'static str),
    Ready(Arc<Loaded>),
    Dead(String),
}

pub(super) struct Loaded {
    pub(super) info: ModelInfo,
    pub(super) backend: Backend,
}

pub(super) struct Shared {
    state: watch::Sender<State>,
    /// One that runs and those that may wait.
    places: Arc<Semaphore>,
    size: usize,
    // INVARIANT: one_call_is_in_the_engine
    /// First come, first served. Two prompts with pictures in one batch would both fail.
    flight: Arc<Semaphore>,
    calls: AtomicU64,
    retries: AtomicU64,
    /// Running mean of a call's time, in milliseconds.
    mean: AtomicU64,
    restarts: Mutex<VecDeque<Instant>>,
}

impl Engine {
    /// Starts loading in the background and returns at once; [`Engine::health`] tells how far it is.
    pub fn load(config: Config) -> Engine {
        match config.model.clone() {
            None => Engine::absent(),
            Some(model) => {
                let engine = Engine::new(config.queue, State::Loading("starting"));
                start(engine.shared.clone(), config, model);
                engine
            }
        }
    }

    /// No model: everything that needs none still works.
    pub fn absent() -> Engine {
        Engine::new(0, State::Absent)
    }

    /// A model that follows `steps`, for tests of everything around it. The queue has the default size.
    pub fn scripted(info: ModelInfo, steps: Vec<Step>) -> Engine {
        let backend = Backend::Scripted(Box::new(Scripted::new(info.clone(), steps)));
        Engine::new(Config::default().queue, State::Ready(Arc::new(Loaded { info, backend })))
    }

    /// A model that never finishes loading, for the same tests.
    pub fn loading() -> Engine {
        Engine::new(Config::default().queue, State::Loading("loading the weights"))
    }

    fn new(queue: usize, state: State) -> Engine {
        let size = queue + 1;
        Engine {
            shared: Arc::new(Shared {
                state: watch::Sender::new(state),
                places: Arc::new(Semaphore::new(size)),
                size,
                flight: Arc::new(Semaphore::new(1)),
                calls: AtomicU64::new(0),
                retries: AtomicU64::new(0),
                mean: AtomicU64::new(1000),
                restarts: Mutex::new(VecDeque::new()),
            }),
        }
    }

    pub fn health(&self) -> Health {
        match &*self.shared.state.borrow() {
            State::Absent => Health::Absent,
            State::Loading(phase) => Health::Loading { phase: (*phase).into() },
            State::Ready(_) => Health::Ready,
            State::Dead(reason) => Health::Dead { reason: reason.clone() },
        }
    }

    /// Returns when the model may be asked, or with `Unavailable` when none will come.
    pub async fn wait_ready(&self) -> Result<(), EngineError> {
        let mut state = self.shared.state.subscribe();
        let settled = state.wait_for(|state| !matches!(state, State::Loading(_))).await;
        match settled.as_deref() {
            Ok(State::Ready(_)) => Ok(()),
            _ => Err(EngineError::Unavailable),
        }
    }

    /// The loaded model; none while it is loading, and none that failed.
    pub fn info(&self) -> Option<ModelInfo> {
        self.shared.loaded().map(|loaded| loaded.info.clone())
    }

    /// Model calls begun, canaries not counted.
    pub fn calls(&self) -> u64 {
        self.shared.calls.load(Ordering::Relaxed)
    }

    /// Calls that were made a second time because the engine was lost under the first.
    pub fn retries(&self) -> u64 {
        self.shared.retries.load(Ordering::Relaxed)
    }

    /// Tokens of the prompt with its pictures, as the runtime will count them.
    pub fn count_tokens(&self, prompt: &Prompt) -> Result<usize, EngineError> {
        let loaded = self.shared.loaded().ok_or(EngineError::Unavailable)?;
        loaded.backend.count_tokens(&prompt.clone().joined()).map_err(report)
    }

    /// Takes a place in the queue without waiting. Ask for it before any work is done for a request.
    pub fn admit(&self) -> Result<Admission, EngineError> {
        match &*self.shared.state.borrow() {
            State::Ready(_) => {}
            State::Loading(_) => return Err(EngineError::Busy { retry_after: LOADING_RETRY }),
            State::Absent | State::Dead(_) => return Err(EngineError::Unavailable),
        }
        let place = self.shared.places.clone().try_acquire_owned();
        place.map(|place| Admission { place }).map_err(|_| EngineError::Busy { retry_after: self.shared.retry_after() })
    }

    /// Waits for the model, asks it, and gives its whole answer; `Deadline` at `deadline`, wherever the call is then.
    ///
    /// Dropping the future cancels the call. The text may be cut ([`Completion::finish`]); a whole one is of the schema's form.
    pub async fn generate(
        &self,
        admission: Admission,
        prompt: Prompt,
        deadline: Instant,
    ) -> Result<Completion, EngineError> {
        let loaded = self.shared.loaded().ok_or(EngineError::Unavailable)?;
        let prompt = prompt.joined();
        loaded.check(&prompt)?;
        let permit = match timeout_at(deadline, self.shared.flight.clone().acquire_owned()).await {
            Err(_) => return Err(EngineError::Deadline),
            Ok(permit) => permit.map_err(|_| EngineError::Unavailable)?,
        };
        let schema = prompt.schema.clone();
        let (answer, reply) = oneshot::channel();
        let call = Call { shared: self.shared.clone(), loaded, prompt, answer, _held: (permit, admission.place) };
        tokio::spawn(call.run());
        let completion = match timeout_at(deadline, reply).await {
            Err(_) => return Err(EngineError::Deadline),
            Ok(answer) => answer.unwrap_or_else(|_| Err(report(Failure::Fault("call task ended"))))?,
        };
        // A grammar is no proof of validity.
        match schema {
            Some(schema) if completion.finish == Finish::Stop && !is_of(&schema, &completion.text) => {
                Err(report(Failure::Fault("answer not of the schema's form")))
            }
            _ => Ok(completion),
        }
    }
}

fn is_of(schema: &Value, text: &str) -> bool {
    let answer = serde_json::from_str::<Value>(text.trim());
    answer.is_ok_and(|answer| jsonschema::validator_for(schema).is_ok_and(|form| form.is_valid(&answer)))
}

impl Loaded {
    /// Refuses what the runtime must never see: pictures of another size share its cache, too many tokens crash it.
    fn check(&self, prompt: &Prompt) -> Result<(), EngineError> {
        let side = self.info.image_size;
        if prompt.images().any(|image| image.dimensions() != (side, side)) {
            return Err(report(Failure::Fault("picture not of the model's input size")));
        }
        if prompt.images().count() > self.info.max_images {
            return Err(report(Failure::Fault("more pictures than the model takes")));
        }
        if prompt.max_new_tokens == 0 {
            return Err(report(Failure::Fault("no tokens to answer with")));
        }
        let tokens = self.backend.count_tokens(prompt).map_err(report)?;
        let max = self.info.context.saturating_sub(prompt.max_new_tokens);
        if tokens > max { Err(EngineError::TooLong { tokens, max }) } else { Ok(()) }
    }
}

/// One call on its way: owns everything that must not be given back before the runtime has let go.
struct Call {
    shared: Arc<Shared>,
    loaded: Arc<Loaded>,
    prompt: Prompt,
    answer: oneshot::Sender<Result<Completion, EngineError>>,
    _held: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

impl Call {
    async fn run(mut self) {
        // The engine may have died while this call waited: no answer without a passed canary.
        if self.shared.loaded().is_none() {
            let _ = self.answer.send(Err(EngineError::Unavailable));
            return;
        }
        let began = Instant::now();
        let mut result = self.attempt().await;
        if result == Err(Failure::Lost { emitted: false })
            && self.shared.restore(&self.loaded).await
            && !self.answer.is_closed()
        {
            self.shared.retries.fetch_add(1, Ordering::Relaxed);
            result = self.attempt().await;
            if matches!(result, Err(Failure::Lost { .. })) {
                self.shared.restore(&self.loaded).await;
            }
        } else if result == Err(Failure::Lost { emitted: true }) {
            self.shared.restore(&self.loaded).await;
        }
        self.shared.observe(began.elapsed());
        let _ = self.answer.send(result.map_err(report));
    }

    async fn attempt(&mut self) -> Result<Completion, Failure> {
        self.shared.calls.fetch_add(1, Ordering::Relaxed);
        self.loaded.backend.generate(&self.prompt, self.answer.closed()).await
    }
}

impl Shared {
    pub(super) fn set(&self, state: State) {
        self.state.send_replace(state);
    }

    fn loaded(&self) -> Option<Arc<Loaded>> {
        match &*self.state.borrow() {
            State::Ready(loaded) => Some(loaded.clone()),
            _ => None,
        }
    }

    /// After a lost call: whether the engine, restarted, passes its canary. If not, or if it died too often, it is given up.
    async fn restore(&self, loaded: &Loaded) -> bool {
        let often = {
            let mut restarts = self.restarts.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            restarts.retain(|at| now.duration_since(*at) < RESTART_WINDOW);
            restarts.push_back(now);
            restarts.len() >= MOST_RESTARTS
        };
        let outcome = if often {
            Err("The model's engine died three times within ten minutes: restart curbside, and look at its log.".into())
        } else {
            canary::check(&loaded.backend, &loaded.info).await
        };
        match outcome {
            Ok(()) => true,
            Err(reason) => {
                tracing::error!(%reason, "the model is given up");
                self.set(State::Dead(reason));
                false
            }
        }
    }

    fn observe(&self, took: Duration) {
        let took = u64::try_from(took.as_millis()).unwrap_or(u64::MAX / 8);
        let mean = self.mean.load(Ordering::Relaxed);
        self.mean.store((mean.saturating_mul(7).saturating_add(took)) / 8, Ordering::Relaxed);
    }

    /// About when the calls that are in would be done, in whole seconds.
    fn retry_after(&self) -> Duration {
        let taken = (self.size - self.places.available_permits().min(self.size)) as u64;
        Duration::from_secs(self.mean.load(Ordering::Relaxed).saturating_mul(taken).div_ceil(1000).clamp(1, 600))
    }
}

/// Turns a failure into what the caller is told; a fault is logged with an id and a fixed word, never with text.
fn report(failure: Failure) -> EngineError {
    match failure {
        Failure::Cancelled => EngineError::Cancelled,
        Failure::BadConstraint => EngineError::BadConstraint,
        Failure::Lost { .. } | Failure::Fault(_) => {
            let id = Uuid::new_v4();
            tracing::error!(fault = %id, class = failure.class(), "model fault");
            EngineError::ModelFault(id)
        }
    }
}

#[cfg(feature = "mistralrs")]
fn start(shared: Arc<Shared>, config: Config, model: std::path::PathBuf) {
    super::mistral::load_in_background(shared, config, model);
}

#[cfg(not(feature = "mistralrs"))]
fn start(shared: Arc<Shared>, _config: Config, _model: std::path::PathBuf) {
    shared.set(State::Dead("This build has no model runtime: build with the feature `mistralrs`.".into()));
}
