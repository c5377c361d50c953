//! `curbside eval`: how often the product is right, asked over HTTP about made-up cases whose answers are known.

use std::{
    fs,
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    engine::{self, Engine, Health, ModelInfo},
    error::{Error, Result},
    eval::{self, Outcome, Plan, Row, SEEDS, Table, Target},
    imaging,
    phantom::Style,
    prompt::contract,
    task::Language,
};

const PLAIN_WORDS: &str =
    "Films and charts are made up. What is measured says nothing of real ones, which this model never saw.";
const TICK: Duration = Duration::from_millis(50);

#[derive(Args)]
pub struct Options {
    /// What is asked about.
    #[arg(value_name = "SUITE")]
    suite: Suite,
    /// Folder of the model's checkpoint.
    #[arg(long, value_name = "DIR", default_value = "fixtures/model")]
    model: PathBuf,
    /// Cases of the main table.
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    cases: u32,
    /// Which cases: the same number gives the same ones again, those that `cases --held-out` writes. Training sees none of them.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..SEEDS))]
    seed: u64,
    /// How films are drawn; no model was trained on the second style.
    #[arg(long, value_name = "STYLE", default_value = "first")]
    style: StyleName,
    /// Ask in this language alone; without it in both.
    #[arg(long, value_name = "LANGUAGE")]
    language: Option<LanguageName>,
    /// Ask this task alone; without it all of them.
    #[arg(long, value_name = "TASK")]
    task: Option<TaskName>,
    /// Also draw findings ever fainter, until nothing of them can be seen, and count what is made of those films.
    #[arg(long)]
    contrast: bool,
    /// Also ask without a schema for the answer, and count the answers that differ.
    #[arg(long)]
    no_schema: bool,
    /// Also ask about two patients at once, and count the answers that differ from those alone.
    #[arg(long)]
    interleave: bool,
    /// All of these tables, and one of a quarter of the cases in the second style.
    #[arg(long)]
    all: bool,
    /// Write the tables as JSON, too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Folder for what went wrong: a file a case, with prompt, expected card and the card that came.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Exit with 1 where a target is missed.
    #[arg(long)]
    require: bool,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Suite {
    /// Made-up films and charts.
    Phantom,
}

#[derive(Clone, Copy, ValueEnum)]
enum StyleName {
    First,
    Second,
}

#[derive(Clone, Copy, ValueEnum)]
enum LanguageName {
    En,
    Ko,
}

#[derive(Clone, Copy, ValueEnum)]
enum TaskName {
    ImagingDraft,
    ChartSummary,
    Question,
}

impl Options {
    fn plan(&self) -> Plan {
        let Suite::Phantom = self.suite;
        Plan {
            seed: self.seed,
            cases: self.cases as usize,
            style: match self.style {
                StyleName::First => Style::First,
                StyleName::Second => Style::Second,
            },
            language: self.language.map(|language| match language {
                LanguageName::En => Language::English,
                LanguageName::Ko => Language::Korean,
            }),
            task: self.task.map(|task| match task {
                TaskName::ImagingDraft => "imaging-draft",
                TaskName::ChartSummary => "chart-summary",
                TaskName::Question => "question",
            }),
            second_style: self.all,
            contrast: self.contrast || self.all,
            unconstrained: self.no_schema || self.all,
            together: self.interleave || self.all,
        }
    }
}

pub fn run(options: &Options) -> Result<ExitCode> {
    if !options.model.is_dir() {
        let sentence = format!("{} is no folder; name the model's with --model DIR", options.model.display());
        return Err(Error::invalid(sentence));
    }
    if let Some(out) = &options.out {
        fs::create_dir_all(out).map_err(|e| unwritable(out, &e))?;
    }
    let engine = engine::Config { model: Some(options.model.clone()), ..Default::default() };
    super::with_variables(engine.environment())?;
    super::block_on(measure(options, engine))
}

async fn measure(options: &Options, engine: engine::Config) -> Result<ExitCode> {
    let stop = CancellationToken::new();
    let asked = stop.clone();
    tokio::spawn(async move {
        super::stop_asked().await.ok();
        asked.cancel();
    });
    let Some(loaded) = stop.run_until_cancelled(load(engine)).await else { return Ok(ExitCode::FAILURE) };
    let (engine, model, loading) = loaded?;
    let program = imaging::this_program();
    let program = program.map_err(|e| Error::fault("this program cannot find its own file").because(e))?;
    let mut progress = Progress::default();
    let plan = options.plan();
    let ran = eval::run(&plan, &engine, &program, &stop, &mut |what, done, of| progress.show(what, done, of)).await;
    progress.clear();
    let mut outcome = ran?;
    if let Some(main) = outcome.tables.first_mut() {
        let target = Some(Target::AtMost(0.5));
        main.rows.push(Row::number("loading the model", loading.as_secs_f64(), "s", target));
    }
    print(&model, options.seed, &outcome);
    if let Some(path) = &options.json {
        let text = format!("{:#}\n", json(&model, &plan, &outcome));
        fs::write(path, text).map_err(|e| unwritable(path, &e))?;
    }
    if let Some(out) = &options.out {
        for (name, text) in &outcome.wrong {
            fs::write(out.join(name), text).map_err(|e| unwritable(out, &e))?;
        }
    }
    let missed = options.require && (outcome.missed() > 0 || outcome.stopped);
    Ok(if missed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The model, once it may be asked, and how long that took.
async fn load(config: engine::Config) -> Result<(Engine, ModelInfo, Duration)> {
    let began = Instant::now();
    let engine = Engine::load(config);
    loop {
        match engine.health() {
            Health::Ready => break,
            Health::Loading { .. } | Health::Degraded { .. } => tokio::time::sleep(TICK).await,
            Health::Dead { reason } => return Err(Error::fault(reason)),
            Health::Absent => return Err(Error::invalid("this program was built without a model runtime")),
        }
    }
    let info = engine.info().ok_or_else(|| Error::fault("the model is ready and says nothing of itself"))?;
    Ok((engine, info, began.elapsed()))
}

fn print(model: &ModelInfo, seed: u64, outcome: &Outcome) {
    say(&format!("{PLAIN_WORDS}\n\n{}\n", described(model, seed)));
    for Table { title, rows } in &outcome.tables {
        let rows: String = rows.iter().map(|row| row.text() + "\n").collect();
        say(&format!("\n{title}\n{rows}"));
    }
    if !outcome.wrong.is_empty() {
        say(&format!(
            "\n{} cases went wrong; --out DIR writes each with its prompt and both cards.\n",
            outcome.wrong.len()
        ));
    }
    if outcome.stopped {
        say("\nStopped before the end: these are the figures so far.\n");
    }
}

fn described(model: &ModelInfo, seed: u64) -> String {
    format!(
        "Model    {}\nWeights  sha256 {}, computed in {}\nAsked by curbside {}, {}, seed {seed}",
        model.name,
        model.weights_sha256,
        model.dtype,
        env!("CARGO_PKG_VERSION"),
        contract::VERSION,
    )
}

fn json(model: &ModelInfo, plan: &Plan, outcome: &Outcome) -> Value {
    json!({
        "suite": "phantom",
        "curbside": env!("CARGO_PKG_VERSION"),
        "contract": contract::CONTRACT,
        "model": { "name": model.name, "weights_sha256": model.weights_sha256, "computed_in": model.dtype },
        "seed": plan.seed,
        "stopped": outcome.stopped,
        "tables": outcome.tables.iter().map(Table::json).collect::<Vec<_>>(),
        "wrong": outcome.wrong.iter().map(|(name, _)| name).collect::<Vec<_>>(),
    })
}

/// One line on stderr: rewritten in place on a terminal, else written anew every ten seconds.
#[derive(Default)]
struct Progress {
    what: String,
    began: Option<Instant>,
    told: Option<Instant>,
}

impl Progress {
    fn show(&mut self, what: &str, done: usize, of: usize) {
        let now = Instant::now();
        if self.what != what {
            *self = Progress { what: what.to_owned(), began: Some(now), told: None };
        }
        let terminal = io::stderr().is_terminal();
        let pause = if terminal { Duration::from_millis(100) } else { Duration::from_secs(10) };
        if self.told.is_some_and(|told| now - told < pause) {
            return;
        }
        self.told = Some(now);
        let taken = self.began.map_or(0.0, |began| (now - began).as_secs_f64());
        let left = match done {
            0 => String::new(),
            _ => format!(", {:.0} seconds left", taken / done as f64 * of.saturating_sub(done) as f64),
        };
        let line = format!("{what}: {done} of {of}{left}");
        if terminal { eprint!("\r\x1b[K{line}") } else { eprintln!("{line}") }
    }

    fn clear(&self) {
        if io::stderr().is_terminal() {
            eprint!("\r\x1b[K");
        }
    }
}

fn unwritable(path: &Path, e: &io::Error) -> Error {
    Error::invalid(format!("{} cannot be written: {}", path.display(), e.kind()))
}

/// To stdout; a reader that has gone is no reason to fail.
fn say(text: &str) {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).ok();
}
