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
    pub fn are_there(&self) -> bool {
        let same = |(path, opened): &(PathBuf, Identity)| identity(path).is_ok_and(|found| found == *opened);
        if !self.opened.iter().all(same) {
            self.lost.store(true, Ordering::Relaxed);
        }
        !self.lost.load(Ordering::Relaxed)
    }
}

fn identity(path: &Path) -> io::Result<Identity> {
    fs::metadata(path).map(|file| (file.dev(), file.ino()))
}
