//! Files made to break a decoder, each in a process of its own: how they end, how long they take and what they cost.
//!
//! `cargo test --test it hostile -- --nocapture` prints the tables.

mod corpus;
mod mutated;
mod pictures;
pub mod served;
mod streams;

use std::{
    collections::BTreeMap,
    fs,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use curbside::imaging::{Decoder, Failure, Limits};

use crate::{
    decoding::{named, wanted},
    film_file::gradient,
};

/// What a kind of file cost at most.
#[derive(Default)]
struct Cost {
    files: usize,
    reasons: BTreeMap<&'static str, usize>,
    time: Duration,
    /// Of this process, above what it held before, in KiB.
    parent: u64,
    /// Of the process that decodes, in KiB, looked at every millisecond.
    child: u64,
}

/// A line of /proc/self/status or of another process's, in KiB.
fn status(process: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

/// Looks at the memory of this thread's child processes until it is dropped.
struct Watch {
    most: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Watch {
    fn start() -> Watch {
        let task = fs::read_link("/proc/thread-self").unwrap();
        let (most, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (seen, stopped) = (most.clone(), stop.clone());
        let look = move || {
            while !stopped.load(Ordering::Relaxed) {
                let children = fs::read_to_string(format!("/proc/{}/children", task.display())).unwrap();
                for child in children.split_whitespace() {
                    // The moment between fork and exec would count this process's own memory.
                    if fs::read_to_string(format!("/proc/{child}/comm")).is_ok_and(|comm| comm.trim() == NAME) {
                        seen.fetch_max(status(child, "VmHWM").unwrap_or(0), Ordering::Relaxed);
                    }
                }
                thread::sleep(Duration::from_millis(1));
            }
        };
        Watch { most, stop, thread: Some(thread::spawn(look)) }
    }
    fn most(&self) -> u64 {
        self.most.swap(0, Ordering::Relaxed)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().ok();
    }
}

const NAME: &str = "decode-hostile";

impl Cost {
    /// Measures one decode.
    async fn add(&mut self, watch: &Watch, decode: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
        // What is written there makes the highest mark start anew.
        fs::write("/proc/self/clear_refs", "5").unwrap();
        let (before, start) = (status("self", "VmRSS").unwrap(), Instant::now());
        let outcome = decode.await;
        self.files += 1;
        self.time = self.time.max(start.elapsed());
        self.parent = self.parent.max(status("self", "VmHWM").unwrap().saturating_sub(before));
        self.child = self.child.max(watch.most());
        *self.reasons.entry(outcome.map_or_else(Failure::reason, |()| "it was read")).or_default() += 1;
        outcome
    }
}

fn print(title: &str, costs: &[(&str, Cost)]) {
    println!("\n{title}\n| Kind | Files | Ended as | Longest | Parent grew | Child held |\n|---|---|---|---|---|---|");
    for (kind, cost) in costs {
        let reasons: Vec<String> = cost.reasons.iter().map(|(reason, count)| format!("{reason} ({count})")).collect();
        println!(
            "| {kind} | {} | {} | {:.2} s | {:.1} MiB | {:.0} MiB |",
            cost.files,
            reasons.join("; "),
            cost.time.as_secs_f64(),
            cost.parent as f64 / 1024.0,
            cost.child as f64 / 1024.0,
        );
    }
    let files: usize = costs.iter().map(|(_, cost)| cost.files).sum();
    let most = |of: fn(&Cost) -> f64| costs.iter().map(|(_, cost)| of(cost)).fold(0.0, f64::max);
    let (time, parent, child) =
        (most(|c| c.time.as_secs_f64()), most(|c| c.parent as f64 / 1024.0), most(|c| c.child as f64 / 1024.0));
    println!("{files} files; longest {time:.2} s, parent +{parent:.1} MiB, child {child:.0} MiB");
}

/// Runs a test of this file in a process of its own and not beside another, so that what it measures is its own.
fn alone(test: &str) {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let test = format!("hostile::{test}");
    let output = Command::new(std::env::current_exe().unwrap())
        .args([&test, "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .output()
        .unwrap();
    print!("{}", String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}

#[test]
fn hostile_files_end_in_a_reason_in_time_and_within_memory() {
    alone("measured");
}

#[tokio::test]
#[ignore = "run by hostile_files_end_in_a_reason_in_time_and_within_memory, in a process of its own"]
async fn measured() {
    let (_folder, program) = named(NAME);
    let decoder = Decoder::new(program, &Limits::default());
    let watch = Watch::start();
    // What is there once, such as the runtime's handling of processes, is not the files' doing.
    decoder.film(gradient().bytes().into(), wanted(896)).await.unwrap();
    let mut costs: Vec<(&str, Cost)> = Vec::new();
    let mut read = Vec::new();
    for trap in corpus::films() {
        if costs.last().is_none_or(|(kind, _)| *kind != trap.kind) {
            costs.push((trap.kind, Cost::default()));
        }
        let work = decoder.film(trap.bytes.into(), wanted(896));
        let outcome = costs.last_mut().unwrap().1.add(&watch, async { work.await.map(drop) }).await;
        if outcome.is_ok() && trap.kind != corpus::NOISE {
            read.push(format!("{}: {}", trap.kind, trap.what));
        }
    }
    let mut of_pictures = Cost::default();
    for (what, declared, bytes) in pictures::all() {
        let work = decoder.picture(bytes.into(), declared, 896);
        let outcome = of_pictures.add(&watch, async { work.await.map(drop) }).await;
        if outcome.is_ok() {
            read.push(what);
        }
    }
    costs.push(("pictures", of_pictures));
    print("Hostile files", &costs);
    assert!(read.is_empty(), "{read:?}");
    for (kind, cost) in &costs {
        // The clock's limit is 5 s; this only catches that it does not hold.
        assert!(cost.time < Duration::from_secs(20), "{kind}: {:?}", cost.time);
        assert!(cost.parent <= 32 << 10, "{kind}: {} KiB", cost.parent);
        assert!(cost.child <= 1 << 20, "{kind}: {} KiB", cost.child);
    }
    assert_eq!(decoder.idle(), 2);
    assert!(decoder.film(gradient().bytes().into(), wanted(896)).await.is_ok());
}
