//! Cases in files for training: text and answers as lines of JSON, films as bytes, in shards that a reader deletes.

use std::{
    fs,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

use image::GrayImage;
use serde::Serialize;

use super::{Expected, Maker, Shot, Shown, answer::channels, case::Case};
use crate::{
    engine::Part,
    error::{Error, Kind, Result},
    imaging,
    phantom::{self, CHANNELS, Film, Random, Style},
    task::Task,
};

/// Seeds below this have no case in common; those above repeat them.
pub const SEEDS: u64 = 1 << 23;
/// Records drawn for one case before the room is taken to be too small for any.
const MAX_DRAWS: usize = 1_000;
/// Side of the picture a model sees.
const SIDE: u32 = 224;

/// What is written, and where.
#[derive(Clone, Debug)]
pub struct Export {
    pub out: PathBuf,
    pub seed: u64,
    pub count: u64,
    pub threads: usize,
    /// Cases of one shard, at least 1.
    pub shard: u64,
    /// Shards that may wait to be read, at least 1.
    pub keep: usize,
    /// Cases that training never sees.
    pub held_out: bool,
    /// Room of a prompt, as contract 2 counts it.
    pub room: usize,
}

/// One case as training reads it: `null` in `parts` is a picture, in the order of `films`.
#[derive(Serialize)]
struct Line<'a> {
    parts: Vec<Option<&'a str>>,
    answer: String,
    task: &'static str,
    language: &'static str,
    films: Vec<Picture>,
}

#[derive(Serialize)]
struct Picture {
    /// Which picture of the shard's `.u8`.
    at: usize,
    class: &'static str,
    /// For each channel 64 cells in hex: bit `y * 8 + x`.
    maps: [String; CHANNELS.len()],
    present: [u8; CHANNELS.len()],
    severity: [i8; CHANNELS.len()],
}

/// Writes every case, waiting while enough shards wait to be read.
///
/// Errors: `Invalid` where no prompt fits the room, or a shard or the wait is of none; `Upstream` where the folder cannot be
/// written to; what was written stays.
pub fn export(maker: &Maker, export: &Export) -> Result<()> {
    let unwritable = |e: io::Error| unwritable(&export.out, &e);
    if export.shard == 0 || export.keep == 0 {
        return Err(Error::invalid("a shard holds at least one case, and at least one shard may wait"));
    }
    fs::create_dir_all(&export.out).map_err(unwritable)?;
    let shards = export.count.div_ceil(export.shard);
    let next = AtomicU64::new(0);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..export.threads.max(1))
            .map(|_| {
                scope.spawn(|| -> Result<()> {
                    loop {
                        let shard = next.fetch_add(1, Ordering::Relaxed);
                        if shard >= shards {
                            return Ok(());
                        }
                        wait_for_room(&export.out, export.keep).map_err(unwritable)?;
                        write(maker, export, shard)?;
                    }
                })
            })
            .collect();
        let broken = || Error::fault("a thread that writes cases broke");
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| broken())?)
    })
}

fn unwritable(out: &Path, e: &io::Error) -> Error {
    Error::new(Kind::Upstream, format!("{}: {e}", out.display()))
}

fn wait_for_room(out: &Path, keep: usize) -> io::Result<()> {
    loop {
        let waiting = fs::read_dir(out)?.flatten();
        let waiting = waiting.filter(|entry| entry.path().extension().is_some_and(|e| e == "jsonl"));
        if waiting.count() < keep {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// Writes a shard and names it: the films first, so that whoever sees the lines finds both.
fn write(maker: &Maker, export: &Export, shard: u64) -> Result<()> {
    let unwritable = |e: io::Error| unwritable(&export.out, &e);
    let [films, lines] = ["u8", "jsonl"].map(|ending| export.out.join(format!("{shard:05}.{ending}")));
    let unfinished = |path: &Path| path.with_added_extension("part");
    let open = |path: &Path| fs::File::create(unfinished(path)).map(BufWriter::new).map_err(unwritable);
    let (mut to_films, mut to_lines) = (open(&films)?, open(&lines)?);
    contents(maker, export, shard, &mut to_films, &mut to_lines).inspect_err(|_| {
        // Nobody would finish them.
        let _ = [&films, &lines].map(|path| fs::remove_file(unfinished(path)));
    })?;
    for (path, mut file) in [(films, to_films), (lines, to_lines)] {
        file.flush().and_then(|()| fs::rename(unfinished(&path), &path)).map_err(unwritable)?;
    }
    Ok(())
}

fn contents(maker: &Maker, export: &Export, shard: u64, films: &mut impl Write, lines: &mut impl Write) -> Result<()> {
    let unwritable = |e: io::Error| unwritable(&export.out, &e);
    let mut written = 0;
    let first = shard * export.shard;
    for number in first..(first + export.shard).min(export.count) {
        let mut random = stream(export.seed, number, export.held_out);
        let (case, shown) = asked(maker, &mut random, export.room, true)?;
        let mut pictures = Vec::new();
        for shot in shown.pictures.iter().map(|at| &case.films[*at]) {
            let (film, grey) = drawn(shot, size(&mut random))?;
            pictures.push(picture(shot, &film, written));
            films.write_all(&grey).map_err(unwritable)?;
            written += 1;
        }
        let parts = shown.prompt.parts.iter().map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            Part::Image(_) => None,
        });
        let line = Line {
            parts: parts.collect(),
            answer: text(&shown.expected)?,
            task: task(&case),
            language: case.language.word(),
            films: pictures,
        };
        serde_json::to_writer(&mut *lines, &line).map_err(unwritten)?;
        lines.write_all(b"\n").map_err(unwritable)?;
    }
    Ok(())
}

/// The random numbers of one case, the same however many are written beside it.
pub(super) fn stream(seed: u64, number: u64, held_out: bool) -> Random {
    let seed = seed.wrapping_mul(1 << 40).wrapping_add(number);
    if held_out { Random::held_out(seed) } else { Random::training(seed) }
}

/// The next case of the stream that the server would ask about; a record with nothing in it never is. With `shifted`,
/// evidence may be numbered as the server never does.
pub(super) fn asked(maker: &Maker, random: &mut Random, room: usize, shifted: bool) -> Result<(Case, Shown)> {
    let mut asked = (0..MAX_DRAWS).map(|_| {
        let mut case = maker.draw(random);
        if !shifted {
            case.shifted = 0;
        }
        maker.ask(&case, room, false).map(|shown| Some((case, shown?)))
    });
    let asked = asked.find_map(Result::transpose).transpose()?;
    asked.ok_or_else(|| Error::invalid("no prompt fits the room"))
}

/// The answer as the model gives it.
pub fn text(expected: &Expected) -> Result<String> {
    serde_json::to_string(expected).map_err(unwritten)
}

fn unwritten(e: serde_json::Error) -> Error {
    Error::fault("a case cannot be written as JSON").because(e)
}

fn task(case: &Case) -> &'static str {
    match case.task {
        Task::ImagingDraft => "draft",
        Task::Summary => "summary",
        Task::Question(_) => "question",
    }
}

/// Width and height of a film, of one of several shapes.
pub(super) fn size(random: &mut Random) -> (u32, u32) {
    let narrow = SIDE - random.below(64) as u32;
    [(SIDE, SIDE), (narrow, SIDE), (SIDE, narrow)][random.weighted(&[70, 20, 10])]
}

/// A film, and the bytes the server would give the model of it.
fn drawn(shot: &Shot, size: (u32, u32)) -> Result<(Film, Vec<u8>)> {
    let film = shot.draw(Style::First, size);
    let grey = GrayImage::from_raw(film.width, film.height, phantom::grey(&film));
    let grey = grey.ok_or_else(|| Error::fault("a film is not of its size"))?;
    let fitted = imaging::fit(grey, SIDE);
    let bytes = fitted.pixels().map(|pixel| pixel.0[0]).collect();
    Ok((film, bytes))
}

fn picture(shot: &Shot, film: &Film, at: usize) -> Picture {
    let (present, severity) = channels(shot);
    Picture { at, class: shot.class.word(), maps: film.maps.0.map(|cells| format!("{cells:016x}")), present, severity }
}
