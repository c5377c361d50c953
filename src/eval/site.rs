//! Cases asked over HTTP: a made-up hospital, the server with the model, and the same server with the answer known to it.

use std::{
    path::{Path, PathBuf},
    slice,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use chrono::DateTime;
use serde_json::Value;
use tempfile::TempDir;
use tokio::{task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{
    Drawn, Looks, export,
    hospital::open,
    mark::{Mark, mark},
    told::{Told, report},
};
use crate::{
    app::{App, Clock, Settings},
    caller::Caller,
    demo::Demo,
    egress::{Base, Egress, Get, Reply, join},
    engine::{Answers, Engine, Prompt, Step},
    error::{Error, Result},
    http, prompt, store,
};

/// How long one answer may take; each service has a shorter deadline of its own.
const PATIENCE: Duration = Duration::from_secs(60);
const LARGEST: usize = 8 << 20;

/// Everything cases are asked with. The server's clock shows when the case asked about happens.
pub struct Site {
    cases: Arc<Vec<Drawn>>,
    hospital: Demo,
    model: Served,
    /// The same server, whose engine gives the perfect answer to the prompt training has, and none to any other.
    perfect: Served,
    /// Which case the perfect engine is asked about, and whether it was asked nothing or something else.
    current: Arc<AtomicUsize>,
    strange: Arc<AtomicBool>,
    now: Arc<AtomicI64>,
    _data: TempDir,
}

impl Site {
    /// Serves the cases. `program` is the one that decodes films, see [`crate::imaging::this_program`].
    ///
    /// Errors: `Busy` where the model is not ready.
    pub async fn open(cases: Arc<Vec<Drawn>>, looks: Looks, engine: &Engine, program: &Path) -> Result<Site> {
        let unready = || Error::busy("the model is not ready", Duration::from_secs(1));
        let info = engine.info().ok_or_else(unready)?;
        let data = tempfile::Builder::new().prefix("curbside-eval-").tempdir();
        let data = data.map_err(|e| Error::fault("no temporary folder can be made").because(e))?;
        let hospital = open(cases.clone(), looks).await?;
        let (current, strange) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let side = info.image_size;
        let answers = {
            let (cases, current, strange) = (cases.clone(), current.clone(), strange.clone());
            move |asked: &Prompt| {
                let perfect = cases.get(current.load(Ordering::Relaxed)).and_then(|drawn| {
                    let taught = drawn.prompt(looks, side).ok()?;
                    if key(&taught) == key(asked) { export::text(&drawn.shown.expected).ok() } else { None }
                });
                strange.store(perfect.is_none(), Ordering::Relaxed);
                perfect.unwrap_or_default()
            }
        };
        let perfect = Engine::scripted(info, vec![Step::Answer(Answers(Arc::new(answers)))]);
        let now = Arc::new(AtomicI64::new(0));
        let start = |engine: Engine, name: &str| {
            let now = now.clone();
            let clock: Clock =
                Arc::new(move || DateTime::from_timestamp(now.load(Ordering::Relaxed), 0).unwrap_or_default());
            Served::start(&hospital, engine, program, data.path().join(name), clock)
        };
        let model = start(engine.clone(), "model.db").await?;
        let perfect = start(perfect, "perfect.db").await?;
        Ok(Site { cases, hospital, model, perfect, current, strange, now, _data: data })
    }

    pub fn cases(&self) -> &[Drawn] {
        &self.cases
    }

    /// Asks about a case, and compares the card with the one the product writes of the perfect answer.
    pub async fn mark(&self, at: usize) -> Result<Mark> {
        self.set_clock(at);
        let drawn = self.case(at)?;
        self.current.store(at, Ordering::Relaxed);
        self.strange.store(true, Ordering::Relaxed);
        let perfect = self.perfect.ask(drawn.case.call(&self.hospital)?, drawn).await.0;
        let (got, took) = self.model.ask(drawn.case.call(&self.hospital)?, drawn).await;
        Ok(mark(drawn, got, took, perfect, self.strange.load(Ordering::Relaxed)))
    }

    /// What the card says of a case, at the time the clock shows.
    pub async fn ask(&self, at: usize) -> Result<Told> {
        let drawn = self.case(at)?;
        Ok(self.model.ask(drawn.case.call(&self.hospital)?, drawn).await.0)
    }

    /// Makes it the time of a case.
    pub fn set_clock(&self, at: usize) {
        if let Some(drawn) = self.cases.get(at) {
            self.now.store(drawn.case.now.instant().and_utc().timestamp(), Ordering::Relaxed);
        }
    }

    pub async fn close(self) {
        self.model.close().await;
        self.perfect.close().await;
        self.hospital.shutdown().await;
    }

    fn case(&self, at: usize) -> Result<&Drawn> {
        self.cases.get(at).ok_or_else(|| Error::fault("no such case"))
    }
}

/// What determines the answer to a prompt, beside the form asked for.
pub fn key(prompt: &Prompt) -> String {
    prompt::hash(&Prompt { schema: None, max_new_tokens: 0, ..prompt.clone() })
}

/// A server of ours, and a client of it.
struct Served {
    base: Base,
    client: Egress,
    app: Arc<App>,
    stop: CancellationToken,
    serving: JoinHandle<Result<()>>,
}

impl Served {
    async fn start(hospital: &Demo, engine: Engine, program: &Path, database: PathBuf, clock: Clock) -> Result<Served> {
        let limits = http::Config::default();
        let bound = http::server::bind(([127, 0, 0, 1], 0).into(), &limits)?;
        let url = Url::parse(&format!("http://{}", bound.address()));
        let url = url.map_err(|e| Error::fault("the address gives no URL").because(e))?;
        let settings = Settings {
            caller: Caller {
                tenant: "local".into(),
                client: "eval".into(),
                allowed_bases: vec![hospital.allowed_base()],
            },
            intended_use: Some("research".into()),
            public_base: url.clone(),
            services: None,
            rules: None,
            engine: Default::default(),
            store: store::Config { path: database },
            upstream: Default::default(),
            imaging: Default::default(),
            program: program.to_owned(),
            report: Default::default(),
        };
        let app = Arc::new(App::with(settings, engine, clock).await?);
        let stop = CancellationToken::new();
        let serving =
            tokio::spawn(bound.serve(http::router(app.clone(), &limits, None), stop.clone().cancelled_owned()));
        Ok(Served { base: url.into(), client: Egress::new(4 * LARGEST)?, app, stop, serving })
    }

    /// One hook call, and what its answer tells. The time is that of the call alone.
    async fn ask(&self, request: Value, drawn: &Drawn) -> (Told, Duration) {
        let began = Instant::now();
        let answer = self.call(request, drawn).await;
        let took = began.elapsed();
        let told = match answer {
            Ok(answer) => match self.observations(&answer["cards"][0]).await {
                Ok(observations) => Told::read(&answer, &observations),
                Err(e) => Told::failed(format!("its report could not be read: {e}")),
            },
            Err(e) => Told::failed(e.to_string()),
        };
        (told, took)
    }

    async fn call(&self, request: Value, drawn: &Drawn) -> Result<Value> {
        let url = join(self.base.reachable(), &format!("cds-services/{}", drawn.case.service()))?;
        let language = drawn.case.language.word();
        body(&self.client.post(self.to(&url, "application/json"), request.to_string(), Some(language)).await?)
    }

    /// The Observations of the report a card links to.
    async fn observations(&self, card: &Value) -> Result<Vec<Value>> {
        let Some(id) = report(card).and_then(|url| url.rsplit('/').next()) else { return Ok(Vec::new()) };
        let report = self.read(&format!("fhir/DiagnosticReport/{id}")).await?;
        let mut observations = Vec::new();
        for reference in report["result"].as_array().into_iter().flatten().filter_map(|r| r["reference"].as_str()) {
            observations.push(self.read(&format!("fhir/{reference}")).await?);
        }
        Ok(observations)
    }

    async fn read(&self, path: &str) -> Result<Value> {
        let url = join(self.base.reachable(), path)?;
        body(&self.client.get(self.to(&url, "application/fhir+json")).await?)
    }

    fn to<'a>(&'a self, url: &'a Url, accept: &'a str) -> Get<'a> {
        let deadline = Instant::now() + PATIENCE;
        Get { url, allowed: slice::from_ref(&self.base), accept, token: None, max_bytes: LARGEST, deadline }
    }

    async fn close(self) {
        self.stop.cancel();
        self.serving.await.ok();
        self.app.store.close().await;
    }
}

fn body(reply: &Reply) -> Result<Value> {
    let answer: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    match reply.status {
        200 => Ok(answer),
        status => {
            let why = answer["issue"][0]["diagnostics"].as_str().unwrap_or("nothing was said of why");
            Err(Error::fault(format!("status {status}: {why}")))
        }
    }
}
