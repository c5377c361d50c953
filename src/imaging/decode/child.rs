//! The process that decodes: one file, inside limits it cannot lift again.

use std::{
    io::{self, Read, Write},
    process::ExitCode,
    thread,
};

use rlimit::Resource;

use super::{
    super::{Failure, film, header::Header, picture},
    wire::{self, Job, Message, Task},
};

/// Sequences are read by recursion; pages of a stack cost nothing until they are used.
const STACK: usize = 128 << 20;

/// Reads a job and its file from standard input, answers on standard output. Fails where a decoder panicked.
pub fn run() -> ExitCode {
    match serve(&mut io::stdin().lock(), &mut io::stdout(), limit) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// What one process may use. Three descriptors are open, and no more can be: no file and no connection either.
fn limit(job: &Job) -> io::Result<()> {
    let limits = [(Resource::AS, job.memory), (Resource::CORE, 0), (Resource::FSIZE, 0), (Resource::NOFILE, 3)];
    limits.into_iter().try_for_each(|(resource, most)| resource.set(most, most))?;
    // Without that second the signal would be the one that says nothing.
    Resource::CPU.set(job.seconds, job.seconds + 1)
}

pub(super) fn serve(
    input: &mut impl Read,
    output: &mut (impl Write + Send),
    limit: impl FnOnce(&Job) -> io::Result<()>,
) -> io::Result<()> {
    let job: Job = wire::read(input)?;
    limit(&job)?;
    let mut file = vec![0; job.bytes];
    input.read_exact(&mut file)?;
    let done = thread::scope(|scope| {
        let work = || answer(job.task, file, output);
        let thread = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work).ok()?;
        Some(thread.join().unwrap_or_else(|_| Err(io::Error::other("a decoder panicked"))))
    });
    // Not even the stack: a limit too low for this program, whatever the file is.
    done.unwrap_or_else(|| say(output, &Message::Failed(Failure::NoDecoder)))
}

fn answer(task: Task, mut file: Vec<u8>, output: &mut impl Write) -> io::Result<()> {
    let outcome = match task {
        Task::Film { side } => Header::read(&mut file).and_then(|header| {
            // The facts go out first: a film of somebody else is not worth decoding.
            say(output, &Message::Facts(Box::new(header.facts.clone()))).map_err(|_| Failure::BrokeOff)?;
            film::decode(file, &header, side)
        }),
        Task::Picture { declared, side } => picture::decode(&file, &declared, side),
    };
    match outcome {
        Ok(pixels) => {
            say(output, &Message::Picture)?;
            output.write_all(pixels.as_raw())?;
            output.flush()
        }
        Err(failure) => say(output, &Message::Failed(failure)),
    }
}

fn say(output: &mut impl Write, message: &Message) -> io::Result<()> {
    output.write_all(&wire::framed(message)?)?;
    output.flush()
}
