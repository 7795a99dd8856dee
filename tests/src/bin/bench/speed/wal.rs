//! A server that has been in use.
//!
//! A new one writes each file of its log for the first time: sixteen megabytes of zeros while everybody waits for the
//! commit, after every two thousand receipts. One that has been running uses its old files again.

use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Executor as _};

/// Files of 16 MiB: nearly the gigabyte that is kept.
const FILES: u32 = 60;

/// Makes a server's log one that has gone round.
pub(crate) async fn go_round(database_url: &str) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(database_url).await?;
    // Else a checkpoint would remove most of the files.
    connection.execute("ALTER SYSTEM SET min_wal_size = '1GB'").await?;
    connection.execute("SELECT pg_reload_conf()").await?;
    for _ in 0..FILES {
        // A file in which nothing was written is not left.
        connection
            .execute("SELECT pg_logical_emit_message(false, 'bench', 'one more')")
            .await?;
        connection.execute("SELECT pg_switch_wal()").await?;
    }
    connection.execute("CHECKPOINT").await?;
    connection.close().await?;
    Ok(())
}
