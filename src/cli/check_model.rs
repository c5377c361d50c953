//! `curbside check-model DIR`: whether a model directory can be served, and if not, why not.

use std::{fs::Permissions, io::Write, os::unix::fs::PermissionsExt, path::Path, process::ExitCode, time::Instant};

use crate::{
    engine::{
        Config, Engine, Health, KNOWN, Known,
        stage::{self, Staged},
    },
    error::Result,
};

/// How far the check goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// The files only.
    Files,
    /// The model is loaded and asked its canary's questions.
    Load,
    /// Its answers are recorded beside it, whatever was recorded before.
    Record,
}

/// Prints the findings. Success means servable.
pub fn run(dir: &Path, depth: Depth) -> Result<ExitCode> {
    if depth == Depth::Record && !cfg!(feature = "mistralrs") {
        super::say("Nothing was recorded: this build has no model runtime; build with the feature `mistralrs`.\n");
        return Ok(ExitCode::FAILURE);
    }
    let staged = match stage::stage(dir, None) {
        Ok(staged) => staged,
        Err(problems) => {
            super::say(&format!("{} cannot be served:\n", dir.display()));
            for problem in problems {
                super::say(&format!("- {problem}\n"));
            }
            return Ok(ExitCode::FAILURE);
        }
    };
    if depth != Depth::Files && cfg!(feature = "mistralrs") {
        let began = Instant::now();
        let checked =
            load(dir, depth).and_then(|known| if depth == Depth::Record { record(dir, known) } else { Ok(()) });
        if let Err(reason) = checked {
            super::say(&format!("{} cannot be served:\n- {reason}\n", dir.display()));
            return Ok(ExitCode::FAILURE);
        }
        super::say(&format!(
            "{} can be served: loaded and asked in {:.1} s.\n",
            dir.display(),
            began.elapsed().as_secs_f64()
        ));
        if depth == Depth::Record {
            super::say(&format!(
                "What it answers to the known questions is recorded in {}.\n",
                dir.join(KNOWN).display()
            ));
        }
    } else {
        super::say(&format!("{} can be served, as far as its files tell: it was not loaded.\n", dir.display()));
    }
    super::say(&describe(&staged));
    Ok(ExitCode::SUCCESS)
}

fn load(dir: &Path, depth: Depth) -> std::result::Result<Known, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(|e| format!("The threads to load it with could not be started: {e}."))?;
    let engine =
        Engine::load(Config { model: Some(dir.to_path_buf()), record: depth == Depth::Record, ..Config::default() });
    let ready = runtime.block_on(engine.wait_ready());
    match (ready.ok().and_then(|()| engine.known()), engine.health()) {
        (Some(known), _) => Ok(known),
        (None, Health::Dead { reason }) => Err(reason),
        (None, _) => Err("The model did not become ready.".into()),
    }
}

/// Keeps what is recorded of other weights and devices.
fn record(dir: &Path, known: Known) -> std::result::Result<(), String> {
    let mut all = stage::read_known(dir)?;
    all.retain(|other| !other.is_of(&known));
    all.push(known);
    let text = serde_json::to_string_pretty(&all).map_err(|e| format!("{KNOWN} cannot be written: {e}."))?;
    write(dir, &(text + "\n")).map_err(|e| format!("{KNOWN} cannot be written: {}.", e.kind()))
}

/// The whole file or, if that fails, the one that was there before.
fn write(dir: &Path, text: &str) -> std::io::Result<()> {
    // As any new file, less what the umask takes: whoever serves the model may be another user.
    let mut file = tempfile::Builder::new().permissions(Permissions::from_mode(0o666)).tempfile_in(dir)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(dir.join(KNOWN))?;
    Ok(())
}

fn describe(staged: &Staged) -> String {
    let info = &staged.info;
    let scope = match &info.scope {
        None => "general model, no scope stated: nothing keeps it from films it was never made for".to_string(),
        Some(scope) => format!(
            "contract {}; tasks {}; modalities {}; body parts {}; views {}; languages {}; sources {}",
            scope.contract,
            scope.tasks.join(", "),
            scope.modalities.join(", "),
            scope.body_parts.join(", "),
            scope.views.join(", "),
            scope.languages.join(", "),
            scope.sources.join(", "),
        ),
    };
    let lines = [
        ("architecture", staged.architecture.clone()),
        ("parameters", format!("{:.1} million, stored as {}", staged.parameters as f64 / 1e6, staged.stored_dtype)),
        ("computed in", info.dtype.clone()),
        ("context", format!("{} tokens", info.context)),
        (
            "pictures",
            format!(
                "{0} x {0} pixels, {1} tokens each, at most {2}",
                info.image_size, info.tokens_per_image, info.max_images
            ),
        ),
        ("scope", scope),
        ("weights", format!("sha256 {}", info.weights_sha256)),
        ("revision", info.revision.clone()),
        ("memory", format!("about {} MiB", staged.memory.div_ceil(1 << 20))),
    ];
    lines.into_iter().map(|(name, value)| format!("  {name:<13} {value}\n")).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_record_is_replaced_as_a_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "old").unwrap();
        write(dir.path(), "new").unwrap();
        assert_eq!(fs::read_to_string(dir.path().join(KNOWN)).unwrap(), "new");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left");
        // What is in its place cannot be replaced.
        let taken = tempfile::tempdir().unwrap();
        fs::create_dir(taken.path().join(KNOWN)).unwrap();
        assert!(write(taken.path(), "new").is_err());
        assert_eq!(fs::read_dir(taken.path()).unwrap().count(), 1, "nothing else is left");
    }

    #[cfg(not(feature = "mistralrs"))]
    #[test]
    fn a_build_without_the_runtime_records_nothing_and_says_so() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(run(dir.path(), Depth::Record).unwrap(), ExitCode::FAILURE);
    }
}
