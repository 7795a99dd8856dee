//! `cargo xtask chaos`: a running fleet under a seeded schedule of faults. At the end everything heals, and the table is
//! compared with the vendor's own books, by content.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]

mod print;

use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, ValueEnum};
use kassa_tests::chaos::{self, Settings};

/// Kills, freezes, cuts and deceives a running fleet, and compares the books.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask chaos",
    after_help = "Exit codes: 0 the books agree, 5 they differ, 1 the run could not be played, 130 interrupted."
)]
struct Args {
    /// How many receipts the shop wants, spread over the run.
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u32).range(10..=1_000_000))]
    receipts: u32,
    /// For how long faults are injected; every kind strikes at least once in 50 s.
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u64).range(20..=86_400))]
    seconds: u64,
    /// Repeats the faults of another run.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// human, or one JSON object on standard output.
    #[arg(long, value_enum, default_value_t = Output::Human)]
    output: Output,
    /// Leave logs and evidence behind even if all is well.
    #[arg(long)]
    keep: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Human,
    Json,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let interrupted = async {
        // Without the signal there is only the ordinary end.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    // The servers end with the run, so it must not end without its destructors.
    tokio::select! {
        code = Box::pin(play(&args)) => code,
        () = interrupted => ExitCode::from(130),
    }
}

async fn play(args: &Args) -> ExitCode {
    let settings = Settings {
        receipts: args.receipts,
        seconds: args.seconds,
        seed: args.seed,
        keep: args.keep,
    };
    eprintln!(
        "kassa chaos: seed {}, {} receipts, {} s of faults; nothing leaves this machine\n",
        args.seed, args.receipts, args.seconds
    );
    let began = Instant::now();
    let tell = |line: &str| eprintln!("{:>5} s  {line}", began.elapsed().as_secs());
    match chaos::run(&settings, &tell).await {
        Ok(report) => {
            match args.output {
                Output::Human => print::report(&report),
                Output::Json => match serde_json::to_string_pretty(&report) {
                    Ok(json) => println!("{json}"),
                    Err(error) => eprintln!("chaos: {error}"),
                },
            }
            if report.good {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(5)
            }
        }
        Err(error) => {
            eprintln!("chaos: {error:#}");
            ExitCode::FAILURE
        }
    }
}
