//! What a run came to.

use std::collections::BTreeMap;

use serde::Serialize;

use super::kind::Kind;

/// The whole of it.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Plays the same faults again.
    pub seed: u64,
    /// Distinct receipts that the shop wanted.
    pub receipts: u32,
    /// For how long faults were injected.
    pub seconds: u64,
    /// Whether the books agree and everything else is as promised.
    pub good: bool,
    /// Every fault.
    pub injected: usize,
    /// Per kind.
    pub faults: Vec<Struck>,
    /// Counted.
    pub results: Results,
    /// Receipts that need a person, each with the fault that explains it.
    pub explained: Vec<Explained>,
    /// What is not as promised, one sentence each.
    pub problems: Vec<String>,
    /// How long things took.
    pub durations: Durations,
    /// Counts and sums by operation and state.
    pub states: Vec<State>,
    /// How often attempts ended in each class; `unfinished` ones ended without a word.
    pub attempts: BTreeMap<String, i64>,
    /// Where logs and evidence are, when something is not as promised or they were asked for.
    pub folder: Option<String>,
}

/// One kind of fault.
#[derive(Debug, Serialize)]
pub struct Struck {
    /// Which.
    pub kind: Kind,
    /// How often.
    pub injected: usize,
    /// Receipts that were accepted and not final when it struck: the fewest.
    pub in_flight_min: i64,
    /// The middle one.
    pub in_flight_median: i64,
    /// The most.
    pub in_flight_max: i64,
}

/// What became of the receipts.
#[derive(Debug, Default, Serialize)]
pub struct Results {
    /// Messages of the shop, repetitions included.
    pub published: u64,
    /// Registered, with the vendor's own fiscal document.
    pub done: usize,
    /// Fiscal documents in the books, by vendor.
    pub in_the_books: BTreeMap<String, u32>,
    /// A person must act.
    pub failed: usize,
    /// A person must look.
    pub unknown: usize,
    /// Wanted and in no table, or done and in no book.
    pub lost: usize,
    /// In the books more than once, under whatever id.
    pub twice: usize,
    /// Called failed, and in the books all the same.
    pub contradicted: usize,
    /// Done with another fiscal document or sum than the books have.
    pub wrong_documents: usize,
    /// Failed or unknown, and no fault explains it.
    pub unexplained: usize,
    /// Accepted and not final although everything has healed.
    pub in_flight: usize,
    /// Requests that stand in `dead_letters`.
    pub dead_letters: i64,
    /// Events in the table.
    pub events: usize,
    /// Of them, not published in the end.
    pub events_unpublished: usize,
    /// Of them, published while the shop had its queue, and not seen by it.
    pub events_missing: usize,
    /// Of them, published before the broker lost the shop's queue for the last time, and not seen.
    pub events_lost_with_the_queue: usize,
    /// Registrations beyond the first one of their receipt.
    pub rekeyed: i64,
    /// How often a killed broker came back with nothing in it.
    pub broker_emptied: usize,
    /// How many queues the operator replaced that a kill had left without their processes.
    pub queues_recreated: usize,
    /// How often the operator restarted a broker that no repair mended.
    pub broker_restarted: usize,
    /// Callbacks that reached their address.
    pub callbacks: u64,
    /// Panics in the logs.
    pub panics: usize,
    /// Processes that ended although nobody had killed them.
    pub ended_by_themselves: usize,
}

/// A receipt that needs a person, and why.
#[derive(Debug, Serialize)]
pub struct Explained {
    /// The first line's name.
    pub marker: String,
    /// `failed` or `unknown`.
    pub state: String,
    /// What did it.
    pub fault: Kind,
    /// The attempt that shows it.
    pub attempt: Option<i32>,
    /// What that attempt saw.
    pub what: String,
}

/// How long things took.
#[derive(Debug, Default, Serialize)]
pub struct Durations {
    /// The whole run with its servers' starts and its comparison.
    pub run_s: u64,
    /// From the end of the last fault until nothing was in flight.
    pub settle_s: u64,
    /// From the first publication to the fiscal document.
    pub p50_ms: u64,
    /// The same.
    pub p99_ms: u64,
    /// The same.
    pub max_ms: u64,
}

/// One row of the table of states.
#[derive(Debug, Serialize)]
pub struct State {
    /// Of the receipts.
    pub operation: String,
    /// Where they stand.
    pub state: String,
    /// How many.
    pub count: i64,
    /// Roubles.
    pub sum: String,
}

/// Sorts what struck by kind.
pub(super) fn by_kind(struck: &[(Kind, i64)]) -> Vec<Struck> {
    Kind::ALL
        .into_iter()
        .map(|kind| {
            let mut in_flight: Vec<i64> = struck
                .iter()
                .filter(|(other, _)| *other == kind)
                .map(|(_, in_flight)| *in_flight)
                .collect();
            in_flight.sort_unstable();
            Struck {
                kind,
                injected: in_flight.len(),
                in_flight_min: in_flight.first().copied().unwrap_or(0),
                in_flight_median: in_flight.get(in_flight.len() / 2).copied().unwrap_or(0),
                in_flight_max: in_flight.last().copied().unwrap_or(0),
            }
        })
        .collect()
}
