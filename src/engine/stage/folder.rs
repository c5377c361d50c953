//! The private directory itself: locked while its process lives, and swept away by the next one if it was killed.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use tempfile::TempDir;

use crate::file::{self, Unreadable};

const PREFIX: &str = "curbside-model-";
const LOCK: &str = ".lock";
/// A directory younger than this may be about to be locked.
const SETTLED: Duration = Duration::from_secs(60);
/// One without a lock for so long belongs to nobody: a process locks its own as soon as it has made it.
const ABANDONED: Duration = Duration::from_secs(3600);

/// Removed when it is dropped.
pub struct Folder {
    dir: TempDir,
    /// The system lets go of it when the process ends, however it ends.
    _lock: File,
}

impl Folder {
    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// Writes `files`, and links to the weights under their names.
pub fn write(files: &[(&str, Vec<u8>)], weights: &[(String, PathBuf)]) -> io::Result<Folder> {
    let dir = tempfile::Builder::new().prefix(PREFIX).tempdir()?;
    let lock = File::create(dir.path().join(LOCK))?;
    lock.lock()?;
    sweep(&std::env::temp_dir(), fs::metadata(dir.path())?.uid());
    for (name, bytes) in files {
        fs::write(dir.path().join(name), bytes)?;
    }
    for (name, path) in weights {
        std::os::unix::fs::symlink(path, dir.path().join(name))?;
    }
    Ok(Folder { dir, _lock: lock })
}

// INVARIANT: only_folders_nobody_holds_are_swept_away
/// Removes what killed processes of this user left. Whatever cannot be judged or removed stays.
fn sweep(temporary: &Path, user: u32) {
    for entry in fs::read_dir(temporary).into_iter().flatten().flatten() {
        let ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        // The entry itself: a link is not followed.
        let ours = ours && entry.metadata().is_ok_and(|folder| folder.is_dir() && folder.uid() == user);
        if ours && is_left(&entry.path()) {
            let removed = fs::remove_dir_all(entry.path());
            tracing::info!(removed = removed.is_ok(), "a model's private directory was left by a process that is gone");
        }
    }
}

fn is_left(folder: &Path) -> bool {
    let lock = folder.join(LOCK);
    match file::check(&lock) {
        Ok(()) => File::open(lock).is_ok_and(|lock| is_older(lock.metadata(), SETTLED) && lock.try_lock().is_ok()),
        Err(Unreadable::Missing) => is_older(fs::symlink_metadata(folder), ABANDONED),
        Err(_) => false,
    }
}

/// Since it was last changed.
fn is_older(found: io::Result<fs::Metadata>, age: Duration) -> bool {
    let elapsed = found.and_then(|found| found.modified()?.elapsed().map_err(io::Error::other));
    elapsed.is_ok_and(|elapsed| elapsed > age)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    /// INVARIANT: only_folders_nobody_holds_are_swept_away
    #[test]
    fn only_folders_nobody_holds_are_swept_away() {
        let temporary = tempfile::tempdir().unwrap();
        let old = SystemTime::now() - 2 * SETTLED;
        let folder = |name: &str| {
            let path = temporary.path().join(name);
            fs::create_dir(&path).unwrap();
            let lock = File::create(path.join(LOCK)).unwrap();
            lock.set_modified(old).unwrap();
            lock
        };
        let held = folder("curbside-model-held");
        held.lock().unwrap();
        drop(folder("curbside-model-left"));
        folder("curbside-model-young").set_modified(SystemTime::now()).unwrap();
        drop(folder("somebody-else"));
        for (name, modified) in [("unlocked", SystemTime::now()), ("abandoned", SystemTime::now() - 2 * ABANDONED)] {
            let path = temporary.path().join(format!("curbside-model-{name}"));
            fs::create_dir(&path).unwrap();
            fs::write(path.join("config.json"), "{}").unwrap();
            File::open(path).unwrap().set_modified(modified).unwrap();
        }
        std::os::unix::fs::symlink(
            temporary.path().join("somebody-else"),
            temporary.path().join("curbside-model-link"),
        )
        .unwrap();
        let pipe = temporary.path().join("curbside-model-pipe");
        fs::create_dir(&pipe).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(pipe.join(LOCK)).status().unwrap().success());
        let user = fs::metadata(temporary.path()).unwrap().uid();
        sweep(temporary.path(), user + 1);
        assert!(temporary.path().join("curbside-model-left").exists(), "it is another user's");
        sweep(temporary.path(), user);
        let mut stayed: Vec<String> =
            fs::read_dir(temporary.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        stayed.sort();
        let expected = ["held", "link", "pipe", "unlocked", "young"].map(|name| format!("curbside-model-{name}"));
        assert_eq!(stayed, [&expected[..], &["somebody-else".to_string()]].concat());
    }

    #[test]
    fn a_folder_is_held_and_goes_with_its_value() {
        let folder = write(&[("config.json", b"{}".to_vec())], &[]).unwrap();
        let path = folder.path().to_owned();
        assert!(path.join("config.json").is_file() && File::open(path.join(LOCK)).unwrap().try_lock().is_err());
        drop(folder);
        assert!(!path.exists());
    }
}
