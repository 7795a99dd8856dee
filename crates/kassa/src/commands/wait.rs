//! Waiting for the outcome of what a command has begun.

use std::time::Duration;

use clap::Args;
use ledger::{Ledger, Standing};
use receipt::{StateName, TransactionId};
use tokio::time::Instant;

use super::target;
use crate::exit::Failure;

/// How often the table is looked at.
const LOOK: Duration = Duration::from_millis(300);

/// The longest wait in seconds: a day. Whoever waits longer has fallen asleep.
pub(super) const LONGEST: u64 = 86_400;

#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    /// Wait until it is registered or needs a person, at most so many seconds.
    #[arg(
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        default_missing_value = "60",
        value_parser = clap::value_parser!(u64).range(..=LONGEST)
    )]
    wait: Option<u64>,
}

impl WaitArgs {
    /// Until when to wait, if one waits at all.
    pub(super) fn deadline(&self) -> Option<Instant> {
        Some(Instant::now() + Duration::from_secs(self.wait?))
    }
}

/// Waits until nothing more becomes of the transaction by itself.
///
/// # Errors
/// [`Failure::TryLater`] at the deadline; whatever stops the looking.
pub(super) async fn until_settled(ledger: &Ledger, id: TransactionId, deadline: Instant) -> anyhow::Result<Standing> {
    loop {
        let seen = target::standing(ledger, id).await?;
        match seen.state {
            StateName::Done | StateName::Unknown | StateName::Failed | StateName::Cancelled | StateName::Held => {
                return Ok(seen);
            }
            StateName::Queued | StateName::Sending | StateName::Waiting | StateName::Retrying => {}
        }
        if Instant::now() >= deadline {
            return Err(Failure::TryLater(format!(
                "{} is still {}. Look again: kassa show {id}",
                seen.external_id, seen.state
            ))
            .into());
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// An outcome that is no success has an exit code that says so.
///
/// # Errors
/// When it is not done.
pub(super) fn succeeded(seen: &Standing) -> anyhow::Result<()> {
    let id = seen.subject.transaction_id;
    anyhow::ensure!(
        seen.state == StateName::Done,
        "{} is {}. See why: kassa show {id}",
        seen.external_id,
        seen.state
    );
    Ok(())
}
