//! The request contract `receipt.request.v1`: from a shop's bytes to a frozen receipt, in two steps.
//!
//! [`RequestV1::parse`] needs no store: shapes, types, names, contacts, marks and arithmetic. [`RequestV1::freeze`]
//! fills the store's defaults and applies the rules that depend on the store or on the day. So a sound request for a
//! store that is not configured yet can be told from a faulty one and accepted later.
//!
//! Either step reports all its faults at once, with JSON pointers. No input panics.

mod code;
mod contract;
mod fault;
mod field;
mod freeze;
mod json;
mod read;
mod rules;

use jiff::civil::Date;
use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::content::{Operation, Receipt};
use crate::id::{DocumentNumber, DocumentPart, OrderNumber, StoreCode};
use crate::money::Money;
use crate::settings::StoreSettings;

pub use code::FaultCode;
pub use fault::{Fault, Faults, MOST_FAULTS};

/// The message type of this contract, and the title of its schema.
pub const MESSAGE_TYPE: &str = "receipt.request.v1";

/// The longest body in bytes; a longer one is refused unread.
pub const LONGEST_BODY: usize = 256 * 1024;

/// The most lines of one receipt (ATOL v4 documents 5.15 to 5.23, `receipt.items`).
pub const MOST_LINES: usize = 100;

/// The most payments of one request, before those of one kind are added together.
pub const MOST_PAYMENTS: usize = 100;

/// A request that keeps the contract in everything that can be said without knowing the store's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestV1(contract::Request);

impl RequestV1 {
    /// Reads a body. Over AMQP the routing key names the store, and a `store` in the body must be equal to it; over
    /// HTTP there is no routing key and the body must name the store.
    ///
    /// # Errors
    /// Everything that is wrong, up to [`MOST_FAULTS`]. A body that is too long, not UTF-8 or not JSON has one fault.
    pub fn parse(bytes: &[u8], routing_key: Option<&str>) -> Result<Self, Faults> {
        read::body(bytes, routing_key).map(Self)
    }

    /// The store: from the routing key or the body.
    #[must_use]
    pub fn store(&self) -> &StoreCode {
        &self.0.store
    }

    /// [`Operation::Sell`] or [`Operation::Refund`].
    #[must_use]
    pub fn operation(&self) -> Operation {
        self.0.operation.operation()
    }

    /// The number of the shop's document.
    #[must_use]
    pub fn document(&self) -> &DocumentNumber {
        &self.0.document.number
    }

    /// Which receipt of the document; `main` when the request names none.
    #[must_use]
    pub fn part(&self) -> &DocumentPart {
        &self.0.document.part
    }

    /// The order's number, when there is one.
    #[must_use]
    pub fn order(&self) -> Option<&OrderNumber> {
        self.0.document.order.as_ref()
    }

    /// The total of the receipt.
    #[must_use]
    pub fn total(&self) -> Money {
        self.0.total
    }

    /// SHA-256 of the canonical request before the store's defaults: two requests with equal hashes ask for the same.
    ///
    /// The order of keys, white space, the spelling of numbers (`2`, `"2"`, `2.000`), escapes in texts, null or absent
    /// and an explicit `main` make no difference; everything else does, also the order of lines. The canonical form is
    /// stored in every ledger by its hash, so it may never change within version 1.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        hasher.update(MESSAGE_TYPE);
        hasher.update(b"\n");
        serde_json::to_writer(&mut hasher, &self.0).expect("texts and lists serialise, and a hash takes every byte");
        hasher.finalize().into()
    }

    /// Fills in the store's defaults, checks what depends on the store and the day, and cleans the texts.
    ///
    /// `today` is the date in Moscow at acceptance; the VAT rates of a sale depend on it. A request that is already in
    /// the ledger (same key, same [`Self::hash`]) must not be frozen again: its day may have been another.
    ///
    /// # Errors
    /// Everything that is wrong, up to [`MOST_FAULTS`].
    pub fn freeze(&self, settings: &StoreSettings, today: Date) -> Result<Frozen, Faults> {
        freeze::freeze(&self.0, settings, today)
    }
}

/// A receipt as it will be registered.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Frozen {
    /// What is stored and rendered.
    pub receipt: Receipt,
    /// What was changed or is odd; nothing that stops the receipt.
    pub warnings: Vec<Fault>,
}

/// The JSON Schema (draft 2020-12) of the contract, generated from its types.
///
/// Everything that [`RequestV1::parse`] accepts is valid by it. The reverse does not hold: sums, dates, contacts and
/// the exact size of decimal texts are beyond a schema.
#[must_use]
pub fn schema() -> Value {
    SchemaSettings::draft2020_12()
        .with_transform(RecursiveTransform(join_lines))
        .into_generator()
        .into_root_schema_for::<contract::Request>()
        .to_value()
}

/// Doc comments are wrapped for the source; whoever shows a schema wraps its texts anew. Paragraphs stay.
pub(crate) fn join_lines(schema: &mut Schema) {
    if let Some(Value::String(text)) = schema.get_mut("description") {
        let paragraphs: Vec<String> = text
            .split("\n\n")
            .map(|paragraph| paragraph.replace('\n', " "))
            .collect();
        *text = paragraphs.join("\n\n");
    }
}
