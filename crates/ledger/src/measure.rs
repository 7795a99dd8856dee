//! How much of what there is now, for whoever watches.
//!
//! Only what is open or needs a person is counted, by the partial indexes that hold nothing else: the cost follows the
//! backlog and not the size of the table.

use std::time::Duration;

use receipt::{StateName, VendorName};

use crate::error::LedgerError;
use crate::limit::limited;
use crate::pool::Ledger;

/// The receipts of one vendor in one state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measure {
    /// Which vendor.
    pub vendor: VendorName,
    /// A state that is not final, or needs a person.
    pub state: StateName,
    /// How many.
    pub count: u64,
    /// How long ago the oldest of them was accepted.
    pub oldest: Duration,
}

impl Ledger {
    /// Counts receipts that are open or need a person, by vendor and state. States without any are left out.
    ///
    /// # Errors
    /// An outage.
    pub async fn measure(&self) -> Result<Vec<Measure>, LedgerError> {
        let rows = limited!(
            self.pool,
            fetch_all,
            sqlx::query!(
                r#"
            WITH open AS (
                SELECT vendor, state, accepted_at
                FROM transactions
                WHERE due_at IS NOT NULL
                UNION ALL
                SELECT t.vendor, t.state, t.accepted_at
                FROM registrations r
                JOIN transactions t ON t.id = r.transaction_id AND t.generation = r.generation
                WHERE r.next_poll_at IS NOT NULL
                    AND t.state = 'waiting'
                UNION ALL
                SELECT vendor, state, accepted_at
                FROM transactions
                WHERE state IN ('held', 'unknown', 'failed')
            )
            SELECT
                vendor AS "vendor!",
                state AS "state!",
                count(*) AS "count!",
                (extract(epoch FROM now() - min(accepted_at)) * 1000)::bigint AS "oldest_ms!"
            FROM open
            GROUP BY vendor, state
            ORDER BY vendor, state
            "#,
            )
        );
        rows.into_iter()
            .map(|row| {
                let corrupt = |what: &str| LedgerError::Corrupt {
                    id: row.vendor.clone(),
                    what: what.to_owned(),
                };
                Ok(Measure {
                    vendor: VendorName::parse(&row.vendor).map_err(|_| corrupt("a vendor's name"))?,
                    state: row.state.parse().map_err(|_| corrupt("a state"))?,
                    count: u64::try_from(row.count).unwrap_or(0),
                    oldest: Duration::from_millis(u64::try_from(row.oldest_ms).unwrap_or(0)),
                })
            })
            .collect()
    }

    /// How many dead letters wait for a person.
    ///
    /// # Errors
    /// An outage.
    pub async fn open_letters(&self) -> Result<u64, LedgerError> {
        let count = limited!(
            self.pool,
            fetch_one,
            sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM dead_letters WHERE replayed_at IS NULL"#)
        );
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// How many events wait for the broker.
    ///
    /// # Errors
    /// An outage.
    pub async fn unpublished_events(&self) -> Result<u64, LedgerError> {
        let count = limited!(
            self.pool,
            fetch_one,
            sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM outbox"#)
        );
        Ok(u64::try_from(count).unwrap_or(0))
    }
}
