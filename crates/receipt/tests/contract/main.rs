//! The request contract, seen from outside.

mod events;
mod faults;
mod freezing;
mod laws;
mod schema;

use receipt::{Faults, Frozen, RequestV1, StoreSettings};
use serde_json::{Value, json};

/// The sample of the contract, as the documents show it.
const SAMPLE: &str = r#"{
  "store": "main",
  "operation": "sell",
  "document": { "number": "000000417", "order": "100000123" },
  "customer": { "email": "buyer@example.org", "phone": "+79001234567", "name": "Romashka LLC", "inn": "7701234567" },
  "lines": [
    { "name": "Ceramic mug", "price": "450.00", "quantity": "2", "sum": "900.00", "vat": "vat22" },
    { "name": "Courier", "price": "300.00", "quantity": "1", "sum": "300.00", "vat": "none", "payment_object": "service" }
  ],
  "payments": [ { "type": "electronic", "sum": "1200.00" } ],
  "total": "1200.00"
}"#;

/// A day on which every rate of 2026 is in force.
const TODAY: jiff::civil::Date = jiff::civil::date(2026, 11, 23);

fn sample() -> Value {
    serde_json::from_str(SAMPLE).expect("the sample is JSON")
}

/// Every field of the contract at once.
fn full() -> Value {
    json!({
        "store": "main",
        "operation": "refund",
        "document": { "number": "INV-2026/1.2", "part": "settlement", "order": "100000123" },
        "customer": { "email": "buyer@example.org", "phone": "8 (900) 123-45-67", "name": "Ромашка", "inn": "7707083893" },
        "lines": [
            {
                "name": "Кофе «Утро»", "price": 340, "quantity": 0.75, "sum": 255.00, "vat": "vat10",
                "payment_method": "full_payment", "payment_object": "commodity", "unit": "кг",
                "country_code": "076", "declaration_number": "10702020/060526/0013422", "excise": "1.50"
            },
            {
                "name": "Туфли", "price": "1000", "quantity": "1.000", "vat": "vat22",
                "mark": "0104607123456781215Rk+7Wd\"aQ2x9\u{1d}91EE05\u{1d}92tail"
            }
        ],
        "payments": [{ "type": "cash", "sum": "255" }, { "type": "prepaid", "sum": "1000.00" }],
        "total": 1255.00,
        "cashier": "Иванова И.",
        "user_property": { "name": "Канал", "value": "сайт" },
        "check_property": "2871940355"
    })
}

fn settings(changes: &Value) -> StoreSettings {
    let mut settings = json!({
        "account": "main",
        "inn": "7707083893",
        "sno": "osn",
        "payment_address": "https://shop.example",
        "company_email": "kassa@shop.example",
    });
    merge(&mut settings, changes);
    serde_json::from_value(settings).expect("the settings are sound")
}

/// Lays `changes` over `value`: objects field by field, everything else as it is; lists by index when the change is an
/// object.
fn merge(value: &mut Value, changes: &Value) {
    let Value::Object(changes) = changes else {
        *value = changes.clone();
        return;
    };
    for (key, change) in changes {
        match value {
            Value::Array(list) => merge(&mut list[key.parse::<usize>().expect("an index")], change),
            Value::Object(fields) => merge(fields.entry(key).or_insert(Value::Null), change),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => *value = json!({ key: change }),
        }
    }
}

fn parse(value: &Value) -> Result<RequestV1, Faults> {
    RequestV1::parse(value.to_string().as_bytes(), Some("main"))
}

fn freeze(value: &Value) -> Result<Frozen, Faults> {
    parse(value)?.freeze(&settings(&json!({})), TODAY)
}
