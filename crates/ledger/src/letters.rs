//! Dead letters for people: which there are, and each with every byte.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::error::LedgerError;
use crate::limit::limited;
use crate::pool::Ledger;

/// Which letters. Every field narrows; with none, all that were not replayed.
#[derive(Debug, Clone, Default)]
pub struct LetterFilter {
    /// Only these: our id of the letter, or the message's id.
    pub ids: Option<Vec<String>>,
    /// Only this word: `invalid`, `conflict`, `unknown_store`, …
    pub reason: Option<String>,
    /// Only this store, by the routing key.
    pub store: Option<String>,
    /// Only those that came this way.
    pub origin: Option<String>,
    /// Only those that came, the last time, at or after this.
    pub since: Option<Timestamp>,
    /// Only those that came, the last time, before this.
    pub until: Option<Timestamp>,
    /// Only this document number.
    pub document: Option<String>,
    /// Only bodies with this text in them, as it is or as JSON escapes it.
    pub text: Option<String>,
    /// Also those that were replayed.
    pub with_replayed: bool,
}

/// A letter, as a list shows it.
#[derive(Debug, Clone, Serialize)]
pub struct LetterRow {
    /// Its id here.
    pub id: Uuid,
    /// `intake` or `broker`.
    pub origin: String,
    /// Its routing key.
    pub routing_key: String,
    /// Its id, if the shop gave one.
    pub message_id: Option<String>,
    /// The number of its document, if it could be read.
    pub document_number: Option<String>,
    /// The word for filters.
    pub reason_code: String,
    /// Why, in one sentence.
    pub detail: Option<String>,
    /// The same in Russian.
    pub detail_ru: Option<String>,
    /// Bytes of the body.
    pub size: i32,
    /// How often the same message came.
    pub times: i32,
    /// When it came first.
    pub first_seen: Timestamp,
    /// When it came last.
    pub last_seen: Timestamp,
    /// When it was accepted after all.
    pub replayed_at: Option<Timestamp>,
    /// As which transaction.
    pub transaction_id: Option<Uuid>,
}

/// A letter with everything.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// Its id here.
    pub id: Uuid,
    /// `intake` or `broker`.
    pub origin: String,
    /// The exchange it was published to.
    pub exchange: String,
    /// Its routing key.
    pub routing_key: String,
    /// Its id, if the shop gave one.
    pub message_id: Option<String>,
    /// Every byte.
    pub body: Vec<u8>,
    /// Its headers and properties.
    pub headers: Value,
    /// The word for filters.
    pub reason_code: String,
    /// The problem document.
    pub reason: Value,
    /// How often the same message came.
    pub times: i32,
    /// When it came first.
    pub first_seen: Timestamp,
    /// When it came last.
    pub last_seen: Timestamp,
    /// When it was accepted after all.
    pub replayed_at: Option<Timestamp>,
    /// As which transaction.
    pub transaction_id: Option<Uuid>,
}

/// The letters that a filter matched at one moment.
#[derive(Debug, Clone)]
pub struct Matching {
    /// Their ids, oldest first.
    pub ids: Vec<Uuid>,
    /// The moment, by the database's clock: what comes again after it is not meant.
    pub as_of: Timestamp,
}

impl DeadLetter {
    /// The message's type, if it had one.
    #[must_use]
    pub fn message_type(&self) -> Option<&str> {
        self.headers.get("type").and_then(Value::as_str)
    }
}

impl LetterFilter {
    /// The text, and as JSON may spell it: many programs escape everything that is not ASCII.
    fn needles(&self) -> Option<Vec<Vec<u8>>> {
        let text = self.text.as_deref()?;
        let escaped = |upper: bool| -> String {
            text.encode_utf16()
                .map(|unit| match u8::try_from(unit) {
                    Ok(byte) if byte.is_ascii() => char::from(byte).to_string(),
                    Ok(_) | Err(_) if upper => format!("\\u{unit:04X}"),
                    Ok(_) | Err(_) => format!("\\u{unit:04x}"),
                })
                .collect()
        };
        Some(vec![
            text.as_bytes().to_vec(),
            escaped(false).into_bytes(),
            escaped(true).into_bytes(),
        ])
    }
}

impl Ledger {
    /// Letters, the one that came last first.
    ///
    /// # Errors
    /// An outage.
    pub async fn list_letters(&self, filter: &LetterFilter, limit: i64) -> Result<Vec<LetterRow>, LedgerError> {
        let rows = limited!(
            self.pool,
            fetch_all,
            sqlx::query!(
                r#"
            SELECT id, origin, routing_key, message_id, document_number, reason_code,
                reason ->> 'detail' AS detail, reason ->> 'detail_ru' AS detail_ru,
                octet_length(body) AS "size!", times, transaction_id,
                first_seen AS "first_seen: jiff_sqlx::Timestamp",
                last_seen AS "last_seen: jiff_sqlx::Timestamp",
                replayed_at AS "replayed_at: jiff_sqlx::Timestamp"
            FROM dead_letters
            WHERE ($1::text[] IS NULL OR id::text = ANY($1) OR message_id = ANY($1))
                AND ($2::text IS NULL OR reason_code = $2)
                AND ($3::text IS NULL OR routing_key = $3)
                AND ($4::text IS NULL OR origin = $4)
                AND ($5::timestamptz IS NULL OR last_seen >= $5)
                AND ($6::timestamptz IS NULL OR last_seen < $6)
                AND (
                    $7::text IS NULL
                    OR document_number = $7
                    OR document_number IS NULL AND position(convert_to('"' || $7 || '"', 'UTF8') IN body) > 0
                )
                AND (
                    $8::bytea[] IS NULL
                    OR EXISTS (SELECT FROM unnest($8::bytea[]) AS needle WHERE position(needle IN body) > 0)
                )
                AND ($9 OR replayed_at IS NULL)
            ORDER BY last_seen DESC, id DESC
            LIMIT $10
            "#,
                filter.ids.as_deref() as _,
                filter.reason,
                filter.store,
                filter.origin,
                filter.since.map(jiff_sqlx::Timestamp::from) as _,
                filter.until.map(jiff_sqlx::Timestamp::from) as _,
                filter.document,
                filter.needles() as _,
                filter.with_replayed,
                limit,
            )
        );
        Ok(rows
            .into_iter()
            .map(|row| LetterRow {
                id: row.id,
                origin: row.origin,
                routing_key: row.routing_key,
                message_id: row.message_id,
                document_number: row.document_number,
                reason_code: row.reason_code,
                detail: row.detail,
                detail_ru: row.detail_ru,
                size: row.size,
                times: row.times,
                first_seen: row.first_seen.to_jiff(),
                last_seen: row.last_seen.to_jiff(),
                replayed_at: row.replayed_at.map(jiff_sqlx::Timestamp::to_jiff),
                transaction_id: row.transaction_id,
            })
            .collect())
    }

    /// Which letters a bulk action means, at most `limit` of them.
    ///
    /// # Errors
    /// An outage.
    pub async fn matching_letters(&self, filter: &LetterFilter, limit: i64) -> Result<Matching, LedgerError> {
        let row = limited!(
            self.pool,
            fetch_one,
            sqlx::query!(
                r#"
            SELECT
                coalesce(array_agg(id ORDER BY first_seen, id), '{}') AS "ids!",
                now() AS "as_of!: jiff_sqlx::Timestamp"
            FROM (
                SELECT id, first_seen
                FROM dead_letters
                WHERE ($1::text[] IS NULL OR id::text = ANY($1) OR message_id = ANY($1))
                    AND ($2::text IS NULL OR reason_code = $2)
                    AND ($3::text IS NULL OR routing_key = $3)
                    AND ($4::text IS NULL OR origin = $4)
                    AND ($5::timestamptz IS NULL OR last_seen >= $5)
                    AND ($6::timestamptz IS NULL OR last_seen < $6)
                    AND (
                        $7::text IS NULL
                        OR document_number = $7
                        OR document_number IS NULL AND position(convert_to('"' || $7 || '"', 'UTF8') IN body) > 0
                    )
                    AND (
                        $8::bytea[] IS NULL
                        OR EXISTS (SELECT FROM unnest($8::bytea[]) AS needle WHERE position(needle IN body) > 0)
                    )
                    AND ($9 OR replayed_at IS NULL)
                ORDER BY first_seen, id
                LIMIT $10
            ) matching
            "#,
                filter.ids.as_deref() as _,
                filter.reason,
                filter.store,
                filter.origin,
                filter.since.map(jiff_sqlx::Timestamp::from) as _,
                filter.until.map(jiff_sqlx::Timestamp::from) as _,
                filter.document,
                filter.needles() as _,
                filter.with_replayed,
                limit,
            )
        );
        Ok(Matching {
            ids: row.ids,
            as_of: row.as_of.to_jiff(),
        })
    }

    /// One letter; `None` when it was dropped.
    ///
    /// # Errors
    /// An outage.
    pub async fn letter(&self, id: Uuid) -> Result<Option<DeadLetter>, LedgerError> {
        let row = limited!(
            self.pool,
            fetch_optional,
            sqlx::query_as!(
                DeadLetterRow,
                r#"
            SELECT id, origin, exchange, routing_key, message_id, body, headers, reason_code, reason, times,
                transaction_id,
                first_seen AS "first_seen: jiff_sqlx::Timestamp",
                last_seen AS "last_seen: jiff_sqlx::Timestamp",
                replayed_at AS "replayed_at: jiff_sqlx::Timestamp"
            FROM dead_letters
            WHERE id = $1
            "#,
                id,
            )
        );
        Ok(row.map(DeadLetter::from))
    }
}

pub(crate) struct DeadLetterRow {
    pub(crate) id: Uuid,
    pub(crate) origin: String,
    pub(crate) exchange: String,
    pub(crate) routing_key: String,
    pub(crate) message_id: Option<String>,
    pub(crate) body: Vec<u8>,
    pub(crate) headers: Value,
    pub(crate) reason_code: String,
    pub(crate) reason: Value,
    pub(crate) times: i32,
    pub(crate) first_seen: jiff_sqlx::Timestamp,
    pub(crate) last_seen: jiff_sqlx::Timestamp,
    pub(crate) replayed_at: Option<jiff_sqlx::Timestamp>,
    pub(crate) transaction_id: Option<Uuid>,
}

impl From<DeadLetterRow> for DeadLetter {
    fn from(row: DeadLetterRow) -> Self {
        Self {
            id: row.id,
            origin: row.origin,
            exchange: row.exchange,
            routing_key: row.routing_key,
            message_id: row.message_id,
            body: row.body,
            headers: row.headers,
            reason_code: row.reason_code,
            reason: row.reason,
            times: row.times,
            first_seen: row.first_seen.to_jiff(),
            last_seen: row.last_seen.to_jiff(),
            replayed_at: row.replayed_at.map(jiff_sqlx::Timestamp::to_jiff),
            transaction_id: row.transaction_id,
        }
    }
}
