//! The contract `event.v1`: what consumers of `kassa.events` and of webhooks may rely on, field by field.
//!
//! These structs only make the committed JSON Schema, doc comments included; so every doc comment here is read by shops.
//! That the published bytes keep it is tested against the real rows (`ledger/tests/it/contract.rs`).
#![expect(dead_code, reason = "only the schema of these types is used")]

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde_json::Value;

use crate::content::Operation;

/// The JSON Schema of everything that is published, draft 2020-12. New optional fields may be added at any time;
/// consumers ignore what they do not know.
#[must_use]
pub fn schema() -> Value {
    SchemaSettings::draft2020_12()
        .for_serialize()
        .with_transform(RecursiveTransform(crate::request::join_lines))
        .into_generator()
        .into_root_schema_for::<Event>()
        .to_value()
}

/// An event of kassa.
///
/// It is published at least once: `id` recognises a repetition. The order of arrival is not promised; of two events about
/// one transaction the one with the higher `version` is the later one, and of events without it the one with the later
/// `time`. There is never any data of the buyer in it. New fields and new types may come.
#[derive(JsonSchema)]
#[schemars(untagged, title = "event.v1", extend("$id" = "urn:kassa:event.v1"))]
enum Event {
    Receipt(Box<ReceiptEvent>),
    Request(Box<RequestEvent>),
    Account(AccountEvent),
}

/// Something became of a transaction.
#[derive(JsonSchema)]
struct ReceiptEvent {
    /// Id of the event. Also `message_id` in the broker and `webhook-id` of a webhook.
    id: UuidText,
    /// What happened.
    r#type: ReceiptEventType,
    /// When it became true, by the database's clock.
    time: TimeText,
    /// Counts the changes of the transaction: the later event has the higher version. Absent in events from before it
    /// was introduced.
    #[schemars(range(min = 0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<i64>,
    /// The transaction.
    transaction_id: UuidText,
    /// The store.
    store: String,
    /// What is registered.
    operation: Operation,
    /// Number of the shop's document.
    document: String,
    /// Which receipt of the document; `main` if it has one only.
    part: String,
    /// Number of the shop's order, if the request named one.
    order: Option<String>,
    /// The key under which the vendor knows it.
    external_id: String,
    /// The vendor's own id, once there is one.
    vendor_uuid: Option<String>,
    /// The state after the transition.
    state: State,
    /// The state in the words of the module that kassa replaces.
    kkm_status: KkmStatus,
    /// What the shop may do with its order.
    order_status_hint: Option<OrderStatusHint>,
    /// A comment for the order's history.
    text: Text,
    /// The fiscal document, with `receipt.done`; the second one, with `receipt.double`.
    fiscal: Option<Fiscal>,
    /// What went wrong.
    error: Option<Error>,
    /// With `receipt.accepted` of a corrected receipt: the failed or cancelled transaction of the same document.
    #[serde(skip_serializing_if = "Option::is_none")]
    replaces: Option<UuidText>,
    /// With `receipt.accepted` of a half of a resell: of the cancelling receipt the sale that it cancels, of the new sale
    /// the cancelling receipt.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<UuidText>,
    /// With `receipt.double`: the other registrations of the same receipt that are, or may be, registered too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    others: Vec<Other>,
}

/// Another registration of the same receipt.
#[derive(JsonSchema)]
struct Other {
    /// The key under which the vendor knows it.
    external_id: String,
    /// The vendor's own id of it.
    vendor_uuid: Option<String>,
    /// `done` with a document, `waiting` at the vendor, or `open`: sent, and its outcome is not known.
    state: OtherState,
    /// Its fiscal document, once it has one.
    fiscal: Option<Fiscal>,
}

#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
enum OtherState {
    Open,
    Waiting,
    Done,
    Dead,
}

/// A message was not accepted.
#[derive(JsonSchema)]
struct RequestEvent {
    /// Id of the event. Also `message_id` in the broker and `webhook-id` of a webhook.
    id: UuidText,
    /// What happened.
    r#type: RequestEventType,
    /// When it became true, by the database's clock.
    time: TimeText,
    /// The store of the message's routing key; `unknown` when the key is no store's.
    store: String,
    /// The message's own id, if it had one. Also `correlation_id` in the broker, where it is at most 255 bytes.
    message_id: Option<String>,
    /// The message's routing key.
    routing_key: String,
    /// The reason for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<Text>,
    /// The reason for programs: problem+json (RFC 9457) with `code` and `errors`.
    problem: serde_json::Map<String, Value>,
    /// With `receipt.conflict`: what the message asked for, as in the other events.
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<Operation>,
    /// Number of the shop's document.
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<String>,
    /// Which receipt of the document.
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<String>,
    /// Number of the shop's order, if the message named one.
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<String>,
    /// The transaction that holds the document, and how it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction_id: Option<UuidText>,
    /// Its state.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<State>,
    /// Its state in the words of the module that kassa replaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    kkm_status: Option<KkmStatus>,
    /// The key under which the vendor knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id: Option<String>,
    /// The vendor's own id of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    vendor_uuid: Option<String>,
}

/// The gate of an account was closed or opened.
#[derive(JsonSchema)]
struct AccountEvent {
    /// Id of the event. Also `message_id` in the broker and `webhook-id` of a webhook.
    id: UuidText,
    /// What happened.
    r#type: AccountEventType,
    /// When it became true, by the database's clock.
    time: TimeText,
    /// What happened and what to do, for people.
    text: Text,
}

#[derive(JsonSchema)]
enum ReceiptEventType {
    /// Accepted: from here on kassa keeps its promise. With the state `held` it waits for a person, or for the first half
    /// of its resell; once released it is told again, with the state `queued`.
    #[serde(rename = "receipt.accepted")]
    Accepted,
    /// A try failed, and there will be another.
    #[serde(rename = "receipt.retrying")]
    Retrying,
    /// The vendor has it.
    #[serde(rename = "receipt.waiting")]
    Waiting,
    /// Registered.
    #[serde(rename = "receipt.done")]
    Done,
    /// Not registered; a person must act.
    #[serde(rename = "receipt.failed")]
    Failed,
    /// The outcome is not known; a person must look.
    #[serde(rename = "receipt.unknown")]
    Unknown,
    /// A person closed it.
    #[serde(rename = "receipt.cancelled")]
    Cancelled,
    /// The vendor has had it for longer than the store allows; the state stays.
    #[serde(rename = "receipt.overdue")]
    Overdue,
    /// It was registered twice; a person must correct it.
    #[serde(rename = "receipt.double")]
    Double,
}

#[derive(JsonSchema)]
enum RequestEventType {
    /// The message could not be accepted.
    #[serde(rename = "request.rejected")]
    Rejected,
    /// The document was accepted before with another content.
    #[serde(rename = "receipt.conflict")]
    Conflict,
}

#[derive(JsonSchema)]
enum AccountEventType {
    /// The gate was closed, by a machine or a person.
    #[serde(rename = "account.paused")]
    Paused,
    /// The gate is open again.
    #[serde(rename = "account.resumed")]
    Resumed,
}

#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
enum State {
    Held,
    Queued,
    Sending,
    Waiting,
    Retrying,
    Done,
    Unknown,
    Failed,
    Cancelled,
}

#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
enum KkmStatus {
    Wait,
    Done,
    Fail,
}

#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
enum OrderStatusHint {
    /// Put the order into the status for failed receipts.
    KkmFailed,
    /// Give the order its former status back, if it was put aside.
    Restore,
}

/// One text in two languages.
#[derive(JsonSchema)]
struct Text {
    /// Russian.
    ru: String,
    /// English.
    en: String,
}

/// The fiscal document. FN, FD and FPD identify it for everybody.
#[derive(JsonSchema)]
struct Fiscal {
    /// Number of the fiscal drive (tag 1041).
    r#fn: String,
    /// Number of the fiscal document (tag 1040).
    fd: i64,
    /// Fiscal sign (tag 1077).
    fpd: String,
    /// Shift (tag 1038).
    shift: Option<i64>,
    /// Number of the receipt in the shift (tag 1042).
    receipt_number: Option<i64>,
    /// Registration number of the cash register (tag 1037).
    register_number: Option<String>,
    /// When the register closed the document, in its own local time, without a zone (tag 1012).
    #[schemars(regex(pattern = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}"))]
    registered_at: String,
    /// Total in roubles (tag 1020).
    #[schemars(regex(pattern = r"^\d+\.\d{2}$"))]
    total: String,
    /// Text of the QR code (tag 1196).
    qr: Option<String>,
    /// Page of the fiscal data operator that shows the receipt.
    ofd_url: Option<String>,
}

/// What went wrong.
#[derive(JsonSchema)]
struct Error {
    /// What it means for the receipt.
    class: Class,
    /// The vendor's error type, or `transport` when there was no answer.
    kind: String,
    /// The vendor's code, or a word for what became of the call.
    code: String,
    /// The vendor's own words; may be empty.
    message: String,
    /// What happened.
    cause: Text,
    /// What to do about it.
    cure: Text,
}

#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Class {
    /// It was certainly not registered; it is sent again.
    Retry,
    /// It may have been registered; the same id is sent again.
    InDoubt,
    /// The id is dead; it is sent again under the next one.
    Rekey,
    /// Nothing of this account will succeed until a person acts; the receipts wait.
    Halt,
    /// This receipt will never be accepted as it is.
    Permanent,
    /// The outcome is not known.
    Unknown,
}

#[derive(JsonSchema)]
#[schemars(rename = "Uuid", extend("format" = "uuid"))]
struct UuidText(String);

#[derive(JsonSchema)]
#[schemars(rename = "Time", extend("format" = "date-time"))]
struct TimeText(String);
