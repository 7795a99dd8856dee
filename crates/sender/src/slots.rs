//! How many calls may be under way, account by account, so that one slow account never takes another's place.

use std::collections::BTreeMap;
use std::sync::Arc;

use ledger::Quota;
use receipt::AccountName;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A place for one call. Dropping it frees the place.
pub(crate) type Slot = OwnedSemaphorePermit;

/// The places of this process.
#[derive(Debug, Clone)]
pub(crate) struct Slots {
    accounts: Arc<BTreeMap<AccountName, Arc<Semaphore>>>,
}

impl Slots {
    pub(crate) fn new(accounts: impl IntoIterator<Item = AccountName>, slots: u32) -> Self {
        let places = usize::try_from(slots)
            .unwrap_or(Semaphore::MAX_PERMITS)
            .min(Semaphore::MAX_PERMITS);
        let accounts = accounts
            .into_iter()
            .map(|account| (account, Arc::new(Semaphore::new(places))))
            .collect();
        Self {
            accounts: Arc::new(accounts),
        }
    }

    /// A place, as soon as there is one; `None` for an account that is not configured, which makes no calls.
    pub(crate) async fn take(&self, account: &AccountName) -> Option<Slot> {
        Arc::clone(self.accounts.get(account)?).acquire_owned().await.ok()
    }

    /// A place, if there is one now.
    pub(crate) fn try_take(&self, account: &AccountName) -> Option<Slot> {
        Arc::clone(self.accounts.get(account)?).try_acquire_owned().ok()
    }

    /// The free places of every account that has any.
    pub(crate) fn free(&self) -> Vec<Quota> {
        self.accounts
            .iter()
            .filter_map(|(account, places)| {
                let slots = u32::try_from(places.available_permits()).unwrap_or(u32::MAX);
                (slots > 0).then(|| Quota {
                    account: account.clone(),
                    slots,
                })
            })
            .collect()
    }
}
