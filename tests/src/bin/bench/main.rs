//! `cargo xtask bench`: how many receipts a second, at what cost, and beside whom (`speed`).
//!
//! `cargo xtask bench --rows N`: what the ledger's statements cost beside N finished receipts, compared in one run with
//! what they cost beside 60,000. Nothing that runs per receipt or per tick may grow with what is done. Blocks read are the
//! measure, because they are the same on every machine; times are shown beside them.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]
#![expect(clippy::float_arithmetic, reason = "measures and their ratios, no money")]
#![expect(
    clippy::disallowed_methods,
    reason = "the vendor serves connections until its process is ended, and settings to be tried come from the environment"
)]

mod print;
mod seed;
mod speed;
mod steps;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use kassa_tests::database::Database;
use ledger::Ledger;
use mimalloc::MiMalloc;
use serde::Serialize;

// The floor must not lose by what kassa does not owe to its own work.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// The ledger beside which the others are judged: two days and a little, which is what a report of a day reads.
const FEW: i64 = 60_000;

/// How much more a step may read beside all those rows: an index of ten million entries is one level deeper.
const MUCH: f64 = 2.0;

/// Measures receipts a second, or the ledger's statements beside many finished receipts.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench", args_conflicts_with_subcommands = true)]
struct Args {
    /// What the ledger's statements read beside so many finished receipts, and nothing else.
    #[arg(long, value_parser = clap::value_parser!(i64).range(FEW..=100_000_000))]
    rows: Option<i64>,
    #[command(flatten)]
    speed: speed::Options,
    /// human, or one JSON object on standard output.
    #[arg(long, value_enum, default_value_t = Output::Human)]
    output: Output,
    #[command(subcommand)]
    part: Option<speed::Part>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Human,
    Json,
}

/// One step beside few and many finished receipts.
#[derive(Debug, Serialize)]
struct Compared {
    step: &'static str,
    calls: u32,
    /// Blocks of tables and indexes per call.
    blocks_beside_few: f64,
    blocks_beside_many: f64,
    /// Scans of whole tables beside many.
    table_scans: i64,
    /// Medians.
    ms_beside_few: f64,
    ms_beside_many: f64,
}

impl Compared {
    fn is_flat(&self) -> bool {
        self.table_scans == 0 && self.blocks_beside_many <= MUCH * self.blocks_beside_few
    }
}

#[derive(Debug, Serialize)]
struct Report {
    few: i64,
    many: i64,
    /// The database with the many rows, in bytes.
    database_bytes: i64,
    steps: Vec<Compared>,
    flat: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let mut runtime = match &args.part {
        // On one thread a server that has hardly anything to do does it with the least effort.
        Some(speed::Part::Vendor { .. } | speed::Part::WatchThisCore) => tokio::runtime::Builder::new_current_thread(),
        Some(speed::Part::Floor { .. }) | None => tokio::runtime::Builder::new_multi_thread(),
    };
    let played = runtime
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(play(args)));
    match played {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(5),
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn play(args: Args) -> anyhow::Result<bool> {
    match (args.part, args.rows) {
        (Some(part), _) => speed::play(part).await.map(|()| true),
        (None, Some(rows)) => statements(rows, args.output).await,
        (None, None) => speed::measure(&args.speed, args.output).await,
    }
}

async fn statements(rows: i64, output: Output) -> anyhow::Result<bool> {
    let (few, _) = measured(FEW).await?;
    let (many, database_bytes) = measured(rows).await?;
    let steps: Vec<Compared> = few
        .into_iter()
        .zip(many)
        .map(|(few, many)| Compared {
            step: few.step,
            calls: few.calls,
            blocks_beside_few: few.blocks,
            blocks_beside_many: many.blocks,
            table_scans: many.table_scans,
            ms_beside_few: few.ms,
            ms_beside_many: many.ms,
        })
        .collect();
    let report = Report {
        few: FEW,
        many: rows,
        database_bytes,
        flat: steps.iter().all(Compared::is_flat),
        steps,
    };
    match output {
        Output::Human => print::report(&report),
        Output::Json => println!("{}", serde_json::to_string_pretty(&report)?),
    }
    Ok(report.flat)
}

/// Measures every step in a database of its own with `rows` finished receipts, and drops the database.
async fn measured(rows: i64) -> anyhow::Result<(Vec<steps::Cost>, i64)> {
    let database = Database::create("bench").await?;
    let measured = async {
        let ledger = Ledger::open(&ledger::Config::at(database.url.clone()), "bench")?;
        ledger.migrate().await?;
        ledger.close().await;
        let pool = database.pool().await?;
        seed::finished(&pool, rows).await?;
        let bytes = sqlx::query_scalar("SELECT pg_database_size(current_database())")
            .fetch_one(&pool)
            .await?;
        pool.close().await;
        Ok((steps::all(&database).await?, bytes))
    };
    let measured: anyhow::Result<_> = measured.await;
    database.remove().await?;
    measured
}
