//! The long-lived parts of the server, built once.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use chrono::{DateTime, Utc};
use url::Url;

use crate::{
    caller::Caller,
    capacity::Processor,
    egress::Egress,
    engine::{self, Engine},
    error::Result,
    fhir, imaging,
    progress::Calls,
    report,
    rules::{self, Rules},
    service::{self, Services},
    store::{self, Key, Store},
};

/// What the server is built from; `config` fills it.
pub struct Settings {
    pub caller: Caller,
    /// `research`, `investigational` or `cleared`; imaging services do not exist without it.
    pub intended_use: Option<String>,
    /// Where this server is reached; links on cards and pages start with it.
    pub public_base: Url,
    /// A folder of services laid over the built-in ones.
    pub services: Option<PathBuf>,
    /// A folder of rules laid over the built-in ones.
    pub rules: Option<PathBuf>,
    pub engine: engine::Config,
    pub store: store::Config,
    pub upstream: fhir::Limits,
    pub imaging: imaging::Limits,
    /// The program that decodes pictures: this one, see [`imaging::this_program`].
    pub program: PathBuf,
    pub report: report::Options,
}

/// Tells the time; injected, so that a test can say when it is.
pub type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

pub struct App {
    pub caller: Caller,
    pub intended_use: Option<String>,
    pub public_base: Url,
    pub services: Services,
    pub rules: Arc<Rules>,
    pub engine: Engine,
    pub store: Store,
    /// The way to FHIR servers, and the way to archives: a film that waits for room keeps no chart waiting.
    pub ehrs: Egress,
    pub archives: Egress,
    pub processor: Processor,
    pub upstream: fhir::Limits,
    pub imaging: imaging::Limits,
    pub decoder: imaging::Decoder,
    pub report: report::Options,
    pub clock: Clock,
    pub flights: Flights,
    /// How far the calls are that run.
    pub calls: Calls,
}

impl App {
    /// Opens the store, reads the services and starts loading the model; returns before the model is ready.
    pub async fn build(settings: Settings) -> Result<App> {
        let engine = Engine::load(settings.engine.clone());
        App::with(settings, engine, Arc::new(Utc::now)).await
    }

    /// The same with an engine and a clock of the caller's.
    pub async fn with(settings: Settings, engine: Engine, clock: Clock) -> Result<App> {
        Ok(App {
            services: service::load(settings.services.as_deref())?,
            rules: Arc::new(rules::load(settings.rules.as_deref())?),
            store: Store::open(&settings.store).await?,
            ehrs: Egress::new(settings.upstream.max_held_bytes)?,
            archives: Egress::new(settings.imaging.max_held_bytes)?,
            processor: Processor::default(),
            engine,
            clock,
            caller: settings.caller,
            intended_use: settings.intended_use,
            public_base: settings.public_base,
            upstream: settings.upstream,
            decoder: imaging::Decoder::new(settings.program, &settings.imaging),
            imaging: settings.imaging,
            report: settings.report,
            flights: Flights::default(),
            calls: Calls::default(),
        })
    }
}

/// Calls in progress, by idempotency key: a call that is repeated while it runs waits for the first one's answer.
#[derive(Default)]
pub struct Flights(Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>);

impl Flights {
    /// Waits until no other call of that key runs. The next one enters when the guard is dropped.
    pub async fn enter(&self, caller: &Caller, key: &Key) -> Flight<'_> {
        let name = format!(
            "{}\n{}\n{}\n{}\n{}\n{}",
            caller.tenant, caller.client, key.source_base, key.service, key.hook_instance, key.asked
        );
        let lock = {
            let mut running = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            running.entry(name.clone()).or_default().clone()
        };
        // Made before waiting: who gives up waiting leaves as cleanly as who has finished.
        let mut flight = Flight { flights: self, name, guard: None };
        flight.guard = Some(lock.lock_owned().await);
        flight
    }
}

/// One call in progress, or waiting.
pub struct Flight<'a> {
    flights: &'a Flights,
    name: String,
    guard: Option<tokio::sync::OwnedMutexGuard<()>>,
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.guard = None;
        let mut running = self.flights.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        // The map's own handle is the last one: nobody waits.
        if running.get(&self.name).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            running.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn who_gives_up_waiting_leaves_nothing_behind() {
        let flights = Flights::default();
        let caller = Caller { tenant: "t".into(), client: "c".into(), allowed_bases: vec![] };
        let key = Key { source_base: "b".into(), service: "s".into(), hook_instance: "h".into(), asked: "00".into() };
        let running = || flights.0.lock().unwrap().len();

        let holder = flights.enter(&caller, &key).await;
        let mut waiter = Box::pin(flights.enter(&caller, &key));
        assert!(waiter.as_mut().now_or_never().is_none(), "one call at a time");
        drop(holder);
        assert_eq!(running(), 1, "somebody waits");
        drop(waiter);
        assert_eq!(running(), 0);

        let holder = flights.enter(&caller, &key).await;
        let waiter = flights.enter(&caller, &key);
        assert!(waiter.now_or_never().is_none());
        assert_eq!(running(), 1);
        drop(holder);
        assert_eq!(running(), 0);
    }
}
