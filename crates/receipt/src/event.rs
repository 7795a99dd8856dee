//! What the outside is told.
//!
//! A body is made by whoever makes the transition and is stored in the same database transaction; what publishes it adds
//! the id, the type and the database's time ([`published`]). No buyer's data, ever: consumers are many and their logs
//! are not ours.
//!
//! The contract of what is published is `schema/event.v1.json`, generated from the types of [`contract`](self::schema).

mod comment;
mod contract;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::class::{Refusal, Text};
use crate::content::Operation;
use crate::external_id::ExternalId;
use crate::fiscal::FiscalDocument;
use crate::id::{DocumentNumber, DocumentPart, EventId, OrderNumber, StoreCode, TransactionId, VendorUuid};
use crate::state::StateName;

pub use comment::account_text;
pub use contract::schema;

/// The kinds of events. The routing key is `{store}.{type}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EventType {
    /// kassa's promise starts here.
    #[serde(rename = "receipt.accepted")]
    Accepted,
    /// A try failed; there will be another.
    #[serde(rename = "receipt.retrying")]
    Retrying,
    /// The vendor has it.
    #[serde(rename = "receipt.waiting")]
    Waiting,
    /// Registered.
    #[serde(rename = "receipt.done")]
    Done,
    /// A person must act.
    #[serde(rename = "receipt.failed")]
    Failed,
    /// The outcome is not known.
    #[serde(rename = "receipt.unknown")]
    Unknown,
    /// A person closed it.
    #[serde(rename = "receipt.cancelled")]
    Cancelled,
    /// The vendor has had it for longer than the store allows; told once.
    #[serde(rename = "receipt.overdue")]
    Overdue,
    /// A second registration of the same receipt was found. A person must correct it with the tax office in mind.
    #[serde(rename = "receipt.double")]
    Double,
    /// The document is known with another content.
    #[serde(rename = "receipt.conflict")]
    Conflict,
    /// A message could not be accepted.
    #[serde(rename = "request.rejected")]
    Rejected,
    /// The gate of an account was closed, by a machine or a person.
    #[serde(rename = "account.paused")]
    AccountPaused,
    /// The gate of an account is open again.
    #[serde(rename = "account.resumed")]
    AccountResumed,
}

impl EventType {
    /// The word in the table and in the routing key.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "receipt.accepted",
            Self::Retrying => "receipt.retrying",
            Self::Waiting => "receipt.waiting",
            Self::Done => "receipt.done",
            Self::Failed => "receipt.failed",
            Self::Unknown => "receipt.unknown",
            Self::Cancelled => "receipt.cancelled",
            Self::Overdue => "receipt.overdue",
            Self::Double => "receipt.double",
            Self::Conflict => "receipt.conflict",
            Self::Rejected => "request.rejected",
            Self::AccountPaused => "account.paused",
            Self::AccountResumed => "account.resumed",
        }
    }
}

/// Which transaction an event is about: the part that never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// Our id.
    pub transaction_id: TransactionId,
    /// The store.
    pub store: StoreCode,
    /// What is registered.
    pub operation: Operation,
    /// The shop's document.
    pub document: DocumentNumber,
    /// Which receipt of that document.
    pub part: DocumentPart,
    /// The shop's order.
    pub order: Option<OrderNumber>,
}

/// What the shop may do with its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderStatusHint {
    /// Put the order into the status for failed receipts.
    KkmFailed,
    /// Give the order its former status back, if it was put aside.
    Restore,
}

/// Why a receipt is not registered (yet), for people and for programs that sort.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventError {
    /// The word for the class: `retry`, `in_doubt`, `rekey`, `halt`, `permanent`, `unknown`.
    pub class: String,
    /// The vendor's error type, or `transport` when there was no answer.
    pub kind: String,
    /// The vendor's code, or a word for what became of the call.
    pub code: String,
    /// The vendor's own words, masked; may be empty.
    pub message: String,
    /// What happened.
    pub cause: Text,
    /// What to do about it.
    pub cure: Text,
}

impl From<Refusal> for EventError {
    fn from(refusal: Refusal) -> Self {
        Self {
            class: refusal.class.name().to_owned(),
            kind: refusal.kind,
            code: refusal.code,
            message: refusal.message,
            cause: refusal.cause,
            cure: refusal.cure,
        }
    }
}

/// The body of an event about a transaction, without its id, type, time and version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    /// Which transaction.
    #[serde(flatten)]
    pub subject: Subject,
    /// The key at the vendor.
    pub external_id: ExternalId,
    /// The vendor's own id, once there is one.
    pub vendor_uuid: Option<VendorUuid>,
    /// The state after the transition.
    pub state: StateName,
    /// The same in the words of the module that kassa replaces.
    pub kkm_status: String,
    /// What the shop may do with its order.
    pub order_status_hint: Option<OrderStatusHint>,
    /// A comment for the order's history.
    pub text: Text,
    /// The fiscal document, at `receipt.done`; the second one, at `receipt.double`.
    pub fiscal: Option<FiscalDocument>,
    /// What went wrong, with cause and cure.
    pub error: Option<EventError>,
    /// The failed or cancelled transaction whose document this one corrects, at `receipt.accepted` of a revision.
    #[serde(default)]
    pub replaces: Option<TransactionId>,
    /// The transaction that a half of a resell follows, when it is accepted and when it is released: of the cancelling
    /// receipt the sale that it cancels, of the new sale the cancelling receipt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<TransactionId>,
    /// At `receipt.double`: the other registrations of the same receipt that are, or may be, registered too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<OtherRegistration>,
}

/// Another registration of the same receipt, as `receipt.double` names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherRegistration {
    /// Its key at the vendor.
    pub external_id: ExternalId,
    /// The vendor's own id, if it gave one.
    pub vendor_uuid: Option<VendorUuid>,
    /// `done` with a document, `waiting` at the vendor, or `open`: sent, and its outcome is not known.
    pub state: String,
    /// Its fiscal document, once it has one.
    pub fiscal: Option<FiscalDocument>,
}

impl Body {
    /// The body for `subject` arriving in `state`.
    #[must_use]
    pub fn new(subject: Subject, external_id: ExternalId, state: StateName) -> Self {
        let text = comment::arrival(&subject, &external_id, state);
        let order_status_hint = match state {
            StateName::Failed => Some(OrderStatusHint::KkmFailed),
            StateName::Done => Some(OrderStatusHint::Restore),
            StateName::Held
            | StateName::Queued
            | StateName::Sending
            | StateName::Waiting
            | StateName::Retrying
            | StateName::Unknown
            | StateName::Cancelled => None,
        };
        Self {
            subject,
            external_id,
            vendor_uuid: None,
            state,
            kkm_status: state.kkm_status().to_owned(),
            order_status_hint,
            text,
            fiscal: None,
            error: None,
            replaces: None,
            parent: None,
            others: Vec::new(),
        }
    }

    /// The body of `receipt.double`: a document was found under `external_id` beside another registration of the same
    /// receipt, which is registered too or may be. The others are added by the ledger, which knows them; their keys
    /// are added to the end of the comment.
    #[must_use]
    pub fn double(subject: Subject, external_id: ExternalId, fiscal: FiscalDocument) -> Self {
        let mut body = Self::new(subject, external_id, StateName::Done).with_fiscal(fiscal);
        body.order_status_hint = None;
        body.text = Text::new(
            format!(
                "{} Ключ: {}. Этот чек пробит дважды или мог быть пробит дважды: сверьте все его ключи в личном кабинете и исправьте лишний документ по правилам налоговой. Другие ключи:",
                body.text.ru, body.external_id
            ),
            format!(
                "{} Key: {}. This receipt is registered twice, or may be: compare all its keys in the vendor's cabinet and correct the surplus document as the tax office wants it. Other keys:",
                body.text.en, body.external_id
            ),
        );
        body
    }

    /// The body of `receipt.overdue`.
    #[must_use]
    pub fn overdue(subject: Subject, external_id: ExternalId, waited: Duration) -> Self {
        let mut body = Self::new(subject, external_id, StateName::Waiting);
        let hours = waited.as_secs() / 3600;
        body.text.ru.push_str(&format!(
            " Ждёт дольше допустимого ({hours} ч): проверьте кассу и личный кабинет. Опрос продолжается, повторно не \
             отправляйте."
        ));
        body.text.en.push_str(&format!(
            " It waits longer than the store allows ({hours} h): check the cash register and the vendor's cabinet. Asking \
             goes on; do not send it again."
        ));
        body
    }

    /// With the transaction that a half of a resell follows.
    #[must_use]
    pub fn with_parent(mut self, parent: TransactionId) -> Self {
        self.parent = Some(parent);
        self
    }

    /// With the vendor's id.
    #[must_use]
    pub fn with_vendor_uuid(mut self, vendor_uuid: Option<VendorUuid>) -> Self {
        self.vendor_uuid = vendor_uuid;
        self
    }

    /// With what went wrong; its cause, code and cure are added to the comment.
    #[must_use]
    pub fn with_error(mut self, error: Option<Refusal>) -> Self {
        if let Some(refusal) = &error {
            comment::add(&mut self.text, &comment::refusal(refusal));
        }
        self.error = error.map(EventError::from);
        self
    }

    /// With the fiscal document; its numbers and the link to it are added to the comment.
    #[must_use]
    pub fn with_fiscal(mut self, fiscal: FiscalDocument) -> Self {
        comment::add(&mut self.text, &comment::fiscal(&fiscal));
        self.fiscal = Some(fiscal);
        self
    }
}

/// The body of an event about a message that was not accepted: `request.rejected` and `receipt.conflict`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RequestBody {
    /// The store of the routing key; `unknown` when the key is no store's.
    pub store: String,
    /// The message's own id, if the shop gave one.
    pub message_id: Option<String>,
    /// The message's routing key.
    pub routing_key: String,
    /// The reason for people.
    pub text: Text,
    /// The RFC 9457 problem document.
    pub problem: Value,
}

impl RequestBody {
    /// The body for a message and its problem document, whose detail is the text.
    #[must_use]
    pub fn new(store: String, message_id: Option<String>, routing_key: String, problem: Value) -> Self {
        let detail = |name: &str| problem.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        Self {
            store,
            message_id,
            routing_key,
            text: Text::new(detail("detail_ru"), detail("detail")),
            problem,
        }
    }
}

/// The bytes that leave kassa, by the broker and by webhooks alike: the stored body with the event's id, type and time.
/// A function of the stored row alone, so a repetition sends the same bytes.
#[must_use]
pub fn published(id: EventId, event_type: &str, time: jiff::Timestamp, body: Value) -> Vec<u8> {
    let mut event = match body {
        Value::Object(body) => body,
        other => Map::from_iter([("body".to_owned(), other)]),
    };
    event.insert("id".to_owned(), json!(id));
    event.insert("type".to_owned(), json!(event_type));
    event.insert("time".to_owned(), json!(time));
    Value::Object(event).to_string().into_bytes()
}

#[cfg(test)]
mod tests;
