//! Places for calls, account by account, so that one slow account never takes another's.
//!
//! A place is free when the gate is open, when this process has a slot, and when the account's limits leave one to this
//! process. What finds none stays in the table, and the account then has a backlog: as long as it lasts only the sweep
//! gives out places, because it is fair between the stores of the account and sees the oldest first.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use ledger::{Door, Watch};
use receipt::AccountName;
use service::limiter::{Bounds, Limiter, Permit, Refused};
use tokio::sync::Notify;

use crate::probe::Probing;

/// A place for one call. Dropping it frees the place.
pub(crate) enum Slot {
    /// One of the process's own.
    Call(CallSlot),
    /// The one call that tries whether an account works.
    Probe(Probing),
}

/// A place among those of an account.
pub(crate) struct CallSlot {
    permit: Option<Permit>,
    place: Arc<Place>,
    freed: Arc<Notify>,
}

/// The places of this process.
#[derive(Clone)]
pub(crate) struct Slots {
    places: Arc<BTreeMap<AccountName, Arc<Place>>>,
    freed: Arc<Notify>,
    watch: Watch,
    /// Calls at once that this process makes for one account.
    most: u32,
}

#[derive(Default)]
struct Place {
    limiter: Limiter,
    backlog: AtomicBool,
}

impl Slot {
    /// Says that a call begins.
    pub(crate) fn begin(&mut self) {
        match self {
            Self::Call(slot) => slot.permit.iter_mut().for_each(Permit::begin),
            Self::Probe(_) => {}
        }
    }
}

impl Drop for CallSlot {
    fn drop(&mut self) {
        let was_used = self.permit.take().is_some_and(|permit| permit.is_used());
        // A place that was not used is no news to the sweep, which may have given it back itself.
        if was_used && self.place.backlog.load(Ordering::Relaxed) {
            self.freed.notify_one();
        }
    }
}

impl Slots {
    pub(crate) fn new(accounts: impl IntoIterator<Item = AccountName>, most: u32, watch: Watch) -> Self {
        let places = accounts.into_iter().map(|account| (account, Arc::default())).collect();
        Self {
            places: Arc::new(places),
            freed: Arc::default(),
            watch,
            most,
        }
    }

    /// A place for what has just come, if there is one now and nobody has waited for it longer.
    pub(crate) fn try_take(&self, account: &AccountName) -> Option<Slot> {
        let place = self.places.get(account)?;
        if place.backlog.load(Ordering::Relaxed) {
            return None;
        }
        match place.limiter.take(self.bounds(account)?) {
            Ok(permit) => Some(self.slot(place, permit)),
            Err(_) => {
                place.backlog.store(true, Ordering::Relaxed);
                None
            }
        }
    }

    /// All free places of an account, for the sweep.
    pub(crate) fn take_all(&self, account: &AccountName) -> Vec<Slot> {
        let (Some(place), Some(bounds)) = (self.places.get(account), self.bounds(account)) else {
            return Vec::new();
        };
        let permits = std::iter::from_fn(|| place.limiter.take(bounds).ok());
        permits.map(|permit| self.slot(place, permit)).collect()
    }

    /// The accounts that have places.
    pub(crate) fn accounts(&self) -> impl Iterator<Item = &AccountName> {
        self.places.keys()
    }

    /// Whether receipts of the account wait in the table for a place here.
    pub(crate) fn has_backlog(&self, account: &AccountName) -> bool {
        self.places
            .get(account)
            .is_some_and(|place| place.backlog.load(Ordering::Relaxed))
    }

    /// Notes whether receipts of the account wait in the table for a place here.
    pub(crate) fn set_backlog(&self, account: &AccountName, has_backlog: bool) {
        if let Some(place) = self.places.get(account) {
            place.backlog.store(has_backlog, Ordering::Relaxed);
        }
    }

    /// Lets the sweep look for receipts of the account at once, without their grace period.
    pub(crate) fn wake(&self, account: &AccountName) {
        self.set_backlog(account, true);
        self.freed.notify_one();
    }

    /// Waits until a place is free in an account with a backlog. May return too early, never too late.
    pub(crate) async fn freed(&self) {
        let due = self.places.keys().filter(|account| self.has_backlog(account));
        let next = due.filter_map(|account| self.due(account)).min();
        let freed = self.freed.notified();
        match next {
            Some(due) => {
                let _ = tokio::time::timeout_at(due.into(), freed).await;
            }
            None => freed.await,
        }
    }

    /// When the limits leave a place by the mere passing of time.
    fn due(&self, account: &AccountName) -> Option<Instant> {
        match self.places.get(account)?.limiter.check(self.bounds(account)?) {
            Err(Refused::TooSoon(due)) => Some(due),
            Ok(()) | Err(Refused::TooMany) => None,
        }
    }

    fn slot(&self, place: &Arc<Place>, permit: Permit) -> Slot {
        Slot::Call(CallSlot {
            permit: Some(permit),
            place: Arc::clone(place),
            freed: Arc::clone(&self.freed),
        })
    }

    /// What this process may do with an account now; nothing behind a closed gate.
    fn bounds(&self, account: &AccountName) -> Option<Bounds> {
        let Door::Open { since } = self.watch.door(account) else {
            return None;
        };
        let allowance = self.watch.allowance(account);
        let ramp = since.map_or(u32::MAX, |since| self.ramp(since));
        Some(Bounds {
            at_once: self.most.min(ramp).min(allowance.at_once.unwrap_or(u32::MAX)),
            spacing: allowance.spacing,
        })
    }

    /// Calls at once after an opening: one, and twice as many after each step.
    fn ramp(&self, since: Instant) -> u32 {
        let step = self.watch.settings().ramp_step.as_micros().max(1);
        let steps = u32::try_from(since.elapsed().as_micros() / step).unwrap_or(u32::MAX);
        2_u32.checked_pow(steps).unwrap_or(u32::MAX)
    }
}
