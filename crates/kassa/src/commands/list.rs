//! `kassa list`.

use std::path::PathBuf;
use std::process::ExitCode;

use ledger::{Filter, TransactionRow};

use crate::cli::ListArgs;
use crate::{exit, output};

pub(crate) const HEADINGS: [&str; 9] = [
    "ID",
    "STORE",
    "OPERATION",
    "DOCUMENT",
    "TOTAL",
    "STATE",
    "EXTERNAL ID",
    "FD",
    "ACCEPTED",
];

pub(crate) async fn run(file: Option<PathBuf>, args: ListArgs) -> anyhow::Result<ExitCode> {
    let (_, ledger) = super::open(file)?;
    let filter = Filter {
        store: args.store.map(String::from),
        state: args.state,
        document: args.document.map(String::from),
        before: args.before,
        limit: args.limit,
    };
    let transactions = ledger.list(&filter).await.map_err(|error| exit::ledger(&error))?;
    output::print(
        args.output,
        &HEADINGS,
        transactions.iter().map(cells).collect(),
        &transactions,
    )?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn cells(row: &TransactionRow) -> Vec<String> {
    let state = match &row.failure {
        Some(failure) => format!("{}: {failure}", row.state),
        None => row.state.clone(),
    };
    let part = if row.document_part == "main" {
        String::new()
    } else {
        format!(" ({})", row.document_part)
    };
    vec![
        row.id.to_string(),
        row.store.clone(),
        row.operation.clone(),
        format!("{}{part}", row.document_number),
        output::roubles(row.total_kopecks),
        state,
        row.external_id.clone(),
        row.fiscal
            .as_ref()
            .map_or_else(String::new, |fiscal| fiscal.fd.to_string()),
        row.accepted_at.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
    ]
}
