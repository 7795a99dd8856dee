//! AMQP header tables to JSON and back.
//!
//! JSON is what the ledger can store and a person can read. Coming in, every value that AMQP knows becomes something,
//! and nothing that a stranger sends makes this fail or panic. Going out, what the broker would refuse is refused here:
//! there it would cost the whole channel or connection.

use std::fmt::Write;

use lapin::types::{AMQPValue, DecimalValue, FieldTable, LongString, ShortString};
use serde_json::{Map, Value};

/// Deeper than this a table is cut. Nobody sends it in good faith.
const DEEPEST: usize = 16;

/// A content header must fit one frame, which is 128 KiB at RabbitMQ unless somebody made it smaller.
const MOST_BYTES: usize = 32 * 1024;

/// Headers that belong to one journey of a message. Copied to the next one, `x-death` makes RabbitMQ before 4.0 drop a
/// message as a cycle, and `CC` and `BCC` would send it to queues that nobody here asked for.
const NOT_COPIED: [&str; 4] = ["x-death", "x-delivery-count", "CC", "BCC"];
const NOT_COPIED_FAMILIES: [&str; 2] = ["x-first-death-", "x-last-death-"];

/// The headers as JSON, as true as JSON allows:
/// text that is UTF-8 stays text (U+0000, which Postgres can't store, becomes U+2400 `␀`); other bytes become
/// `{"$bytes": "…hex…"}`; a decimal its text; numbers stay numbers, and a float that is no number becomes text.
pub(crate) fn to_json(table: &FieldTable) -> Map<String, Value> {
    object(table, 0)
}

/// The headers as AMQP. Numbers become 64-bit integers or doubles, objects tables; headers of a message's last journey
/// are left out.
///
/// # Errors
/// Why the broker would refuse them.
pub(crate) fn from_json(headers: &Map<String, Value>) -> Result<FieldTable, &'static str> {
    let size: usize = headers.iter().map(|(key, value)| key.len() + size(value)).sum();
    if size > MOST_BYTES {
        return Err("its headers are larger than 32 KiB");
    }
    table(headers, 0)
}

/// A table for republishing a message as it was: without what the broker wrote on its last journey.
pub(crate) fn without_last_journey(headers: &FieldTable) -> FieldTable {
    let mut kept = FieldTable::default();
    for (key, value) in headers.into_iter().filter(|(key, _)| !is_of_last_journey(key.as_str())) {
        kept.insert(key.clone(), value.clone());
    }
    kept
}

fn is_of_last_journey(key: &str) -> bool {
    NOT_COPIED.contains(&key) || NOT_COPIED_FAMILIES.iter().any(|family| key.starts_with(family))
}

/// Text without U+0000, which Postgres can store nowhere.
pub(crate) fn storable(text: &str) -> String {
    text.replace('\0', "\u{2400}")
}

fn object(table: &FieldTable, depth: usize) -> Map<String, Value> {
    table
        .into_iter()
        .map(|(key, value)| (storable(key.as_str()), json(value, depth + 1)))
        .collect()
}

fn json(value: &AMQPValue, depth: usize) -> Value {
    if depth > DEEPEST {
        return Value::from("(nested too deeply)");
    }
    match value {
        AMQPValue::Boolean(value) => Value::from(*value),
        AMQPValue::ShortShortInt(value) => Value::from(*value),
        AMQPValue::ShortShortUInt(value) => Value::from(*value),
        AMQPValue::ShortInt(value) => Value::from(*value),
        AMQPValue::ShortUInt(value) => Value::from(*value),
        AMQPValue::LongInt(value) => Value::from(*value),
        AMQPValue::LongUInt(value) => Value::from(*value),
        AMQPValue::LongLongInt(value) => Value::from(*value),
        AMQPValue::Timestamp(value) => Value::from(*value),
        AMQPValue::Float(value) => float(f64::from(*value)),
        AMQPValue::Double(value) => float(*value),
        AMQPValue::DecimalValue(value) => Value::from(decimal(*value)),
        AMQPValue::ShortString(text) => Value::from(storable(text.as_str())),
        AMQPValue::LongString(text) => match str::from_utf8(text.as_bytes()) {
            Ok(text) => Value::from(storable(text)),
            Err(_) => bytes(text.as_bytes()),
        },
        AMQPValue::ByteArray(array) => bytes(array.as_slice()),
        AMQPValue::FieldArray(array) => array.as_slice().iter().map(|value| json(value, depth + 1)).collect(),
        AMQPValue::FieldTable(table) => Value::Object(object(table, depth)),
        AMQPValue::Void => Value::Null,
    }
}

fn float(value: f64) -> Value {
    serde_json::Number::from_f64(value).map_or_else(|| Value::from(value.to_string()), Value::Number)
}

fn decimal(value: DecimalValue) -> String {
    let digits = value.value.to_string();
    let scale = usize::from(value.scale);
    if scale == 0 {
        return digits;
    }
    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (whole, part) = digits.split_at(digits.len() - scale);
    format!("{whole}.{part}")
}

fn bytes(bytes: &[u8]) -> Value {
    let mut hex = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String can't fail.
        let _ = write!(hex, "{byte:02x}");
    }
    Value::Object(Map::from_iter([("$bytes".to_owned(), Value::from(hex))]))
}

fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 16,
        Value::String(text) => text.len() + 16,
        Value::Array(values) => values.iter().map(size).sum::<usize>() + 16,
        Value::Object(map) => map.iter().map(|(key, value)| key.len() + size(value)).sum::<usize>() + 16,
    }
}

fn table(map: &Map<String, Value>, depth: usize) -> Result<FieldTable, &'static str> {
    let mut table = FieldTable::default();
    for (key, value) in map {
        if depth == 0 && is_of_last_journey(key) {
            continue;
        }
        let key = ShortString::try_new(key.as_str()).map_err(|_| "the name of a header is longer than 255 bytes")?;
        table.insert(key, amqp(value, depth + 1)?);
    }
    Ok(table)
}

fn amqp(value: &Value, depth: usize) -> Result<AMQPValue, &'static str> {
    if depth > DEEPEST {
        return Err("its headers are nested too deeply");
    }
    Ok(match value {
        Value::Null => AMQPValue::Void,
        Value::Bool(value) => AMQPValue::Boolean(*value),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => AMQPValue::LongLongInt(whole),
            // Above i64 a double would lose digits.
            (None, Some(real)) if !number.is_u64() => AMQPValue::Double(real),
            (None, _) => AMQPValue::LongString(number.to_string().into()),
        },
        Value::String(text) => AMQPValue::LongString(LongString::from(text.as_str())),
        Value::Array(values) => {
            let values: Result<Vec<_>, _> = values.iter().map(|value| amqp(value, depth + 1)).collect();
            AMQPValue::FieldArray(values?.into())
        }
        Value::Object(map) => AMQPValue::FieldTable(table(map, depth)?),
    })
}

#[cfg(test)]
mod tests {
    use lapin::types::FieldArray;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn with(value: AMQPValue) -> Value {
        let mut table = FieldTable::default();
        table.insert("key".into(), value);
        to_json(&table)["key"].clone()
    }

    #[test]
    fn every_kind_of_value_becomes_json() {
        let decimal = |scale, value| AMQPValue::DecimalValue(DecimalValue { scale, value });
        assert_eq!(with(AMQPValue::Boolean(true)), json!(true));
        assert_eq!(with(AMQPValue::LongLongInt(i64::MIN)), json!(i64::MIN));
        assert_eq!(with(AMQPValue::Timestamp(u64::MAX)), json!(u64::MAX));
        assert_eq!(with(AMQPValue::Double(f64::NAN)), json!("NaN"));
        assert_eq!(with(AMQPValue::Float(f32::INFINITY)), json!("inf"));
        assert_eq!(with(decimal(2, 5)), json!("0.05"));
        assert_eq!(with(decimal(0, 5)), json!("5"));
        assert_eq!(with(AMQPValue::LongString("a\0b".into())), json!("a\u{2400}b"));
        assert_eq!(
            with(AMQPValue::LongString(vec![0xff, 0x00].into())),
            json!({"$bytes": "ff00"})
        );
        assert_eq!(with(AMQPValue::ByteArray(vec![1, 2].into())), json!({"$bytes": "0102"}));
        assert_eq!(with(AMQPValue::Void), json!(null));
    }

    #[test]
    fn a_table_nested_without_end_is_cut() {
        let mut value = AMQPValue::Void;
        for _ in 0..500 {
            value = AMQPValue::FieldArray(FieldArray::from(vec![value]));
        }
        assert!(with(value).to_string().contains("nested too deeply"));
    }

    #[test]
    fn the_last_journey_of_a_message_is_not_copied() {
        let headers = json!({"x-death": [{"count": 1}], "x-first-death-queue": "a", "CC": "b", "traceparent": "c"});
        let table = from_json(headers.as_object().expect("object")).expect("good");
        let keys: Vec<_> = table.inner().keys().map(ShortString::as_str).collect();
        assert_eq!(keys, ["traceparent"]);
    }

    #[test]
    fn what_the_broker_would_refuse_is_refused_here() {
        let refused = |headers: Value| from_json(headers.as_object().expect("object")).expect_err("refused");
        assert!(refused(json!({ "k".repeat(256): 1 })).contains("255"));
        assert!(refused(json!({ "k": "v".repeat(40_000) })).contains("32 KiB"));
        let deep = (0..40).fold(json!(1), |value, _| json!([value]));
        assert!(refused(json!({ "k": deep })).contains("deeply"));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-1e9..1e9f64).prop_map(Value::from),
            "[^\0]{0,20}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map("[a-z]{1,8}", inner, 0..4).prop_map(|map| map.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn json_headers_come_back_as_they_went(value in any_json()) {
            let headers = Map::from_iter([("key".to_owned(), value)]);
            let table = from_json(&headers).expect("small and flat enough");
            prop_assert_eq!(to_json(&table), headers);
        }
    }
}
