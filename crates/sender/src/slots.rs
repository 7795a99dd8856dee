//! Places for calls, account by account, so that one slow account never takes another's.
//!
//! A place is free when the gate is open, when this process has a slot, and when the account's limits leave one to this
//! process. It ends with the call, not with its record. At a vendor who answers quickly there are a few places more than
//! calls: their receipts are claimed ahead, so that the next call begins as soon as one ends and not after a commit.
//!
//! What finds no place within a moment stays in the table, and the account then has a backlog: as long as it lasts only the
//! sweep gives out places, because it is fair between the stores of the account and sees the oldest first.
//!
//! A receipt that is left to the sweep costs two commits more, and so a backlog that the vendor could have worked off would
//! feed itself: the more is left, the slower everything is, and the more is left. Therefore what still is in the broker
//! waits there for the end of a backlog while places come free quickly, and goes on into the table when they do not.

mod allowed;
mod line;
mod turns;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use ledger::Watch;
use receipt::AccountName;
use service::limiter::{Limiter, Permit, Refused};
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

use crate::probe::Probing;
use crate::slots::line::Line;
use crate::slots::turns::Turns;

/// How long what has just come waits for a place before the account has a backlog.
const PATIENCE: Duration = Duration::from_millis(50);
/// How long it waits where places come free quickly, also for the end of a backlog.
const LONGEST_PATIENCE: Duration = Duration::from_millis(250);
/// Attempts under way, those whose answer is not written down yet among them, for each place of the process: what a
/// stalled database may leave in memory.
const ATTEMPTS_PER_PLACE: usize = 8;

/// A place for one call. Dropping it frees the place.
pub(crate) enum Slot {
    /// One of the process's own.
    Call(CallSlot),
    /// The one call that tries whether an account works.
    Probe(Probing),
}

/// Where a receipt is while it waits for a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It is not accepted yet.
    InBroker,
    /// The sweep will find it.
    InTable,
}

/// A place among those of an account.
pub(crate) struct CallSlot {
    permit: Option<Permit>,
    /// Held from the moment when the vendor may be called.
    turn: Option<Permit>,
    /// How long the call took, once one was made.
    took: Option<Duration>,
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
    attempts: TaskTracker,
    /// Whether somebody was turned away because of the attempts under way.
    lacked_room: Arc<AtomicBool>,
}

#[derive(Default)]
struct Place {
    /// Counts the places, those of receipts claimed ahead among them.
    limiter: Limiter,
    /// Counts the calls.
    turns: Turns,
    backlog: AtomicBool,
    /// How many were left to the sweep. A sweep that found nothing may have looked before the last of them.
    passed_over: AtomicU64,
    /// Told of each place that comes free, one of those who wait at a time; and, all of them, of the end of a backlog.
    vacated: Notify,
    line: Line,
}

impl Place {
    fn set_backlog(&self, has_backlog: bool) {
        if self.backlog.swap(has_backlog, Ordering::Relaxed) != has_backlog {
            // Whoever waits has to think again.
            self.vacated.notify_waiters();
        }
    }

    /// How long a newcomer waits in all, as things are now.
    fn patience(&self, kept: Kept) -> Duration {
        if kept == Kept::InBroker && self.line.moves() {
            LONGEST_PATIENCE
        } else if self.backlog.load(Ordering::Relaxed) {
            Duration::ZERO
        } else {
            PATIENCE
        }
    }
}

impl Slot {
    /// Says that a call was made, and how long it took.
    pub(crate) fn called(&mut self, took: Duration) {
        match self {
            Self::Call(slot) => {
                slot.permit.iter_mut().for_each(Permit::begin);
                slot.took = Some(took);
            }
            Self::Probe(_) => {}
        }
    }
}

impl Drop for CallSlot {
    fn drop(&mut self) {
        // First the turn: for the next call everything is ready.
        if let Some(turn) = self.turn.take() {
            self.place.turns.give(turn);
        }
        if let Some(took) = self.took {
            self.place.line.advance(took);
        }
        drop(self.permit.take());
        if !self.place.backlog.load(Ordering::Relaxed) {
            self.place.vacated.notify_one();
        } else if self.took.is_some() {
            // A place that was not used is no news to the sweep, which may have given it back itself.
            self.freed.notify_one();
        }
    }
}

impl Slots {
    /// `attempts` are those that the places are for.
    pub(crate) fn new(
        accounts: impl IntoIterator<Item = AccountName>,
        most: u32,
        watch: Watch,
        attempts: TaskTracker,
    ) -> Self {
        let places = accounts.into_iter().map(|account| (account, Arc::default())).collect();
        Self {
            places: Arc::new(places),
            freed: Arc::default(),
            watch,
            most,
            attempts,
            lacked_room: Arc::default(),
        }
    }

    /// Waits until the vendor may be called that a place is for. Returns false when he may not be called any more, because
    /// the account was closed.
    pub(crate) async fn turn(&self, account: &AccountName, slot: &mut Slot) -> bool {
        let Slot::Call(slot) = slot else { return true };
        let at_once = || self.allowed(account).map(|bounds| bounds.at_once);
        if slot.turn.is_none() {
            slot.turn = slot.place.turns.take(at_once).await;
        }
        // A question to the vendor may have come between.
        slot.turn.is_some() && at_once().is_some()
    }

    /// A place for what has just come, if one comes free within a moment and nobody has waited for it longer.
    pub(crate) async fn take(&self, account: &AccountName, kept: Kept) -> Option<Slot> {
        let place = self.places.get(account)?;
        let came = tokio::time::Instant::now();
        loop {
            let vacated = place.vacated.notified();
            tokio::pin!(vacated);
            vacated.as_mut().enable();
            let bounds = self.bounds(account)?;
            if !place.backlog.load(Ordering::Relaxed) {
                match place.limiter.take(bounds) {
                    Ok(permit) if self.has_room() => return Some(self.slot(place, permit)),
                    Ok(_) | Err(Refused::TooMany) => {}
                    // No call that ends makes it earlier.
                    Err(Refused::TooSoon(_)) => break,
                }
            }
            // What it may expect changes while it waits.
            let until = came + place.patience(kept);
            if until <= tokio::time::Instant::now() {
                break;
            }
            let _ = tokio::time::timeout_at(until, vacated).await;
        }
        place.set_backlog(true);
        place.passed_over.fetch_add(1, Ordering::Relaxed);
        // The place that was waited for may have come free at this very moment.
        self.freed.notify_one();
        None
    }

    fn has_room(&self) -> bool {
        let places = usize::try_from(self.most)
            .unwrap_or(usize::MAX)
            .saturating_mul(self.places.len());
        let has_room = self.attempts.len() < places.saturating_mul(ATTEMPTS_PER_PLACE);
        if !has_room {
            self.lacked_room.store(true, Ordering::Relaxed);
        }
        has_room
    }

    /// All free places of an account, for the sweep.
    pub(crate) fn take_all(&self, account: &AccountName) -> Vec<Slot> {
        let (Some(place), Some(bounds)) = (self.places.get(account), self.bounds(account)) else {
            return Vec::new();
        };
        if !self.has_room() {
            return Vec::new();
        }
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

    /// Notes that receipts of the account wait in the table for a place here.
    pub(crate) fn note_backlog(&self, account: &AccountName) {
        if let Some(place) = self.places.get(account) {
            place.set_backlog(true);
        }
    }

    /// How many receipts of the account were left to the sweep so far.
    pub(crate) fn passed_over(&self, account: &AccountName) -> u64 {
        let place = self.places.get(account);
        place.map_or(0, |place| place.passed_over.load(Ordering::Relaxed))
    }

    /// Notes that nothing of the account waits in the table, unless something was left to the sweep since `passed_over`.
    pub(crate) fn end_backlog(&self, account: &AccountName, passed_over: u64) {
        if self.passed_over(account) != passed_over {
            return;
        }
        if let Some(place) = self.places.get(account) {
            place.set_backlog(false);
        }
        if self.passed_over(account) != passed_over {
            self.note_backlog(account);
        }
    }

    /// Says that an attempt has ended: there may be room for another one.
    pub(crate) fn ended(&self) {
        if self.lacked_room.swap(false, Ordering::Relaxed) {
            self.freed.notify_one();
        }
    }

    /// Lets the sweep look for receipts of the account at once, without their grace period.
    pub(crate) fn wake(&self, account: &AccountName) {
        self.note_backlog(account);
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

    fn slot(&self, place: &Arc<Place>, permit: Permit) -> Slot {
        Slot::Call(CallSlot {
            permit: Some(permit),
            turn: None,
            took: None,
            place: Arc::clone(place),
            freed: Arc::clone(&self.freed),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use ledger::{Ledger, WorkerRole};
    use receipt::intake::Directory;

    use super::*;

    fn account() -> AccountName {
        AccountName::parse("main").expect("a name")
    }

    fn one_place() -> Slots {
        places(1)
    }

    /// So many places in one account. The database is never asked.
    fn places(most: u32) -> Slots {
        let config = ledger::Config::at("postgres://nobody@127.0.0.1:1/none".to_owned());
        let ledger = Ledger::open(&config, "test").expect("the URL is one");
        let directory = Arc::new(Directory::default());
        let watch = Watch::new(
            ledger,
            crate::breaker::tests::settings(),
            [],
            directory,
            WorkerRole::Sender,
        );
        Slots::new([account()], most, watch, TaskTracker::new())
    }

    #[tokio::test]
    async fn who_comes_while_calls_are_quick_waits_for_a_place_and_makes_no_backlog() {
        let slots = one_place();
        let mut first = slots.take(&account(), Kept::InTable).await.expect("the place is free");
        let account = account();
        first.called(Duration::from_millis(5));
        // Polled in this order: it comes before the place is free.
        let (coming, ()) = tokio::join!(slots.take(&account, Kept::InBroker), async { drop(first) });
        assert!(coming.is_some());
        assert!(!slots.has_backlog(&account));
    }

    #[tokio::test]
    async fn what_is_claimed_ahead_is_called_when_a_call_ends_and_no_earlier() {
        let slots = places(8);
        let account = account();
        assert_eq!(slots.take_all(&account).len(), 8, "none ahead before a call has ended");
        slots.places[&account].line.advance(Duration::from_millis(100));
        let mut calls = slots.take_all(&account);
        assert_eq!(calls.len(), 10, "and a quarter then");
        let mut ahead = calls.split_off(8);
        for call in &mut calls {
            assert!(slots.turn(&account, call).await);
        }
        let waits = tokio::time::timeout(PATIENCE, slots.turn(&account, &mut ahead[0]));
        assert!(waits.await.is_err(), "eight calls are under way");
        calls.pop();
        assert!(slots.turn(&account, &mut ahead[0]).await);
        assert!(slots.turn(&account, &mut ahead[0]).await, "it has its turn already");
        let waits = tokio::time::timeout(PATIENCE, slots.turn(&account, &mut ahead[1]));
        assert!(waits.await.is_err(), "eight calls are under way again");
    }

    #[tokio::test]
    async fn what_finds_no_place_for_a_while_makes_a_backlog_and_those_behind_it_wait_no_more() {
        let slots = one_place();
        let first = slots.take(&account(), Kept::InTable).await.expect("the place is free");
        let began = Instant::now();
        assert!(slots.take(&account(), Kept::InTable).await.is_none());
        assert!(began.elapsed() >= PATIENCE);
        assert!(slots.has_backlog(&account()));
        drop(first);
        assert!(
            slots.take(&account(), Kept::InTable).await.is_none(),
            "only the sweep gives out places now"
        );
        assert_eq!(slots.take_all(&account()).len(), 1);
    }

    #[tokio::test]
    async fn what_is_in_the_broker_waits_for_the_end_of_a_backlog_while_places_come_free_quickly() {
        let slots = one_place();
        let account = account();
        slots.note_backlog(&account);
        let came = Instant::now();
        assert!(slots.take(&account, Kept::InBroker).await.is_none());
        assert!(
            came.elapsed() < PATIENCE,
            "the line stands still, so it goes on at once"
        );
        (0..50).for_each(|_| slots.places[&account].line.advance(Duration::from_millis(5)));
        let (waiting, pointed, ()) = tokio::join!(
            slots.take(&account, Kept::InBroker),
            slots.take(&account, Kept::InTable),
            async { slots.end_backlog(&account, slots.passed_over(&account)) }
        );
        assert!(pointed.is_none(), "the sweep finds it");
        assert!(waiting.is_some());
    }

    #[tokio::test]
    async fn a_sweep_that_looked_before_something_was_left_to_it_ends_no_backlog() {
        let slots = one_place();
        let account = account();
        slots.note_backlog(&account);
        let before = slots.passed_over(&account);
        assert!(slots.take(&account, Kept::InTable).await.is_none());
        slots.end_backlog(&account, before);
        assert!(slots.has_backlog(&account));
        slots.end_backlog(&account, slots.passed_over(&account));
        assert!(slots.take(&account, Kept::InTable).await.is_some());
    }

    #[tokio::test]
    async fn answers_that_nobody_could_write_down_leave_room_for_no_more() {
        let slots = one_place();
        let _stalled: Vec<_> = (0..ATTEMPTS_PER_PLACE).map(|_| slots.attempts.token()).collect();
        assert!(slots.take(&account(), Kept::InTable).await.is_none());
        assert!(slots.take_all(&account()).is_empty());
    }
}
