//! Postgres cannot store U+0000, and a vendor or a stranger may send anything.

use receipt::TransactionId;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use sqlx::types::Json;

use crate::error::LedgerError;

/// The text with every U+0000 replaced.
pub(crate) fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// The same for `jsonb`, whose texts and names are texts of Postgres too.
pub(crate) fn storable_json(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(storable(&text)),
        Value::Array(values) => values.into_iter().map(storable_json).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| (storable(&name), storable_json(value)))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value,
    }
}

/// A `jsonb` that is written as it is.
pub(crate) type Jsonb = Json<Box<RawValue>>;

/// The stored form of a value that may quote a vendor.
pub(crate) fn to_jsonb<T: Serialize>(id: TransactionId, value: &T) -> Result<Jsonb, LedgerError> {
    let written = || {
        let mut text = serde_json::to_string(value)?;
        // Or a backslash before a text that begins like this, which the long way leaves alone.
        if text.contains("\\u0000") {
            text = storable_json(serde_json::from_str(&text)?).to_string();
        }
        RawValue::from_string(text).map(Json)
    };
    written().map_err(|error: serde_json::Error| LedgerError::Corrupt {
        id: id.to_string(),
        what: error.to_string(),
    })
}
