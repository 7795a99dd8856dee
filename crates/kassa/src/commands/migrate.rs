//! `kassa migrate`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

#[expect(clippy::print_stdout, reason = "the result of the command")]
pub(crate) async fn run(file: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let (_, ledger) = super::open(file)?;
    let migrations = ledger
        .migrate()
        .await
        .context("the schema could not be brought up to date")?;
    println!(
        "The schema is up to date: {} migrations, the last one is {}.",
        migrations.len(),
        last(&migrations)
    );
    Ok(ExitCode::SUCCESS)
}

fn last(migrations: &[String]) -> &str {
    migrations.last().map_or("none", String::as_str)
}
