//! What the shop will publish, and what should become of each message.

use kassa_tests::request::request;
use serde_json::{Value, json};

/// A message that can be accepted.
#[derive(Debug, Clone)]
pub(crate) struct Valid {
    /// Stands in the first line's name; unique in the run.
    pub(crate) marker: String,
    /// The routing key.
    pub(crate) store: &'static str,
    /// The body.
    pub(crate) body: Vec<u8>,
}

/// A message that cannot be accepted, and has to be kept.
#[derive(Debug, Clone)]
pub(crate) struct Invalid {
    /// What is wrong with it.
    pub(crate) what: &'static str,
    /// The routing key.
    pub(crate) store: &'static str,
    /// The body.
    pub(crate) body: Vec<u8>,
}

/// Everything that is published.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Each is published once, and some twice.
    pub(crate) valid: Vec<Valid>,
    /// Each is published once.
    pub(crate) invalid: Vec<Invalid>,
    /// How many of the first valid ones are published a second time.
    pub(crate) repeated: usize,
}

/// The store at CheckOnline.
pub(crate) const CLOUD: &str = "cloud";

/// Receipts whose marker contains this are refused by the simulated cash register.
pub(crate) const REFUSED_BY_REGISTER: &str = "refused-by-register";

impl Plan {
    pub(crate) fn new(receipts: u32) -> Self {
        let valid = (0..receipts).map(valid).collect();
        Self {
            valid,
            invalid: invalid(),
            repeated: 10,
        }
    }

    /// Distinct requests of the shop, repetitions not counted.
    pub(crate) fn published(&self) -> usize {
        self.valid.len() + self.invalid.len()
    }
}

fn valid(number: u32) -> Valid {
    // The last store is at CheckOnline, which registers while its caller waits; the others are at ATOL Online.
    let store = match number % 4 {
        1 => CLOUD,
        3 => "second",
        _ => "main",
    };
    let operation = if number % 7 == 6 { "refund" } else { "sell" };
    // Three receipts that the register will refuse: accepted by kassa, and then a person's.
    let marker = match number {
        6 | 50 | 15 => format!("Mug {number:06} {REFUSED_BY_REGISTER}"),
        _ => format!("Mug {number:06}"),
    };
    let body = request(store, operation, &format!("{number:06}"), &marker)
        .to_string()
        .into_bytes();
    Valid { marker, store, body }
}

fn invalid() -> Vec<Invalid> {
    let template = || request("main", "sell", "bad", "Bad mug");
    let changed = |pointer: &str, value: Value| {
        let mut body = template();
        if let Some(place) = body.pointer_mut(pointer) {
            *place = value;
        }
        body.to_string().into_bytes()
    };
    let mut unknown_field = template();
    unknown_field["payment"] = json!([]);
    let mut oversized = template();
    oversized["lines"][0]["name"] = json!("x".repeat(300 * 1024));
    let main = |what, body| Invalid {
        what,
        store: "main",
        body,
    };
    vec![
        main("not JSON", b"{\"store\": \"main\", ".to_vec()),
        main("not UTF-8", b"{\"store\": \"\xff\xfe\"}".to_vec()),
        main("empty", Vec::new()),
        main("a wrong total", changed("/total", json!("1199.99"))),
        main("a negative price", changed("/lines/0/price", json!("-450.00"))),
        main("an unknown VAT rate", changed("/lines/0/vat", json!("vat19"))),
        main("no contact", changed("/customer", json!({}))),
        main("an unknown field", unknown_field.to_string().into_bytes()),
        main("U+0000", changed("/customer/email", json!("a\u{0}b@example.org"))),
        main("over 256 KiB", oversized.to_string().into_bytes()),
        Invalid {
            what: "an unknown store",
            store: "nowhere",
            body: changed("/store", json!("nowhere")),
        },
        Invalid {
            what: "another store than its routing key",
            store: "second",
            body: template().to_string().into_bytes(),
        },
    ]
}
