//! What the shop of a run will publish.

use std::time::Duration;

use crate::request::request;

/// Two stores of [`crate::fleet`]'s configuration share an account; the third is another vendor's.
const STORES: [&str; 4] = ["main", "second", "main", CLOUD];

/// The store at CheckOnline.
pub(super) const CLOUD: &str = "cloud";

/// One receipt that the shop wants.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// Stands in the first line's name; unique in the run.
    pub(super) marker: String,
    /// The routing key.
    pub(super) store: &'static str,
    pub(super) operation: &'static str,
    /// The document's number.
    pub(super) number: String,
    pub(super) body: Vec<u8>,
    /// When it is first published, from the beginning of the run.
    pub(super) at: Duration,
}

/// `receipts` of them, spread evenly over the run.
pub(super) fn wanted(receipts: u32, seconds: u64) -> Vec<Wanted> {
    let step = Duration::from_secs(seconds) / receipts.max(1);
    (0..receipts)
        .zip(STORES.into_iter().cycle())
        .map(|(index, store)| {
            let operation = if index % 5 == 4 { "refund" } else { "sell" };
            let number = format!("{index:06}");
            let marker = format!("Mug {number}");
            Wanted {
                body: request(store, operation, &number, &marker).to_string().into_bytes(),
                marker,
                store,
                operation,
                number,
                at: step * index,
            }
        })
        .collect()
}
