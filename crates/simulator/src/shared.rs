//! What all vendors of one simulator share.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::Offset;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::books::Traffic;
use crate::fault_board::{FaultBoard, Subject};
use crate::faults::{AccountState, Point, Rule};
use crate::traffic::{Counted, UnderWay};

/// Faults, counters and chance. Each has a lock of its own that is held for a few instructions.
#[derive(Debug)]
pub(crate) struct Shared {
    faults: Mutex<FaultBoard>,
    answers: Mutex<BTreeMap<String, u64>>,
    traffic: Counted,
    random: Mutex<fastrand::Rng>,
    /// Wakes whoever waits for time to pass, because something that it depends on has changed.
    pub(crate) changed: Notify,
}

impl Shared {
    pub(crate) fn new(seed: u64) -> Shared {
        Shared {
            faults: Mutex::default(),
            answers: Mutex::default(),
            traffic: Counted::default(),
            random: Mutex::new(fastrand::Rng::with_seed(seed)),
            changed: Notify::new(),
        }
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, FaultBoard> {
        lock(&self.faults)
    }

    pub(crate) fn random(&self) -> MutexGuard<'_, fastrand::Rng> {
        lock(&self.random)
    }

    pub(crate) fn account_state(&self) -> AccountState {
        self.faults().faults().account
    }

    pub(crate) fn asks_for_subject(&self, at: Point) -> bool {
        self.faults().asks_for_subject(at)
    }

    pub(crate) fn take_rule(&self, at: Point, subject: Subject<'_>) -> Option<Rule> {
        self.faults().take(at, subject, &mut self.random())
    }

    pub(crate) fn count(&self, answer: String) {
        *lock(&self.answers).entry(answer).or_default() += 1;
    }

    pub(crate) fn answers(&self) -> BTreeMap<String, u64> {
        lock(&self.answers).clone()
    }

    pub(crate) fn forget_answers(&self) {
        lock(&self.answers).clear();
        self.traffic.forget();
    }

    /// Counts a request that has just come, until the value is dropped.
    pub(crate) fn traffic(&self, at: Point, group: &str) -> UnderWay {
        self.traffic.began(format!("{} {group}", at.as_str()))
    }

    pub(crate) fn traffic_so_far(&self) -> BTreeMap<String, Traffic> {
        self.traffic.so_far()
    }

    pub(crate) fn new_uuid(&self) -> Uuid {
        let bytes = self.random().u128(..).to_be_bytes();
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }

    /// A duration between the two, nearer to the shorter one: half of them lie in the first 30 % of the span, as waiting
    /// times do.
    pub(crate) fn delay_between(&self, least: Duration, most: Duration) -> Duration {
        let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let (least, most) = (micros(least), micros(most).max(micros(least)));
        let mut random = self.random();
        Duration::from_micros(random.u64(least..=most).min(random.u64(least..=most)))
    }
}

/// The guarded values are plain data that no panic leaves half changed in a way that matters, so poison is ignored.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Moscow civil time, which has been UTC+3 without summer time since 2014, as the vendors write it.
pub(crate) fn moscow(time: Timestamp) -> String {
    Offset::constant(3)
        .to_datetime(time)
        .strftime("%d.%m.%Y %H:%M:%S")
        .to_string()
}
