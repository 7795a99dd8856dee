//! `kassa dead drop`.

use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::filter::FilterArgs;
use super::matching;
use crate::cli::Output;
use crate::commands::actor::ActorArgs;
use crate::exit::{self, Failure};
use crate::output;

/// Letters of one statement.
const LETTERS_PER_STEP: usize = 1000;

#[derive(Debug, Args)]
pub(super) struct DropArgs {
    /// Our ids of letters, or messages' ids.
    ids: Vec<String>,
    #[command(flatten)]
    filter: FilterArgs,
    /// Every letter that was not replayed.
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    #[command(flatten)]
    actor: ActorArgs,
    /// Why, for the history.
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Only say how many would be dropped.
    #[arg(long)]
    dry_run: bool,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub(super) async fn run(file: Option<PathBuf>, args: &DropArgs) -> anyhow::Result<ExitCode> {
    let filter = args.filter.of_action(&args.ids, args.all)?;
    let (_, ledger) = crate::commands::open(file)?;
    let matching = matching(&ledger, &filter).await?;
    let count = matching.ids.len();
    if args.dry_run || count == 0 {
        return tell(args, count, 0);
    }
    if !args.yes && !confirmed(count)? {
        return Err(Failure::Refused("nothing was dropped".to_owned()).into());
    }
    let actor = args.actor.actor(args.note.as_deref());
    let mut dropped = 0;
    for ids in matching.ids.chunks(LETTERS_PER_STEP) {
        let gone = ledger
            .drop_letters(ids, matching.as_of, &actor)
            .await
            .map_err(|error| exit::ledger(&error))?;
        dropped += gone.len();
    }
    tell(args, count, dropped)
}

/// Asks on the terminal; without one there is nobody to ask.
fn confirmed(count: usize) -> anyhow::Result<bool> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(Failure::Usage(format!(
            "{count} dead letters would be dropped for good; add --yes to do it, or --dry-run to look"
        ))
        .into());
    }
    let mut stderr = std::io::stderr().lock();
    write!(stderr, "Drop {count} dead letters for good? [y/N] ")?;
    stderr.flush()?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes" | "д" | "да"))
}

fn tell(args: &DropArgs, matched: usize, dropped: usize) -> anyhow::Result<ExitCode> {
    let words = if args.dry_run {
        format!("{matched} would be dropped")
    } else {
        format!("{dropped} dropped")
    };
    let json = json!({ "matched": matched, "dropped": dropped, "dry_run": args.dry_run });
    output::print(args.output, &["DEAD LETTERS"], vec![vec![words]], &json)?;
    if !args.dry_run && dropped < matched {
        let left = matched - dropped;
        return Err(Failure::Partly(format!("{left} stay, because they came again meanwhile")).into());
    }
    Ok(ExitCode::SUCCESS)
}
