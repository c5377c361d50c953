//! What state the model is in, which may follow which, and whether a call that runs still gets anywhere.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{
    EngineError, ModelInfo, Prompt,
    backend::{Backend, Failure, report},
    canary::Known,
};

/// What has happened since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Counts {
    /// Calls made to the runtime; canaries are not among them.
    pub calls: u64,
    /// Calls that were made a second time because the engine was lost under the first.
    pub retries: u64,
    /// Times the engine was lost.
    pub restarts: u64,
    /// Canaries asked after the one at the start.
    pub canaries: u64,
    /// Tokens computed for callers who had left.
    pub abandoned_tokens: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Health {
    Loading {
        phase: String,
    },
    Ready,
    /// Loaded, and for the moment not to be asked: it is being restarted, or gets nowhere.
    Degraded {
        reason: String,
    },
    /// Loading failed, or the model was given up; the sentence says why and what to do.
    Dead {
        reason: String,
    },
    /// No model is configured; services that need none still answer.
    Absent,
}

#[derive(Clone)]
pub(super) enum State {
    Absent,
    Loading(&'static str),
    Ready(Arc<Loaded>),
    Degraded(Arc<Loaded>, &'static str),
    Dead(String),
}

/// A model, and what it said to its canary.
pub(super) struct Loaded {
    pub(super) info: ModelInfo,
    pub(super) backend: Backend,
    pub(super) known: Known,
}

impl Loaded {
    /// Tokens of the prompt. Refuses what the runtime must never see: pictures of another size share its cache, too many
    /// tokens crash it.
    pub(super) fn fits(&self, prompt: &Prompt) -> Result<usize, EngineError> {
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
        let (context, answer) = (self.info.context, prompt.max_new_tokens);
        let max = context.saturating_sub(answer);
        // An answer that is longer than the context leaves no room even for an empty prompt.
        if answer > context || tokens > max { Err(EngineError::TooLong { tokens, max }) } else { Ok(tokens) }
    }
}

impl State {
    // INVARIANT: health_moves_along_allowed_edges_only
    /// Whether the state may follow this one. Nothing follows `Dead`: weights that failed are not trusted again.
    pub(super) fn may_become(&self, next: &State) -> bool {
        use State::{Dead, Degraded, Loading, Ready};
        matches!(
            (self, next),
            (Loading(_), Loading(_) | Ready(_) | Dead(_))
                | (Ready(_), Degraded(..) | Dead(_))
                | (Degraded(..), Ready(_) | Dead(_))
        )
    }

    pub(super) fn health(&self) -> Health {
        match self {
            State::Absent => Health::Absent,
            State::Loading(phase) => Health::Loading { phase: (*phase).into() },
            State::Ready(_) => Health::Ready,
            State::Degraded(_, reason) => Health::Degraded { reason: (*reason).into() },
            State::Dead(reason) => Health::Dead { reason: reason.clone() },
        }
    }

    pub(super) fn loaded(&self) -> Option<&Arc<Loaded>> {
        match self {
            State::Ready(loaded) | State::Degraded(loaded, _) => Some(loaded),
            _ => None,
        }
    }
}

/// Longest time between two tokens; a token takes tenths of a second where a model is of any use.
const DECODE_LIMIT: Duration = Duration::from_secs(10);

/// By when the call that runs should have got somewhere.
pub(super) struct Pulse {
    /// None while no call runs. One lock: half of an old limit beside half of a new one would condemn a call that runs.
    limit: Mutex<Option<Limit>>,
    /// Milliseconds a thousand tokens of a prompt may take until the first of the answer.
    prefill: AtomicU64,
    abandoned: AtomicU64,
}

#[derive(Clone, Copy)]
struct Limit {
    due: Instant,
    /// What was allowed to get there.
    allowed: Duration,
}

/// How a call that runs gets on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Progress {
    Fine,
    /// Nothing for longer than it should take.
    Overdue,
    /// Nothing for three times as long: if it stays so, it will not come back.
    Stuck {
        due: Instant,
    },
}

impl Pulse {
    pub(super) fn new() -> Pulse {
        Pulse { limit: Mutex::default(), prefill: AtomicU64::new(0), abandoned: AtomicU64::new(0) }
    }

    /// Learns from a call how long prefill takes here. Eight times as long is allowed: other work may need the processor.
    /// To be asked while loading only: a machine that is slow for a while shall not make the limit lax for ever.
    pub(super) fn calibrate(&self, prompt_tokens: usize, took: Duration) {
        let thousand = took.as_millis() * 8 * 1000 / prompt_tokens.max(1) as u128;
        self.prefill.fetch_max(u64::try_from(thousand).unwrap_or(u64::MAX / (1 << 20)), Ordering::Relaxed);
    }

    /// A call of so many tokens begins.
    pub(super) fn begin(&self, prompt_tokens: usize) {
        let prefill = self.prefill.load(Ordering::Relaxed).saturating_mul(prompt_tokens as u64) / 1000;
        self.expect(Duration::from_millis(prefill).max(DECODE_LIMIT));
    }

    /// The call got somewhere.
    pub(super) fn beat(&self) {
        self.expect(DECODE_LIMIT);
    }

    /// A token was computed that nobody waits for any more.
    pub(super) fn abandoned(&self) {
        self.abandoned.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn abandoned_tokens(&self) -> u64 {
        self.abandoned.load(Ordering::Relaxed)
    }

    pub(super) fn end(&self) {
        *self.limit() = None;
    }

    /// Time in which this process did not run is nobody's delay.
    pub(super) fn forgive(&self, pause: Duration) {
        if let Some(limit) = self.limit().as_mut() {
            limit.due += pause;
        }
    }

    /// Makes the call that runs stuck.
    #[cfg(test)]
    pub(super) fn expire(&self) {
        *self.limit() = Some(Limit { due: Instant::now(), allowed: Duration::ZERO });
    }

    pub(super) fn progress(&self) -> Progress {
        self.progress_at(Instant::now())
    }

    fn progress_at(&self, now: Instant) -> Progress {
        match *self.limit() {
            Some(Limit { due, allowed }) if now >= due + 2 * allowed => Progress::Stuck { due },
            Some(Limit { due, .. }) if now >= due => Progress::Overdue,
            _ => Progress::Fine,
        }
    }

    fn expect(&self, within: Duration) {
        // A day is for ever, and can be added to a time.
        let allowed = within.min(Duration::from_secs(86_400));
        *self.limit() = Some(Limit { due: Instant::now() + allowed, allowed });
    }

    fn limit(&self) -> MutexGuard<'_, Option<Limit>> {
        self.limit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::scripted::{self, Scripted};

    #[test]
    fn health_moves_along_allowed_edges_only() {
        let info = scripted::info();
        let backend = Backend::Scripted(Box::new(Scripted::new(info.clone(), Vec::new())));
        let loaded = Arc::new(Loaded { info, backend, known: Known::default() });
        let states = [
            State::Absent,
            State::Loading(""),
            State::Ready(loaded.clone()),
            State::Degraded(loaded, ""),
            State::Dead(String::new()),
        ];
        let allowed: Vec<(usize, usize)> = (0..5)
            .flat_map(|from| (0..5).map(move |to| (from, to)))
            .filter(|(from, to)| states[*from].may_become(&states[*to]))
            .collect();
        assert_eq!(allowed, [(1, 1), (1, 2), (1, 4), (2, 3), (2, 4), (3, 2), (3, 4)]);
    }

    #[test]
    fn no_progress_is_noticed_and_prefill_has_its_own_limit() {
        let pulse = Pulse::new();
        let after = |seconds| Instant::now() + Duration::from_secs(seconds);
        assert_eq!(pulse.progress_at(after(3600)), Progress::Fine, "no call runs");
        pulse.begin(100);
        let name = |progress| match progress {
            Progress::Fine => "fine",
            Progress::Overdue => "overdue",
            Progress::Stuck { .. } => "stuck",
        };
        assert_eq!([9, 11, 29, 31].map(|s| name(pulse.progress_at(after(s)))), ["fine", "overdue", "overdue", "stuck"]);
        pulse.forgive(Duration::from_secs(100));
        assert_eq!([109, 111, 131].map(|s| name(pulse.progress_at(after(s)))), ["fine", "overdue", "stuck"]);
        // 100 tokens took a second, so a thousand may take 80.
        pulse.calibrate(100, Duration::from_secs(1));
        pulse.begin(1000);
        assert_eq!(
            [79, 81, 239, 241].map(|s| name(pulse.progress_at(after(s)))),
            ["fine", "overdue", "overdue", "stuck"]
        );
        pulse.beat();
        assert_eq!(pulse.progress_at(after(11)), Progress::Overdue);
        pulse.end();
        assert_eq!(pulse.progress_at(after(11)), Progress::Fine);
    }
}
