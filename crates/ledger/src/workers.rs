//! The processes that share the limits of the accounts. There is no write per receipt: each knows how many there are and
//! which of them it is, and takes its share.

use std::time::Duration;

use uuid::Uuid;

use crate::claim::millis;
use crate::error::LedgerError;
use crate::limit::limited;
use crate::pool::Ledger;

/// What a worker does for an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerRole {
    /// Registers receipts.
    Sender,
    /// Asks what became of them.
    Poller,
}

impl WorkerRole {
    const fn name(self) -> &'static str {
        match self {
            Self::Sender => "sender",
            Self::Poller => "poller",
        }
    }
}

/// One worker, as it shows itself.
#[derive(Debug, Clone, Copy)]
pub struct Presence {
    /// Its own, made at its start.
    pub id: Uuid,
    /// What it does.
    pub role: WorkerRole,
    /// How long a worker is believed to be there after it has shown itself.
    pub expiry: Duration,
    /// How long a newcomer waits for its share.
    pub settle: Duration,
}

/// The place of one worker among those that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rank {
    /// Its number, from 0.
    pub rank: u32,
    /// How many there are, itself included. At least 1.
    pub of: u32,
    /// Whether the others have had the time to see it.
    pub is_settled: bool,
}

impl Rank {
    /// This worker's part of so many calls at once. The parts of all add up to `limit`.
    #[must_use]
    pub const fn share(self, limit: u32) -> u32 {
        if !self.is_settled {
            return 0;
        }
        let more = if self.rank < limit % self.of { 1 } else { 0 };
        limit / self.of + more
    }

    /// The time between two calls of this worker, when all together may make `per_second` of them.
    #[must_use]
    pub fn spacing(self, per_second: u32) -> Duration {
        Duration::from_secs(u64::from(self.of)) / per_second.max(1)
    }
}

impl Ledger {
    /// Shows that a worker is there, and looks who else is.
    ///
    /// # Errors
    /// An outage.
    pub async fn show_up(&self, presence: &Presence) -> Result<Rank, LedgerError> {
        let row = limited!(
            self.pool,
            fetch_one,
            sqlx::query!(
                r#"
            WITH shown AS (
                INSERT INTO workers AS w (id, worker, role)
                VALUES ($1, $2, $3)
                ON CONFLICT (id) DO UPDATE
                -- Whoever was taken for gone has lost its share, and comes as a newcomer.
                SET joined_at = CASE
                        WHEN w.seen_at < now() - $4::bigint * interval '1 millisecond' THEN now()
                        ELSE w.joined_at
                    END,
                    seen_at = now()
                RETURNING joined_at <= now() - $5::bigint * interval '1 millisecond' AS is_settled
            ),
            forgotten AS (
                DELETE FROM workers
                WHERE seen_at < now() - interval '1 hour'
                    AND id <> $1
            )
            SELECT
                (SELECT is_settled FROM shown) AS "is_settled!",
                count(*) AS "others!",
                count(*) FILTER (WHERE id < $1) AS "before!"
            FROM workers
            WHERE id <> $1
                AND role = $3
                AND seen_at >= now() - $4::bigint * interval '1 millisecond'
            "#,
                presence.id,
                &self.worker,
                presence.role.name(),
                millis(presence.expiry),
                millis(presence.settle),
            )
        );
        Ok(Rank {
            rank: u32::try_from(row.before).unwrap_or(u32::MAX),
            of: u32::try_from(row.others).unwrap_or(u32::MAX).saturating_add(1),
            is_settled: row.is_settled,
        })
    }

    /// Gives a worker's share back at once: it has stopped, and nothing of it is under way.
    ///
    /// # Errors
    /// An outage; the share comes back when the worker has not shown itself for long enough.
    pub async fn leave(&self, id: Uuid) -> Result<(), LedgerError> {
        limited!(
            self.pool,
            execute,
            sqlx::query!("DELETE FROM workers WHERE id = $1", id)
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(rank: u32, of: u32) -> Rank {
        Rank {
            rank,
            of,
            is_settled: true,
        }
    }

    #[test]
    fn the_shares_of_all_workers_add_up_to_the_limit() {
        for limit in 0..20 {
            for of in 1..8 {
                let shares: Vec<u32> = (0..of).map(|rank| standing(rank, of).share(limit)).collect();
                assert_eq!(shares.iter().sum::<u32>(), limit, "{shares:?}");
                let (least, most) = (shares.iter().min(), shares.iter().max());
                assert!(
                    most.zip(least).is_some_and(|(most, least)| most - least <= 1),
                    "{shares:?}"
                );
            }
        }
    }

    #[test]
    fn the_rates_of_all_workers_add_up_to_the_limit() {
        assert_eq!(standing(0, 1).spacing(10), Duration::from_millis(100));
        assert_eq!(standing(1, 4).spacing(10), Duration::from_millis(400));
        assert_eq!(standing(0, 3).spacing(1), Duration::from_secs(3));
    }

    #[test]
    fn a_newcomer_has_no_share_until_it_was_seen() {
        let newcomer = Rank {
            is_settled: false,
            ..standing(0, 2)
        };
        assert_eq!(newcomer.share(10), 0);
    }
}
