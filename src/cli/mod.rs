//! The command line: one file a command. Exit codes: 0 done, 1 it failed while running, 2 usage or
//! configuration (1 in `probe`), 70 the model was given up while serving: start the server again.

mod cases;
pub mod check_model;
mod demo;
mod eval;
mod phantom;
mod probe;
mod serve;
mod show;
#[cfg(test)]
mod tests;

use std::{
    future::Future,
    io,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{self, ExitCode},
    time::Duration,
};

use clap::{Args, CommandFactory, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use self::check_model::Depth;
use crate::{
    config, engine,
    error::{Error, Kind, Result},
    imaging,
};

/// Clinical decision support over FHIR that reads pictures: CDS Hooks in, cards and draft reports out.
#[derive(Parser)]
#[command(name = "curbside", version, max_term_width = 100, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server.
    Serve(serve::Options),
    /// Show one answer from request to report, with a made-up patient, an EHR and a PACS inside this program.
    Demo(demo::Options),
    /// Write made-up cases with their answers: films and charts a model is trained on, or measured with.
    Cases(cases::Options),
    /// Measure how often the answers are right, over made-up cases whose answers are known.
    Eval(eval::Options),
    /// Check a model's folder without serving it.
    CheckModel(CheckModel),
    /// Write made-up films with their truth, to look at or to try a server with.
    Phantom(phantom::Options),
    /// Ask the server on this machine whether it lives or is ready; the exit code is 0 if so.
    Probe(probe::Options),
}

#[derive(Args)]
struct CheckModel {
    /// Folder of the checkpoint.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Read the files only, without loading the weights and asking the model one known question.
    #[arg(long)]
    no_load: bool,
    /// Record what the model answers to the known questions beside it, in canary.json: from then on it is served only while
    /// it answers the same.
    #[arg(long, conflicts_with = "no_load")]
    record: bool,
}

/// Runs the command the process was started with. Every failure is one sentence on stderr.
pub fn run() -> ExitCode {
    // Before anything else: it is started once for every film.
    let first = std::env::args_os().nth(1).unwrap_or_default();
    if first == imaging::DECODE {
        return imaging::decode_child();
    }
    // A container engine knows 0 and 1 of a probe, and keeps 2 to itself.
    let wrong = if first == "probe" { 1 } else { 2 };
    let command = match Cli::try_parse() {
        Ok(cli) => cli.command,
        Err(e) => {
            e.print().ok();
            return ExitCode::from(if e.use_stderr() { wrong } else { 0 });
        }
    };
    if let Err(sentence) = engine::check_cpu() {
        eprintln!("curbside: {sentence}");
        return ExitCode::FAILURE;
    }
    let done = match command {
        Command::Serve(options) => serve::run(&options),
        Command::Demo(options) => demo::run(&options),
        Command::Cases(options) => cases::run(&options),
        Command::Eval(options) => eval::run(&options),
        Command::Phantom(options) => phantom::run(&options),
        Command::Probe(options) => probe::run(&options),
        Command::CheckModel(CheckModel { dir, no_load, record }) => {
            let depth = match (no_load, record) {
                (true, _) => Depth::Files,
                (_, true) => Depth::Record,
                _ => Depth::Load,
            };
            with_variables(engine::Config::default().environment()).and_then(|()| check_model::run(&dir, depth))
        }
    };
    done.unwrap_or_else(|e| {
        eprintln!("curbside: {e}");
        ExitCode::from(if e.kind == Kind::Invalid { wrong } else { 1 })
    })
}

/// The command line as data.
pub fn command() -> clap::Command {
    Cli::command()
}

/// One option as `--help` tells of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Explained {
    /// Such as `serve`.
    pub command: String,
    /// Such as `--listen`; a positional argument by the name of its value, such as `DIR`.
    pub name: String,
    /// Empty where there is none.
    pub default: String,
    pub help: String,
}

/// Every option of every command, in the order of `--help`.
pub fn options() -> Vec<Explained> {
    let root = command();
    let explained = |command: &clap::Command, arg: &clap::Arg| {
        let value_name =
            || arg.get_value_names().and_then(|names| names.first()).map(|name| name.to_string()).unwrap_or_default();
        let defaults: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        let takes_value = arg.get_action().takes_values();
        Explained {
            command: command.get_name().to_owned(),
            name: arg.get_long().map(|long| format!("--{long}")).unwrap_or_else(value_name),
            default: if takes_value { defaults.join(" ") } else { String::new() },
            help: arg.get_help().map(|help| help.to_string()).unwrap_or_default(),
        }
    };
    root.get_subcommands().flat_map(|command| command.get_arguments().map(move |arg| explained(command, arg))).collect()
}

/// Runs to the end, then gives blocking work such as a model that is loading two seconds to leave.
fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Error::fault("the threads could not be started").because(e))?;
    let done = runtime.block_on(work);
    runtime.shutdown_timeout(Duration::from_secs(2));
    done
}

/// Resolves on Ctrl-C and on SIGTERM.
async fn stop_asked() -> Result<()> {
    let listen = |kind| signal(kind).map_err(|e| Error::fault("signals cannot be received").because(e));
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

/// A port that cannot be had, in the words of the command that wanted it; other errors stay as they are.
fn unbound(e: Error, wanted: &str, advice: &str) -> Error {
    match e.source.as_deref().and_then(|source| source.downcast_ref::<io::Error>()) {
        Some(cause) => {
            Error::new(Kind::EditConflict, format!("{wanted} cannot be listened on ({}); {advice}", cause.kind()))
        }
        None => e,
    }
}

/// The model's runtime reads some variables when it starts, and a running process cannot safely set its own: where one is
/// missing, the process is replaced by itself with all of them set. Returns when there is nothing to set.
fn with_variables(wanted: Vec<(&'static str, String)>) -> Result<()> {
    let missing = config::missing(wanted);
    if missing.is_empty() {
        return Ok(());
    }
    let program = std::env::current_exe()
        .map_err(|e| Error::fault("this program cannot find its own file to start anew").because(e))?;
    let failed = process::Command::new(program).args(std::env::args_os().skip(1)).envs(missing).exec();
    Err(Error::fault("this program could not start itself anew with the variables its model needs").because(failed))
}
