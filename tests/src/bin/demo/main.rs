//! `cargo xtask demo`: receipts go from RabbitMQ through senders to a simulated ATOL Online and a simulated CheckOnline, are
//! followed to their fiscal documents, and meanwhile everything goes wrong that usually does. At the end the table is
//! compared with the vendors' own books, by content.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]

mod plan;
mod print;
mod story;
mod verdict;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};

/// Registers receipts at two simulated vendors while things go wrong, and compares the books.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask demo")]
struct Args {
    /// How many valid receipts the shop publishes.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(20..=100_000))]
    receipts: u32,
    /// human, or one JSON object on standard output.
    #[arg(long, value_enum, default_value_t = Output::Human)]
    output: Output,
    /// Leave everything running and print the addresses.
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
    match run(&args).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(5),
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> anyhow::Result<bool> {
    let started = std::time::Instant::now();
    let plan = plan::Plan::new(args.receipts);
    let mut teller = print::Teller::new(&plan);
    let story = story::play(&plan, &mut teller).await?;
    let verdict = verdict::judge(&plan, &story, started.elapsed()).await?;
    teller.finish();
    match args.output {
        Output::Human => print::verdict(&verdict),
        Output::Json => println!("{}", serde_json::to_string_pretty(&verdict)?),
    }
    if !verdict.is_good() {
        eprintln!(
            "The logs and the configuration stay in {}.",
            story.fleet.folder.display()
        );
        return Ok(false);
    }
    if args.keep {
        print::addresses(&story);
        story.leave();
    } else {
        story.end().await?;
    }
    Ok(true)
}
