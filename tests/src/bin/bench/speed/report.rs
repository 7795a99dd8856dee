//! Everything that was measured.

use serde::Serialize;

use super::backlog::Backlog;
use super::ceiling::Ceiling;
use super::contender::{Rows, Who};
use super::finished::Finished;
use super::latency::Latency;
use super::little::Little;
use super::machine::Machine;
use super::options::Settings;
use super::ratios::Ratio;
use super::roles::RoleCost;
use super::run::Measured;

/// The JSON of `--output json`.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) settings: Settings,
    pub(crate) ratios: Vec<Ratio>,
    pub(crate) medians: Vec<Median>,
    pub(crate) vendors: Vec<Ceiling>,
    pub(crate) finished: Option<Finished>,
    pub(crate) latency: Option<Latency>,
    pub(crate) little: Vec<Little>,
    pub(crate) roles: Vec<RoleCost>,
    pub(crate) backlog: Option<Backlog>,
    pub(crate) runs: Vec<Measured>,
}

/// One contender over all rounds. CPU in seconds for 10,000 receipts.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Median {
    pub(crate) who: &'static str,
    pub(crate) rows: Rows,
    pub(crate) per_second: Spread,
    pub(crate) cpu: Spread,
    pub(crate) cpu_worker: f64,
    pub(crate) cpu_postgres: f64,
    pub(crate) cpu_rabbitmq: f64,
    pub(crate) cpu_vendor: f64,
    pub(crate) commits_per_receipt: f64,
    pub(crate) wal_bytes_per_receipt: f64,
    #[serde(skip)]
    pub(crate) contender: Who,
}

/// The values of several rounds.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Spread {
    pub(crate) least: f64,
    pub(crate) median: f64,
    pub(crate) most: f64,
}

impl Spread {
    /// Of at least one value.
    pub(crate) fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        let middle = values.len() / 2;
        let median = if values.len().is_multiple_of(2) {
            f64::midpoint(at(middle.saturating_sub(1)), at(middle))
        } else {
            at(middle)
        };
        Self {
            least: at(0),
            median,
            most: at(values.len().saturating_sub(1)),
        }
    }
}

impl Report {
    pub(crate) fn new(machine: Machine, settings: Settings) -> Self {
        Self {
            machine,
            settings,
            ratios: Vec::new(),
            medians: Vec::new(),
            vendors: Vec::new(),
            finished: None,
            latency: None,
            little: Vec::new(),
            roles: Vec::new(),
            backlog: None,
            runs: Vec::new(),
        }
    }

    pub(crate) fn median(&self, who: Who, rows: Rows) -> Option<&Median> {
        self.medians
            .iter()
            .find(|median| median.contender == who && median.rows == rows)
    }
}
