//! `cargo xtask bench`: how many receipts a second, at what cost, and beside whom.
//!
//! Absolute figures differ by half between two minutes of one machine, so everything that is compared runs in turns, in
//! several rounds, and ratios of one round are what counts. Every contender is a process of its own and is watched from
//! outside; at the end of each run every receipt has to stand in the tables, and once in the vendor's books.

mod backlog;
mod broker;
mod ceiling;
mod contender;
mod contest;
mod database;
mod finished;
mod fleet;
mod floor;
mod kassa;
mod latency;
mod little;
mod machine;
mod options;
mod pauses;
mod peers;
mod print;
mod proc;
mod ratios;
mod report;
mod roles;
mod run;
mod vendor;
mod wal;
mod world;

use std::path::PathBuf;

use anyhow::bail;
use clap::Subcommand;
use tokio::signal::unix::{SignalKind, signal};

use crate::Output;
use options::{Section, Settings};
use report::Report;
use world::World;

pub(crate) use options::Options;

/// What the benchmark starts of itself.
#[derive(Debug, Subcommand)]
pub(crate) enum Part {
    /// The vendor that everybody calls.
    #[command(hide = true)]
    Vendor {
        /// The folder for its certificates.
        certificates: PathBuf,
    },
    /// A worker of the floor.
    #[command(hide = true)]
    Floor {
        /// What it needs to know, as JSON.
        config: String,
    },
    /// Says when the core that it is bound to was held up from outside.
    #[command(hide = true)]
    WatchThisCore,
}

/// Runs a part in this process.
pub(crate) async fn play(part: Part) -> anyhow::Result<()> {
    match part {
        Part::Vendor { certificates } => vendor::serve(certificates).await,
        Part::Floor { config } => floor::work(&config).await,
        Part::WatchThisCore => pauses::watch_this_core(),
    }
}

/// Measures everything that was asked for. Returns whether every aim is met.
pub(crate) async fn measure(options: &Options, output: Output) -> anyhow::Result<bool> {
    let mut terminate = signal(SignalKind::terminate())?;
    // Whatever ends it first: the servers end with it.
    tokio::select! {
        measured = Box::pin(measure_all(options, output)) => measured,
        _ = tokio::signal::ctrl_c() => bail!("interrupted"),
        _ = terminate.recv() => bail!("terminated"),
    }
}

async fn measure_all(options: &Options, output: Output) -> anyhow::Result<bool> {
    let settings = options.settings();
    if settings.wants(Section::Peers) {
        peers::install().await?;
    }
    let mut world = if options.given_servers {
        World::given().await?
    } else {
        World::start().await?
    };
    let mut report = Report::new(world.machine().await?, settings.clone());
    eprintln!("bench: {}", report.machine.words());
    sections(&mut world, &settings, &mut report).await?;
    world.end().await?;
    report.ratios = ratios::of(&report);
    match output {
        Output::Human => print::report(&report),
        Output::Json => println!("{}", serde_json::to_string_pretty(&report)?),
    }
    Ok(report.ratios.iter().all(|ratio| ratio.met))
}

async fn sections(world: &mut World, settings: &Settings, report: &mut Report) -> anyhow::Result<()> {
    if settings.wants(Section::Vendor) {
        report.vendors = ceiling::measure(world, settings).await?;
    }
    report.runs = contest::measure(world, settings).await?;
    report.medians = contest::medians(&report.runs);
    if settings.wants(Section::Latency) {
        let rate = match settings.rate {
            Some(rate) => rate,
            None => contest::throughput(world, settings, report).await? / 2.0,
        };
        report.latency = Some(latency::measure(world, settings, rate).await?);
    }
    if settings.wants(Section::Little) {
        report.little = little::measure(world, settings).await?;
    }
    if settings.wants(Section::Roles) {
        report.roles = roles::measure(world, settings).await?;
    }
    if settings.wants(Section::Backlog) {
        report.backlog = Some(backlog::measure(world, settings).await?);
    }
    // The last: it leaves gigabytes that the disk has to forget.
    if settings.wants(Section::Finished) {
        report.finished = Some(finished::measure(world, settings).await?);
    }
    Ok(())
}
