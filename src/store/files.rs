//! Whether the files that are open still have their names: what is written to one that was removed or replaced goes on
//! working, and is lost when the server ends. <https://www.sqlite.org/howtocorrupt.html#_unlinking_or_renaming_a_database_file_while_in_use>

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// The database and its log as they were when they were opened.
#[derive(Clone, Debug)]
pub(super) struct Files {
    opened: Arc<[(PathBuf, Identity)]>,
    /// Once lost, they stay so until the server is started again: what was written since may be anywhere.
    lost: Arc<AtomicBool>,
}

/// Device and inode.
type Identity = (u64, u64);

impl Files {
    /// Remembers the file at `path`, and the log that SQLite keeps beside it under its resolved name, if there is one.
    pub fn opened(path: &Path) -> io::Result<Files> {
        let mut log = fs::canonicalize(path)?.into_os_string();
        log.push("-wal");
        let log = PathBuf::from(log);
        let database = (path.to_owned(), identity(path)?);
        let opened = [Some(database), identity(&log).ok().map(|found| (log, found))].into_iter().flatten().collect();
        Ok(Files { opened, lost: Arc::default() })
    }

    /// Only looks at names: to open and close one of the files would give up every lock this process has on it.
    ///
    /// A disk that cannot be asked for a moment has not lost them; what cannot be seen is not there until it can.
    pub fn are_there(&self) -> bool {
        let there = |(path, opened): &(PathBuf, Identity)| {
            let found = identity(path);
            let gone = match &found {
                Ok(found) => found != opened,
                Err(error) => error.kind() == io::ErrorKind::NotFound,
            };
            self.lost.fetch_or(gone, Ordering::Relaxed);
            found.is_ok() && !gone
        };
        self.opened.iter().all(there) && !self.lost.load(Ordering::Relaxed)
    }
}

fn identity(path: &Path) -> io::Result<Identity> {
    fs::metadata(path).map(|file| (file.dev(), file.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_for_a_moment_is_not_lost_and_what_was_replaced_is() {
        let folder = tempfile::tempdir().unwrap();
        let (path, aside) = (folder.path().join("data/x.db"), folder.path().join("aside"));
        fs::create_dir(folder.path().join("data")).unwrap();
        fs::write(&path, "a").unwrap();
        let files = Files::opened(&path).unwrap();
        assert!(files.are_there());

        // A file where a folder was: the name cannot be looked for, which is another error than its absence.
        fs::rename(folder.path().join("data"), &aside).unwrap();
        fs::write(folder.path().join("data"), "").unwrap();
        assert!(!files.are_there());
        fs::remove_file(folder.path().join("data")).unwrap();
        fs::rename(&aside, folder.path().join("data")).unwrap();
        assert!(files.are_there());

        fs::rename(&path, &aside).unwrap();
        fs::write(&path, "a").unwrap();
        assert!(!files.are_there());
        fs::rename(&aside, &path).unwrap();
        assert!(!files.are_there(), "what was written meanwhile may be anywhere");
    }
}
