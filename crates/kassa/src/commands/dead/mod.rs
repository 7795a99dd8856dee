//! `kassa dead`: messages that were not accepted.

mod drop;
mod filter;
mod list;
mod replay;
mod show;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use ledger::{LetterFilter, Matching};

use crate::exit::{self, Failure};

/// The most letters that one command takes on.
const MOST_LETTERS: i64 = 100_000;

#[derive(Debug, Args)]
pub(crate) struct DeadArgs {
    #[command(subcommand)]
    command: DeadCommand,
}

#[derive(Debug, Subcommand)]
enum DeadCommand {
    /// List dead letters, the one that came last first.
    List(list::ListArgs),
    /// Show one with its body, its headers and every fault.
    Show(show::ShowArgs),
    /// Offer dead letters again, as if their messages came now. Replaying twice gives the same transaction.
    ///
    /// Exit codes: 0 every letter is accepted · 4 none is · 5 some are · 3 nothing has such an id.
    Replay(replay::ReplayArgs),
    /// Drop dead letters for good. What they were stays in the history.
    Drop(drop::DropArgs),
}

pub(crate) async fn run(file: Option<PathBuf>, args: DeadArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        DeadCommand::List(args) => list::run(file, args).await,
        DeadCommand::Show(args) => show::run(file, &args).await,
        DeadCommand::Replay(args) => replay::run(file, &args).await,
        DeadCommand::Drop(args) => drop::run(file, &args).await,
    }
}

/// The letters that a bulk command means; an error when it names ids and nothing has one of them.
async fn matching(ledger: &ledger::Ledger, filter: &LetterFilter) -> anyhow::Result<Matching> {
    let matching = ledger
        .matching_letters(filter, MOST_LETTERS)
        .await
        .map_err(|error| exit::ledger(&error))?;
    if let (Some(ids), true) = (&filter.ids, matching.ids.is_empty()) {
        return Err(Failure::NotFound(format!("there is no dead letter {}", ids.join(", "))).into());
    }
    Ok(matching)
}
