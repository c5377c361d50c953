//! Watches over a loaded model: whether a call that runs gets anywhere, and, every few minutes, whether it still passes its
//! canary.

use std::{sync::Weak, time::Duration};

use tokio::time::{Instant, sleep};

use super::{
    health::{Progress, State},
    queue::Shared,
};

const LOOK_EVERY: Duration = Duration::from_secs(1);
const CANARY_EVERY: Duration = Duration::from_secs(300);

/// Returns when the model was given up, or nobody holds the engine any more.
pub(super) async fn watch(shared: Weak<Shared>) {
    tokio::select! {
        () = look(&shared) => {}
        () = ask(&shared) => {}
    }
}

async fn look(shared: &Weak<Shared>) {
    let (mut stuck, mut late) = (None, Duration::ZERO);
    while let Some(shared) = shared.upgrade() {
        if matches!(&*shared.state.borrow(), State::Dead(_)) {
            return;
        }
        stuck = shared.check_progress(stuck, late);
        drop(shared);
        let began = Instant::now();
        sleep(LOOK_EVERY).await;
        late = began.elapsed().saturating_sub(LOOK_EVERY);
    }
}

async fn ask(shared: &Weak<Shared>) {
    loop {
        sleep(CANARY_EVERY).await;
        match shared.upgrade() {
            Some(shared) => shared.ask_canary().await,
            None => return,
        }
    }
}

impl Shared {
    /// One look, `late` after its time: when the call that is stuck was due. If the look before saw the same, the model is
    /// given up: such a call does not come back, and nothing in this process can end it.
    fn check_progress(&self, before: Option<Instant>, late: Duration) -> Option<Instant> {
        // What held this thread up, a stopped process or a paused machine, held up the model as well.
        if late > LOOK_EVERY {
            self.pulse.forgive(late);
            return None;
        }
        let Progress::Stuck { due } = self.pulse.progress() else { return None };
        if before == Some(due) && self.state.borrow().loaded().is_some() {
            self.give_up("no progress");
        }
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use crate::engine::{Engine, Health, scripted};

    use super::*;

    #[tokio::test]
    async fn a_call_that_two_looks_see_stuck_is_the_end_of_the_model() {
        let engine = Engine::scripted(scripted::info(), Vec::new());
        let shared = &engine.shared;
        let look = |before| shared.check_progress(before, Duration::ZERO);
        shared.pulse.begin(1);
        assert_eq!(look(None), None);
        shared.pulse.expire();
        let first = look(None);
        assert!(first.is_some() && matches!(engine.health(), Health::Degraded { .. }));
        // It got somewhere, and then no further.
        std::thread::sleep(Duration::from_millis(2));
        shared.pulse.beat();
        shared.pulse.expire();
        let second = look(first);
        assert!(second.is_some() && matches!(engine.health(), Health::Degraded { .. }));
        look(second);
        assert!(matches!(engine.health(), Health::Dead { reason } if reason.contains("no progress")));
        // It was ready once, so the process shall end.
        engine.given_up().await;
        watch(std::sync::Arc::downgrade(shared)).await;
    }

    #[test]
    fn a_machine_that_was_paused_is_no_call_that_is_stuck() {
        let engine = Engine::scripted(scripted::info(), Vec::new());
        let shared = &engine.shared;
        shared.pulse.begin(1);
        shared.pulse.expire();
        let seen = shared.check_progress(None, Duration::ZERO);
        assert!(seen.is_some());
        assert_eq!(shared.check_progress(seen, Duration::from_secs(100)), None);
        assert_eq!(shared.check_progress(None, Duration::ZERO), None);
        assert_eq!(engine.health(), Health::Ready);
    }
}
