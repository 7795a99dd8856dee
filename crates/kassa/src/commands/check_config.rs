//! `kassa check-config`.

use std::path::PathBuf;
use std::process::ExitCode;

use ledger::Ledger;

use crate::cli::CheckArgs;
use crate::config;

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
    if !args.offline {
        let ledger = Ledger::open(&config.database, "check-config")?;
        match ledger.open_accounts().await {
            Ok(needed) => faults.extend(
                needed
                    .into_iter()
                    .filter(|name| !config.accounts.keys().any(|known| known.as_str() == name))
                    .map(|name| {
                        format!(
                            "accounts.{name}: is gone, but open transactions name it; put it back until they are done"
                        )
                    }),
            ),
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
