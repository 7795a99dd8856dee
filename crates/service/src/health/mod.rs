//! What the process knows of its own health. Everything is told by those who do the work and kept here; asking costs no
//! call to anything, so a probe can neither hang on a sick database nor make it sicker.

mod http;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

pub use http::{HealthError, Listening, serve};

/// Section `[health]`.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct HealthConfig {
    /// Where `/healthz` and `/readyz` answer; port 0 takes any free port.
    pub listen: SocketAddr,
}

/// A loop that ended this often, never having run for [`STEADY`], counts as dead. With the supervisor's back-off this is
/// reached after 8 to 15 seconds: an orchestrator does not kill a process for one lost connection.
const DEAD_AFTER: u32 = 5;
/// A run this long makes the failures before it history.
pub(crate) const STEADY: Duration = Duration::from_secs(60);

/// How a dependency does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It works.
    Ok,
    /// It works, and somebody should look at it; the process stays ready.
    Warn,
    /// It does not work, or has not been tried yet; the process is not ready.
    Fail,
}

/// One line of `/readyz`.
#[derive(Debug, Clone, Serialize)]
pub struct CheckReport {
    /// As registered.
    pub name: String,
    /// As told last.
    pub state: State,
    /// What is wrong; empty when nothing is.
    pub detail: String,
    /// When it came into this state.
    pub since: Timestamp,
}

/// One line of `/healthz`.
#[derive(Debug, Clone, Serialize)]
pub struct LoopReport {
    /// The name it was spawned under.
    pub name: String,
    /// False when it keeps ending soon after every start.
    pub alive: bool,
    /// Ends in a row without a steady run between them.
    pub failures: u32,
    /// How it ended last; empty when it never did.
    pub detail: String,
    /// When it last started or ended.
    pub since: Timestamp,
}

/// The process' health: a cheap handle, the same state behind all clones.
#[derive(Debug, Clone, Default)]
pub struct Health {
    book: Arc<Mutex<Book>>,
}

#[derive(Debug, Default)]
struct Book {
    checks: BTreeMap<String, CheckReport>,
    loops: BTreeMap<String, LoopState>,
}

#[derive(Debug)]
struct LoopState {
    running_since: Option<Instant>,
    failures: u32,
    detail: String,
    since: Timestamp,
}

impl Health {
    /// Registers something the process needs; it fails until told otherwise. Register before [`serve`] is called, else
    /// the process looks ready for a moment. The same name gives a handle to the same check.
    pub fn check(&self, name: impl Into<String>) -> Check {
        let name = name.into();
        self.open().checks.entry(name.clone()).or_insert_with(|| CheckReport {
            name: name.clone(),
            state: State::Fail,
            detail: "not checked yet".to_owned(),
            since: Timestamp::now(),
        });
        Check {
            name,
            health: self.clone(),
        }
    }

    /// All checks in the order of their names.
    pub fn checks(&self) -> Vec<CheckReport> {
        self.open().checks.values().cloned().collect()
    }

    /// All supervised loops in the order of their names.
    pub fn loops(&self) -> Vec<LoopReport> {
        let report = |(name, state): (&String, &LoopState)| {
            let steady = state.running_since.is_some_and(|since| since.elapsed() >= STEADY);
            LoopReport {
                name: name.clone(),
                alive: steady || state.failures < DEAD_AFTER,
                failures: state.failures,
                detail: state.detail.clone(),
                since: state.since,
            }
        };
        self.open().loops.iter().map(report).collect()
    }

    pub(crate) fn loop_started(&self, name: &str) {
        let mut book = self.open();
        let state = book.loops.entry(name.to_owned()).or_insert_with(|| LoopState {
            running_since: None,
            failures: 0,
            detail: String::new(),
            since: Timestamp::now(),
        });
        state.running_since = Some(Instant::now());
        state.since = Timestamp::now();
    }

    pub(crate) fn loop_failed(&self, name: &str, detail: &str) {
        if let Some(state) = self.open().loops.get_mut(name) {
            let steady = state
                .running_since
                .take()
                .is_some_and(|since| since.elapsed() >= STEADY);
            state.failures = if steady { 1 } else { state.failures.saturating_add(1) };
            state.detail = detail.to_owned();
            state.since = Timestamp::now();
        }
    }

    /// A panic elsewhere can't leave the book half written: no code that can panic runs while it is open.
    fn open(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells how one dependency does; the last word counts.
#[derive(Debug, Clone)]
pub struct Check {
    name: String,
    health: Health,
}

impl Check {
    /// It works.
    pub fn ok(&self) {
        self.tell(State::Ok, String::new());
    }

    /// It works, but somebody should look: `detail` says at what. Shown to whoever can reach the probe, so no secrets.
    pub fn warn(&self, detail: impl Into<String>) {
        self.tell(State::Warn, detail.into());
    }

    /// It does not work; `detail` says why. Shown to whoever can reach the probe, so no secrets.
    pub fn fail(&self, detail: impl Into<String>) {
        self.tell(State::Fail, detail.into());
    }

    fn tell(&self, state: State, detail: String) {
        if let Some(report) = self.health.open().checks.get_mut(&self.name) {
            if report.state != state {
                report.since = Timestamp::now();
            }
            report.state = state;
            report.detail = detail;
        }
    }
}
