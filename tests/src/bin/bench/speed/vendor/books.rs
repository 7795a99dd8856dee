//! What was asked for, under which id, how often and when first.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The books, and how long the vendor thinks before each answer.
#[derive(Debug, Default)]
pub(super) struct Books {
    entries: Mutex<HashMap<String, Entry>>,
    requests: AtomicU64,
    latency_ms: AtomicU64,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    at_micros: u64,
    times: u32,
}

impl Books {
    /// Notes a registration and gives its number in the books.
    pub(super) fn note(&self, id: String) -> u64 {
        let at_micros = micros_now();
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries
            .entry(id)
            .and_modify(|entry| entry.times += 1)
            .or_insert(Entry { at_micros, times: 1 });
        drop(entries);
        self.requests.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn latency(&self) -> Duration {
        Duration::from_millis(self.latency_ms.load(Ordering::Relaxed))
    }

    pub(super) fn set_latency(&self, ms: u64) {
        self.latency_ms.store(ms, Ordering::Relaxed);
    }

    pub(super) fn forget(&self) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.clear();
        self.requests.store(0, Ordering::Relaxed);
    }

    /// `requests distinct`, cheap enough to be asked for all the time.
    pub(super) fn count(&self) -> String {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        format!("{} {}", self.requests.load(Ordering::Relaxed), entries.len())
    }

    /// One line for each id: `id micros times`.
    pub(super) fn all(&self) -> String {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lines = String::with_capacity(entries.len() * 64);
        for (id, entry) in entries.iter() {
            // Writing to a String can't fail.
            let _ = writeln!(lines, "{id} {} {}", entry.at_micros, entry.times);
        }
        lines
    }
}

/// Microseconds since 1970: the clock that two processes of one machine share.
pub(crate) fn micros_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
