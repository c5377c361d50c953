//! `curbside demo`: one order signed for a made-up patient, from the request to the report, with everything in this process.

use std::{
    io::{self, IsTerminal},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Args;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tracing::level_filters::LevelFilter;
use url::Url;

use super::{serve::Server, show};
use crate::{
    caller::AllowedBase,
    config::{Config, IntendedUse},
    demo::{self, Demo},
    egress::{Base, Egress, Get, Reply, join, under},
    engine::{self, Health},
    error::{Error, Result},
    http, store,
};

const PLAIN_WORDS: &str = "This is a demonstration. Its model reads only made-up films. It is no medical device; its intended use is `research`.";
const PORTS: &str = "three free ports in a row are needed, choose the first with --port";
const TICK: Duration = Duration::from_millis(200);
/// How long one answer may take here; the service's own deadline is shorter.
const PATIENCE: Duration = Duration::from_secs(300);
const LARGEST_ANSWER: usize = 32 << 20;
/// Lines of the report page printed: what is stated, the pictures, and the first of the evidence.
const PAGE_LINES: usize = 110;

#[derive(Args)]
pub struct Options {
    /// Port of curbside on 127.0.0.1; the EHR takes the next one, the PACS the one after.
    #[arg(long, value_name = "PORT", default_value_t = 8080, value_parser = clap::value_parser!(u16).range(1..=65533))]
    port: u16,
    /// Folder to keep the database in. Without it a temporary folder is used and removed at the end.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Folder with the made-up patients and their films.
    #[arg(long, value_name = "DIR", default_value = "fixtures")]
    fixtures: PathBuf,
    /// Folder of the model's checkpoint. Without it the folder `model` among the fixtures.
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Which patient the order is signed for: the name of a folder under `patients` or `cases` among the fixtures.
    #[arg(long, value_name = "NAME", default_value = "demo")]
    patient: String,
    /// Start without the model: only services that need none answer.
    #[arg(long, conflicts_with_all = ["model", "once"])]
    without_model: bool,
    /// Exit after the answer instead of serving on; the exit code is 0 if a report came.
    #[arg(long)]
    once: bool,
    /// Start the EHR and the PACS alone, open to everyone, for a `serve` of your own: its configuration is printed.
    #[arg(long, conflicts_with_all = ["once", "data", "model", "patient"])]
    ehr_only: bool,
    /// Show the program's log on stderr.
    #[arg(long)]
    verbose: bool,
}

pub fn run(options: &Options) -> Result<ExitCode> {
    let folders = patients(&options.fixtures, &options.patient)?;
    if options.ehr_only {
        return super::block_on(open_hospital(options, folders));
    }
    let model = options.model.clone().unwrap_or_else(|| options.fixtures.join("model"));
    if !options.without_model && !model.is_dir() {
        return Err(Error::invalid(format!("{} is no folder; name the model's with --model DIR", model.display())));
    }
    let model = (!options.without_model).then_some(model);
    let engine = engine::Config { model, ..Default::default() };
    super::with_variables(engine.environment())?;
    if options.verbose {
        http::log::init(LevelFilter::INFO)?;
    }
    super::block_on(demonstrate(options, folders, engine))
}

/// The EHR and the PACS, until told to stop, and the lines under which a configuration allows them.
async fn open_hospital(options: &Options, folders: Vec<PathBuf>) -> Result<ExitCode> {
    let peers = start_peers(options, &folders).await?;
    let base = peers.allowed_base();
    super::say(&format!(
        "intended_use = \"research\"\n[[ehr]]\nfhir = {:?}\ndicomweb = [{:?}]\npatient_id_systems = {:?}\n",
        peers.fhir_base.as_str(),
        peers.dicomweb_base.as_str(),
        base.patient_id_systems,
    ));
    super::stop_asked().await?;
    peers.shutdown().await;
    Ok(ExitCode::SUCCESS)
}

async fn start_peers(options: &Options, folders: &[PathBuf]) -> Result<Demo> {
    let (ehr, pacs) = (at(options, 1), at(options, 2));
    demo::start(folders, ehr, pacs).await.map_err(|e| super::unbound(e, &format!("{ehr} or {pacs}"), PORTS))
}

fn at(options: &Options, offset: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], options.port + offset))
}

async fn demonstrate(options: &Options, folders: Vec<PathBuf>, engine: engine::Config) -> Result<ExitCode> {
    let stop = CancellationToken::new();
    let asked = stop.clone();
    tokio::spawn(async move {
        super::stop_asked().await.ok();
        asked.cancel();
    });
    let data = Data::new(options.data.as_deref())?;
    let peers = start_peers(options, &folders).await?;
    let config = Config {
        listen: at(options, 0),
        intended_use: Some(IntendedUse::Research),
        // Its page shows what a card suggests.
        ehr: vec![AllowedBase { suggestions: true, ..peers.allowed_base() }],
        engine,
        store: store::Config { path: data.path().join("curbside.db") },
        ..Config::default()
    };
    config.check()?;
    super::say(&format!("{PLAIN_WORDS}\n"));
    let server = Server::start(&config, PORTS, Some(Box::new(peers.page(&options.patient)))).await?;
    if !options.once {
        super::say(&format!("\nOpen {} in a browser.\n", server.base));
    }
    let first = async || {
        super::say(&format!("The model was loaded in {:.1} s.\n", load(&server).await?.as_secs_f64()));
        show_answer(&server, &peers, &options.patient).await
    };
    let shown = match options.without_model {
        true => Ok(true),
        false => stop.run_until_cancelled(first()).await.unwrap_or(Ok(true)),
    };
    if let Some(peak) = peak_memory() {
        super::say(&format!("\nMost memory used so far: {peak} MB.\n"));
    }
    // A machine that is too slow for the first answer may be less busy for the next, and much needs no model.
    if let (Err(failed), false) = (&shown, options.once) {
        super::say(&format!("\n{}\n", failed.message));
    }
    let serve_on = !options.once;
    if serve_on && !stop.is_cancelled() {
        super::say(&format!(
            "\nServing until Ctrl-C:\n  curbside  {}\n  EHR       {}\n  PACS      {}\n",
            server.base, peers.fhir_base, peers.dicomweb_base
        ));
    }
    let end = async {
        if serve_on {
            stop.cancelled().await;
        }
        Ok(())
    };
    server.until(end).await?;
    peers.shutdown().await;
    data.remove()?;
    match shown {
        _ if serve_on => Ok(ExitCode::SUCCESS),
        Ok(true) => Ok(ExitCode::SUCCESS),
        Ok(false) => Ok(ExitCode::FAILURE),
        Err(failed) => Err(failed),
    }
}

/// The folders under `patients` and `cases`, the one named among them with a request.
fn patients(fixtures: &Path, patient: &str) -> Result<Vec<PathBuf>> {
    let mut folders: Vec<PathBuf> = Vec::new();
    for kind in ["patients", "cases"] {
        let folder = fixtures.join(kind);
        let entries = std::fs::read_dir(&folder).map_err(|_| {
            Error::invalid(format!(
                "{} is no folder; run this where the fixtures are or name them with --fixtures DIR",
                folder.display()
            ))
        })?;
        let mut found: Vec<PathBuf> =
            entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|p| p.join("fhir.json").is_file()).collect();
        found.sort();
        folders.extend(found);
    }
    let usable = |path: &&PathBuf| path.join("request.json").is_file();
    let names: Vec<&str> = folders.iter().filter(usable).filter_map(|path| path.file_name()?.to_str()).collect();
    match names.contains(&patient) {
        true => Ok(folders),
        false => Err(Error::invalid(format!(
            "no patient of that name has a request; --patient takes one of: {}",
            names.join(", ")
        ))),
    }
}

/// Where the database lives: the folder given, or one that is removed when this is dropped.
enum Data {
    Kept(PathBuf),
    Temporary(tempfile::TempDir),
}

impl Data {
    fn new(kept: Option<&Path>) -> Result<Data> {
        match kept {
            Some(path) => {
                let refused = |e| {
                    Error::invalid(format!("{} cannot be made a folder; choose another with --data", path.display()))
                        .because(e)
                };
                std::fs::create_dir_all(path).map_err(|e: io::Error| refused(e))?;
                Ok(Data::Kept(path.to_owned()))
            }
            None => {
                let made = tempfile::Builder::new().prefix("curbside-demo-").tempdir();
                let refused = |e| Error::fault("no temporary folder can be made; name a folder with --data").because(e);
                Ok(Data::Temporary(made.map_err(|e: io::Error| refused(e))?))
            }
        }
    }

    fn path(&self) -> &Path {
        match self {
            Data::Kept(path) => path,
            Data::Temporary(folder) => folder.path(),
        }
    }

    fn remove(self) -> Result<()> {
        match self {
            Data::Kept(_) => Ok(()),
            Data::Temporary(folder) => {
                folder.close().map_err(|e| Error::fault("the temporary folder could not be removed").because(e))
            }
        }
    }
}

/// Waits for the server's model, telling how far it is. Gives the time that took.
async fn load(server: &Server) -> Result<Duration> {
    let mut progress = Progress { started: Instant::now(), terminal: io::stderr().is_terminal(), phase: String::new() };
    loop {
        match server.health() {
            Health::Ready => break,
            Health::Loading { phase } => progress.show(&phase),
            Health::Degraded { reason } => progress.show(&reason),
            Health::Dead { reason } => return Err(Error::fault(reason)),
            Health::Absent => return Err(Error::invalid("no model is configured; name its folder with --model DIR")),
        }
        tokio::time::sleep(TICK).await;
    }
    Ok(progress.started.elapsed())
}

/// One line on stderr: rewritten in place on a terminal, else written anew at each change of phase.
struct Progress {
    started: Instant,
    terminal: bool,
    phase: String,
}

impl Progress {
    fn show(&mut self, phase: &str) {
        let seconds = self.started.elapsed().as_secs_f64();
        if self.terminal {
            eprint!("\r\x1b[Kmodel: {phase}, {seconds:.1} s");
        } else if self.phase != phase {
            eprintln!("model: {phase}, {seconds:.1} s");
        }
        self.phase = phase.to_owned();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.terminal {
            eprint!("\r\x1b[K");
        }
    }
}

/// Posts the order to our own server as the EHR would, and prints what comes of it. Whether a report did.
async fn show_answer(server: &Server, peers: &Demo, patient: &str) -> Result<bool> {
    let own = Own { egress: Egress::new(2 * LARGEST_ANSWER)?, base: [server.base.clone().into()] };
    let request = peers
        .authorized_request(patient)
        .ok_or_else(|| Error::invalid("the patient's request.json names no patient"))?;
    let hook = request["hook"].as_str().unwrap_or_default();
    let offered = own.json("cds-services").await?;
    let services = offered["services"].as_array().map(Vec::as_slice).unwrap_or_default();
    // The service that drafts a report where there is one: the others answer questions that nobody asks here.
    let of_hook = |service: &&Value| service["hook"] == hook;
    let drafts = services.iter().filter(of_hook).find(|service| service["id"] == "imaging-draft-report");
    let service = drafts.or_else(|| services.iter().find(of_hook)).and_then(|service| service["id"].as_str());
    let service = service.ok_or_else(|| Error::fault(format!("this server offers no service for the hook {hook}")))?;
    let address = join(&server.base, &format!("cds-services/{service}"))?;
    super::say(&format!("\nThe EHR sends {hook} for patient {patient} to {address}\n"));
    let started = Instant::now();
    let reply = own.egress.post(own.ask(&address, "application/json"), request.to_string(), None).await?;
    let answer = body(&reply, "the hook")?;
    super::say(&format!("Answered in {:.2} s.\n", started.elapsed().as_secs_f64()));
    let cards = answer["cards"].as_array().map(Vec::as_slice).unwrap_or_default();
    for card in cards {
        super::say(&format!("\nCARD\n{}", show::card(card)));
    }
    let links =
        cards.iter().filter_map(|card| card["links"].as_array()).flatten().filter_map(|link| link["url"].as_str());
    let pages: Vec<Url> = links.filter_map(|url| Url::parse(url).ok()).filter(|url| under(url, &server.base)).collect();
    for page in pages {
        let id = page.path_segments().and_then(|mut segments| segments.next_back()).unwrap_or_default().to_owned();
        let path = format!("fhir/DiagnosticReport/{id}");
        let Ok(report) = own.json(&path).await else { continue };
        let reply = own.egress.get(own.ask(&page, "text/html")).await?;
        let words = show::page(&String::from_utf8_lossy(&reply.body));
        super::say(&format!("\nREPORT PAGE {page}\n{}", show::beginning(&words, PAGE_LINES)));
        super::say(&format!("\nREPORT {}\n{}", join(&server.base, &path)?, own.report(&report, &id).await?));
        return Ok(true);
    }
    super::say(match cards.is_empty() {
        true => "\nNo card: none of the orders is one this service answers.\n",
        false => "\nNo report was drafted: the card says why.\n",
    });
    Ok(false)
}

/// A client of our own server, which contacts nothing else.
struct Own {
    egress: Egress,
    base: [Base; 1],
}

impl Own {
    fn ask<'a>(&'a self, url: &'a Url, accept: &'a str) -> Get<'a> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        Get { url, allowed: &self.base, accept, token: None, max_bytes: LARGEST_ANSWER, deadline }
    }

    async fn json(&self, path: &str) -> Result<Value> {
        let url = join(self.base[0].reachable(), path)?;
        let accept = if path.starts_with("fhir/") { "application/fhir+json" } else { "application/json" };
        body(&self.egress.get(self.ask(&url, accept)).await?, path)
    }

    /// The report with its Observations and what its Provenance names; parts that cannot be had are left out.
    async fn report(&self, report: &Value, id: &str) -> Result<String> {
        let mut results = Vec::new();
        for reference in report["result"].as_array().into_iter().flatten().filter_map(|r| r["reference"].as_str()) {
            let id = reference.rsplit('/').next().unwrap_or_default();
            results.extend(self.json(&format!("fhir/Observation/{id}")).await);
        }
        let found = self.json(&format!("fhir/Provenance?target=DiagnosticReport/{id}")).await.unwrap_or_default();
        let entries = found["entry"].as_array().map(Vec::as_slice).unwrap_or_default();
        let provenances: Vec<Value> = entries.iter().map(|entry| entry["resource"].clone()).collect();
        Ok(show::report(report, &results, &provenances))
    }
}

fn body(reply: &Reply, what: &str) -> Result<Value> {
    if reply.status != 200 {
        return Err(Error::fault(format!("{what} was answered with status {}; --verbose shows the log", reply.status)));
    }
    serde_json::from_slice(&reply.body)
        .map_err(|e| Error::fault(format!("{what} was answered without JSON")).because(e))
}

/// The process's peak resident memory in MB, where the system tells it.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches("kB").trim().parse::<u64>().ok().map(|kb| kb.div_ceil(1000))
}
