//! Whose an SQLite file is, asked before anything is written to it. <https://www.sqlite.org/pragma.html#pragma_application_id>

use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection, SqlitePool, sqlite::SqliteConnectOptions};

/// `CURB` in ASCII. The file begins with it from its 69th byte on, where `file` and others look for it.
const APPLICATION_ID: i64 = 0x4355_5242;

/// What stands in a file that exists already.
#[derive(Debug, PartialEq)]
pub(super) enum Owner {
    Nobody,
    Us,
    /// Of a newer version, by the number it left.
    Later,
    AnotherProgram,
}

/// Reads without changing the file: even the journal mode of somebody else's database stays what it is.
// INVARIANT: another_programs_database_is_refused_and_left_as_it_is
pub(super) async fn of(options: &SqliteConnectOptions, newest: i64) -> sqlx::Result<Owner> {
    let mut db = options.clone().read_only(true).connect().await?;
    let found = read(&mut db, newest).await;
    // What could not be closed cleanly is closed by dropping it.
    db.close().await.ok();
    found
}

async fn read(db: &mut SqliteConnection, newest: i64) -> sqlx::Result<Owner> {
    let application: i64 = sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut *db).await?;
    let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *db).await?;
    let tables: Vec<String> = sqlx::query_scalar("SELECT name FROM sqlite_schema").fetch_all(db).await?;
    // The first version left no mark.
    let unmarked = application == 0 && ["audit", "answer", "report_page"].iter().all(|t| tables.iter().any(|n| n == t));
    Ok(match (application == APPLICATION_ID || unmarked, tables.is_empty()) {
        (true, _) if version > newest => Owner::Later,
        (true, _) => Owner::Us,
        (false, true) if application == 0 => Owner::Nobody,
        (false, _) => Owner::AnotherProgram,
    })
}

/// Writes whose the file is and which schema it has.
pub(super) async fn sign(writer: &SqlitePool, newest: i64) -> sqlx::Result<()> {
    // A pragma takes no parameters.
    let statement = format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {newest}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(writer).await.map(drop)
}
