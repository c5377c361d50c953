//! How far the answer to a hook is, and how long each stage of it took. <https://www.w3.org/TR/server-timing/>

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::time::Instant;
use uuid::Uuid;

/// What an answer goes through, in this order; what it does not need it does not enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// The EHR is asked for what the request lacks.
    Chart,
    /// Films are chosen, fetched and decoded.
    Films,
    /// Others are before this call.
    Queue,
    Model,
    /// The answer is checked; card and report are written.
    Draft,
    Store,
}

impl Stage {
    const ALL: [Stage; 6] = [Stage::Chart, Stage::Films, Stage::Queue, Stage::Model, Stage::Draft, Stage::Store];

    pub fn word(self) -> &'static str {
        match self {
            Stage::Chart => "chart",
            Stage::Films => "films",
            Stage::Queue => "queue",
            Stage::Model => "model",
            Stage::Draft => "draft",
            Stage::Store => "store",
        }
    }
}

/// The stages of one call so far.
#[derive(Debug)]
pub struct Progress {
    received: Instant,
    entered: Mutex<Vec<(Stage, Instant)>>,
}

impl Progress {
    pub fn since(received: Instant) -> Progress {
        Progress { received, entered: Mutex::default() }
    }

    /// The stage before it, if any, ends now.
    pub fn enter(&self, stage: Stage) {
        lock(&self.entered).push((stage, Instant::now()));
    }

    /// The stage the call is in, and how long it has been in it.
    pub fn at(&self) -> Option<(Stage, Duration)> {
        lock(&self.entered).last().map(|(stage, since)| (*stage, since.elapsed()))
    }

    /// How long ago the call arrived.
    pub fn elapsed(&self) -> Duration {
        self.received.elapsed()
    }

    /// The value of a `Server-Timing` header: milliseconds in each stage that was entered, and in all.
    pub fn server_timing(&self) -> String {
        let now = Instant::now();
        let entered = lock(&self.entered);
        let ends = entered.iter().skip(1).map(|(_, at)| *at).chain([now]);
        let spans: Vec<(Stage, Duration)> =
            entered.iter().zip(ends).map(|((stage, from), to)| (*stage, to - *from)).collect();
        let mut timing = String::new();
        for stage in Stage::ALL {
            let mut of = spans.iter().filter(|(of, _)| *of == stage).map(|(_, span)| *span).peekable();
            if of.peek().is_some() {
                timing += &format!("{};dur={:.1}, ", stage.word(), milliseconds(of.sum()));
            }
        }
        timing + &format!("total;dur={:.1}", milliseconds(now - self.received))
    }
}

/// The calls that run, by hook instance. One that has ended is forgotten.
#[derive(Debug, Default)]
pub struct Calls(Mutex<HashMap<Uuid, Weak<Progress>>>);

impl Calls {
    pub fn begin(&self, hook_instance: Uuid, received: Instant) -> Arc<Progress> {
        let progress = Arc::new(Progress::since(received));
        let mut calls = lock(&self.0);
        calls.retain(|_, call| call.strong_count() > 0);
        calls.insert(hook_instance, Arc::downgrade(&progress));
        progress
    }

    pub fn find(&self, hook_instance: Uuid) -> Option<Arc<Progress>> {
        lock(&self.0).get(&hook_instance)?.upgrade()
    }
}

fn milliseconds(span: Duration) -> f64 {
    span.as_secs_f64() * 1000.0
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_summed_in_their_order_and_the_last_one_runs() {
        let progress = Progress::since(Instant::now());
        assert_eq!(progress.at(), None);
        assert!(progress.server_timing().starts_with("total;dur="), "{}", progress.server_timing());
        for stage in [Stage::Draft, Stage::Chart, Stage::Model, Stage::Draft] {
            progress.enter(stage);
        }
        assert_eq!(progress.at().map(|(stage, _)| stage), Some(Stage::Draft));
        let timing = progress.server_timing();
        let names: Vec<&str> = timing.split(", ").filter_map(|metric| metric.split(";dur=").next()).collect();
        assert_eq!(names, ["chart", "model", "draft", "total"]);
    }

    #[test]
    fn calls_that_ended_are_forgotten() {
        let calls = Calls::default();
        let (first, second) = (Uuid::new_v4(), Uuid::new_v4());
        let running = calls.begin(first, Instant::now());
        assert!(calls.find(first).is_some() && calls.find(second).is_none());
        drop(running);
        assert!(calls.find(first).is_none());
        let _running = calls.begin(second, Instant::now());
        assert_eq!(calls.0.lock().unwrap().len(), 1);
    }
}
