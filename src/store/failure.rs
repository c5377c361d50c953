//! What a failing database means for whoever asked, and for the operator at start. <https://www.sqlite.org/rescode.html>

use std::{path::Path, time::Duration};

use sqlx::migrate::MigrateError;

use crate::error::{Error, SOON};

const LATER: Duration = Duration::from_secs(30);

/// The causes we tell apart; SQLite's extended codes carry the plain one in their low byte.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Cause {
    InUse,
    CannotWrite,
    NotAFile,
    AnotherProgram,
    Full,
    Damaged,
    Newer,
    Altered,
    Other,
}

impl Cause {
    /// One clause for whoever watches the running server.
    pub fn clause(self) -> &'static str {
        match self {
            Cause::InUse => "the database is locked, by another process or by writes that wait for each other",
            Cause::CannotWrite | Cause::NotAFile => "the database cannot be written",
            Cause::Full => "the database cannot be written because the disk is full",
            Cause::Damaged => "the database is damaged",
            Cause::AnotherProgram | Cause::Newer | Cause::Altered | Cause::Other => "the database does not work",
        }
    }
}

/// The error of a query. It names no table content: SQLite's own text stays out, its source is an error of ours.
pub(super) fn query(error: sqlx::Error) -> Error {
    match cause(&error) {
        Cause::InUse => Error::busy("the store is busy", SOON),
        Cause::CannotWrite | Cause::NotAFile | Cause::Full => Error::busy("the store cannot write", LATER),
        // Nothing wrong with the request, and nothing that asking otherwise would mend.
        Cause::Damaged => Error::busy("the store is damaged", LATER),
        Cause::AnotherProgram | Cause::Newer | Cause::Altered | Cause::Other => {
            Error::fault("a query of the store failed")
        }
    }
    .because(Error::fault(code(&error)))
}

/// One sentence for the operator who named this file.
pub(super) fn open(path: &Path, error: MigrateError) -> Error {
    let (cause, code) = match &error {
        MigrateError::VersionMissing(version) => (Cause::Newer, format!("schema {version}")),
        MigrateError::VersionMismatch(version) => (Cause::Altered, format!("schema {version}")),
        // What a migration makes is there already, or what it changes is not.
        MigrateError::ExecuteMigration(error, _) if cause(error) == Cause::Other => (Cause::Altered, code(error)),
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => (cause(error), code(error)),
        _ => (Cause::Other, error.to_string()),
    };
    Error::fault(sentence(path, cause)).because(code)
}

/// One sentence for a file that the operating system refuses.
pub(super) fn file(path: &Path, error: std::io::Error) -> Error {
    let cause = match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Cause::Full,
        std::io::ErrorKind::IsADirectory => Cause::NotAFile,
        _ => Cause::CannotWrite,
    };
    Error::fault(sentence(path, cause)).because(error)
}

/// One sentence for a file that belongs to somebody else, or is damaged.
pub(super) fn refused(path: &Path, cause: Cause) -> Error {
    Error::fault(sentence(path, cause))
}

/// One sentence for a file that `difference` is to be said of.
pub(super) fn another_schema(path: &Path, difference: &str) -> Error {
    Error::fault(format!(
        "The database {} {difference}: restore it from a backup or name another file.",
        path.display()
    ))
}

/// In one clause for whoever watches the running server.
pub(super) const LOST: &str =
    "the files of the database were removed or replaced while they were open; restart the server";

/// What would be written now could not be found at the next start.
pub(super) fn lost() -> Error {
    Error::busy("the store's files were removed or replaced, so nothing is kept until the server is restarted", LATER)
}

/// What was stored under its hash, and is not what has that hash.
pub(super) fn changed() -> Error {
    Error::busy("The picture in the store is not the one that was stored, so it is not shown.", LATER)
}

fn sentence(path: &Path, cause: Cause) -> String {
    let rest = match cause {
        Cause::InUse => {
            "is locked by another process, or this machine is too busy to open it in time: stop that process and try again, or name another file"
        }
        Cause::CannotWrite => {
            "cannot be created or written: give the server write access to the file and its folder, or name another file"
        }
        Cause::NotAFile => "is a folder, a pipe or a device: name another file, to which the server has write access",
        Cause::AnotherProgram => "holds the data of another program and was left as it is: name another file",
        Cause::Full => "cannot be written because the disk is full: free some space or name a file on another disk",
        Cause::Damaged => "is damaged or not an SQLite database: restore it from a backup or name another file",
        Cause::Newer => "was written by a newer version of curbside: run that version or name another file",
        Cause::Altered => {
            "has a schema that this version of curbside did not make: restore it from a backup or name another file"
        }
        Cause::Other => {
            "cannot be opened: check that it is a database of curbside on a local disk, or name another file"
        }
    };
    format!("The database {} {rest}.", path.display())
}

pub(super) fn cause(error: &sqlx::Error) -> Cause {
    match error {
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => Cause::InUse,
        sqlx::Error::Io(_) => Cause::CannotWrite,
        // A value of another type than was written, or text that is none.
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => Cause::Damaged,
        sqlx::Error::Database(error) => error.code().and_then(|code| code.parse().ok()).map_or(Cause::Other, of_code),
        _ => Cause::Other,
    }
}

fn of_code(code: u32) -> Cause {
    match code & 0xff {
        5 | 6 => Cause::InUse,                 // BUSY, LOCKED
        3 | 8 | 10 | 14 => Cause::CannotWrite, // PERM, READONLY, IOERR, CANTOPEN
        13 => Cause::Full,
        11 | 26 => Cause::Damaged, // CORRUPT, NOTADB
        _ => Cause::Other,
    }
}

fn code(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => format!("SQLite result code {}", error.code().unwrap_or_default()),
        sqlx::Error::PoolTimedOut => "no connection became free".into(),
        sqlx::Error::PoolClosed => "the store is closed".into(),
        _ => "not an error of SQLite itself".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_a_sentence_that_says_what_to_do() {
        for (code, cause, words) in [
            (5, Cause::InUse, "stop that process"),
            (261, Cause::InUse, "stop that process"),
            (8, Cause::CannotWrite, "write access"),
            (1032, Cause::CannotWrite, "write access"),
            (266, Cause::CannotWrite, "write access"),
            (13, Cause::Full, "free some space"),
            (11, Cause::Damaged, "restore it"),
            (26, Cause::Damaged, "restore it"),
            (1, Cause::Other, "name another file"),
        ] {
            assert_eq!(of_code(code), cause, "{code}");
            let sentence = sentence(Path::new("curbside.db"), of_code(code));
            assert!(sentence.contains(words) && sentence.starts_with("The database curbside.db "), "{sentence}");
        }
    }
}
