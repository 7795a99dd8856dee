//! When reports are due: a cursor for each schedule of a store.
//!
//! Whoever moves a cursor makes the mails of what it passes, in the same commit. So with any number of reporters each
//! occurrence has its mails once, and what was passed by nobody while everything was down is still before the cursor.

use jiff::Timestamp;
use receipt::StoreCode;

use crate::error::LedgerError;
use crate::limit::limited;
use crate::mails::{Columns, NewMail};
use crate::pool::Ledger;

/// One schedule of one store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ScheduleKey {
    /// Whose.
    pub store: StoreCode,
    /// Which: `daily`, `weekly`.
    pub schedule: String,
}

/// How far a schedule has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// Whose, as the table has it.
    pub store: String,
    /// Which.
    pub schedule: String,
    /// Every occurrence up to here has its mails.
    pub seen_until: Timestamp,
    /// The database's time when this was read.
    pub now: Timestamp,
}

impl Ledger {
    /// Writes down which schedules there are. A new one, and one that comes back, begins now: what it would have made
    /// before is not made. May be repeated.
    ///
    /// # Errors
    /// An outage.
    pub async fn bind_schedules(&self, schedules: &[ScheduleKey]) -> Result<(), LedgerError> {
        let stores: Vec<String> = schedules.iter().map(|key| key.store.to_string()).collect();
        let names: Vec<String> = schedules.iter().map(|key| key.schedule.clone()).collect();
        limited!(
            self.pool,
            execute,
            sqlx::query!(
                r#"
            WITH input AS (
                SELECT store, schedule
                FROM unnest($1::text[], $2::text[]) AS input (store, schedule)
            ),
            gone AS (
                UPDATE report_schedules known
                SET active = false
                WHERE known.active
                    AND NOT EXISTS (
                        SELECT FROM input WHERE input.store = known.store AND input.schedule = known.schedule
                    )
            )
            INSERT INTO report_schedules AS known (store, schedule)
            SELECT store, schedule
            FROM input
            ORDER BY store, schedule
            ON CONFLICT ON CONSTRAINT report_schedules_pkey DO UPDATE
            SET active = true,
                seen_until = now()
            WHERE NOT known.active
            "#,
                &stores,
                &names,
            )
        );
        Ok(())
    }

    /// How far each schedule has come.
    ///
    /// # Errors
    /// An outage.
    pub async fn schedules(&self) -> Result<Vec<Cursor>, LedgerError> {
        let rows = limited!(
            self.pool,
            fetch_all,
            sqlx::query!(
                r#"
            SELECT
                store, schedule, seen_until AS "seen_until: jiff_sqlx::Timestamp",
                now() AS "now!: jiff_sqlx::Timestamp"
            FROM report_schedules
            WHERE active
            ORDER BY store, schedule
            "#
            )
        );
        Ok(rows
            .into_iter()
            .map(|row| Cursor {
                store: row.store,
                schedule: row.schedule,
                seen_until: row.seen_until.to_jiff(),
                now: row.now.to_jiff(),
            })
            .collect())
    }

    /// Moves a cursor to `until` and makes these mails, unless another reporter has moved it. Returns whether this one
    /// did.
    ///
    /// # Errors
    /// An outage. May be repeated: what took effect is not made again.
    pub async fn pass_schedule(
        &self,
        cursor: &Cursor,
        until: Timestamp,
        mails: &[NewMail],
    ) -> Result<bool, LedgerError> {
        let columns = Columns::of(mails);
        let moved = limited!(
            self.pool,
            fetch_one,
            sqlx::query_scalar!(
                r#"
            WITH moved AS (
                UPDATE report_schedules
                SET seen_until = $4
                WHERE store = $1
                    AND schedule = $2
                    AND seen_until = $3
                    AND active
                RETURNING store
            ),
            made AS (
                INSERT INTO mails (id, kind, series, key, recipient, message_id, what)
                SELECT m.id, m.kind, m.series, m.key, m.recipient, m.message_id, m.what
                FROM moved
                CROSS JOIN unnest(
                    $5::uuid[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::jsonb[]
                ) AS m (id, kind, series, key, recipient, message_id, what)
                ON CONFLICT ON CONSTRAINT mails_key DO NOTHING
            )
            SELECT EXISTS (SELECT FROM moved) AS "moved!"
            "#,
                cursor.store,
                cursor.schedule,
                jiff_sqlx::Timestamp::from(cursor.seen_until) as _,
                jiff_sqlx::Timestamp::from(until) as _,
                &columns.ids,
                &columns.kinds,
                &columns.series,
                &columns.keys,
                &columns.recipients,
                &columns.message_ids,
                &columns.whats as _,
            )
        );
        Ok(moved)
    }
}
