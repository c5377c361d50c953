//! Resources we author, what stands behind them, answers already given, and the audit trail, in one SQLite database.
//!
//! One connection writes, others read. What belongs together is written in one transaction and is on disk before
//! anything is answered. <https://www.sqlite.org/wal.html>

mod failure;
mod files;
mod health;
mod inspect;
mod kept;
mod owner;
mod period;
mod resource;
pub mod search;
mod sql;
#[cfg(test)]
mod tests;
mod transaction;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use chrono::{SubsecRound as _, Utc};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use sqlx::{
    ConnectOptions as _, SqlSafeStr as _, SqlitePool,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::{
    caller::Caller,
    error::{Error, Result},
    file::{self, Unreadable},
};
pub use kept::{Action, Commit, Draft, Event, Found, Key, Page, Patient, Picture, Recent, Stored};
use owner::Owner;
use resource::Row;
use search::{Position, Search};
use transaction::Transaction;

/// Version, name and text of every migration, oldest first. A text that was released is never edited.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "first", include_str!("migrations/sqlite/0001_first.sql")),
    (NEWEST, "probe", include_str!("migrations/sqlite/0002_probe.sql")),
];
const NEWEST: i64 = 2;

/// Bytes: a database has at least one page. <https://www.sqlite.org/fileformat2.html#pages>
const SMALLEST_PAGE: u64 = 512;
const READERS: u32 = 4;
/// How long a caller waits for a connection, and a connection for another process's lock.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a start may read the database to find out whether it is whole.
const INSPECTION: Duration = Duration::from_secs(5);
const ANSWERS_KEPT: chrono::Duration = chrono::Duration::days(1);
/// When to try again after the audit trail could not be written, where SQLite does not say.
const AUDIT_RETRY: Duration = Duration::from_secs(30);
/// Old answers removed by one commit, which adds one: the backlog shrinks and no commit is slow.
const ANSWERS_FORGOTTEN: u32 = 100;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The database file; its folder is created where it is missing.
    pub path: PathBuf,
}

impl Default for Config {
    fn default() -> Self {
        Config { path: "curbside.db".into() }
    }
}

impl Config {
    pub fn check(&self) -> Result<()> {
        match self.path.to_str() {
            Some(path) if self.path.file_name().is_some() && !path.starts_with("file:") && !path.starts_with(':') => {
                Ok(())
            }
            _ => {
                Err(Error::invalid("store.path must name a file on this machine, such as curbside.db.")
                    .at("store.path"))
            }
        }
    }
}

#[derive(Clone, Debug)]
pub struct Store {
    writer: SqlitePool,
    readers: SqlitePool,
    seen: Arc<health::Seen>,
    files: files::Files,
}

impl Store {
    /// Opens or creates the database and brings its schema up to date. An error is one sentence that says what to do.
    pub async fn open(config: &Config) -> Result<Store> {
        config.check()?;
        let path = &config.path;
        create(path).map_err(|e| failure::file(path, e))?;
        Store::connect(path).await.map_err(|failed| match failed {
            Unopened::Failed(error) => failure::open(path, error),
            Unopened::Refused(cause) => failure::refused(path, cause),
            Unopened::AnotherSchema(difference) => failure::another_schema(path, &difference),
        })
    }

    async fn connect(path: &Path) -> std::result::Result<Store, Unopened> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .foreign_keys(true)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(PATIENCE)
            .disable_statement_logging();
        let pool = |connections| {
            // Connections are kept: opening one costs more than most queries.
            SqlitePoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(PATIENCE)
                .idle_timeout(None)
                .max_lifetime(None)
        };
        // INVARIANT: a_file_too_short_for_a_database_is_left_as_it_is
        // SQLite takes one of less than its smallest page for an empty database and writes over it.
        let length = fs::metadata(path).map(|file| file.len()).unwrap_or_default();
        if (1..SMALLEST_PAGE).contains(&length) {
            return Err(Unopened::Refused(failure::Cause::Damaged));
        }
        match owner::of(&options, NEWEST).await? {
            Owner::Nobody | Owner::Us => {}
            Owner::Later => return Err(Unopened::Refused(failure::Cause::Newer)),
            Owner::AnotherProgram => return Err(Unopened::Refused(failure::Cause::AnotherProgram)),
        }
        if !inspect::is_whole(&options, INSPECTION).await? {
            return Err(Unopened::Refused(failure::Cause::Damaged));
        }
        let writer = pool(1).connect_with(options.clone().journal_mode(SqliteJournalMode::Wal)).await?;
        let migrator = migrator();
        migrator.run(&writer).await?;
        if let Some(difference) = inspect::difference(&mut *writer.acquire().await?, &migrator).await? {
            return Err(Unopened::AnotherSchema(difference));
        }
        owner::sign(&writer, NEWEST).await?;
        let readers = pool(READERS).connect_with(options.read_only(true)).await?;
        // One that has read keeps the log where it is, also when the writer's connection is given up for another.
        sqlx::query("SELECT 1 FROM sqlite_schema").execute(&readers).await?;
        let files = files::Files::opened(path).map_err(sqlx::Error::Io)?;
        Ok(Store { writer, readers, seen: Arc::default(), files })
    }

    /// The answer given to the same call before, within about a day.
    pub async fn answered(&self, caller: &Caller, key: &Key) -> Result<Option<String>> {
        let mut db = self.reader().await?;
        sql::answer(&mut db, caller, key).await.map_err(|e| self.failed(e))
    }

    /// Writes all of it or nothing, and returns the answer to give when it is on disk.
    ///
    /// Under a key that is taken only the event is written, and the answer is the first one's.
    pub async fn commit(&self, caller: &Caller, commit: Commit) -> Result<String> {
        let Commit { key, answer, report, event } = commit;
        // Milliseconds are what `meta.lastUpdated` shows and the row holds.
        let now = Utc::now().trunc_subsecs(3);
        let report = report.map(|mut draft| resource::rows(&mut draft, now).map(|rows| (draft, rows))).transpose()?;
        let at = now.timestamp_millis();
        self.write(async |db| {
            sql::insert_event(db, caller, &event, at).await?;
            if let Some(key) = &key {
                // INVARIANT: the_same_key_keeps_the_first_answer
                if let Some(first) = sql::answer(db, caller, key).await? {
                    return Ok(first);
                }
                sql::forget_answers(db, caller, (now - ANSWERS_KEPT).timestamp_millis(), ANSWERS_FORGOTTEN).await?;
                sql::insert_answer(db, caller, key, &answer, at).await?;
            }
            if let Some((draft, rows)) = report {
                insert(db, caller, draft, &rows, at).await?;
            }
            Ok(answer)
        })
        .await
    }

    /// The current version of a resource; `NotFound` also where it is another tenant's.
    pub async fn read(&self, caller: &Caller, resource_type: &str, id: &str) -> Result<Stored> {
        let mut db = self.reader().await?;
        self.found(sql::read(&mut db, caller, resource_type, id).await, "There is no such resource.")
    }

    /// One page and the total, both of the same moment.
    pub async fn search(&self, caller: &Caller, search: &Search) -> Result<Found> {
        self.there()?;
        let page = async {
            let mut db = self.readers.begin().await?;
            let total = sql::count(&mut db, caller, search).await?;
            let mut resources = match search.count {
                0 => Vec::new(),
                count => sql::matches(&mut db, caller, search, count.saturating_add(1)).await?,
            };
            let more = resources.len() > search.count as usize;
            resources.truncate(search.count as usize);
            let last = resources.last().filter(|_| more);
            let next =
                last.map(|last| Position { last_updated: last.last_updated.timestamp_millis(), id: last.id.clone() });
            Ok(Found { resources, total, next })
        };
        page.await.map_err(|e| self.failed(e))
    }

    /// `NotFound` also where it is another tenant's, `Busy` where it is no longer the one whose SHA-256 that is.
    pub async fn picture(&self, caller: &Caller, sha256: &str) -> Result<Picture> {
        let mut db = self.reader().await?;
        let png = self.found(sql::picture(&mut db, caller, sha256).await, "There is no such picture.")?;
        // INVARIANT: a_picture_that_was_changed_is_not_shown
        if format!("{:x}", Sha256::digest(&png)) != sha256 {
            return Err(failure::changed());
        }
        let shown_of = sql::patients_shown(&mut db, caller, sha256).await.map_err(|e| self.failed(e))?;
        let patient = <[Patient; 1]>::try_from(shown_of).ok().map(|[patient]| patient);
        Ok(Picture { patient, png })
    }

    pub async fn page(&self, caller: &Caller, report_id: &str) -> Result<Page> {
        let mut db = self.reader().await?;
        self.found(sql::page(&mut db, caller, report_id).await, "There is no such report.")
    }

    /// The newest reports of the caller's tenant, at most `count`.
    pub async fn recent(&self, caller: &Caller, count: u32) -> Result<Vec<Recent>> {
        let mut db = self.reader().await?;
        sql::recent(&mut db, caller, count).await.map_err(|e| self.failed(e))
    }

    /// Appends to the audit trail; where that fails it is `Busy`, and what the event is about must not be answered.
    // INVARIANT: no_audit_no_answer
    pub async fn audit(&self, caller: &Caller, event: Event) -> Result<()> {
        let now = Utc::now().timestamp_millis();
        let written = self.write(async |db| Ok(sql::insert_event(db, caller, &event, now).await?)).await;
        written.map_err(|e| {
            let retry_after = e.retry_after.unwrap_or(AUDIT_RETRY);
            Error::busy("The audit trail cannot be written, so nothing is answered.", retry_after).because(e)
        })
    }

    /// Whether a write reaches the disk just now and nothing was found damaged; the error is one clause that says why not.
    pub async fn check(&self) -> std::result::Result<(), &'static str> {
        if !self.files.are_there() {
            return Err(failure::LOST);
        }
        self.seen.check(&self.writer).await
    }

    /// Moves everything into the database file and closes it. Requests still running fail as `Busy`.
    pub async fn close(&self) {
        self.readers.close().await;
        // Failing here loses nothing: the log beside the file is read at the next start.
        let _ = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&self.writer).await;
        self.writer.close().await;
    }

    async fn reader(&self) -> Result<sqlx::pool::PoolConnection<sqlx::Sqlite>> {
        self.there()?;
        self.readers.acquire().await.map_err(|e| self.failed(e))
    }

    fn there(&self) -> Result<()> {
        if self.files.are_there() { Ok(()) } else { Err(failure::lost()) }
    }

    /// The error to answer with, remembered for [`Store::check`].
    fn failed(&self, error: sqlx::Error) -> Error {
        self.seen.failure(&error);
        failure::query(error)
    }

    fn found<T>(&self, row: sqlx::Result<Option<T>>, otherwise: &str) -> Result<T> {
        row.map_err(|e| self.failed(e))?.ok_or_else(|| Error::not_found(otherwise))
    }

    /// Runs `work` in a transaction that no other write can come between.
    async fn write<T>(
        &self,
        work: impl AsyncFnOnce(&mut sqlx::SqliteConnection) -> std::result::Result<T, Failed>,
    ) -> Result<T> {
        let written = async {
            let mut transaction = Transaction::begin(&self.writer).await?;
            match work(transaction.connection()).await {
                Ok(result) => {
                    transaction.commit().await?;
                    Ok(result)
                }
                Err(failed) => {
                    transaction.rollback().await;
                    Err(failed)
                }
            }
        };
        let written = written.await.map_err(|failed| match failed {
            Failed::Query(error) => self.failed(error),
            Failed::Refused(error) => error,
        });
        // INVARIANT: files_removed_or_replaced_under_the_server_are_told_and_nothing_more_is_acknowledged
        // Asked last: only what can be found again by its name is acknowledged.
        written.and_then(|result| self.there().map(|()| result))
    }
}

/// Why a file was not opened.
enum Unopened {
    Failed(MigrateError),
    /// It is not ours to write to, or not fit to be written to.
    Refused(failure::Cause),
    /// In one clause.
    AnotherSchema(String),
}

impl From<MigrateError> for Unopened {
    fn from(error: MigrateError) -> Self {
        Unopened::Failed(error)
    }
}

impl From<sqlx::Error> for Unopened {
    fn from(error: sqlx::Error) -> Self {
        Unopened::Failed(error.into())
    }
}

/// Why a transaction was rolled back.
enum Failed {
    Query(sqlx::Error),
    Refused(Error),
}

impl From<sqlx::Error> for Failed {
    fn from(error: sqlx::Error) -> Self {
        Failed::Query(error)
    }
}

async fn insert(
    db: &mut sqlx::SqliteConnection,
    caller: &Caller,
    draft: Draft,
    rows: &[Row],
    now: i64,
) -> std::result::Result<(), Failed> {
    for row in rows {
        let inserted = sql::insert_resource(db, caller, row, now).await?;
        // Every report names the model that wrote it, by the same id: that one Device is there already.
        if !inserted && row.resource_type != "Device" {
            return Err(Failed::Refused(Error::fault("a new resource has an id that is taken")));
        }
    }
    for (sha256, png) in draft.pictures {
        sql::insert_picture(db, caller, (&draft.source_base, &draft.report_id), &sha256, png).await?;
    }
    sql::insert_page(db, caller, &draft.report_id, (&draft.source_base, &draft.patient), draft.page.to_string())
        .await?;
    Ok(())
}

fn migrator() -> Migrator {
    let migration = |&(version, name, text): &(i64, &'static str, &'static str)| {
        Migration::new(version, name.into(), MigrationType::Simple, text.into_sql_str(), false)
    };
    Migrator::with_migrations(MIGRATIONS.iter().map(migration).collect())
}

/// Creates the file and its folder, readable by nobody else; SQLite gives its log the rights of the file.
fn create(path: &Path) -> std::io::Result<()> {
    // Opening a pipe would wait for its other end.
    if file::check(path) == Err(Unreadable::NotRegular) {
        return Err(std::io::ErrorKind::IsADirectory.into());
    }
    let (mut folder, mut file) = (fs::DirBuilder::new(), fs::OpenOptions::new());
    #[cfg(unix)]
    {
        use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
        folder.mode(0o700);
        file.mode(0o600);
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        folder.recursive(true).create(parent)?;
    }
    file.write(true).create(true).truncate(false).open(path).map(drop)
}
