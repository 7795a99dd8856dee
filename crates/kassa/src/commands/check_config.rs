//! `kassa check-config`.

use std::path::PathBuf;
use std::process::ExitCode;

use ledger::{Ledger, LedgerError};

use crate::accounts;
use crate::cli::CheckArgs;
use crate::config::{self, Config};

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the result of the command")]
pub(crate) async fn run(file: Option<PathBuf>, args: &CheckArgs) -> anyhow::Result<ExitCode> {
    if args.defaults {
        println!("{}", config::DEFAULTS.join("\n"));
        return Ok(ExitCode::SUCCESS);
    }
    let loaded = config::load(file)?;
    println!("{}", loaded.render_redacted());
    let config = loaded.value;
    let mut faults = config.faults();
    if config.stores.is_empty() {
        eprintln!("note: no store is configured; every request will become a dead letter");
    }
    for (code, store) in &config.directory().stores {
        if store.public_url.is_none() && !store.callback_secrets.is_empty() {
            eprintln!(
                "note: store {code} has callback_secrets, but without a public_url no request asks for a callback"
            );
        }
    }
    for note in schedules(&config) {
        eprintln!("note: {note}");
    }
    if !args.offline {
        let ledger = Ledger::open(&config.database, "check-config")?;
        match needed(&config, &ledger).await {
            Ok(more) => faults.extend(more),
            Err(error) => eprintln!(
                "note: the database was not asked which accounts are still needed: {}",
                service::error::chain(&error)
            ),
        }
    }
    if faults.is_empty() {
        eprintln!("The configuration is good.");
        return Ok(ExitCode::SUCCESS);
    }
    for fault in &faults {
        eprintln!("fault: {fault}");
    }
    Ok(ExitCode::FAILURE)
}

/// When reports are due, in words: five numbers and stars are easily wrong.
fn schedules(config: &Config) -> Vec<String> {
    let mut notes = Vec::new();
    for (code, settings) in &config.reports {
        let Some(store) = config.stores.get(code).filter(|_| !settings.recipients.is_empty()) else {
            continue;
        };
        for schedule in settings.schedules(store).unwrap_or_default() {
            let next = schedule.next(jiff::Timestamp::now());
            let next = next.map_or_else(|| "never".to_owned(), |next| next.to_string());
            notes.push(format!(
                "reports.{code}.{}: {} Next: {next}",
                schedule.name.name(),
                schedule.describe()
            ));
        }
    }
    notes
}

/// What open transactions need and the configuration no longer has.
async fn needed(config: &Config, ledger: &Ledger) -> Result<Vec<String>, LedgerError> {
    let gone = ledger
        .open_accounts()
        .await?
        .into_iter()
        .filter(|name| !config.accounts.keys().any(|known| known.as_str() == name))
        .map(|name| {
            format!("accounts.{name}: is gone, but open transactions name it; put it back until they are done")
        });
    let moved = ledger.moved_accounts(&accounts::identities(config)).await?;
    Ok(gone.chain(moved.iter().map(accounts::sentence)).collect())
}
