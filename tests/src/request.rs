//! Requests as a shop writes them.

use serde_json::{Value, json};

/// Whose receipts these are. Nobody may read it in a log, an event or an error.
pub const BUYER: &str = "buyer@example.org";

/// A valid request with good defaults. `marker` stands in the first line's name: the books are compared by it.
#[must_use]
pub fn request(store: &str, operation: &str, number: &str, marker: &str) -> Value {
    json!({
        "store": store,
        "operation": operation,
        "document": { "number": number, "order": format!("order {number}") },
        "customer": { "email": BUYER },
        "lines": [
            { "name": marker, "price": "450.00", "quantity": "2", "sum": "900.00", "vat": "vat22" },
            { "name": "Courier", "price": "300.00", "quantity": "1", "sum": "300.00", "vat": "none",
              "payment_object": "service" }
        ],
        "payments": [ { "type": "electronic", "sum": "1200.00" } ],
        "total": "1200.00"
    })
}
