//! The contract `receipt.request.v1`: what a shop may send, field by field.
//!
//! These structs are the one place where the contract is written down. The parser fills them, the hash is taken over
//! their canonical JSON, and the committed JSON Schema is generated from them, doc comments included; so every doc
//! comment here is read by shops. Limits come from the fiscal format 1.05 and the narrower of the vendors' limits
//! (ATOL v4 document 5.15, section 3 of our fact sheet).

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use crate::content::{Operation, PaymentKind, PaymentMethod, PaymentObject, Vat};
use crate::id::{DocumentNumber, DocumentPart, OrderNumber, StoreCode};
use crate::money::{Money, Quantity};

/// A request to register one fiscal receipt.
///
/// Optional fields may be absent or null; an optional text that is blank counts as absent. Unknown fields are refused.
/// Texts are brought into code page 866, as registers store them: typographic signs are replaced, control characters
/// become blanks, what has no replacement (emoji) is dropped. U+0000 is refused everywhere. At most 256 KiB of UTF-8.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(title = "receipt.request.v1", deny_unknown_fields, extend("$id" = "urn:kassa:receipt.request.v1"))]
pub(super) struct Request {
    /// The store, as the configuration of kassa names it. Required over HTTP; over AMQP the routing key names the
    /// store, and this field may be absent or must be equal to it.
    #[schemars(with = "Option<String>", regex(pattern = r"^([a-z0-9-]{1,16}|\s*)$"))]
    pub(super) store: StoreCode,
    /// What is registered. (A resell is no request but an action on a registered sale.)
    pub(super) operation: RequestOperation,
    /// The shop's document.
    pub(super) document: Document,
    /// The buyer. At least one of `email` and `phone` is required (tag 1008).
    pub(super) customer: Customer,
    /// The lines of the receipt (tag 1059). Their sums add up to `total`.
    #[schemars(length(min = 1, max = 100))]
    pub(super) lines: Vec<Line>,
    /// How it was paid. The sums add up to `total`; several of one type are added together, zeros are left out.
    /// Absent: one `electronic` payment of the whole total, unless a line is handed over on credit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100))]
    pub(super) payments: Option<Vec<Payment>>,
    /// The total in roubles (tag 1020), above zero.
    #[schemars(with = "MoneyInput")]
    pub(super) total: Money,
    /// The cashier (tag 1021); cut to 64 characters. Not needed for settlements over the internet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cashier: Option<String>,
    /// A named value that is printed on the receipt (tag 1084).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) user_property: Option<UserProperty>,
    /// Additional requisite of the receipt (tag 1192), at most 16 characters: the fiscal sign (FPD) of the receipt
    /// that this one mends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) check_property: Option<String>,
}

/// What is registered (tag 1054).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum RequestOperation {
    /// A sale. The document is an invoice.
    Sell,
    /// A refund. The document is a creditmemo. Lines repeat the rates of the receipt that is refunded.
    Refund,
}

impl RequestOperation {
    pub(super) const ALL: [Self; 2] = [Self::Sell, Self::Refund];

    pub(super) const fn name(self) -> &'static str {
        self.operation().name()
    }

    pub(super) const fn operation(self) -> Operation {
        match self {
            Self::Sell => Operation::Sell,
            Self::Refund => Operation::Refund,
        }
    }
}

/// The shop's document. Store, operation, number and part are the key: an equal request for the same key changes
/// nothing, a different one is a conflict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Document {
    /// Number of the invoice or creditmemo.
    #[schemars(with = "String", regex(pattern = r"^[A-Za-z0-9./-]{1,24}$"))]
    pub(super) number: DocumentNumber,
    /// Which receipt of the document, when one document needs several (prepayment and settlement, say).
    #[schemars(with = "Option<String>", regex(pattern = r"^([a-z0-9-]{1,12}|\s*)$"), extend("default" = "main"))]
    pub(super) part: DocumentPart,
    /// Number of the order, for people: 1 to 64 printable characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub(super) order: Option<OrderNumber>,
}

/// The buyer.
#[derive(Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Customer {
    /// E-mail (tag 1008): at most 64 visible ASCII characters, one @; a domain in other letters as punycode. With
    /// both contacts given, the receipt goes to the e-mail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) email: Option<String>,
    /// Phone (tag 1008): a Russian number in any usual spelling, or + and 7 to 18 digits. A phone that can't be read
    /// is left out when there is an e-mail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) phone: Option<String>,
    /// Name of the company or person (tag 1227); cut to 256 characters. Required with `inn`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    /// INN of the buyer (tag 1228): 10 or 12 digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) inn: Option<String>,
}

/// Personal data: the debug form shows which fields are there and not what they hold.
impl fmt::Debug for Customer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |field: &Option<String>| field.as_ref().map(|_| "…");
        f.debug_struct("Customer")
            .field("email", &shown(&self.email))
            .field("phone", &shown(&self.phone))
            .field("name", &shown(&self.name))
            .field("inn", &shown(&self.inn))
            .finish()
    }
}

/// One line of the receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Line {
    /// Name of the thing (tag 1030); cut to 128 characters, never empty.
    pub(super) name: String,
    /// Price of one in roubles with discounts (tag 1079).
    #[schemars(with = "MoneyInput")]
    pub(super) price: Money,
    /// How many (tag 1023).
    #[schemars(with = "QuantityInput")]
    pub(super) quantity: Quantity,
    /// Sum of the line in roubles (tag 1043). Absent: `price` × `quantity`, rounded half up to the kopeck; given, it
    /// must be exactly that.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<MoneyInput>")]
    pub(super) sum: Option<Money>,
    /// VAT rate (tag 1199). Absent: the store's default. The 22 % family is valid from 2026-01-01; the 20 % family
    /// since then only in refunds, in `credit_payment` lines and in receipts with `check_property`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) vat: Option<Vat>,
    /// Payment method (tag 1214). Absent: the store's default, `full_payment` if it names none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) payment_method: Option<PaymentMethod>,
    /// Payment object (tag 1212). Absent: the store's default, `commodity` if it names none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) payment_object: Option<PaymentObject>,
    /// Unit of measure (tag 1197), at most 16 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) unit: Option<String>,
    /// Marking code as the scanner read it: 01, GTIN of 14 digits, 21, serial, and the rest after the group separator
    /// `\u001d`. One code is one line of quantity 1, and no code stands twice in a receipt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mark: Option<String>,
    /// Country of origin (tag 1230): three digits of ISO 3166-1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^\s*([0-9]{3}\s*)?$"))]
    pub(super) country_code: Option<String>,
    /// Number of the customs declaration (tag 1231), at most 32 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) declaration_number: Option<String>,
    /// Excise in roubles (tag 1229).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<MoneyInput>")]
    pub(super) excise: Option<Money>,
}

/// One payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Payment {
    /// How it was paid.
    #[serde(rename = "type")]
    pub(super) kind: PaymentKind,
    /// How much, in roubles. Cash without the change.
    #[schemars(with = "MoneyInput")]
    pub(super) sum: Money,
}

/// A named value that is printed on the receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct UserProperty {
    /// Name (tag 1085), at most 64 characters.
    pub(super) name: String,
    /// Value (tag 1086), at most 256 characters.
    pub(super) value: String,
}

/// Roubles from 0 to 42949672.95 with at most two decimals: preferably a decimal string such as "1250.00"; a plain
/// JSON number is read exactly, without an exponent.
#[derive(JsonSchema)]
#[schemars(rename = "Money", untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum MoneyInput {
    /// Digits, optionally a point and digits.
    Text(#[schemars(regex(pattern = r"^[0-9]+(\.[0-9]{1,2}0*)?$"))] String),
    /// A number without an exponent.
    Number(#[schemars(range(min = 0, max = 42_949_672.95))] f64),
}

/// A quantity above 0 and up to 99999.999 with at most three decimals: preferably a decimal string such as "0.75"; a
/// plain JSON number is read exactly, without an exponent.
#[derive(JsonSchema)]
#[schemars(rename = "Quantity", untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum QuantityInput {
    /// Digits, optionally a point and digits.
    Text(#[schemars(regex(pattern = r"^[0-9]+(\.[0-9]{1,3}0*)?$"))] String),
    /// A number without an exponent.
    Number(#[schemars(range(min = 0.001, max = 99_999.999))] f64),
}
