//! What to measure, and how much of it.

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::contender::Camp;

/// The parts of the benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Section {
    /// How much the vendor can take, so that it is known not to be the bottleneck.
    Vendor,
    /// The hand-written loop, one by one and batched.
    Floor,
    /// Celery and an asyncio worker.
    Peers,
    /// kassa until `done`, with its events published, and until `waiting`.
    Kassa,
    /// From publishing to the vendor at half of kassa's throughput.
    Latency,
    /// Throughput at a vendor that takes 300 ms, against the limit of slots by latency.
    Little,
    /// kassa's throughput beside many finished receipts.
    Finished,
    /// Memory and idle CPU of each role.
    Roles,
    /// A backlog drained.
    Backlog,
}

/// What is measured by `cargo xtask bench` without `--rows`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Only these parts, separated by commas.
    #[arg(long, value_enum, value_delimiter = ',', conflicts_with = "rows")]
    only: Vec<Section>,
    /// Receipts that the quickest contenders get in each run; slower ones get fewer.
    #[arg(long, conflicts_with = "rows", value_parser = clap::value_parser!(u64).range(20..))]
    receipts: Option<u64>,
    /// Rounds in which everybody runs once.
    #[arg(long, conflicts_with = "rows", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// Finished receipts beside which kassa is measured once more.
    #[arg(long, conflicts_with = "rows")]
    finished: Option<i64>,
    /// Receipts of the backlog.
    #[arg(long, conflicts_with = "rows")]
    backlog: Option<u64>,
    /// Receipts a second at which latency is measured; half of kassa's throughput unless told otherwise.
    #[arg(long, conflicts_with = "rows")]
    rate: Option<f64>,
    /// A look in a few minutes instead of a measurement: one round, everything smaller.
    #[arg(long, conflicts_with = "rows")]
    quick: bool,
    /// The servers of `DATABASE_URL` and `AMQP_URL`, whose CPU is then not known. For tests of the benchmark.
    #[arg(long, hide = true)]
    pub(crate) given_servers: bool,
}

/// The same with every default in its place.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Settings {
    pub(crate) sections: Vec<Section>,
    pub(crate) receipts: u64,
    pub(crate) rounds: u32,
    pub(crate) finished: i64,
    pub(crate) backlog: u64,
    pub(crate) rate: Option<f64>,
    /// Seconds for everything that is looked at for a while.
    pub(crate) seconds: u64,
    /// What stood in the environment for kassa's processes.
    pub(crate) environment: Vec<String>,
}

impl Options {
    pub(crate) fn settings(&self) -> Settings {
        let sections = if self.only.is_empty() {
            Section::value_variants().to_vec()
        } else {
            self.only.clone()
        };
        let or = |full, quick| if self.quick { quick } else { full };
        let receipts = self.receipts.unwrap_or(or(30_000, 4_000));
        // A run of a few receipts is a look whether everything works.
        let seconds = if receipts < 1_000 { 1 } else { or(15, 5) };
        Settings {
            sections,
            receipts,
            rounds: self.rounds.unwrap_or(if self.quick { 1 } else { 3 }),
            finished: self.finished.unwrap_or(if self.quick { 100_000 } else { 10_000_000 }),
            backlog: self.backlog.unwrap_or(or(100_000, 10_000)),
            rate: self.rate,
            seconds,
            environment: std::env::vars()
                .filter(|(name, _)| name.starts_with("KASSA_") && name.contains("__"))
                .map(|(name, value)| format!("{name}={value}"))
                .collect(),
        }
    }
}

impl Settings {
    pub(crate) fn wants(&self, section: Section) -> bool {
        self.sections.contains(&section)
    }

    pub(crate) fn wants_camp(&self, camp: Camp) -> bool {
        self.wants(match camp {
            Camp::Floor => Section::Floor,
            Camp::Peers => Section::Peers,
            Camp::Kassa => Section::Kassa,
        })
    }
}
