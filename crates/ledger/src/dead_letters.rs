//! Messages that could not be accepted. They are never lost: bytes, headers and reason stand here.

use jiff::Timestamp;
use receipt::event::{EventType, RequestBody};
use receipt::intake::{self, NotAccepted};
use receipt::{EventId, TransactionId};
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use crate::error::LedgerError;
use crate::limit::limited;
use crate::pool::Ledger;
use crate::storable::{storable, storable_json};

/// Which way a message came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Refused by the accept loop.
    Intake,
    /// Dead-lettered by the broker itself.
    Broker,
}

impl Origin {
    const fn name(self) -> &'static str {
        match self {
            Self::Intake => "intake",
            Self::Broker => "broker",
        }
    }
}

/// Why a message was not accepted, for filters and for people.
#[derive(Debug, Clone)]
pub struct Rejection {
    /// A word: `malformed`, `invalid`, `unknown_store`, `conflict`, …
    pub code: String,
    /// An RFC 9457 problem document: `title`, `detail`, `errors` with pointers.
    pub problem: Value,
    /// What the shop is told: `request.rejected`, or `receipt.conflict`.
    pub event: EventType,
}

impl Rejection {
    /// Of a request that cannot be accepted.
    #[must_use]
    pub fn of(why: &NotAccepted) -> Self {
        Self {
            code: why.code().to_owned(),
            problem: why.problem(),
            event: EventType::Rejected,
        }
    }

    /// Of a document that is known with another content.
    #[must_use]
    pub fn conflict(id: TransactionId) -> Self {
        Self {
            code: "conflict".to_owned(),
            problem: intake::conflict(id),
            event: EventType::Conflict,
        }
    }

    /// Of a document whose key at the vendor belongs to another document.
    #[must_use]
    pub fn key_taken() -> Self {
        Self {
            code: "key_taken".to_owned(),
            problem: intake::key_taken(),
            event: EventType::Conflict,
        }
    }

    /// Of a request that the database refuses, which only a mistake of ours can cause.
    #[must_use]
    pub fn not_storable() -> Self {
        Self {
            code: "not_storable".to_owned(),
            problem: intake::not_storable(),
            event: EventType::Rejected,
        }
    }
}

/// A message to be kept.
#[derive(Debug, Clone)]
pub struct NewDeadLetter {
    /// Which way it came.
    pub origin: Origin,
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
    /// Why.
    pub rejection: Rejection,
}

/// A kept message.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// Its id here.
    pub id: Uuid,
    /// `intake` or `broker`.
    pub origin: String,
    /// Its routing key.
    pub routing_key: String,
    /// Its id, if the shop gave one.
    pub message_id: Option<String>,
    /// Every byte.
    pub body: Vec<u8>,
    /// The word for filters.
    pub reason_code: String,
    /// The problem document.
    pub reason: Value,
    /// How often the same message came.
    pub times: i32,
    /// When it came last.
    pub last_seen: Timestamp,
}

impl Ledger {
    /// Keeps a message and tells the shop, in one commit. The same message again is counted and told again, because
    /// its sender may have missed the first answer.
    ///
    /// # Errors
    /// An outage.
    pub async fn bury(&self, letter: &NewDeadLetter) -> Result<(), LedgerError> {
        let event_store = match receipt::StoreCode::parse(&letter.routing_key) {
            Ok(store) => store.to_string(),
            Err(_) => "unknown".to_owned(),
        };
        let message_id = letter.message_id.as_deref().map(storable);
        let problem = storable_json(letter.rejection.problem.clone());
        let told = RequestBody::new(
            event_store.clone(),
            message_id.clone(),
            storable(&letter.routing_key),
            problem.clone(),
        );
        limited!(
            self.pool,
            execute,
            sqlx::query!(
                r#"
            WITH buried AS (
                INSERT INTO dead_letters (
                    id, fingerprint, origin, exchange, routing_key, message_id, body, headers, reason_code, reason
                )
                VALUES (
                    $1, sha256(convert_to($4 || E'\n' || $8 || E'\n', 'UTF8') || $6), $2, $3, $4, $5, $6, $7, $8, $9
                )
                ON CONFLICT ON CONSTRAINT dead_letters_fingerprint DO UPDATE
                SET times = dead_letters.times + 1,
                    last_seen = now()
                RETURNING id
            )
            INSERT INTO events (id, type, store, correlation_id, body)
            SELECT $10, $11, $12, $5, $13
            FROM buried
            "#,
                Uuid::now_v7(),
                letter.origin.name(),
                storable(&letter.exchange),
                storable(&letter.routing_key),
                message_id,
                &letter.body,
                storable_json(letter.headers.clone()),
                storable(&letter.rejection.code),
                problem,
                EventId::new().0,
                letter.rejection.event.name(),
                event_store,
                Json(told) as _,
            )
        );
        Ok(())
    }

    /// The newest kept messages.
    ///
    /// # Errors
    /// An outage.
    pub async fn dead_letters(&self, limit: i64) -> Result<Vec<DeadLetter>, LedgerError> {
        let rows = limited!(
            self.pool,
            fetch_all,
            sqlx::query!(
                r#"
            SELECT id, origin, routing_key, message_id, body, reason_code, reason, times,
                last_seen AS "last_seen: jiff_sqlx::Timestamp"
            FROM dead_letters
            ORDER BY last_seen DESC
            LIMIT $1
            "#,
                limit,
            )
        );
        Ok(rows
            .into_iter()
            .map(|row| DeadLetter {
                id: row.id,
                origin: row.origin,
                routing_key: row.routing_key,
                message_id: row.message_id,
                body: row.body,
                reason_code: row.reason_code,
                reason: row.reason,
                times: row.times,
                last_seen: row.last_seen.to_jiff(),
            })
            .collect())
    }
}
