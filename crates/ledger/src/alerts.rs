//! What people are alerted of: gathered by the trigger of migration 0015 in the commit of each event, told in one mail
//! for each cause and quiet time.

use std::time::Duration;

use receipt::StoreCode;

use crate::claim::millis;
use crate::error::LedgerError;
use crate::limit::limited;
use crate::mails::{Columns, NewMail};
use crate::pool::Ledger;

/// A cause that people may be alerted of now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueAlert {
    /// Whom it strikes: `store main`, `account main`.
    pub subject: String,
    /// What strikes: the type of the event, with the vendor's error if there is one.
    pub cause: String,
    /// The stores that it was told to.
    pub stores: Vec<String>,
}

/// The mails that tell a cause. The statement adds what happened to each mail's `what`.
#[derive(Debug, Clone)]
pub struct NewAlert {
    /// Which cause.
    pub due: DueAlert,
    /// How long nobody is told of the same cause after this.
    pub quiet: Duration,
    /// At most so many events are told one by one.
    pub examples: u32,
    /// To whom.
    pub mails: Vec<NewMail>,
}

impl Ledger {
    /// Writes down which stores want alerts. From this commit on their events make causes. May be repeated.
    ///
    /// # Errors
    /// An outage.
    pub async fn bind_alerts(&self, stores: &[StoreCode]) -> Result<(), LedgerError> {
        let stores: Vec<String> = stores.iter().map(StoreCode::to_string).collect();
        limited!(
            self.pool,
            execute,
            sqlx::query!(
                r#"
            WITH gone AS (
                UPDATE alert_stores
                SET active = false
                WHERE active
                    AND store <> ALL ($1)
            )
            INSERT INTO alert_stores AS known (store)
            SELECT store
            FROM unnest($1::text[]) AS input (store)
            ORDER BY store
            ON CONFLICT ON CONSTRAINT alert_stores_pkey DO UPDATE
            SET active = true
            WHERE NOT known.active
            "#,
                &stores,
            )
        );
        Ok(())
    }

    /// The causes of which nobody was told within their quiet time.
    ///
    /// # Errors
    /// An outage.
    pub async fn due_alerts(&self) -> Result<Vec<DueAlert>, LedgerError> {
        let rows = limited!(
            self.pool,
            fetch_all,
            sqlx::query!(
                r#"
            SELECT c.subject, c.cause, array_agg(DISTINCT c.store ORDER BY c.store) AS "stores!"
            FROM alert_causes c
            LEFT JOIN alerts told ON told.subject = c.subject AND told.cause = c.cause
            WHERE coalesce(told.quiet_until, '-infinity') <= now()
            GROUP BY c.subject, c.cause
            ORDER BY c.subject, c.cause
            "#
            )
        );
        Ok(rows
            .into_iter()
            .map(|row| DueAlert {
                subject: row.subject,
                cause: row.cause,
                stores: row.stores,
            })
            .collect())
    }

    /// Makes the mails of a cause with everything that was gathered for it, and begins its quiet time, unless another
    /// reporter has. Returns whether this one did.
    ///
    /// # Errors
    /// An outage. May be repeated: what took effect is not made again within the quiet time.
    pub async fn make_alert(&self, alert: &NewAlert) -> Result<bool, LedgerError> {
        let columns = Columns::of(&alert.mails);
        let made = limited!(
            self.pool,
            fetch_one,
            sqlx::query_scalar!(
                r#"
            WITH turn AS (
                INSERT INTO alerts AS known (subject, cause, quiet_until)
                SELECT $1, $2, now() + $3::bigint * interval '1 millisecond'
                WHERE EXISTS (SELECT FROM alert_causes WHERE subject = $1 AND cause = $2)
                ON CONFLICT ON CONSTRAINT alerts_pkey DO UPDATE
                SET told_at = now(),
                    quiet_until = excluded.quiet_until
                WHERE known.quiet_until <= now()
                RETURNING subject, cause
            ),
            gone AS (
                DELETE FROM alert_causes c
                USING turn
                WHERE c.subject = turn.subject
                    AND c.cause = turn.cause
                RETURNING c.event_id
            ),
            happened AS (
                SELECT
                    count(*) AS count, min(e.time) AS first, max(e.time) AS last,
                    jsonb_agg(DISTINCT e.store) AS stores
                FROM gone
                JOIN events e ON e.id = gone.event_id
                HAVING count(*) > 0
            ),
            examples AS (
                SELECT jsonb_agg(example.body ORDER BY example.id) AS bodies
                FROM (
                    SELECT e.id, e.body || jsonb_build_object('time', e.time) AS body
                    FROM gone
                    JOIN events e ON e.id = gone.event_id
                    ORDER BY e.id
                    LIMIT $4
                ) example
            ),
            made AS (
                INSERT INTO mails (id, kind, series, key, recipient, message_id, what)
                SELECT
                    m.id, m.kind, m.series, m.key, m.recipient, m.message_id,
                    m.what || jsonb_build_object(
                        'count', h.count, 'first', h.first, 'last', h.last, 'stores', h.stores, 'examples', x.bodies
                    )
                FROM happened h
                CROSS JOIN examples x
                CROSS JOIN unnest(
                    $5::uuid[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::jsonb[]
                ) AS m (id, kind, series, key, recipient, message_id, what)
                ON CONFLICT ON CONSTRAINT mails_key DO NOTHING
            )
            SELECT EXISTS (SELECT FROM happened) AS "made!"
            "#,
                alert.due.subject,
                alert.due.cause,
                millis(alert.quiet),
                i64::from(alert.examples),
                &columns.ids,
                &columns.kinds,
                &columns.series,
                &columns.keys,
                &columns.recipients,
                &columns.message_ids,
                &columns.whats as _,
            )
        );
        Ok(made)
    }
}
