//! Resources we author, what stands behind them, answers already given, and the audit trail, in one SQLite database.
//!
//! One connection writes, others read. What belongs together is written in one transaction and is on disk before
//! anything is answered. <https://www.sqlite.org/wal.html>

mod failure;
mod period;
mod resource;
pub mod search;
mod sql;
#[cfg(test)]
mod tests;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, SubsecRound as _, Utc};
use serde::Deserialize;
use serde_json::Value;
use sqlx::{
    ConnectOptions as _, SqlSafeStr as _, SqlitePool,
    migrate::{Migration, MigrationType, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use uuid::Uuid;

use crate::{
    caller::Caller,
    error::{Error, Result},
};
use resource::Row;
use search::{Position, Search};

/// Version, name and text of every migration, oldest first. A text that was released is never edited.
const MIGRATIONS: &[(i64, &str, &str)] = &[(1, "first", include_str!("migrations/sqlite/0001_first.sql"))];

const READERS: u32 = 4;
/// How long a caller waits for a connection, and a connection for another process's lock.
const PATIENCE: Duration = Duration::from_secs(5);
const PROBE_PATIENCE: Duration = Duration::from_secs(1);
const ANSWERS_KEPT: chrono::Duration = chrono::Duration::days(1);
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

/// Names a hook call, together with the caller's tenant and client: the same call repeated gives the same answer.
#[derive(Clone, Debug)]
pub struct Key {
    pub service: String,
    pub hook_instance: String,
    /// SHA-256 of the body without `fhirAuthorization`, because a retry carries a fresh token.
    pub body_sha256: String,
}

impl Key {
    pub fn new(service: &str, hook_instance: Uuid, body_sha256: &str) -> Key {
        let (service, body_sha256) = (service.to_owned(), body_sha256.to_owned());
        Key { service, hook_instance: hook_instance.to_string(), body_sha256 }
    }
}

/// Everything one hook call leaves behind.
#[derive(Clone, Debug)]
pub struct Commit {
    pub key: Option<Key>,
    pub answer: String,
    pub report: Option<Draft>,
    pub event: Event,
}

/// A draft report with what stands behind it. All of it is about one patient.
#[derive(Clone, Debug)]
pub struct Draft {
    pub report_id: String,
    /// FHIR base of the EHR the patient belongs to.
    pub source_base: String,
    /// Absolute reference.
    pub patient: String,
    /// New resources with `resourceType` and `id`; `meta.versionId` and `meta.lastUpdated` are ours to write.
    pub resources: Vec<Value>,
    pub page: Value,
    /// SHA-256 in hexadecimal, and PNG.
    pub pictures: Vec<(String, Arc<Vec<u8>>)>,
}

/// An entry of the audit trail: who (the caller) did what to whose data. It has no query and no free text.
#[derive(Clone, Debug)]
pub struct Event {
    pub action: Action,
    /// A service id, `Type/id` or `Type`.
    pub target: String,
    pub source_base: Option<String>,
    /// Absolute reference.
    pub patient: Option<String>,
    /// The HTTP status answered.
    pub outcome: u16,
    pub request_id: String,
}

impl Event {
    /// A hook that is answered with data of `patient`, an absolute reference under `source_base`.
    pub fn hook(service: &str, source_base: &str, patient: &str, request_id: &str) -> Event {
        Event {
            action: Action::Hook,
            target: service.to_owned(),
            source_base: Some(source_base.to_owned()),
            patient: Some(patient.to_owned()),
            outcome: 200,
            request_id: request_id.to_owned(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Hook,
    Read,
    Search,
    Refused,
}

impl Action {
    fn word(self) -> &'static str {
        match self {
            Action::Hook => "hook",
            Action::Read => "read",
            Action::Search => "search",
            Action::Refused => "refused",
        }
    }
}

/// A resource as it stands.
#[derive(Clone, Debug)]
pub struct Stored {
    pub id: String,
    /// The resource's JSON, final: it carries its version and time.
    pub resource: String,
    pub version: i64,
    pub last_updated: DateTime<Utc>,
    /// The EHR and its patient, absolute; a Device has neither.
    pub source_base: Option<String>,
    pub patient: Option<String>,
}

/// One page of a search, newest first.
#[derive(Clone, Debug)]
pub struct Found {
    pub resources: Vec<Stored>,
    /// How many match in all.
    pub total: i64,
    /// Where the next page begins, if there is one.
    pub next: Option<Position>,
}

#[derive(Clone, Debug)]
pub struct Store {
    writer: SqlitePool,
    readers: SqlitePool,
}

impl Store {
    /// Opens or creates the database and brings its schema up to date. An error is one sentence that says what to do.
    pub async fn open(config: &Config) -> Result<Store> {
        config.check()?;
        let path = &config.path;
        create(path).map_err(|e| failure::file(path, e))?;
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
        let opened = async {
            let writer = pool(1).connect_with(options.clone().journal_mode(SqliteJournalMode::Wal)).await?;
            migrator().run(&writer).await?;
            probe(&writer).await?;
            let readers = pool(READERS).connect_with(options.read_only(true)).await?;
            Ok(Store { writer, readers })
        };
        opened.await.map_err(|e| failure::open(path, e))
    }

    /// The answer given to the same call before, within about a day.
    pub async fn answered(&self, caller: &Caller, key: &Key) -> Result<Option<String>> {
        let mut db = self.reader().await?;
        sql::answer(&mut db, caller, key).await.map_err(failure::query)
    }

    /// Writes all of it or nothing, and returns when it is on disk.
    ///
    /// A second commit under the same key changes nothing and is no error: the first answer is the one to give.
    pub async fn commit(&self, caller: &Caller, commit: Commit) -> Result<()> {
        let Commit { key, answer, report, event } = commit;
        // Milliseconds are what `meta.lastUpdated` shows and the row holds.
        let now = Utc::now().trunc_subsecs(3);
        let report = report.map(|mut draft| resource::rows(&mut draft, now).map(|rows| (draft, rows))).transpose()?;
        self.write(async |db| {
            if let Some(key) = &key {
                if sql::answer(db, caller, key).await?.is_some() {
                    return Ok(());
                }
                sql::forget_answers(db, caller, (now - ANSWERS_KEPT).timestamp_millis(), ANSWERS_FORGOTTEN).await?;
                sql::insert_answer(db, caller, key, &answer, now.timestamp_millis()).await?;
            }
            if let Some((draft, rows)) = report {
                insert(db, caller, draft, &rows, now.timestamp_millis()).await?;
            }
            Ok(sql::insert_event(db, caller, &event, now.timestamp_millis()).await?)
        })
        .await
    }

    /// The current version of a resource; `NotFound` also where it is another tenant's.
    pub async fn read(&self, caller: &Caller, resource_type: &str, id: &str) -> Result<Stored> {
        let mut db = self.reader().await?;
        found(sql::read(&mut db, caller, resource_type, id).await, "There is no such resource.")
    }

    /// One page and the total, both of the same moment.
    pub async fn search(&self, caller: &Caller, search: &Search) -> Result<Found> {
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
        page.await.map_err(failure::query)
    }

    /// A picture as PNG.
    pub async fn picture(&self, caller: &Caller, sha256: &str) -> Result<Vec<u8>> {
        let mut db = self.reader().await?;
        found(sql::picture(&mut db, caller, sha256).await, "There is no such picture.")
    }

    /// The JSON of a report's page.
    pub async fn page(&self, caller: &Caller, report_id: &str) -> Result<String> {
        let mut db = self.reader().await?;
        found(sql::page(&mut db, caller, report_id).await, "There is no such report.")
    }

    /// Appends to the audit trail. Where this fails, what the event is about must not be answered.
    pub async fn audit(&self, caller: &Caller, event: Event) -> Result<()> {
        let now = Utc::now().timestamp_millis();
        self.write(async |db| Ok(sql::insert_event(db, caller, &event, now).await?)).await
    }

    /// Whether a write reaches the disk just now.
    pub async fn writable(&self) -> bool {
        matches!(tokio::time::timeout(PROBE_PATIENCE, probe(&self.writer)).await, Ok(Ok(())))
    }

    /// Moves everything into the database file and closes it. Requests still running fail as `Busy`.
    pub async fn close(&self) {
        self.readers.close().await;
        // Failing here loses nothing: the log beside the file is read at the next start.
        let _ = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&self.writer).await;
        self.writer.close().await;
    }

    async fn reader(&self) -> Result<sqlx::pool::PoolConnection<sqlx::Sqlite>> {
        self.readers.acquire().await.map_err(failure::query)
    }

    /// Runs `work` in a transaction that no other write can come between.
    async fn write(
        &self,
        work: impl AsyncFnOnce(&mut sqlx::SqliteConnection) -> std::result::Result<(), Failed>,
    ) -> Result<()> {
        let written = async {
            let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
            work(&mut transaction).await?;
            Ok(transaction.commit().await?)
        };
        written.await.map_err(|failed| match failed {
            Failed::Query(error) => failure::query(error),
            Failed::Refused(error) => error,
        })
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
        sql::insert_picture(db, caller, &sha256, png).await?;
    }
    sql::insert_page(db, caller, &draft.report_id, (&draft.source_base, &draft.patient), draft.page.to_string())
        .await?;
    Ok(())
}

fn found<T>(row: sqlx::Result<Option<T>>, otherwise: &str) -> Result<T> {
    row.map_err(failure::query)?.ok_or_else(|| Error::not_found(otherwise))
}

fn migrator() -> Migrator {
    let migration = |&(version, name, text): &(i64, &'static str, &'static str)| {
        Migration::new(version, name.into(), MigrationType::Simple, text.into_sql_str(), false)
    };
    Migrator::with_migrations(MIGRATIONS.iter().map(migration).collect())
}

/// Writes a page of the database: locks, rights and space are all needed for it.
async fn probe(writer: &SqlitePool) -> sqlx::Result<()> {
    sqlx::query("PRAGMA user_version = 1").execute(writer).await.map(drop)
}

/// Creates the file and its folder, readable by nobody else; SQLite gives its log the rights of the file.
fn create(path: &Path) -> std::io::Result<()> {
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
