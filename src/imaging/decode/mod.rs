//! From the bytes of a file to a picture, in a process of its own: a file that breaks its decoder breaks nothing else.
//!
//! The process is this program started anew. It gets an empty environment, three pipes, limits, and one file; it gives back
//! facts and pixels of a length that is known beforehand, and all of it is checked like any other data.

mod child;
mod wire;

use std::{
    future::{Future, pending},
    io,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use image::RgbImage;
use sha2::{Digest, Sha256};
use tokio::{
    io::AsyncWriteExt,
    process::{Child, Command},
    sync::{Semaphore, oneshot},
    time::timeout,
};

pub use self::child::run as decode_child;
use self::wire::{Job, Said, Task};
use super::{Failure, Identity, Image, Labelled, Limits, Source, geometry, header::Facts, identity};

/// The argument that makes this program decode one file and nothing else. Not a command for people.
pub const DECODE: &str = "decode";

/// Decodes may hold their limit of memory each.
const AT_ONCE: usize = 2;

/// This very program: on Linux the one that runs, whatever became of its file since.
pub fn this_program() -> io::Result<PathBuf> {
    if cfg!(target_os = "linux") { Ok("/proc/self/exe".into()) } else { std::env::current_exe() }
}

/// Turns files into pictures, at most two at a time, each in a process that is ended with its limits or its caller.
#[derive(Clone)]
pub struct Decoder {
    program: Arc<PathBuf>,
    permits: Arc<Semaphore>,
    time: Duration,
    memory: u64,
    /// Unit tests have no program to run: the same work on a thread, in the same words.
    #[cfg(test)]
    on_a_thread: bool,
}

/// Which film a file has to be, and what it becomes.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub study_uid: String,
    pub series_uid: String,
    pub instance_uid: String,
    pub patient: Identity,
    /// Side of the model's square picture in pixels.
    pub side: u32,
    /// Which step of the retrieval ladder gave the file.
    pub retrieved: &'static str,
}

/// A film, its place in its series, and what has to be said about whose it is.
#[derive(Debug)]
pub struct Film {
    pub image: Image,
    pub number: Option<i64>,
    /// Clauses of ours.
    pub doubts: Vec<&'static str>,
}

impl Decoder {
    /// `program` is run with the one argument [`DECODE`]; see [`this_program`].
    pub fn new(program: PathBuf, limits: &Limits) -> Decoder {
        Decoder {
            program: Arc::new(program),
            permits: Arc::new(Semaphore::new(AT_ONCE)),
            time: Duration::from_secs(limits.max_decode_seconds),
            memory: limits.max_decode_bytes,
            #[cfg(test)]
            on_a_thread: false,
        }
    }

    #[cfg(test)]
    pub fn on_a_thread() -> Decoder {
        Decoder { on_a_thread: true, ..Decoder::new(PathBuf::new(), &Limits::default()) }
    }

    /// Decodes that could start at once.
    pub fn idle(&self) -> usize {
        self.permits.available_permits()
    }

    /// One CR or DX film, checked to be the wanted one of the wanted patient before its pixels are waited for.
    pub async fn film(&self, file: Bytes, wanted: Wanted) -> Result<Film, Failure> {
        let task = Task::Film { side: wanted.side };
        let hear = move |mut said: Said| async move {
            let facts = said.facts().await?;
            let doubts = wanted.check(&facts)?;
            let pixels = said.pixels(wanted.side).await?;
            Ok((wanted, facts, doubts, pixels))
        };
        let (wanted, facts, doubts, pixels) = self.decode(task, file, hear).await?;
        wanted.film(facts, doubts, pixels)
    }

    /// One PNG or JPEG picture as a square of that side. `declared` is the media type its resource gives.
    pub async fn picture(&self, file: Bytes, declared: &str, side: u32) -> Result<RgbImage, Failure> {
        let task = Task::Picture { declared: declared.chars().take(100).collect(), side };
        self.decode(task, file, move |mut said: Said| async move { said.pixels(side).await }).await
    }

    /// Runs one task, and `hear` on what is said of it. Dropped, it ends the process; the permit is back when that is gone.
    async fn decode<T, F>(
        &self,
        task: Task,
        file: Bytes,
        hear: impl FnOnce(Said) -> F + Send + 'static,
    ) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Failure>> + Send,
    {
        let permit = self.permits.clone().acquire_owned().await.map_err(|_| Failure::NoDecoder)?;
        let job = Job { task, bytes: file.len(), seconds: self.time.as_secs(), memory: self.memory };
        let job = wire::framed(&job).map_err(|_| Failure::NoDecoder)?;
        let (decoder, (mut sender, receiver)) = (self.clone(), oneshot::channel());
        // A task of its own: a caller that leaves cannot wait until the process is gone, and somebody must.
        // INVARIANT: cancelled_decodes_leave_no_process_and_no_permit_behind
        tokio::spawn(async move {
            let outcome = decoder.attend(job, file, hear, sender.closed()).await;
            drop(permit);
            sender.send(outcome).ok();
        });
        receiver.await.unwrap_or(Err(Failure::NoDecoder))
    }

    async fn attend<T, F>(
        &self,
        job: Vec<u8>,
        file: Bytes,
        hear: impl FnOnce(Said) -> F,
        left: impl Future<Output = ()>,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        #[cfg(test)]
        if self.on_a_thread {
            return hear(on_a_thread(job, file).await?).await;
        }
        let mut child = start(&self.program).map_err(|_| Failure::NoDecoder)?;
        let outcome = tokio::select! {
            outcome = self.exchange(&mut child, job, file, hear) => outcome,
            () = left => Err(Failure::Late),
        };
        // Also reaps a process that has ended by itself.
        child.kill().await.ok();
        outcome
    }

    async fn exchange<T, F>(
        &self,
        child: &mut Child,
        job: Vec<u8>,
        file: Bytes,
        hear: impl FnOnce(Said) -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Failure::NoDecoder);
        };
        let tell = async {
            // Who does not listen to the end has said why, or its end does.
            if input.write_all(&job).await.is_ok() {
                input.write_all(&file).await.ok();
            }
            drop(input);
            pending().await
        };
        let talk = async {
            let heard = tokio::select! { heard = hear(Said::new(output)) => heard, never = tell => never };
            match heard {
                Err(Failure::BrokeOff) => Err(child.wait().await.map_or(Failure::BrokeOff, why)),
                heard => heard,
            }
        };
        timeout(self.time, talk).await.unwrap_or(Err(Failure::TooSlow))
    }
}

fn start(program: &Path) -> io::Result<Child> {
    let mut command = Command::new(program);
    command.arg(DECODE).env_clear().current_dir("/").kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()
}

#[cfg(test)]
async fn on_a_thread(job: Vec<u8>, file: Bytes) -> Result<Said, Failure> {
    let (sender, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        let mut output = Vec::new();
        let done = child::serve(&mut [&job[..], &file[..]].concat().as_slice(), &mut output, |_| Ok(()));
        sender.send(done.map(|()| output)).ok();
    });
    let output = receiver.await.map_err(|_| Failure::BrokeOff)?.map_err(|_| Failure::BrokeOff)?;
    Ok(Said::new(io::Cursor::new(output)))
}

/// What the end of a process that broke off tells of the file.
fn why(status: ExitStatus) -> Failure {
    use std::os::unix::process::ExitStatusExt;
    match status.signal() {
        // SIGXCPU: the limit of processor time.
        Some(24) => Failure::TooSlow,
        // SIGABRT: an allocation that was refused, or a stack that was used up.
        Some(6) => Failure::TooMuchMemory,
        // SIGHUP, SIGINT, SIGQUIT, SIGKILL, SIGTERM: none is ours here, and no file can bring one about.
        Some(1 | 2 | 3 | 9 | 15) => Failure::Ended,
        // A panic, words that make no sense, or a signal for what no program should do.
        _ => Failure::BrokeOff,
    }
}

impl Wanted {
    /// Whether the file is the film that was asked for; what has to be said where it is.
    fn check(&self, facts: &Facts) -> Result<Vec<&'static str>, Failure> {
        if facts.study_uid != self.study_uid {
            return Err(Failure::AnotherStudy);
        }
        if facts.instance_uid != self.instance_uid {
            return Err(Failure::AnotherInstance);
        }
        if facts.series_uid != self.series_uid {
            return Err(Failure::AnotherSeries);
        }
        self.patient.check(&facts.patient)
    }

    fn film(self, facts: Facts, doubts: Vec<&'static str>, pixels: RgbImage) -> Result<Film, Failure> {
        let png = geometry::png(&pixels).map_err(|_| Failure::Undecodable)?;
        let image = Image {
            source: Source::Dicom {
                study_uid: facts.study_uid,
                series_uid: facts.series_uid,
                instance_uid: facts.instance_uid,
                sop_class_uid: facts.sop_class_uid,
                transfer_syntax: facts.transfer_syntax,
                window: facts.window,
            },
            modality: Some(facts.modality),
            body_part: facts.body_part,
            view: facts.view,
            laterality: facts.laterality,
            manufacturer: facts.manufacturer,
            labelled: Labelled {
                disagrees: identity::disagrees(&doubts),
                ..facts.patient.labelled(facts.date.as_ref())
            },
            date: facts.date,
            rows: facts.rows,
            columns: facts.columns,
            lossy: facts.lossy,
            retrieved: self.retrieved.to_owned(),
            burned_in: if facts.says_no_text_burned_in { "NO" } else { "not stated" }.to_owned(),
            sha256: format!("{:x}", Sha256::digest(&png)),
            pixels: Arc::new(pixels),
            png: Arc::new(png),
        };
        Ok(Film { image, number: facts.number, doubts })
    }
}
