//! Postgres cannot store U+0000, and a vendor or a stranger may send anything.

use receipt::TransactionId;
use serde::Serialize;
use serde_json::Value;
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

/// The stored form of a value that may quote a vendor.
pub(crate) fn to_jsonb<T: Serialize>(id: TransactionId, value: &T) -> Result<Json<Value>, LedgerError> {
    serde_json::to_value(value)
        .map(|value| Json(storable_json(value)))
        .map_err(|error| LedgerError::Corrupt {
            id: id.to_string(),
            what: error.to_string(),
        })
}
