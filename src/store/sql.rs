//! Every statement about what is kept, none without its tenant. Beside it, `owner`, `inspect` and `health` ask about the
//! file alone.

// INVARIANT: every_statement_names_the_tenant

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, QueryBuilder, Row as _, Sqlite, SqliteConnection, sqlite::SqliteRow};

use super::{
    Event, Key, Page, Patient, Recent, Stored,
    period::{Period, Prefix},
    resource::{FIRST_VERSION, Row},
    search::{Filter, Position, Search},
};
use crate::caller::Caller;

type Result<T> = sqlx::Result<T>;

const STORED: &str =
    "SELECT id, version, NULLIF(source_base, '') AS source_base, patient, last_updated, json FROM resource";

/// `false` where the tenant already has a resource of that type and id; it is left as it is.
pub(super) async fn insert_resource(db: &mut SqliteConnection, caller: &Caller, row: &Row, now: i64) -> Result<bool> {
    let (source_base, patient) = row.patient.as_ref().map(columns).unzip();
    let inserted = sqlx::query(
        "INSERT INTO resource (tenant, type, id, version, source_base, patient, status, date_from, date_until, last_updated, json)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tenant, type, id) DO NOTHING",
    )
    .bind(&caller.tenant)
    .bind(&row.resource_type)
    .bind(&row.id)
    .bind(FIRST_VERSION)
    .bind(source_base.unwrap_or_default())
    .bind(patient)
    .bind(&row.status)
    .bind(row.date.map(|date| date.from))
    .bind(row.date.map(|date| date.until))
    .bind(now)
    .bind(&row.json)
    .execute(&mut *db)
    .await?
    .rows_affected()
        > 0;
    for target in row.targets.iter().filter(|_| inserted) {
        insert_link(db, caller, (&row.resource_type, &row.id), "target", target).await?;
    }
    Ok(inserted)
}

/// What a resource refers to under `parameter`; `target` is `Type/id` or the hash of a picture.
async fn insert_link(
    db: &mut SqliteConnection,
    caller: &Caller,
    (resource_type, id): (&str, &str),
    parameter: &str,
    target: &str,
) -> Result<()> {
    sqlx::query("INSERT INTO link (tenant, type, id, parameter, target) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING")
        .bind(&caller.tenant)
        .bind(resource_type)
        .bind(id)
        .bind(parameter)
        .bind(target)
        .execute(db)
        .await
        .map(drop)
}

/// A picture, and the report that shows it.
pub(super) async fn insert_picture(
    db: &mut SqliteConnection,
    caller: &Caller,
    (source_base, report): (&str, &str),
    sha256: &str,
    png: Arc<Vec<u8>>,
) -> Result<()> {
    sqlx::query("INSERT INTO picture (tenant, source_base, sha256, png) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING")
        .bind(&caller.tenant)
        .bind(source_base)
        .bind(sha256)
        .bind(Arc::unwrap_or_clone(png))
        .execute(&mut *db)
        .await?;
    insert_link(db, caller, ("DiagnosticReport", report), "picture", sha256).await
}

pub(super) async fn insert_page(
    db: &mut SqliteConnection,
    caller: &Caller,
    report: &str,
    (source_base, patient): (&str, &str),
    page: String,
) -> Result<()> {
    sqlx::query("INSERT INTO report_page (tenant, report, source_base, patient, json) VALUES (?, ?, ?, ?, ?)")
        .bind(&caller.tenant)
        .bind(report)
        .bind(source_base)
        .bind(patient)
        .bind(page)
        .execute(db)
        .await
        .map(drop)
}

pub(super) async fn insert_answer(
    db: &mut SqliteConnection,
    caller: &Caller,
    key: &Key,
    answer: &str,
    now: i64,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO answer (tenant, client, source_base, service, hook_instance, body_sha256, answer, at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(&caller.tenant)
    .bind(&caller.client)
    .bind(&key.source_base)
    .bind(&key.service)
    .bind(&key.hook_instance)
    .bind(&key.asked)
    .bind(answer)
    .bind(now)
    .execute(db)
    .await
    .map(drop)
}

/// Removes answers given before `before`: at most `at_most`, oldest first.
pub(super) async fn forget_answers(
    db: &mut SqliteConnection,
    caller: &Caller,
    before: i64,
    at_most: u32,
) -> Result<()> {
    sqlx::query(
        "DELETE FROM answer WHERE rowid IN (SELECT rowid FROM answer WHERE tenant = ? AND at < ? ORDER BY at LIMIT ?)",
    )
    .bind(&caller.tenant)
    .bind(before)
    .bind(at_most)
    .execute(db)
    .await
    .map(drop)
}

pub(super) async fn answer(db: &mut SqliteConnection, caller: &Caller, key: &Key) -> Result<Option<String>> {
    sqlx::query_scalar(
        "SELECT answer FROM answer WHERE tenant = ? AND client = ? AND source_base = ? AND service = ? AND hook_instance = ?
         AND body_sha256 = ?",
    )
    .bind(&caller.tenant)
    .bind(&caller.client)
    .bind(&key.source_base)
    .bind(&key.service)
    .bind(&key.hook_instance)
    .bind(&key.asked)
    .fetch_optional(db)
    .await
}

pub(super) async fn insert_event(db: &mut SqliteConnection, caller: &Caller, event: &Event, now: i64) -> Result<()> {
    let (source_base, patient) = event.patient.as_ref().map(columns).unzip();
    sqlx::query(
        "INSERT INTO audit (at, tenant, client, action, target, source_base, patient, outcome, request_id)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(now)
    .bind(&caller.tenant)
    .bind(&caller.client)
    .bind(event.action.word())
    .bind(&event.target)
    .bind(source_base)
    .bind(patient)
    .bind(event.outcome)
    .bind(&event.request_id)
    .execute(db)
    .await
    .map(drop)
}

pub(super) async fn read(
    db: &mut SqliteConnection,
    caller: &Caller,
    resource_type: &str,
    id: &str,
) -> Result<Option<Stored>> {
    let row = sqlx::query(AssertSqlSafe(format!("{STORED} WHERE tenant = ? AND type = ? AND id = ?")))
        .bind(&caller.tenant)
        .bind(resource_type)
        .bind(id)
        .fetch_optional(db)
        .await?;
    row.map(stored).transpose()
}

pub(super) async fn picture(db: &mut SqliteConnection, caller: &Caller, sha256: &str) -> Result<Option<Vec<u8>>> {
    sqlx::query_scalar("SELECT png FROM picture WHERE tenant = ? AND sha256 = ? LIMIT 1")
        .bind(&caller.tenant)
        .bind(sha256)
        .fetch_optional(db)
        .await
}

/// Whom the reports that show a picture are about; of more than one patient, two.
pub(super) async fn patients_shown(db: &mut SqliteConnection, caller: &Caller, sha256: &str) -> Result<Vec<Patient>> {
    let rows = sqlx::query(
        "SELECT DISTINCT source_base, patient FROM resource WHERE tenant = ? AND type = 'DiagnosticReport' AND id IN
         (SELECT id FROM link WHERE tenant = ? AND type = 'DiagnosticReport' AND parameter = 'picture' AND target = ?) LIMIT 2",
    )
    .bind(&caller.tenant)
    .bind(&caller.tenant)
    .bind(sha256)
    .fetch_all(db)
    .await?;
    rows.iter()
        .map(|row| Ok(Patient { source_base: row.try_get("source_base")?, reference: row.try_get("patient")? }))
        .collect()
}

pub(super) async fn page(db: &mut SqliteConnection, caller: &Caller, report: &str) -> Result<Option<Page>> {
    let row = sqlx::query("SELECT source_base, patient, json FROM report_page WHERE tenant = ? AND report = ?")
        .bind(&caller.tenant)
        .bind(report)
        .fetch_optional(db)
        .await?;
    row.map(|row| {
        let patient = Patient { source_base: row.try_get("source_base")?, reference: row.try_get("patient")? };
        Ok(Page { patient, json: row.try_get("json")? })
    })
    .transpose()
}

/// The newest reports that have a page, at most `limit`.
pub(super) async fn recent(db: &mut SqliteConnection, caller: &Caller, limit: u32) -> Result<Vec<Recent>> {
    let rows = sqlx::query(
        "SELECT report, CASE WHEN json_valid(report_page.json) THEN report_page.json ->> '$.service' END AS service,
         CASE WHEN json_valid(report_page.json) THEN report_page.json ->> '$.issued' END AS issued
         FROM resource JOIN report_page ON report_page.tenant = resource.tenant AND report = id
         WHERE resource.tenant = ? AND type = 'DiagnosticReport' ORDER BY last_updated DESC, id DESC LIMIT ?",
    )
    .bind(&caller.tenant)
    .bind(limit)
    .fetch_all(db)
    .await?;
    rows.iter()
        .map(|row| {
            let text = |name| row.try_get::<Option<String>, _>(name).map(Option::unwrap_or_default);
            Ok(Recent { report_id: row.try_get("report")?, service: text("service")?, issued: text("issued")? })
        })
        .collect()
}

/// How many resources match, whatever page is asked for.
pub(super) async fn count(db: &mut SqliteConnection, caller: &Caller, search: &Search) -> Result<i64> {
    let mut sql = matching("SELECT COUNT(*) FROM resource", caller, search);
    sql.build_query_scalar().fetch_one(db).await
}

/// The next `limit` matches after `search.after`, newest first.
pub(super) async fn matches(
    db: &mut SqliteConnection,
    caller: &Caller,
    search: &Search,
    limit: u32,
) -> Result<Vec<Stored>> {
    let mut sql = matching(STORED, caller, search);
    if let Some(Position { last_updated, id }) = &search.after {
        sql.push(" AND (last_updated, id) < (").push_bind(*last_updated).push(", ").push_bind(id.clone()).push(")");
    }
    sql.push(" ORDER BY last_updated DESC, id DESC LIMIT ").push_bind(limit);
    sql.build().fetch_all(db).await?.into_iter().map(stored).collect()
}

/// `select` over the tenant's resources of the searched type, narrowed by every filter.
fn matching(select: &'static str, caller: &Caller, search: &Search) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new(select);
    sql.push(" WHERE tenant = ").push_bind(caller.tenant.clone());
    sql.push(" AND type = ").push_bind(search.resource_type);
    for filter in &search.filters {
        sql.push(" AND ");
        match filter {
            Filter::Id(ids) => any_of(sql.push("id"), ids),
            Filter::Status(codes) => any_of(sql.push("status"), codes),
            Filter::Patient(patients) => {
                let (bases, references): (Vec<_>, Vec<_>) =
                    patients.iter().map(|p| (p.source_base.clone(), p.reference.clone())).unzip();
                any_of(sql.push("source_base"), &bases);
                any_of(sql.push(" AND patient"), &references);
            }
            Filter::Target(targets) => {
                sql.push("id IN (SELECT id FROM link WHERE tenant = ").push_bind(caller.tenant.clone());
                sql.push(" AND type = ").push_bind(search.resource_type);
                any_of(sql.push(" AND parameter = 'target' AND target"), targets);
                sql.push(")");
            }
            Filter::Date(dates) => {
                sql.push("(");
                for (i, date) in dates.iter().enumerate() {
                    sql.push(if i == 0 { "" } else { " OR " });
                    relates(&mut sql, date);
                }
                sql.push(")");
            }
        }
    }
    sql
}

fn any_of(sql: &mut QueryBuilder<Sqlite>, values: &[String]) {
    let mut list = sql.push(" IN (").separated(", ");
    for value in values {
        list.push_bind(value.clone());
    }
    sql.push(")");
}

/// One comparison of the resource's span with the searched one; a resource without a date matches none.
fn relates(sql: &mut QueryBuilder<Sqlite>, (prefix, Period { from, until }): &(Prefix, Period)) {
    let within = |sql: &mut QueryBuilder<Sqlite>| {
        sql.push("(date_from >= ").push_bind(*from).push(" AND date_until <= ").push_bind(*until).push(")");
    };
    match prefix {
        Prefix::Equal => within(sql),
        Prefix::NotEqual => within(sql.push("NOT ")),
        Prefix::Greater => drop(sql.push("date_until > ").push_bind(*until)),
        Prefix::Less => drop(sql.push("date_from < ").push_bind(*from)),
        Prefix::GreaterOrEqual => within(sql.push("date_until > ").push_bind(*until).push(" OR ")),
        Prefix::LessOrEqual => within(sql.push("date_from < ").push_bind(*from).push(" OR ")),
        Prefix::StartsAfter => drop(sql.push("date_from >= ").push_bind(*until)),
        Prefix::EndsBefore => drop(sql.push("date_until <= ").push_bind(*from)),
    }
}

fn columns(patient: &Patient) -> (&str, &str) {
    (&patient.source_base, &patient.reference)
}

fn stored(row: SqliteRow) -> Result<Stored> {
    let milliseconds = row.try_get("last_updated")?;
    Ok(Stored {
        id: row.try_get("id")?,
        version: row.try_get("version")?,
        patient: row
            .try_get::<Option<String>, _>("source_base")?
            .zip(row.try_get("patient")?)
            .map(|(source_base, reference)| Patient { source_base, reference }),
        last_updated: DateTime::<Utc>::from_timestamp_millis(milliseconds)
            .ok_or_else(|| sqlx::Error::Protocol("a time outside the calendar".into()))?,
        resource: row.try_get("json")?,
    })
}

#[cfg(test)]
mod tests {
    /// A statement is one string literal; the search statements are all built by `matching`.
    #[test]
    fn every_statement_names_the_tenant() {
        let source = include_str!("sql.rs");
        let source = &source[..source.find("#[cfg(test)]").unwrap()];
        let mut statements = 0;
        for literal in source.split('"').skip(1).step_by(2) {
            if ["SELECT ", "INSERT ", "DELETE ", "UPDATE "].iter().any(|verb| literal.contains(verb)) {
                statements += 1;
                let by_the_builder = [super::STORED, "SELECT COUNT(*) FROM resource"].contains(&literal);
                assert!(by_the_builder || literal.contains("tenant"), "{literal}");
            }
        }
        assert!(statements >= 13, "only {statements} statements seen");
        assert_eq!(source.matches("STORED").count(), 3, "STORED is used by read and matches only");
        assert_eq!(source.matches("SELECT COUNT").count(), 1);
    }
}
