//! `kassa dead list`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use ledger::{LetterFilter, LetterRow};

use super::filter::FilterArgs;
use crate::cli::Output;
use crate::{exit, output};

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// Also those that were replayed.
    #[arg(long)]
    replayed: bool,
    /// At most so many.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=100_000))]
    limit: i64,
    /// How to print the list.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

const HEADINGS: [&str; 8] = [
    "ID",
    "CAME",
    "TIMES",
    "KEY",
    "DOCUMENT",
    "REASON",
    "REPLAYED AS",
    "DETAIL",
];

pub(super) async fn run(file: Option<PathBuf>, args: ListArgs) -> anyhow::Result<ExitCode> {
    let (_, ledger) = crate::commands::open(file)?;
    let filter = LetterFilter {
        with_replayed: args.replayed,
        ..args.filter.of_list()
    };
    let letters = ledger
        .list_letters(&filter, args.limit)
        .await
        .map_err(|error| exit::ledger(&error))?;
    output::print(args.output, &HEADINGS, letters.iter().map(cells).collect(), &letters)?;
    Ok(ExitCode::SUCCESS)
}

fn cells(row: &LetterRow) -> Vec<String> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    vec![
        row.id.to_string(),
        row.last_seen.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
        row.times.to_string(),
        row.routing_key.clone(),
        text(&row.document_number),
        row.reason_code.clone(),
        row.transaction_id.map_or_else(String::new, |id| id.to_string()),
        text(&row.detail),
    ]
}
