//! Places for questions, account by account: so many at once and in a second as this process's part of the account's
//! limits leaves it. What finds no place stays in the table.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use ledger::{Door, Watch};
use receipt::AccountName;
use service::limiter::{Bounds, Limiter, Permit, Refused};
use tokio::sync::Notify;

/// The places of this process.
pub(crate) struct Places {
    accounts: BTreeMap<AccountName, Arc<Account>>,
    freed: Arc<Notify>,
    watch: Watch,
    /// Questions at once that this process asks about one account.
    most: u32,
}

#[derive(Default)]
struct Account {
    limiter: Limiter,
    /// Whether there were more due polls than places.
    backlog: AtomicBool,
}

/// A place for one question. Dropping it frees the place.
pub(crate) struct Place {
    permit: Option<Permit>,
    account: Arc<Account>,
    freed: Arc<Notify>,
}

impl Place {
    /// Says that a question begins.
    pub(crate) fn begin(&mut self) {
        self.permit.iter_mut().for_each(Permit::begin);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let was_used = self.permit.take().is_some_and(|permit| permit.is_used());
        if was_used && self.account.backlog.load(Ordering::Relaxed) {
            self.freed.notify_one();
        }
    }
}

impl Places {
    pub(crate) fn new(accounts: impl IntoIterator<Item = AccountName>, most: u32, watch: Watch) -> Self {
        Self {
            accounts: accounts.into_iter().map(|account| (account, Arc::default())).collect(),
            freed: Arc::default(),
            watch,
            most,
        }
    }

    /// All free places, account by account.
    pub(crate) fn take(&self) -> BTreeMap<AccountName, Vec<Place>> {
        let free = |(name, account): (&AccountName, &Arc<Account>)| {
            let bounds = self.bounds(name)?;
            let places: Vec<Place> = std::iter::from_fn(|| account.limiter.take(bounds).ok())
                .map(|permit| Place {
                    permit: Some(permit),
                    account: Arc::clone(account),
                    freed: Arc::clone(&self.freed),
                })
                .collect();
            (!places.is_empty()).then(|| (name.clone(), places))
        };
        self.accounts.iter().filter_map(free).collect()
    }

    /// Notes whether there were more due polls than places.
    pub(crate) fn set_backlog(&self, account: &AccountName, has_backlog: bool) {
        if let Some(account) = self.accounts.get(account) {
            account.backlog.store(has_backlog, Ordering::Relaxed);
        }
    }

    /// Waits until a place is free in an account with a backlog. May return too early, never too late.
    pub(crate) async fn freed(&self) {
        let next = self
            .accounts
            .iter()
            .filter_map(|(name, account)| self.due(name, account))
            .min();
        let freed = self.freed.notified();
        match next {
            Some(due) => {
                let _ = tokio::time::timeout_at(due.into(), freed).await;
            }
            None => freed.await,
        }
    }

    /// When the limits leave a place by the mere passing of time.
    fn due(&self, name: &AccountName, account: &Account) -> Option<Instant> {
        if !account.backlog.load(Ordering::Relaxed) {
            return None;
        }
        match account.limiter.check(self.bounds(name)?) {
            Err(Refused::TooSoon(due)) => Some(due),
            Ok(()) | Err(Refused::TooMany) => None,
        }
    }

    /// What this process may ask now. A gate that the breaker or a person closed does not stop questions: what was sent is
    /// followed. An account that is refused is not asked, because a wrong password again and again may lock it.
    fn bounds(&self, account: &AccountName) -> Option<Bounds> {
        match self.watch.door(account) {
            Door::Closed { is_halted: true } => return None,
            Door::Closed { is_halted: false } | Door::Open { .. } => {}
        }
        let allowance = self.watch.allowance(account);
        Some(Bounds {
            at_once: self.most.min(allowance.at_once.unwrap_or(u32::MAX)),
            spacing: allowance.spacing,
        })
    }
}
