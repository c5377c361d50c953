//! Whether the database works, found out by writing, and by what happened to the statements before.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use sqlx::SqlitePool;
use tokio::sync::Mutex;

use super::failure::{self, Cause};

const PATIENCE: Duration = Duration::from_secs(1);
/// For so long a write that went well stands for the next one, unless a statement failed since.
const FRESH: Duration = Duration::from_secs(1);
/// Bytes written to find out: as little as a report without a picture, and after a failure as much as one with several.
const LITTLE: u32 = 64 << 10;
const MUCH: u32 = 1 << 20;

/// What went wrong before.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// A write was refused, and nothing as large as a report was written since: a smaller one proves nothing.
    refused: AtomicBool,
    /// A statement met damage. It does not heal, and only a restored file ends it.
    damaged: AtomicBool,
    /// Statements that failed.
    failures: AtomicU64,
    /// Held while a write is under way.
    last: Mutex<Option<Found>>,
}

/// What a write found out.
#[derive(Debug)]
struct Found {
    at: Instant,
    outcome: Result<(), &'static str>,
    /// Statements that had failed before.
    failures: u64,
}

impl Seen {
    pub fn failure(&self, error: &sqlx::Error) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        match failure::cause(error) {
            Cause::CannotWrite | Cause::Full => self.refused.store(true, Ordering::Relaxed),
            Cause::Damaged => self.damaged.store(true, Ordering::Relaxed),
            _ => {}
        }
    }

    /// Whether a write reaches the disk; the error is one clause that says what is wrong. Who asks while a write is under way
    /// is told what that one finds out.
    pub async fn check(&self, writer: &SqlitePool) -> Result<(), &'static str> {
        let asked = Instant::now();
        let mut last = self.last.lock().await;
        let failures = self.failures.load(Ordering::Relaxed);
        if let Some(Found { at, outcome, failures: before }) = &*last {
            let good = outcome.is_ok() && *before == failures && !writer.is_closed();
            if (good && at.elapsed() < FRESH) || (*at >= asked && (good || outcome.is_err())) {
                return *outcome;
            }
        }
        let outcome = self.write(writer).await;
        *last = Some(Found { at: Instant::now(), outcome, failures });
        outcome
    }

    async fn write(&self, writer: &SqlitePool) -> Result<(), &'static str> {
        // INVARIANT: a_full_disk_is_not_ready_until_there_is_room_again
        // A few pages may still fit where a report no longer does.
        let bytes = if self.refused.load(Ordering::Relaxed) { MUCH } else { LITTLE };
        match tokio::time::timeout(PATIENCE, write(writer, bytes)).await {
            Err(_) => Err(Cause::InUse.clause()),
            Ok(Err(error)) => {
                self.failure(&error);
                Err(failure::cause(&error).clause())
            }
            Ok(Ok(())) => {
                self.refused.store(false, Ordering::Relaxed);
                if self.damaged.load(Ordering::Relaxed) { Err(Cause::Damaged.clause()) } else { Ok(()) }
            }
        }
    }
}

/// Locks, rights and space are all needed for it.
async fn write(writer: &SqlitePool, bytes: u32) -> sqlx::Result<()> {
    let statement = "INSERT OR REPLACE INTO probe (id, filler) VALUES (1, zeroblob(?))";
    sqlx::query(statement).bind(bytes).execute(writer).await.map(drop)
}
