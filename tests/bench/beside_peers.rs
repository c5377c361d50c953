//! Times curbside beside its peers, in turn and in one run: `tests/bench/run --help`.
//!
//! Each contender is a process of its own on one processor, the one that asks it on another. Contenders are taken forwards,
//! then backwards (ABBA), so that a machine that grows slower or faster does so for all of them.

#[allow(dead_code)]
#[path = "../../src/http/openapi/tests/documented.rs"]
mod documented;
#[allow(dead_code)] // The hospital of the tests has parts that are not timed.
#[path = "../it/harness.rs"]
mod harness;
mod http;
mod machine;
mod table;
mod work;
mod worker;

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    thread::sleep,
    time::{Duration, Instant},
};

use machine::{Machine, cpu_seconds};
use table::{Row, Table, Target};
use worker::Worker;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Whose records `peers/inputs.py` writes. It is not contacted: the requests name no server.
const EHR: &str = "https://ehr.example/fhir";
const CURBSIDE: &str = env!("CARGO_BIN_EXE_curbside");

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["work", what, folder] => work::work(what, Path::new(folder)),
        [inputs, python, folder, out, rest @ ..] => {
            Bench::new(inputs, python, folder, out, rest).and_then(|mut bench| bench.run())
        }
        _ => Err("this program is started by tests/bench/run".into()),
    };
    done.map_or_else(
        |error| {
            eprintln!("{error}");
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    )
}

/// How much is timed: enough for a figure, or just enough to see that everything runs.
struct Effort {
    rounds: usize,
    latencies: usize,
    throughput: Duration,
    pairs: usize,
    slow_pairs: usize,
}

const FULL: Effort =
    Effort { rounds: 5, latencies: 200, throughput: Duration::from_secs(3), pairs: 50, slow_pairs: 10 };
const QUICK: Effort =
    Effort { rounds: 1, latencies: 20, throughput: Duration::from_millis(500), pairs: 3, slow_pairs: 1 };

struct Bench {
    inputs: PathBuf,
    python: String,
    peers: PathBuf,
    /// Where databases are written: the disk that is timed.
    folder: PathBuf,
    out: PathBuf,
    effort: Effort,
    only: Vec<String>,
    machine: Machine,
    table: Table,
}

impl Bench {
    fn new(inputs: &str, python: &str, folder: &str, out: &str, rest: &[&str]) -> Result<Bench> {
        let quick = rest.contains(&"--quick");
        Ok(Bench {
            inputs: inputs.into(),
            python: python.into(),
            peers: Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/peers"),
            folder: folder.into(),
            out: out.into(),
            effort: if quick { QUICK } else { FULL },
            only: rest.iter().filter(|word| !word.starts_with("--")).map(|word| word.to_string()).collect(),
            machine: Machine::look(quick)?,
            table: Table::default(),
        })
    }

    fn run(&mut self) -> Result<()> {
        println!("{}", self.machine);
        let parts: [(&str, Part); 6] = [
            ("patient-view", Bench::patient_view),
            ("order-sign", Bench::order_sign),
            ("order-checks", Bench::order_checks),
            ("bundle", Bench::bundle),
            ("film", Bench::film),
            ("made-up", Bench::made_up),
        ];
        for (name, part) in parts {
            if self.only.is_empty() || self.only.iter().any(|only| only == name) {
                println!("timing {name}");
                part(self)?;
            }
        }
        self.machine.look_again()?;
        println!("\n{}\n{}", self.table, self.machine);
        std::fs::write(&self.out, self.table.json(&self.machine).to_string())?;
        println!("written to {}", self.out.display());
        Ok(())
    }

    /// curbside and HealthChain answer the same bytes, each alone, on one processor.
    fn patient_view(&mut self) -> Result<()> {
        let body = std::fs::read(self.inputs.join("patient-view.json"))?;
        let python = |kind: &'static str| -> Started {
            let (python, service) = (self.python.clone(), self.peers.join("service.py"));
            Box::new(move |port| {
                let mut command = Command::new(&python);
                command.arg("-B").arg(&service).args([&port.to_string(), kind]);
                (command, "/cds/cds-services/chart-summary")
            })
        };
        let config = self.folder.join("patient-view.toml");
        std::fs::write(&config, format!("[[ehr]]\nfhir = \"{EHR}\"\n"))?;
        let store = self.folder.join("patient-view.db");
        let contenders: [(&str, Started); 3] = [
            (
                "curbside",
                Box::new(move |port| {
                    let mut command = Command::new(CURBSIDE);
                    command.args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--store"]).arg(&store);
                    command.arg("--config").arg(&config);
                    (command, "/cds-services/chart-summary")
                }),
            ),
            ("HealthChain, typed", python("typed")),
            ("HealthChain, untyped", python("untyped")),
        ];
        let mut measured: Vec<[Vec<f64>; 3]> = vec![Default::default(); contenders.len()];
        for at in turns(contenders.len(), self.effort.rounds) {
            let port = http::free_port()?;
            let (command, path) = contenders[at].1(port);
            let mut server = worker::Server::start(self.machine.for_servers(command))?;
            let mut connection = http::Connection::wait_for(port, path, &body, &mut server)?;
            for _ in 0..50 {
                connection.ask()?;
            }
            for _ in 0..self.effort.latencies {
                measured[at][0].push(connection.ask()?.as_secs_f64() * 1e3);
            }
            let (before, start) = (cpu_seconds(server.id())?, Instant::now());
            let answered = http::eight(port, path, &body, self.effort.throughput)? as f64;
            let (took, used) = (start.elapsed().as_secs_f64(), cpu_seconds(server.id())? - before);
            measured[at][1].push(answered / took);
            measured[at][2].push(answered / used.max(0.01));
        }
        let what = "patient-view, 90 kB prefetch";
        let units = ["ms, 1 connection", "requests/s, 8 connections", "requests per CPU second"];
        for (unit, index) in units.into_iter().zip(0..) {
            for ((who, _), measured) in contenders.iter().zip(&measured) {
                self.table.add(Row::new(what, who, unit, measured[index].clone()));
            }
        }
        self.table.target(Target::below(what, "curbside", units[0], 1.0));
        self.table.target(Target::times(what, "curbside", "HealthChain, typed", units[1], 10.0));
        Ok(())
    }

    fn order_sign(&mut self) -> Result<()> {
        let contenders = [
            ("curbside: hook to stored answer", self.own("order-sign", &self.folder)?),
            ("SQLite: one row, WAL, FULL", self.own("commit", &self.folder)?),
        ];
        self.pairs("order-sign, two films, scripted model", contenders.into(), self.effort.pairs)
    }

    fn order_checks(&mut self) -> Result<()> {
        let what = "order-sign, order checks";
        let contenders = [("curbside: hook to answer", self.own("order-checks", &self.folder)?)];
        self.pairs(what, contenders.into(), self.effort.pairs)?;
        self.table.target(Target::below(what, "curbside: hook to answer", MILLISECONDS, 50.0));
        Ok(())
    }

    fn bundle(&mut self) -> Result<()> {
        let file = self.inputs.join("bundle.json");
        let contenders = [
            ("curbside: request to chart", self.own("chart", &self.inputs)?),
            ("Python: json.loads", self.peer("json", &file)?),
            ("fhir.resources, R4B models", self.peer("fhir", &file)?),
        ];
        let what = "Bundle of 10 MB, 2000 resources";
        self.pairs(what, contenders.into(), self.effort.slow_pairs)?;
        self.table.target(Target::below(what, "curbside: request to chart", MILLISECONDS, 50.0));
        Ok(())
    }

    fn film(&mut self) -> Result<()> {
        for (name, what) in [("raw", "film 2048 x 2500, raw"), ("jpeg2000", "film 2048 x 2500, JPEG 2000")] {
            let file = self.inputs.join(format!("{name}.dcm"));
            let contenders = [
                ("curbside, with its process", self.own(&format!("film-{name}"), &self.inputs)?),
                ("curbside: a film of 224 x 224", self.own("film-small", &self.inputs)?),
                ("pydicom and Pillow", self.peer("film", &file)?),
            ];
            self.pairs(what, contenders.into(), self.effort.slow_pairs)?;
        }
        Ok(())
    }

    /// What training needs of one processor.
    fn made_up(&mut self) -> Result<()> {
        let contenders = [
            ("a film in the first style", self.own("draw-first", &self.inputs)?),
            ("a film in the second style", self.own("draw-second", &self.inputs)?),
            ("a case without its films", self.own("case", &self.inputs)?),
        ];
        self.pairs("made-up films of 224 x 224, and cases", contenders.into(), self.effort.pairs)
    }

    /// Times each contender in turn, and says what memory it took.
    fn pairs(&mut self, what: &'static str, mut contenders: Vec<(&'static str, Worker)>, pairs: usize) -> Result<()> {
        let mut measured: Vec<Vec<f64>> = vec![Vec::new(); contenders.len()];
        for (_, worker) in &mut contenders {
            for _ in 0..3 {
                worker.once()?;
            }
        }
        for at in turns(contenders.len(), pairs) {
            measured[at].push(contenders[at].1.once()?.as_secs_f64() * 1e3);
        }
        for ((who, _), measured) in contenders.iter().zip(measured) {
            self.table.add(Row::new(what, who, MILLISECONDS, measured));
        }
        for (who, worker) in &contenders {
            self.table.add(Row::new(what, who, "MB at most, no children", vec![worker.peak()? as f64 / 1e6]));
        }
        Ok(())
    }

    /// This program, doing one thing of curbside's.
    fn own(&self, what: &str, folder: &Path) -> Result<Worker> {
        let mut command = Command::new(env::current_exe()?);
        command.args(["work", what]).arg(folder);
        Worker::start(self.machine.for_servers(command))
    }

    fn peer(&self, what: &str, file: &Path) -> Result<Worker> {
        let mut command = Command::new(&self.python);
        command.arg("-B").arg(self.peers.join("worker.py")).arg(what).arg(file);
        Worker::start(self.machine.for_servers(command))
    }
}

type Part = fn(&mut Bench) -> Result<()>;

const MILLISECONDS: &str = "ms";

/// The command of a server on that port, and the path it answers the hook under.
type Started = Box<dyn Fn(u16) -> (Command, &'static str)>;

/// A B C C B A, so many times: each contender twice a round.
fn turns(contenders: usize, rounds: usize) -> impl Iterator<Item = usize> {
    (0..rounds)
        .flat_map(move |_| (0..contenders).chain((0..contenders).rev()))
        .inspect(|_| sleep(Duration::from_millis(5)))
}
