//! An account is where its registrations are: the ids of one group at one host. Changing that under an account's name
//! while receipts are open would send them again, under the same ids, to somebody who does not know them.

use ledger::{Ledger, Moved, until_taken};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::exit::Failure;

/// Name and identity of every configured account.
pub(crate) fn identities(config: &Config) -> Vec<(String, String)> {
    config
        .accounts
        .iter()
        .map(|(name, account)| {
            let identity = account.identity();
            let place = format!("{} at {}, group {}", identity.vendor, identity.host, identity.group);
            (name.to_string(), place)
        })
        .collect()
}

/// Writes down where each account is, as soon as the database is there.
///
/// # Errors
/// [`Failure::Refused`] when an account has moved and open transactions name it.
pub(crate) async fn bind(config: &Config, ledger: &Ledger, stop: &CancellationToken) -> anyhow::Result<()> {
    let accounts = identities(config);
    match until_taken(stop, "the accounts", || ledger.bind_accounts(&accounts)).await {
        Ok(moved) if moved.is_empty() => Ok(()),
        Ok(moved) => Err(Failure::Refused(moved.iter().map(sentence).collect::<Vec<_>>().join("; ")).into()),
        Err(error) if error.is_outage() => Ok(()),
        Err(error) => Err(anyhow::Error::new(error)),
    }
}

/// What is wrong and what to do.
pub(crate) fn sentence(moved: &Moved) -> String {
    let Moved { account, was, is } = moved;
    format!(
        "accounts.{account}: was {was} and is now {is}, but open transactions name it; put the old one back and give the \
         new one another name"
    )
}
