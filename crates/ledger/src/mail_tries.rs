//! The tries of mails: claimed before a socket is touched, recorded afterwards.
//!
//! Every try is counted at its claim. A try that certainly came to nothing is taken off again and may be repeated for
//! days; one that the server may have taken, or whose sender ended without a word, errs on the double, and no mail is
//! tried for a fourth time.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use crate::claim::millis;
use crate::error::LedgerError;
use crate::limit::limited;
use crate::outcome::Recorded;
use crate::pool::Ledger;
use crate::storable::{storable, storable_json};

/// Tries of one mail that its recipient may have got. The table has it as a constraint.
pub const MOST_SENDS: u32 = 3;

/// A mail that this process tries now.
#[derive(Debug, Clone)]
pub struct Mail {
    /// Its id.
    pub id: Uuid,
    /// What it is one of.
    pub series: String,
    /// To whom.
    pub recipient: String,
    /// Its `Message-ID`.
    pub message_id: String,
    /// What to write.
    pub what: Value,
    /// The claim, which alone may write the outcome.
    pub claim: Uuid,
    /// Tries that the recipient may have got, this one among them.
    pub sends: u32,
    /// Tries in a row that certainly came to nothing.
    pub failures: u32,
    /// How long ago it was written down.
    pub age: Duration,
    /// The database's time at the claim.
    pub now: Timestamp,
}

/// What a try came to, as decided. The times are waits from now, because times that are compared are the database's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailVerdict {
    /// The server took it.
    Sent,
    /// Nothing was to be sent.
    Skipped,
    /// The server certainly did not take it. To be tried again.
    NotTaken {
        /// When.
        delay: Duration,
    },
    /// The server has not taken it for days.
    Refused,
    /// The server may have taken it. To be tried again with the same id.
    InDoubt {
        /// When.
        delay: Duration,
    },
    /// The server may have taken it, and it was the last try.
    Unconfirmed,
    /// Nothing was tried: it stays as it was before the claim.
    Untried {
        /// When somebody may try.
        delay: Duration,
    },
}

impl MailVerdict {
    /// The word in `mails.ended`.
    const fn ended(self) -> Option<&'static str> {
        match self {
            Self::Sent => Some("sent"),
            Self::Skipped => Some("skipped"),
            Self::Refused => Some("refused"),
            Self::Unconfirmed => Some("unconfirmed"),
            Self::NotTaken { .. } | Self::InDoubt { .. } | Self::Untried { .. } => None,
        }
    }

    /// How many of the counted tries certainly came to nothing.
    const fn taken_off(self) -> i32 {
        match self {
            Self::NotTaken { .. } | Self::Refused | Self::Untried { .. } | Self::Skipped => 1,
            Self::Sent | Self::InDoubt { .. } | Self::Unconfirmed => 0,
        }
    }

    const fn delay(self) -> Option<Duration> {
        match self {
            Self::NotTaken { delay } | Self::InDoubt { delay } | Self::Untried { delay } => Some(delay),
            Self::Sent | Self::Skipped | Self::Refused | Self::Unconfirmed => None,
        }
    }
}

/// The result of one try.
#[derive(Debug, Clone)]
pub struct MailOutcome {
    /// Which mail.
    pub id: Uuid,
    /// Under which claim.
    pub claim: Uuid,
    /// What follows.
    pub verdict: MailVerdict,
    /// What the server said, or a word for why there was no answer.
    pub error: Option<String>,
    /// The numbers that the mail told, by period.
    pub figures: Option<Value>,
}

/// A mail whose last sender ended without a word.
#[derive(Debug, Clone)]
pub struct GivenUp {
    /// Its id.
    pub id: Uuid,
    /// What it was one of.
    pub series: String,
    /// To whom.
    pub recipient: String,
}

impl Ledger {
    /// Takes at most `limit` mails that are due. Each counts a try. What is not recorded within `hold` is taken by somebody
    /// else.
    ///
    /// # Errors
    /// An outage. May be repeated with the same `claim`: then it gives out what it took, and counts nothing.
    pub async fn claim_mails(&self, claim: Uuid, limit: u32, hold: Duration) -> Result<Vec<Mail>, LedgerError> {
        let rows = limited!(
            self.pool,
            fetch_all,
            sqlx::query!(
                r#"
            WITH mine AS (
                SELECT id
                FROM mails
                WHERE ended IS NULL
                    AND claim = $1
                FOR UPDATE
            ),
            fresh AS (
                SELECT id
                FROM mails
                WHERE ended IS NULL
                    AND due_at <= now()
                    AND sends < $4
                    AND NOT EXISTS (SELECT FROM mine)
                ORDER BY due_at
                LIMIT $2
                FOR UPDATE SKIP LOCKED
            ),
            picked AS (
                SELECT id, 0 AS counted FROM mine
                UNION ALL
                SELECT id, 1 FROM fresh
            )
            UPDATE mails m
            SET claim = $1,
                sends = m.sends + picked.counted,
                due_at = now() + $3::bigint * interval '1 millisecond'
            FROM picked
            WHERE m.id = picked.id
            RETURNING
                m.id, m.series, m.recipient, m.message_id, m.what, m.sends, m.failures,
                (extract(epoch FROM now() - m.created_at) * 1000)::bigint AS "age_ms!",
                now() AS "now!: jiff_sqlx::Timestamp"
            "#,
                claim,
                i64::from(limit),
                millis(hold),
                i32::try_from(MOST_SENDS).unwrap_or(i32::MAX),
            )
        );
        Ok(rows
            .into_iter()
            .map(|row| Mail {
                id: row.id,
                series: row.series,
                recipient: row.recipient,
                message_id: row.message_id,
                what: row.what,
                claim,
                sends: u32::try_from(row.sends).unwrap_or(0),
                failures: u32::try_from(row.failures).unwrap_or(0),
                age: Duration::from_millis(u64::try_from(row.age_ms).unwrap_or(0)),
                now: row.now.to_jiff(),
            })
            .collect())
    }

    /// Records what a try came to. A claim that was taken over writes nothing, except that the server took the mail: that
    /// is true whoever says it. May be repeated.
    ///
    /// # Errors
    /// An outage; the try then stays counted.
    pub async fn record_mail(&self, outcome: &MailOutcome) -> Result<Recorded, LedgerError> {
        let verdict = outcome.verdict;
        let failed = match verdict {
            MailVerdict::NotTaken { .. } | MailVerdict::Refused => 1,
            MailVerdict::Sent
            | MailVerdict::Skipped
            | MailVerdict::InDoubt { .. }
            | MailVerdict::Unconfirmed
            | MailVerdict::Untried { .. } => 0,
        };
        let done = limited!(
            self.pool,
            execute,
            sqlx::query!(
                r#"
            UPDATE mails
            SET claim = NULL,
                sends = sends - CASE WHEN claim = $2 THEN $4::integer ELSE 0 END,
                failures = failures + $5::integer,
                error = $6,
                figures = coalesce($7, figures),
                ended = $3,
                ended_at = CASE WHEN $3::text IS NOT NULL THEN now() END,
                due_at = CASE WHEN $3::text IS NULL THEN now() + $8::bigint * interval '1 millisecond' END
            WHERE id = $1
                AND (
                    (ended IS NULL AND claim = $2)
                    OR ($3 = 'sent' AND (ended IS NULL OR ended = 'unconfirmed'))
                )
            "#,
                outcome.id,
                outcome.claim,
                verdict.ended(),
                verdict.taken_off(),
                failed,
                outcome.error.as_deref().map(storable),
                outcome.figures.clone().map(storable_json),
                verdict.delay().map_or(0, millis),
            )
        );
        Ok(if done.rows_affected() > 0 {
            Recorded::Applied
        } else {
            Recorded::Fenced
        })
    }

    /// Ends the mails whose last sender ended without a word: their recipients may have got them, and no further try is
    /// made.
    ///
    /// # Errors
    /// An outage.
    pub async fn give_up_mails(&self) -> Result<Vec<GivenUp>, LedgerError> {
        let rows = limited!(
            self.pool,
            fetch_all,
            sqlx::query!(
                r#"
            UPDATE mails
            SET claim = NULL,
                due_at = NULL,
                ended = 'unconfirmed',
                ended_at = now(),
                error = coalesce(error, 'the sender ended without a word')
            WHERE ended IS NULL
                AND due_at <= now()
                AND sends >= $1
            RETURNING id, series, recipient
            "#,
                i32::try_from(MOST_SENDS).unwrap_or(i32::MAX),
            )
        );
        Ok(rows
            .into_iter()
            .map(|row| GivenUp {
                id: row.id,
                series: row.series,
                recipient: row.recipient,
            })
            .collect())
    }
}
