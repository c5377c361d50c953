//! A transaction that can be left at any point, and that knows SQLite ends one by itself where the disk is full.
//!
//! sqlx's own would then roll back what has ended, take the refusal for an open transaction, and begin no other one on that
//! connection. <https://www.sqlite.org/lang_transaction.html#response_to_errors_within_a_transaction>

use sqlx::{Sqlite, SqliteConnection, SqlitePool, pool::PoolConnection};

/// A write that no other can come between. Dropped before its end, it is rolled back with its connection.
pub(super) struct Transaction {
    connection: PoolConnection<Sqlite>,
    ended: bool,
}

impl Transaction {
    pub async fn begin(pool: &SqlitePool) -> sqlx::Result<Transaction> {
        let mut transaction = Transaction { connection: pool.acquire().await?, ended: false };
        match execute(&mut transaction.connection, "BEGIN IMMEDIATE").await {
            Ok(()) => Ok(transaction),
            Err(error) => {
                transaction.ended = true;
                Err(error)
            }
        }
    }

    pub fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }

    /// On disk when this returns; nothing of it is kept where it fails.
    pub async fn commit(mut self) -> sqlx::Result<()> {
        match execute(&mut self.connection, "COMMIT").await {
            Ok(()) => {
                self.ended = true;
                Ok(())
            }
            Err(error) => {
                self.rollback().await;
                Err(error)
            }
        }
    }

    pub async fn rollback(mut self) {
        self.ended = match execute(&mut self.connection, "ROLLBACK").await {
            Ok(()) => true,
            // There was nothing left to roll back.
            Err(sqlx::Error::Database(error)) => error.code().as_deref() == Some("1"),
            Err(_) => false,
        };
    }
}

impl Drop for Transaction {
    // INVARIANT: a_call_that_is_left_leaves_no_transaction_open
    fn drop(&mut self) {
        if !self.ended {
            self.connection.close_on_drop();
        }
    }
}

async fn execute(connection: &mut SqliteConnection, statement: &'static str) -> sqlx::Result<()> {
    sqlx::query(statement).execute(connection).await.map(drop)
}
