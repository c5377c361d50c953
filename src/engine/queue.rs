//! One model, one call at a time, a bounded number waiting, and a deadline for every caller.
//!
//! A place in the queue is taken before anything is fetched ([`Engine::admit`]), so that an overloaded product refuses at once.
//! The call itself runs in a task that owns the place and the permit: a caller may leave at any moment, the model is free
//! again only when the runtime has let go.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::Instant,
};

use super::{
    Answer, Completion, Config, EngineError, FirstStep, Health, Known, ModelInfo, Priority, Prompt,
    answer::answer,
    backend::{Backend, report},
    call::{Call, form},
    canary,
    gate::Gate,
    health::{Counts, Loaded, Progress, Pulse, State},
    keeper, load,
    poison::Poison,
    scripted::{Scripted, Step},
};
use crate::progress;

/// So many restarts within [`RESTART_WINDOW`] and the model is given up.
const MOST_RESTARTS: usize = 3;
const RESTART_WINDOW: Duration = Duration::from_secs(600);
/// Said to callers while a model is loading or being restarted.
const LOADING_RETRY: Duration = Duration::from_secs(5);
const RESTARTING: &str = "the model's engine is being restarted";

/// Hands prompts to the loaded model. Cheap to clone; all clones share one queue.
#[derive(Clone)]
pub struct Engine {
    pub(super) shared: Arc<Shared>,
    /// Whether answers are generated under the prompt's schema.
    constrained: bool,
}

/// A place in the queue. Dropping it gives the place back.
pub struct Admission {
    pub(super) priority: Priority,
    /// Told when the model takes the call up.
    pub(super) progress: Option<Arc<progress::Progress>>,
    _place: OwnedSemaphorePermit,
}

impl Admission {
    /// Lets `progress` know when the model takes the call up.
    pub fn telling(self, progress: Arc<progress::Progress>) -> Admission {
        Admission { progress: Some(progress), ..self }
    }
}

pub(super) struct Shared {
    pub(super) state: watch::Sender<State>,
    /// Whether the model has ever been ready.
    served: AtomicBool,
    /// One that runs and those that may wait.
    places: Arc<Semaphore>,
    size: usize,
    // INVARIANT: one_call_is_in_the_engine
    /// Two prompts with pictures in one batch would both fail.
    pub(super) gate: Arc<Gate>,
    pub(super) pulse: Arc<Pulse>,
    pub(super) poison: Poison,
    counts: Mutex<Counts>,
    /// What the engine is to pass for, in a demonstration.
    pub(super) feigned: Mutex<Option<Health>>,
    /// When the model last passed its canary.
    passed: Mutex<Option<Instant>>,
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
                load::in_background(engine.shared.clone(), config, model);
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
        let engine = Engine::loading();
        engine.shared.set(State::Ready(Arc::new(Loaded { info, backend, known: Known::default() })));
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(keeper::watch(Arc::downgrade(&engine.shared)));
        }
        engine
    }

    /// A model that never finishes loading, for the same tests.
    pub fn loading() -> Engine {
        Engine::new(Config::default().queue, State::Loading("loading the weights"))
    }

    fn new(queue: usize, state: State) -> Engine {
        let size = queue + 1;
        Engine {
            constrained: true,
            shared: Arc::new(Shared {
                state: watch::Sender::new(state),
                served: AtomicBool::new(false),
                places: Arc::new(Semaphore::new(size)),
                size,
                gate: Arc::default(),
                pulse: Arc::new(Pulse::new()),
                poison: Poison::default(),
                counts: Mutex::default(),
                feigned: Mutex::default(),
                passed: Mutex::default(),
                mean: AtomicU64::new(1000),
                restarts: Mutex::default(),
            }),
        }
    }

    /// The same model without schemas, so that what they change can be measured. Nothing serves it.
    pub fn unconstrained(&self) -> Engine {
        Engine { constrained: false, ..self.clone() }
    }

    pub fn health(&self) -> Health {
        if let Some(feigned) = self.feigned() {
            return feigned;
        }
        match self.shared.state.borrow().health() {
            Health::Ready if self.shared.pulse.progress() != Progress::Fine => {
                Health::Degraded { reason: "the call that runs gets nowhere".into() }
            }
            health => health,
        }
    }

    /// Returns when the model may be asked, or with `Unavailable` when none will come.
    pub async fn wait_ready(&self) -> Result<(), EngineError> {
        let mut state = self.shared.state.subscribe();
        let settled = state.wait_for(|state| !matches!(state, State::Loading(_) | State::Degraded(..))).await;
        match settled.as_deref() {
            Ok(State::Ready(_)) => Ok(()),
            _ => Err(EngineError::Unavailable),
        }
    }

    /// Returns when a model that was once ready is given up; never for one that could not be loaded.
    pub async fn given_up(&self) {
        let mut state = self.shared.state.subscribe();
        let dead = state.wait_for(|state| matches!(state, State::Dead(_))).await.is_ok();
        if !dead || !self.shared.served.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }

    /// The loaded model; none while it is loading, and none that failed.
    pub fn info(&self) -> Option<ModelInfo> {
        self.shared.loaded().map(|loaded| loaded.info.clone())
    }

    /// What the loaded model said to its canary.
    pub fn known(&self) -> Option<Known> {
        self.shared.loaded().map(|loaded| loaded.known.clone())
    }

    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        self.shared.count(|all| counts = *all);
        Counts { abandoned_tokens: self.shared.pulse.abandoned_tokens(), ..counts }
    }

    /// Tokens a second of all answers so far, without the time to their first; none before there are any.
    pub fn tokens_per_second(&self) -> Option<f64> {
        self.shared.pulse.tokens_per_second()
    }

    /// How long ago the model last passed its canary.
    pub fn canary_age(&self) -> Option<Duration> {
        self.shared.passed.lock().unwrap_or_else(PoisonError::into_inner).map(|at| at.elapsed())
    }

    /// [`Counts::calls`].
    pub fn calls(&self) -> u64 {
        self.counts().calls
    }

    /// [`Counts::retries`].
    pub fn retries(&self) -> u64 {
        self.counts().retries
    }

    /// Tokens of the prompt with its pictures, as the runtime will count them.
    pub fn count_tokens(&self, prompt: &Prompt) -> Result<usize, EngineError> {
        let loaded = self.shared.loaded().ok_or(EngineError::Unavailable)?;
        loaded.backend.count_tokens(&prompt.clone().joined()).map_err(report)
    }

    /// Takes a place in the queue without waiting. Ask for it before any work is done for a request.
    pub fn admit(&self, priority: Priority) -> Result<Admission, EngineError> {
        match self.feigned() {
            Some(Health::Loading { .. } | Health::Degraded { .. }) => {
                return Err(EngineError::NotReady { retry_after: LOADING_RETRY });
            }
            Some(Health::Dead { .. } | Health::Absent) => return Err(EngineError::Unavailable),
            Some(Health::Ready) | None => {}
        }
        match &*self.shared.state.borrow() {
            State::Ready(_) => {}
            State::Loading(_) | State::Degraded(..) => {
                return Err(EngineError::NotReady { retry_after: LOADING_RETRY });
            }
            State::Absent | State::Dead(_) => return Err(EngineError::Unavailable),
        }
        // Background work needs two free places where there are two, and takes one of them.
        let needed = if priority == Priority::Background { self.shared.size.min(2) } else { 1 };
        let places = self.shared.places.clone().try_acquire_many_owned(u32::try_from(needed).unwrap_or(1));
        let mut places = places.map_err(|_| EngineError::Busy { retry_after: self.shared.retry_after() })?;
        let place = places.split(1).unwrap_or(places);
        Ok(Admission { priority, progress: None, _place: place })
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
        self.stream(admission, prompt, deadline).complete().await
    }

    /// The same as it is written: exactly one `Done` at the end, or one error. Dropping the stream cancels the call. The
    /// services wait for the whole answer and do not read it as it is written yet.
    pub fn stream(&self, admission: Admission, prompt: Prompt, deadline: Instant) -> Answer {
        let shared = self.shared.clone();
        let mut prompt = prompt.joined();
        if !self.constrained {
            prompt.schema = None;
        }
        let checked = shared.loaded().ok_or(EngineError::Unavailable).and_then(|loaded| {
            let tokens = loaded.fits(&prompt)?;
            Ok((tokens, prompt.schema.as_ref().map(form).transpose()?, loaded))
        });
        let (tokens, form, loaded) = match checked {
            Ok(checked) => checked,
            Err(error) => return Answer::refused(error, deadline),
        };
        let (writer, answer) = answer(&prompt, deadline, shared.pulse.clone());
        tokio::spawn(Call { shared, loaded, prompt, form, tokens, writer, deadline, admission }.run());
        answer
    }

    /// What the runtime makes of a prompt, and the numbers for the answer's first token: for checks, not for answers.
    pub async fn first_step(&self, prompt: &Prompt) -> Result<FirstStep, EngineError> {
        let loaded = self.shared.loaded().ok_or(EngineError::Unavailable)?;
        let prompt = Prompt { max_new_tokens: 1, ..prompt.clone() }.joined();
        loaded.fits(&prompt)?;
        let _pass = self.shared.gate.enter(Priority::Background).await;
        loaded.backend.first_step(&prompt).await.map_err(report)
    }

    /// Returns when no call is in the engine.
    pub async fn wait_idle(&self) {
        drop(self.shared.gate.enter(Priority::Clinician).await);
    }

    /// Asks the canary now, after whoever is before it, and says what came of it.
    pub async fn ask_canary(&self) -> Health {
        self.shared.ask_canary().await;
        self.health()
    }

    /// Calls that run or wait, and as many as there may be.
    pub fn taken(&self) -> (usize, usize) {
        let size = self.shared.size;
        (size - self.shared.places.available_permits().min(size), size)
    }
}

impl Shared {
    /// Moves to a state that may follow the present one. Any other is not taken.
    pub(super) fn set(&self, next: State) {
        self.state.send_if_modified(|state| {
            let allowed = state.may_become(&next);
            if allowed {
                self.served.fetch_or(matches!(next, State::Ready(_)), Ordering::Relaxed);
                *state = next;
            }
            allowed
        });
    }

    pub(super) fn loaded(&self) -> Option<Arc<Loaded>> {
        self.state.borrow().loaded().cloned()
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The model passed its canary just now.
    pub(super) fn passed(&self) {
        *self.passed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    pub(super) fn give_up(&self, class: &str) {
        self.die(format!("The model's engine cannot be trusted any more ({class}): restart curbside."));
    }

    fn die(&self, reason: String) {
        tracing::error!(%reason, "the model is given up");
        self.set(State::Dead(reason));
    }

    // INVARIANT: no_answer_without_a_passed_canary
    /// After a lost call, while nobody else is in the engine: whether it passes its canary now that it is restarted. If not,
    /// or if it died too often, it is given up.
    pub(super) async fn restore(&self, loaded: &Arc<Loaded>) -> bool {
        self.set(State::Degraded(loaded.clone(), RESTARTING));
        self.count(|counts| counts.restarts += 1);
        let often = {
            let mut restarts = self.restarts.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            restarts.retain(|at| now.duration_since(*at) < RESTART_WINDOW);
            restarts.push_back(now);
            restarts.len() >= MOST_RESTARTS
        };
        if often {
            self.die(
                "The model's engine died three times within ten minutes: restart curbside, and look at its log.".into(),
            );
            return false;
        }
        self.canary(loaded).await
    }

    pub(super) async fn ask_canary(&self) {
        let _pass = self.gate.enter(Priority::Background).await;
        let ready = match &*self.state.borrow() {
            State::Ready(loaded) => loaded.clone(),
            _ => return,
        };
        self.canary(&ready).await;
    }

    async fn canary(&self, loaded: &Arc<Loaded>) -> bool {
        self.count(|counts| counts.canaries += 1);
        // Three short questions, two of them with a picture.
        self.pulse.begin(3 * (loaded.info.tokens_per_image + 32));
        let outcome = canary::check(&loaded.backend, &loaded.info, &loaded.known, None).await;
        self.pulse.end();
        match outcome {
            Ok(_) => {
                self.passed();
                self.set(State::Ready(loaded.clone()));
                true
            }
            Err(reason) => {
                self.die(reason);
                false
            }
        }
    }

    pub(super) fn observe(&self, took: Duration) {
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
