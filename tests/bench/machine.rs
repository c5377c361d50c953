//! What the machine is, and whether it has time for us.

use std::{
    fmt, fs,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::Result;

/// Of `/proc/<id>/stat`, in every Linux: <https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html>
const TICKS_PER_SECOND: f64 = 100.0;
/// Processors that others may hold without what is timed being slower for it.
const MOST_HELD: f64 = 0.2;

pub struct Machine {
    processor: String,
    processors: usize,
    /// Load average of the last minute, before and after.
    load: [f64; 2],
    /// Processors that others held during the second before, and in the mean of the whole run.
    held: [f64; 2],
    began: Moment,
    /// What is timed has this processor, who asks it another one. `None`: there is one only, or no `taskset`.
    pinned: Option<(usize, usize)>,
    quick: bool,
    commit: String,
}

impl Machine {
    /// Looks, and gives this process the asking side's processor. Before any thread is started.
    pub fn look(quick: bool) -> Result<Machine> {
        let information = fs::read_to_string("/proc/cpuinfo")?;
        let processor = information.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let processors = thread::available_parallelism()?.get();
        let pinned = (processors > 1 && pin_this(processors - 1)).then_some((0, processors - 1));
        let described = Command::new("git").args(["describe", "--always", "--dirty"]).output();
        let (load, before) = (load()?, Moment::now()?);
        thread::sleep(Duration::from_secs(1));
        let began = Moment::now()?;
        Ok(Machine {
            processor: processor.map_or("unknown", |(_, name)| name).to_owned(),
            processors,
            load: [load; 2],
            held: [began.held_since(&before); 2],
            began,
            pinned,
            quick,
            commit: described.map(|d| String::from_utf8_lossy(&d.stdout).trim().to_owned()).unwrap_or_default(),
        })
    }

    /// Once everything that was started has ended.
    pub fn look_again(&mut self) -> Result<()> {
        (self.load[1], self.held[1]) = (load()?, Moment::now()?.held_since(&self.began));
        Ok(())
    }

    /// The command on the processor of what is timed.
    pub fn for_servers(&self, command: Command) -> Command {
        let Some((at, _)) = self.pinned else { return command };
        let mut pinned = Command::new("taskset");
        pinned.args(["-c", &at.to_string()]).arg(command.get_program()).args(command.get_args());
        pinned
    }

    fn disturbed(&self) -> bool {
        self.held.iter().any(|held| *held >= MOST_HELD)
    }

    pub fn json(&self) -> Value {
        json!({
            "processor": self.processor, "processors": self.processors, "load_average": self.load,
            "held_by_others_before_and_during": self.held, "disturbed": self.disturbed(), "pinned": self.pinned.is_some(),
            "quick": self.quick, "commit": self.commit, "when": chrono::Utc::now().to_rfc3339(),
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { processor, processors, load: [before, after], held, .. } = self;
        write!(f, "{processor}, {processors} processors, load average {before:.1} before and {after:.1} after, ")?;
        write!(f, "others held {:.2} processors before and {:.2} during it", held[0], held[1])?;
        match self.pinned {
            Some((timed, asking)) => write!(f, "; what is timed has processor {timed}, who asks it {asking}")?,
            None => write!(f, "; no processor for what is timed alone")?,
        }
        if self.quick {
            write!(f, "\nQUICK: so few samples show that everything runs, and no figure")?;
        }
        if self.disturbed() {
            write!(
                f,
                "\nDISTURBED: another process held a processor, so the figures are worse than this machine's own"
            )?;
        }
        Ok(())
    }
}

/// Seconds of processor time a process has used.
pub fn cpu_seconds(id: u32) -> Result<f64> {
    Ok(ticks(&fs::read_to_string(format!("/proc/{id}/stat"))?, 2)? / TICKS_PER_SECOND)
}

/// The first so many of: its own in user and in kernel mode, those of its ended children in user and in kernel mode.
fn ticks(stat: &str, fields: usize) -> Result<f64> {
    let (_, rest) = stat.rsplit_once(')').ok_or("the kernel does not say what a process used")?;
    Ok(rest.split_whitespace().skip(11).take(fields).filter_map(|ticks| ticks.parse::<f64>().ok()).sum())
}

fn load() -> Result<f64> {
    let text = fs::read_to_string("/proc/loadavg")?;
    Ok(text.split(' ').next().unwrap_or_default().parse()?)
}

/// What had been done by a moment, in ticks of a processor.
struct Moment {
    when: Instant,
    /// By everybody, what the host takes of a virtual machine included.
    all: f64,
    /// By this process and all it started that have ended.
    ours: f64,
}

impl Moment {
    fn now() -> Result<Moment> {
        let ours = fs::read_to_string("/proc/self/stat")?;
        Ok(Moment { when: Instant::now(), all: busy()?, ours: ticks(&ours, 4)? })
    }

    /// Processors that others held from then to this one, in the mean.
    fn held_since(&self, then: &Moment) -> f64 {
        let others = (self.all - then.all) - (self.ours - then.ours);
        (others / TICKS_PER_SECOND / (self.when - then.when).as_secs_f64()).max(0.0)
    }
}

/// Ticks of all processors so far that were neither idle nor waiting.
fn busy() -> Result<f64> {
    let stat = fs::read_to_string("/proc/stat")?;
    let ticks = stat.lines().next().unwrap_or_default().split_whitespace().skip(1).map(str::parse::<f64>);
    let ticks: Vec<f64> = ticks.collect::<std::result::Result<_, _>>()?;
    // user nice system idle iowait irq softirq steal
    Ok(ticks.iter().take(8).enumerate().filter(|(at, _)| !matches!(at, 3 | 4)).map(|(_, ticks)| ticks).sum())
}

fn pin_this(processor: usize) -> bool {
    let id = std::process::id().to_string();
    let mut command = Command::new("taskset");
    command.args(["-cp", &processor.to_string(), &id]).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
