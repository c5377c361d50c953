//! What the visitor of the demonstration lets fail: the EHR, the PACS, the model's engine.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::faults::{Fault, Faults};
use crate::engine::{Admission, Engine, Health, Priority};

/// A token each so often: the answer comes, later.
const SLOW: Duration = Duration::from_millis(60);
/// No answer comes before the deadline of a service.
const LATE: Duration = Duration::from_millis(900);

/// What fails, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Outage {
    pub ehr: Server,
    pub pacs: Server,
    pub engine: Model,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Server {
    #[default]
    Works,
    /// 500 to everything.
    Error,
    /// Takes requests and never answers.
    Silent,
    /// Answers with a page of HTML.
    Garbage,
    /// 404 to everything.
    Missing,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Model {
    #[default]
    Works,
    Slow,
    /// Too slow for the deadline of any service.
    Late,
    /// Every place in the queue is taken.
    Busy,
    /// As it is while its weights are read.
    Loading,
    /// The engine dies under the next answer, and is restarted.
    Dies,
    /// As it is once it was given up.
    Broken,
}

/// What fails at present.
#[derive(Default)]
pub struct Outages(Mutex<Present>);

#[derive(Default)]
struct Present {
    outage: Outage,
    /// The places of a queue that is busy.
    places: Vec<Admission>,
    /// How often the engine had been started anew when this was chosen.
    restarts: u64,
}

impl Outages {
    /// An engine that has died is over it once it was started anew.
    pub fn now(&self, engine: &Engine) -> Outage {
        let mut present = self.present();
        if present.outage.engine == Model::Dies && engine.counts().restarts > present.restarts {
            present.outage.engine = Model::Works;
        }
        present.outage
    }

    /// Lets fail what `outage` says, and nothing else.
    pub fn set(&self, outage: Outage, faults: &Faults, engine: &Engine) {
        let mut present = self.present();
        faults.clear();
        for (prefix, server) in [("/fhir", outage.ehr), ("/dicomweb", outage.pacs)] {
            match server {
                Server::Works => {}
                Server::Error => faults.set(prefix, Fault::Status(500)),
                Server::Silent => faults.set(prefix, Fault::Hang),
                Server::Garbage => faults.set(prefix, Fault::Body("<html>Sign in</html>".into())),
                Server::Missing => faults.set(prefix, Fault::Status(404)),
            }
        }
        present.places.clear();
        engine.pace(match outage.engine {
            Model::Slow => SLOW,
            Model::Late => LATE,
            _ => Duration::ZERO,
        });
        engine.kill_at(if outage.engine == Model::Dies { 1 } else { 0 });
        engine.feign(match outage.engine {
            Model::Loading => Some(Health::Loading { phase: "loading the weights".into() }),
            Model::Broken => Some(Health::Dead { reason: "The model was given up: restart curbside.".into() }),
            _ => None,
        });
        if outage.engine == Model::Busy {
            present.places.extend(std::iter::from_fn(|| engine.admit(Priority::Clinician).ok()));
        }
        present.outage = outage;
        present.restarts = engine.counts().restarts;
    }

    fn present(&self) -> MutexGuard<'_, Present> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
