//! The request as the service reads it (section 3). Go's decoder, which the service seems to use, ignores the case of keys
//! and unknown keys, and refuses wrong types.

use serde::Deserialize;
use serde_json::{Map, Value};

/// A request whose types are right.
#[derive(Debug, Deserialize)]
pub(super) struct Order {
    pub(super) device: Option<String>,
    pub(super) requestid: Option<String>,
    #[serde(default)]
    pub(super) clientid: String,
    #[serde(default)]
    pub(super) group: String,
    pub(super) password: Option<u32>,
    #[serde(default)]
    pub(super) documenttype: u8,
    #[serde(default)]
    pub(super) lines: Vec<Line>,
    #[serde(default)]
    pub(super) cash: u64,
    #[serde(default)]
    pub(super) noncash: Vec<u64>,
    #[serde(default)]
    pub(super) advancepayment: u64,
    #[serde(default)]
    pub(super) credit: u64,
    #[serde(default)]
    pub(super) consideration: u64,
    #[serde(default)]
    pub(super) taxmode: u8,
    #[serde(default)]
    pub(super) phoneoremail: String,
    #[serde(default)]
    pub(super) place: String,
    pub(super) userrequisite: Option<UserRequisite>,
    #[serde(default)]
    pub(super) additionalrequisite: String,
    #[serde(default)]
    pub(super) customername: String,
    #[serde(default)]
    pub(super) fullresponse: bool,
    /// Keep every answer, and bring a repetition after an error to the register that gave it.
    #[serde(default)]
    pub(super) resendtosamedevice: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct Line {
    #[serde(default)]
    pub(super) qty: u64,
    pub(super) price: Option<u64>,
    pub(super) subtotal: Option<u64>,
    #[serde(default)]
    pub(super) payattribute: u8,
    #[serde(default)]
    pub(super) lineattribute: u8,
    #[serde(default)]
    pub(super) taxid: u8,
    #[serde(default)]
    pub(super) description: String,
    pub(super) cgnfloat: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct UserRequisite {
    #[serde(default)]
    pub(super) title: String,
    #[serde(default)]
    pub(super) value: String,
}

impl Order {
    /// Reads a body; the error is the parser's words.
    pub(super) fn read(body: &[u8]) -> Result<Order, String> {
        let value: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        serde_json::from_value(in_lower_case(value)).map_err(|error| error.to_string())
    }

    /// What the books call the receipt: its first line's name.
    pub(super) fn marker(&self) -> Option<&str> {
        self.lines.first().map(|line| line.description.as_str())
    }

    pub(super) fn total(&self) -> u64 {
        self.lines.iter().map(Line::row).fold(0, u64::saturating_add)
    }

    /// Everything but cash.
    pub(super) fn electronic(&self) -> u64 {
        let others = [self.advancepayment, self.credit, self.consideration];
        self.noncash.iter().chain(&others).copied().fold(0, u64::saturating_add)
    }

    /// The word for the document type, as the books of the other vendor have it.
    pub(super) const fn operation(&self) -> &'static str {
        match self.documenttype {
            0 => "sell",
            1 => "buy",
            2 => "sell_refund",
            _ => "buy_refund",
        }
    }

    /// Tag 1054 (section 4.1).
    pub(super) const fn settlement_sign(&self) -> u8 {
        match self.documenttype {
            0 => 1,
            1 => 3,
            2 => 2,
            _ => 4,
        }
    }
}

impl Line {
    /// Section 3.3.
    pub(super) fn row(&self) -> u64 {
        match (self.subtotal, self.price) {
            (Some(subtotal), _) => subtotal,
            (None, price) => {
                let thousandths = u128::from(price.unwrap_or(0)) * u128::from(self.qty);
                u64::try_from((thousandths + 500) / 1000).unwrap_or(u64::MAX)
            }
        }
    }
}

/// `null` counts as absent.
fn in_lower_case(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let entries = object.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(
                entries
                    .map(|(key, value)| (key.to_ascii_lowercase(), in_lower_case(value)))
                    .collect::<Map<_, _>>(),
            )
        }
        Value::Array(items) => Value::Array(items.into_iter().map(in_lower_case).collect()),
        other => other,
    }
}
