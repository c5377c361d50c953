//! Processes that are timed.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use crate::Result;

/// A process that does one thing for each line it is sent, and answers with the seconds it took.
pub struct Worker {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Worker {
    /// Waits until it is ready.
    pub fn start(mut command: Command) -> Result<Worker> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("a process without pipes".into());
        };
        let mut worker = Worker { child, input, output: BufReader::new(output) };
        match worker.line()?.as_str() {
            "ready" => Ok(worker),
            other => Err(format!("{command:?} said {other:?} and not that it is ready").into()),
        }
    }

    pub fn once(&mut self) -> Result<Duration> {
        self.input.write_all(b"\n")?;
        Ok(Duration::from_secs_f64(self.line()?.parse().map_err(|_| "a process that was timed has failed")?))
    }

    /// Bytes of memory it held at most.
    pub fn peak(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix("kB"));
        Ok(kilobytes.ok_or("the kernel does not say what memory was used")?.trim().parse::<u64>()? * 1024)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// A process that answers over HTTP. What it prints is not kept.
pub struct Server(Child);

impl Server {
    pub fn start(mut command: Command) -> Result<Server> {
        Ok(Server(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?))
    }

    pub fn id(&self) -> u32 {
        self.0.id()
    }

    pub fn has_ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        end(&mut self.0);
    }
}

fn end(child: &mut Child) {
    child.kill().ok();
    child.wait().ok();
}
