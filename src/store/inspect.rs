//! Whether a database is fit to be written to: its pages are whole, and its schema is the one the migrations give.
//!
//! <https://www.sqlite.org/pragma.html#pragma_quick_check> <https://www.sqlite.org/schematab.html>

use std::time::{Duration, Instant};

use sqlx::{
    ConnectOptions as _, Connection as _, SqliteConnection,
    migrate::{MigrateError, Migrator},
    sqlite::SqliteConnectOptions,
};

/// Steps of SQLite between two looks at the clock.
const STEPS: i32 = 100;

/// Reads the pages without changing the file; `false` where they are damaged.
///
/// What is not read within `patience` is taken for whole: a statement that meets damage later is told of then.
// INVARIANT: a_damaged_file_is_refused_at_start
pub(super) async fn is_whole(options: &SqliteConnectOptions, patience: Duration) -> sqlx::Result<bool> {
    let mut db = options.clone().read_only(true).connect().await?;
    let began = Instant::now();
    db.lock_handle().await?.set_progress_handler(STEPS, move || began.elapsed() < patience);
    let said: sqlx::Result<String> = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(&mut db).await;
    // What could not be closed cleanly is closed by dropping it.
    db.close().await.ok();
    match said {
        Ok(said) => Ok(said == "ok"),
        // SQLITE_INTERRUPT
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("9") => {
            tracing::warn!("the database is too large to be checked whole at the start");
            Ok(true)
        }
        Err(error) => Err(error),
    }
}

/// One row of `sqlite_schema`.
struct Object {
    kind: String,
    name: String,
    /// The table it belongs to, in small letters.
    of: String,
    sql: String,
}

/// One clause about the first thing that is not there, is not as `migrator` makes it, or acts on one of its tables; none where
/// there is no such thing.
///
/// Tables that nothing of ours touches, such as a backup tool's, may be there.
// INVARIANT: a_database_that_lost_a_part_of_its_schema_is_not_opened
pub(super) async fn difference(db: &mut SqliteConnection, migrator: &Migrator) -> Result<Option<String>, MigrateError> {
    let mut fresh = SqliteConnectOptions::new().in_memory(true).connect().await?;
    migrator.run_direct(None, &mut fresh, false).await?;
    let (ours, found) = (schema(&mut fresh).await?, schema(db).await?);
    let named =
        |all: &[Object], one: &Object| all.iter().position(|each| (&each.kind, &each.name) == (&one.kind, &one.name));
    let lost = ours.iter().find_map(|object| match named(&found, object) {
        None => Some(format!("lacks the {} {}", object.kind, object.name)),
        Some(at) if found[at].sql == object.sql => None,
        Some(_) => Some(format!("has another {} {} than curbside makes", object.kind, object.name)),
    });
    let foreign =
        found.iter().find(|each| named(&ours, each).is_none() && ours.iter().any(|object| object.of == each.of));
    Ok(lost.or(foreign.map(|object| {
        let name: String = object.name.chars().take(64).collect();
        format!("has the {} {}, which curbside did not make", object.kind, name.escape_debug())
    })))
}

/// Tables first: what goes with one is not what an operator wants to hear of. Without what SQLite keeps for itself, and
/// without the form of the table that the migrator keeps.
async fn schema(db: &mut SqliteConnection) -> sqlx::Result<Vec<Object>> {
    let rows = sqlx::query_as(
        "SELECT type, name, lower(tbl_name), CASE name WHEN '_sqlx_migrations' THEN '' ELSE sql END FROM sqlite_schema
         WHERE sql IS NOT NULL AND NOT (type = 'table' AND name LIKE 'sqlite\\_%' ESCAPE '\\')
         ORDER BY type <> 'table', type, name",
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|(kind, name, of, sql)| Object { kind, name, of, sql }).collect())
}
