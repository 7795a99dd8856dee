//! Tables for people, tabs and JSON for machines.

use std::io::{IsTerminal, Write};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::cli::Output;

/// Prints rows in the asked form. `json` is what `--output json` prints.
pub(crate) fn print<T: Serialize>(
    output: Output,
    headings: &[&str],
    rows: Vec<Vec<String>>,
    json: &T,
) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    let terminal = stdout.is_terminal();
    let written = match (output, terminal) {
        (Output::Json, _) => writeln!(stdout, "{}", serde_json::to_string_pretty(json)?),
        (Output::Table, _) | (Output::Auto, true) => writeln!(stdout, "{}", table(headings, rows)),
        (Output::Plain, _) | (Output::Auto, false) => rows.into_iter().try_for_each(|row| {
            let cells: Vec<String> = row.iter().map(|cell| cell.replace(['\t', '\n'], " ")).collect();
            writeln!(stdout, "{}", cells.join("\t"))
        }),
    };
    match written {
        // A pager that was closed has seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

/// A table without rules between rows, so that it can be searched line by line.
fn table(headings: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(headings.iter().copied());
    table.add_rows(rows);
    table.trim_fmt()
}

/// Roubles for people.
pub(crate) fn roubles(kopecks: i64) -> String {
    receipt::Money::from_kopecks(kopecks).to_string()
}
