//! Watches over a loaded model: whether a call that runs gets anywhere, and, every few minutes, whether it still passes its
//! canary.

use std::{sync::Weak, time::Duration};

use tokio::time::sleep;

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
    while let Some(shared) = shared.upgrade() {
        if matches!(&*shared.state.borrow(), State::Dead(_)) {
            return;
        }
        shared.check_progress(shared.pulse.progress());
        drop(shared);
        sleep(LOOK_EVERY).await;
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
    /// A call that is stuck does not come back: nothing in this process can end it.
    pub(super) fn check_progress(&self, progress: Progress) {
        if progress == Progress::Stuck && self.state.borrow().loaded().is_some() {
            self.give_up("no progress");
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::engine::{Engine, Health, scripted};

    use super::*;

    #[tokio::test]
    async fn a_call_that_is_stuck_is_the_end_of_the_model() {
        let engine = Engine::scripted(scripted::info(), Vec::new());
        engine.shared().check_progress(Progress::Overdue);
        assert_eq!(engine.health(), Health::Ready);
        engine.shared().check_progress(Progress::Stuck);
        assert!(matches!(engine.health(), Health::Dead { reason } if reason.contains("no progress")));
        // It was ready once, so the process shall end.
        engine.given_up().await;
        watch(std::sync::Arc::downgrade(engine.shared())).await;
    }
}
