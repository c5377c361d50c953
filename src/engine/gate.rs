//! Who is next: one call at a time, clinicians before background work, and nobody waits for ever.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

/// Who waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// A person, now.
    Clinician,
    /// Nobody in particular. Never takes the last place, so that a clinician finds one. No service asks so yet.
    Background,
}

/// So many clinicians are let past background work that waits; then it has its turn.
const MOST_PASSED_OVER: usize = 4;

#[derive(Default)]
pub(super) struct Gate {
    line: Mutex<Line>,
}

#[derive(Default)]
struct Line {
    busy: bool,
    clinicians: VecDeque<oneshot::Sender<Pass>>,
    background: VecDeque<oneshot::Sender<Pass>>,
    passed_over: usize,
}

/// The right to be in the engine. Dropping it lets the next one in.
pub(super) struct Pass {
    gate: Option<Arc<Gate>>,
}

impl Gate {
    // INVARIANT: one_call_is_in_the_engine
    /// Waits for the engine; within a priority first come, first served. Dropping the future leaves the line.
    pub(super) async fn enter(self: &Arc<Gate>, priority: Priority) -> Pass {
        loop {
            let turn = {
                let mut line = self.line();
                if !line.busy {
                    line.busy = true;
                    return Pass { gate: Some(self.clone()) };
                }
                let (turn, come) = oneshot::channel();
                let waiting = match priority {
                    Priority::Clinician => &mut line.clinicians,
                    Priority::Background => &mut line.background,
                };
                waiting.retain(|turn| !turn.is_closed());
                waiting.push_back(turn);
                come
            };
            if let Ok(pass) = turn.await {
                return pass;
            }
        }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    fn next(&mut self) -> Option<oneshot::Sender<Pass>> {
        self.clinicians.retain(|turn| !turn.is_closed());
        self.background.retain(|turn| !turn.is_closed());
        if self.background.is_empty() {
            self.passed_over = 0;
        } else if self.clinicians.is_empty() || self.passed_over == MOST_PASSED_OVER {
            self.passed_over = 0;
            return self.background.pop_front();
        } else {
            self.passed_over += 1;
        }
        self.clinicians.pop_front()
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let Some(gate) = self.gate.take() else { return };
        loop {
            let next = {
                let mut line = gate.line();
                let next = line.next();
                line.busy = next.is_some();
                next
            };
            // Who has just left does not take it: then the one behind has it.
            let Some(Err(mut refused)) = next.map(|next| next.send(Pass { gate: Some(gate.clone()) })) else { return };
            refused.gate = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn clinicians_go_first_and_background_work_has_its_turn() {
        let gate = Arc::new(Gate::default());
        let first = gate.enter(Priority::Clinician).await;
        let (told, mut order) = tokio::sync::mpsc::unbounded_channel();
        for priority in [vec![Priority::Background; 2], vec![Priority::Clinician; 10]].concat() {
            let (gate, told) = (gate.clone(), told.clone());
            tokio::spawn(async move {
                let _pass = gate.enter(priority).await;
                told.send(priority).unwrap();
            });
            tokio::task::yield_now().await;
        }
        drop((first, told));
        let mut seen = Vec::new();
        while let Some(priority) = order.recv().await {
            seen.push(priority);
        }
        let turns: Vec<usize> =
            seen.iter().enumerate().filter(|(_, p)| **p == Priority::Background).map(|(at, _)| at).collect();
        assert_eq!((seen.len(), turns), (12, vec![4, 9]));
    }

    #[tokio::test]
    async fn who_leaves_the_line_takes_no_turn_along() {
        let gate = Arc::new(Gate::default());
        for _ in 0..100 {
            let first = gate.enter(Priority::Clinician).await;
            let mut waiting: Vec<_> = (0..4).map(|_| Box::pin(gate.enter(Priority::Clinician))).collect();
            for each in &mut waiting {
                assert!(futures::poll!(each).is_pending());
            }
            // The first in the line leaves after its turn has come, the next before.
            drop(first);
            drop(waiting.remove(0));
            drop(waiting.remove(0));
            drop(waiting.remove(0).await);
            drop(waiting);
        }
        assert!(!gate.line().busy && gate.line().clinicians.is_empty());
    }
}
