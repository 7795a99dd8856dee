//! Messages that could not be accepted. They are never lost: bytes, headers and reason stand here.

use receipt::event::{EventType, RequestBody, Subject};
use receipt::intake::{self, NotAccepted};
use receipt::{EventId, StateName, TransactionId};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::error::LedgerError;
use crate::limit::limited;
use crate::pool::Ledger;
use crate::storable::{storable, storable_json};

/// What is longer is no document's number.
const LONGEST_NUMBER: usize = 64;

/// Which way a message came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Refused by the accept loop.
    Intake,
    /// Dead-lettered by the broker itself.
    Broker,
}

impl Origin {
    /// The word in the table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Intake => "intake",
            Self::Broker => "broker",
        }
    }
}

/// Which document a refused request is about, when it could be read that far.
#[derive(Debug, Clone)]
pub struct About {
    /// Store, operation and document; its transaction id is that of nobody.
    pub subject: Subject,
    /// The transaction that holds the document, and where it stands, when there is one.
    pub holder: Option<(TransactionId, StateName)>,
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
    /// Which document it is about.
    pub about: Option<About>,
}

impl Rejection {
    /// Of a request that cannot be accepted.
    #[must_use]
    pub fn of(why: &NotAccepted) -> Self {
        Self {
            code: why.code().to_owned(),
            problem: why.problem(),
            event: EventType::Rejected,
            about: None,
        }
    }

    /// Of a document that is known with another content, by the transaction `holder`.
    #[must_use]
    pub fn conflict(subject: Subject, holder: TransactionId, state: StateName) -> Self {
        Self {
            code: "conflict".to_owned(),
            problem: intake::conflict(holder, state),
            event: EventType::Conflict,
            about: Some(About {
                subject,
                holder: Some((holder, state)),
            }),
        }
    }

    /// Of a document whose key at the vendor belongs to another document.
    #[must_use]
    pub fn key_taken(subject: Subject) -> Self {
        Self {
            code: "key_taken".to_owned(),
            problem: intake::key_taken(),
            event: EventType::Conflict,
            about: Some(About { subject, holder: None }),
        }
    }

    /// Of a request that the database refuses, which only a mistake of ours can cause.
    #[must_use]
    pub fn not_storable() -> Self {
        Self {
            code: "not_storable".to_owned(),
            problem: intake::not_storable(),
            event: EventType::Rejected,
            about: None,
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

impl Ledger {
    /// Keeps a message and tells the shop, in one commit. The same message again is counted and told again, because
    /// its sender may have missed the first answer; if it had been replayed meanwhile it needs a person again.
    ///
    /// # Errors
    /// An outage.
    pub async fn bury(&self, letter: &NewDeadLetter) -> Result<(), LedgerError> {
        let told = told(&letter.rejection, &letter.routing_key, letter.message_id.as_deref());
        limited!(
            self.pool,
            execute,
            sqlx::query!(
                r#"
            WITH buried AS (
                INSERT INTO dead_letters (
                    id, fingerprint, origin, exchange, routing_key, message_id, body, headers, reason_code, reason,
                    document_number
                )
                VALUES (
                    $1, sha256(convert_to($4 || E'\n' || $8 || E'\n', 'UTF8') || $6), $2, $3, $4, $5, $6, $7, $8, $9,
                    $14
                )
                ON CONFLICT ON CONSTRAINT dead_letters_fingerprint DO UPDATE
                SET times = dead_letters.times + 1,
                    last_seen = now(),
                    replayed_at = NULL,
                    transaction_id = NULL,
                    replay_after = now()
                RETURNING id
            )
            INSERT INTO events (id, type, store, correlation_id, body, transaction_id)
            SELECT $10, $11, $12, $5, $13::jsonb || coalesce(holder.names, '{}'), holder.id
            FROM buried
            LEFT JOIN (
                SELECT id, jsonb_build_object('external_id', external_id, 'vendor_uuid', vendor_uuid) AS names
                FROM transactions
                WHERE id = $15
            ) holder ON true
            "#,
                Uuid::now_v7(),
                letter.origin.name(),
                storable(&letter.exchange),
                storable(&letter.routing_key),
                letter.message_id.as_deref().map(storable),
                &letter.body,
                storable_json(letter.headers.clone()),
                storable(&letter.rejection.code),
                storable_json(letter.rejection.problem.clone()),
                EventId::new().0,
                letter.rejection.event.name(),
                told.store,
                told.body,
                document_of(&letter.body).map(|number| storable(&number)),
                told.holder.map(|id| id.0),
            )
        );
        Ok(())
    }
}

/// What the shop is told about a message that was not accepted.
pub(crate) struct Told {
    /// The first part of the routing key.
    pub(crate) store: String,
    pub(crate) body: Value,
    /// The transaction in whose history it stands; it completes the body with its external id and uuid.
    pub(crate) holder: Option<TransactionId>,
}

pub(crate) fn told(rejection: &Rejection, routing_key: &str, message_id: Option<&str>) -> Told {
    let store = match receipt::StoreCode::parse(routing_key) {
        Ok(store) => store.to_string(),
        Err(_) => "unknown".to_owned(),
    };
    let body = RequestBody::new(
        store.clone(),
        message_id.map(storable),
        storable(routing_key),
        storable_json(rejection.problem.clone()),
    );
    let mut body = json!(body);
    let mut holder = None;
    if let Some(about) = &rejection.about {
        let subject = &about.subject;
        body["operation"] = json!(subject.operation);
        body["document"] = json!(subject.document);
        body["part"] = json!(subject.part);
        body["order"] = json!(subject.order);
        holder = about.holder.map(|(id, _)| id);
        if let Some((id, state)) = about.holder {
            body["transaction_id"] = json!(id);
            body["state"] = json!(state);
            body["kkm_status"] = json!(state.kkm_status());
        }
    }
    Told { store, body, holder }
}

/// The number of the document, as far as the body can be read: people search by it.
fn document_of(body: &[u8]) -> Option<String> {
    let request: Value = serde_json::from_slice(body).ok()?;
    let number = request.get("document")?.get("number")?;
    let number = match number {
        Value::String(number) => number.clone(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    (number.len() <= LONGEST_NUMBER).then_some(number)
}
