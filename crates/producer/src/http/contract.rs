//! What the API says and takes, field by field.
//!
//! These structs only make the committed OpenAPI document, doc comments included; so every doc comment here is read by
//! shops. That real answers keep it is tested (`tests/it/http`).
#![expect(dead_code, reason = "only the schema of these types is used")]

use serde::Serialize;
use utoipa::ToSchema;

/// A receipt, and where it stands.
#[derive(Serialize, ToSchema)]
pub(super) struct Receipt {
    /// Id of the receipt's transaction.
    #[schema(format = Uuid)]
    id: String,
    /// The store.
    store: String,
    operation: Operation,
    document: Document,
    /// Which content of the document it is; above 0 it corrects another one.
    #[schema(minimum = 0)]
    revision: i32,
    /// The failed or cancelled receipt that it corrects.
    #[schema(format = Uuid)]
    replaces: Option<String>,
    state: State,
    failure: Option<Failure>,
    kkm_status: Option<KkmStatus>,
    /// Counts the changes; also the `ETag`.
    #[schema(minimum = 0)]
    version: i64,
    /// The account that registers it.
    account: String,
    /// The key under which the vendor knows it.
    external_id: String,
    /// The vendor's own id, once there is one.
    vendor_uuid: Option<String>,
    /// Sends of the current cycle.
    #[schema(minimum = 0)]
    trials: i32,
    /// When it is tried next, if it is.
    #[schema(format = DateTime)]
    due_at: Option<String>,
    /// The total in roubles.
    #[schema(pattern = r"^\d+\.\d{2}$")]
    total: String,
    fiscal: Option<Fiscal>,
    /// Since when kassa keeps its promise.
    #[schema(format = DateTime)]
    accepted_at: String,
    /// When it changed last.
    #[schema(format = DateTime)]
    updated_at: String,
}

/// The shop's document. Store, operation, number and part are the key.
#[derive(Serialize, ToSchema)]
struct Document {
    /// Its number.
    number: String,
    /// Which receipt of it; `main` if it has one only.
    part: String,
    /// Number of the shop's order.
    order: Option<String>,
}

/// What is registered.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Operation {
    Sell,
    Refund,
    ResellRefund,
    ResellSell,
}

/// `held`: a person sends it. `queued`: to be sent. `sending`: being sent. `waiting`: at the vendor. `retrying`: to be
/// sent again at `due_at`. `done`: registered. `unknown`: it may be registered, a person has to look. `failed`: it is not
/// registered and a person has to act. `cancelled`: a person closed it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
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

/// Why it failed: the vendor refused the receipt as it is, or every trial failed.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Failure {
    Rejected,
    Exhausted,
}

/// The state in the words of the module that kassa replaces.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum KkmStatus {
    Wait,
    Done,
    Fail,
}

/// The fiscal document. FN, FD and FPD identify it for everybody.
#[derive(Serialize, ToSchema)]
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
    /// When the register closed it, in the register's local time, without a zone (tag 1012).
    #[schema(pattern = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}")]
    registered_at: String,
    /// Total in roubles (tag 1020).
    #[schema(pattern = r"^\d+\.\d{2}$")]
    total: String,
    /// Text of the QR code (tag 1196).
    qr: Option<String>,
    /// Page of the fiscal data operator that shows the receipt.
    ofd_url: Option<String>,
}

/// A page of a list.
#[derive(Serialize, ToSchema)]
pub(super) struct Page {
    /// Newest first.
    items: Vec<Receipt>,
    /// Cursor of the next page; null on the last one.
    next: Option<String>,
}

/// A receipt with everything that is known about it.
#[derive(Serialize, ToSchema)]
pub(super) struct History {
    #[serde(flatten)]
    receipt: Receipt,
    /// The content as it was frozen at acceptance. `buyer` is there only for keys with the right `contacts`.
    #[schema(value_type = Object)]
    content: (),
    /// Its keys at the vendor, oldest first.
    registrations: Vec<Registration>,
    /// Its tries, oldest first.
    attempts: Vec<Attempt>,
    /// What was told about it, oldest first.
    events: Vec<Told>,
    /// What people did to it, oldest first.
    actions: Vec<Action>,
    /// Of a half of a resell, what it follows: the sale that it cancels, or the cancelling receipt.
    parent: Option<Relative>,
    /// What follows it in a resell, oldest first: the cancelling receipts of a sale, the new sale of such a receipt.
    children: Vec<Relative>,
}

/// One key at the vendor and what became of it.
#[derive(Serialize, ToSchema)]
struct Registration {
    generation: i32,
    external_id: String,
    vendor_uuid: Option<String>,
    state: RegistrationState,
    /// Since when the vendor may hold it without an answer that says so.
    #[schema(format = DateTime)]
    doubt_since: Option<String>,
    /// Until when that doubt may be settled by repeating.
    #[schema(format = DateTime)]
    doubt_until: Option<String>,
    #[schema(format = DateTime)]
    waiting_since: Option<String>,
    #[schema(format = DateTime)]
    next_poll_at: Option<String>,
    fiscal: Option<Fiscal>,
    #[schema(format = DateTime)]
    created_at: String,
}

/// `open`: nothing known yet. `waiting`: the vendor has it. `done`: registered. `dead`: proven not to be registered.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum RegistrationState {
    Open,
    Waiting,
    Done,
    Dead,
}

/// One try to send, poll or probe.
#[derive(Serialize, ToSchema)]
struct Attempt {
    number: i32,
    /// `send`, `poll` or `probe`.
    kind: String,
    /// Which process made it.
    worker: String,
    #[schema(format = DateTime)]
    started_at: String,
    /// Null when its process ended first.
    #[schema(format = DateTime)]
    finished_at: Option<String>,
    duration_ms: Option<i64>,
    /// What it came to.
    class: Option<String>,
    /// The vendor's error type.
    error_type: Option<String>,
    /// The vendor's code.
    code: Option<String>,
    http_status: Option<i32>,
    /// Method and path.
    request: Option<String>,
    /// The answer, without secrets and buyer.
    answer: Option<String>,
    /// What happened, in Russian.
    cause_ru: Option<String>,
    /// What happened, in English.
    cause_en: Option<String>,
    /// What to do, in Russian.
    cure_ru: Option<String>,
    /// What to do, in English.
    cure_en: Option<String>,
}

/// An event that was published about the receipt.
#[derive(Serialize, ToSchema)]
#[schema(as = Event)]
struct Told {
    #[schema(format = Uuid)]
    id: String,
    /// `receipt.accepted` and so on.
    r#type: String,
    #[schema(format = DateTime)]
    time: String,
    state: Option<State>,
    text: Option<Text>,
}

/// What a person did.
#[derive(Serialize, ToSchema)]
struct Action {
    #[schema(format = DateTime)]
    time: String,
    actor: String,
    /// `cancel`, `resolve` and so on.
    action: String,
    state_before: Option<String>,
    state_after: Option<String>,
    reason: Option<String>,
    #[schema(value_type = Object)]
    details: (),
}

/// One text in two languages.
#[derive(Serialize, ToSchema)]
struct Text {
    /// Russian.
    ru: String,
    /// English.
    en: String,
}

/// Why a receipt is closed.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Cancel {
    /// In your own words, for the history.
    #[schema(
        min_length = 1,
        max_length = 500,
        example = "the order was cancelled before it was paid"
    )]
    reason: String,
}

/// How a receipt is sent.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Send {
    /// Under its next external id. Only what the vendor has certainly refused gets one. Null is false.
    #[schema(default = false)]
    next_id: Option<bool>,
    /// In your own words, for the history.
    #[schema(max_length = 500, example = "the register was repaired")]
    reason: Option<String>,
}

/// A resell: a registered sale, the receipt that cancels it, and the new sale.
#[derive(Serialize, ToSchema)]
pub(super) struct Resell {
    result: ResellResult,
    sale: Half,
    refund: Option<Half>,
    sell: Option<Half>,
}

/// `started`; `resumed`: a half that had failed is sent again; `under_way` and `ended`: nothing was done.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ResellResult {
    Started,
    Resumed,
    UnderWay,
    Ended,
}

/// One receipt of a resell.
#[derive(Serialize, ToSchema)]
struct Half {
    #[schema(format = Uuid)]
    id: String,
    external_id: String,
    state: State,
}

/// A receipt that this one follows, or that follows it, in a resell.
#[derive(Serialize, ToSchema)]
struct Relative {
    #[schema(format = Uuid)]
    id: String,
    operation: Operation,
    external_id: String,
    state: State,
}

/// What a person found at the vendor.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Resolve {
    outcome: Outcome,
    /// With `registered`: number of the fiscal drive (ФН), 16 digits.
    #[schema(pattern = r"^\d{16}$", example = "9999078902003456")]
    r#fn: Option<String>,
    /// With `registered`: number of the fiscal document (ФД).
    #[schema(pattern = r"^\d{1,10}$", example = "4160")]
    fd: Option<String>,
    /// With `registered`: fiscal sign (ФПД).
    #[schema(pattern = r"^\d{1,10}$", example = "3522207165")]
    fpd: Option<String>,
    /// With `registered`: the time on the receipt, in the register's local time. Left out, that of the last send stands in.
    #[schema(example = "2026-11-23T12:30:00")]
    registered_at: Option<String>,
    /// With `registered`: its total, to be compared with the receipt's.
    #[schema(example = "1200.00")]
    total: Option<String>,
    /// Needed with `not_registered`: how that is known.
    #[schema(min_length = 1, max_length = 500)]
    reason: Option<String>,
}

/// `registered`: it has a fiscal document. `not_registered`: nothing was registered under any key of it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Registered,
    NotRegistered,
}

/// An error (RFC 9457).
#[derive(Serialize, ToSchema)]
pub(super) struct Problem {
    /// `urn:kassa:problem:` and the code; `about:blank` when the status says everything.
    r#type: String,
    title: String,
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// For programs; it never changes its meaning.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    /// What is wrong and what to do, in English.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// The same in Russian.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail_ru: Option<String>,
    /// Every single fault, all at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<Vec<Fault>>,
    /// With a conflict: the receipt that holds the document, or that is to be named instead.
    #[schema(format = Uuid)]
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction_id: Option<String>,
    /// Where the receipt stands that is in the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<State>,
    /// The right that the key lacks.
    #[serde(skip_serializing_if = "Option::is_none")]
    right: Option<String>,
}

/// One thing that is wrong.
#[derive(Serialize, ToSchema)]
struct Fault {
    /// Where in the body, as JSON Pointer (RFC 6901); empty for the whole of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pointer: Option<String>,
    /// Which parameter or header.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<String>,
    /// For programs.
    code: String,
    message: Text,
}
