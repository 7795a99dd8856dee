//! Which transaction a command is about.

use clap::Args;
use ledger::{Ledger, Standing, TransactionRow};
use receipt::{StoreCode, TransactionId};

use crate::exit::{self, Failure};
use crate::output;

#[derive(Debug, Args)]
pub(crate) struct TargetArgs {
    /// Our id, the vendor's uuid, the external id or the document's number.
    pub(crate) id: String,
    /// Only of this store.
    #[arg(long)]
    pub(crate) store: Option<StoreCode>,
}

impl TargetArgs {
    /// The one transaction that is meant, as it stands now.
    pub(super) async fn standing(&self, ledger: &Ledger) -> anyhow::Result<Standing> {
        let found = found(ledger, &self.id, self.store.as_ref()).await?;
        the_only(ledger, &self.id, &found).await
    }
}

/// Everything that `id` may mean.
pub(super) async fn found(ledger: &Ledger, id: &str, store: Option<&StoreCode>) -> anyhow::Result<Vec<TransactionRow>> {
    let mut found = ledger.find(id).await.map_err(|error| exit::ledger(&error))?;
    found.retain(|row| store.is_none_or(|store| row.store == store.as_str()));
    Ok(found)
}

/// The one of `found`, as it stands now.
pub(super) async fn the_only(ledger: &Ledger, id: &str, found: &[TransactionRow]) -> anyhow::Result<Standing> {
    let only = match found {
        [] => return Err(nothing(id).into()),
        [only] => only,
        several => return Err(ambiguous(id, several).into()),
    };
    standing(ledger, TransactionId(only.id)).await
}

pub(super) async fn standing(ledger: &Ledger, id: TransactionId) -> anyhow::Result<Standing> {
    let standing = ledger.standing(id).await.map_err(|error| exit::ledger(&error))?;
    Ok(standing.ok_or_else(|| nothing(&id.to_string()))?)
}

pub(super) fn nothing(id: &str) -> Failure {
    Failure::NotFound(format!(
        "nothing has the id, uuid, external id or document number {id:?}"
    ))
}

pub(super) fn ambiguous(id: &str, several: &[TransactionRow]) -> Failure {
    let lines = several.iter().map(|row| {
        format!(
            "\n  {}  {} {} of store {}, {}",
            row.id, row.operation, row.document_number, row.store, row.state
        )
    });
    Failure::Usage(format!(
        "{id:?} means several transactions; name one by its id, or the store:{}",
        output::safe(&lines.collect::<String>())
    ))
}

pub(super) fn changed(id: TransactionId) -> Failure {
    Failure::Refused(format!(
        "transaction {id} has changed since it was looked at, and nothing was done. Look again: kassa show {id}"
    ))
}
