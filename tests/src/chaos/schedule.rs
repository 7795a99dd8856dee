//! When what goes wrong. A pure function of the seed and the length of the run.

use std::time::Duration;

use fastrand::Rng;

use super::kind::Kind;

/// Every kind strikes once in each round.
const ROUND: u64 = 50;

/// Of the fleet in [`super::world`].
const LEASE_AND_QUIET_TIME: Duration = Duration::from_secs(6);

/// One fault to be injected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strike {
    /// From the beginning of the run.
    pub at: Duration,
    /// What goes wrong.
    pub kind: Kind,
    /// For how long.
    pub lasts: Duration,
    /// Decides what else there is to decide: whom it hits, how hard, which variant.
    pub roll: u64,
    /// Every third time everything that the broker had is lost with it.
    pub loses_all: bool,
}

impl Strike {
    /// Chance for the details, the same each time.
    pub(super) fn rng(&self) -> Rng {
        Rng::with_seed(self.roll)
    }
}

/// The strikes of a run of so many seconds, in order of time.
#[must_use]
pub fn schedule(seed: u64, seconds: u64) -> Vec<Strike> {
    let mut rng = Rng::with_seed(seed);
    let rounds = seconds.div_ceil(ROUND).max(1);
    let round_ms = seconds * 1000 / rounds;
    let slots = u64::try_from(Kind::ALL.len()).unwrap_or(u64::MAX);
    let first_loss = rng.u64(0..3);
    let mut strikes = Vec::new();
    for round in 0..rounds {
        let mut kinds = Kind::ALL;
        rng.shuffle(&mut kinds);
        for (slot, kind) in (0..).zip(kinds) {
            let slot_ms = round_ms / slots;
            let at = round * round_ms + slot * slot_ms + rng.u64(0..slot_ms.max(1));
            let [least, most] = kind.span();
            let mut lasts = Duration::from_millis(rng.u64(least..=most));
            if rng.u8(0..3) == 0 && matches!(kind, Kind::Sigstop(_)) {
                lasts += LEASE_AND_QUIET_TIME;
            }
            strikes.push(Strike {
                at: Duration::from_millis(at),
                kind,
                lasts,
                roll: rng.u64(..),
                loses_all: kind == Kind::BrokerKill9 && round % 3 == first_loss,
            });
        }
    }
    strikes
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::chaos::kind::Role;

    #[test]
    fn the_same_seed_and_length_give_the_same_strikes() {
        assert_eq!(schedule(7, 600), schedule(7, 600));
        assert_ne!(schedule(7, 600), schedule(8, 600));
    }

    #[test]
    fn a_long_run_has_every_kind_ten_times_and_over_two_hundred_faults_within_its_time() {
        for seed in 0..50 {
            let strikes = schedule(seed, 600);
            let mut times: BTreeMap<Kind, u32> = BTreeMap::new();
            for strike in &strikes {
                *times.entry(strike.kind).or_default() += 1;
            }
            assert_eq!(times.len(), Kind::ALL.len());
            assert!(times.values().all(|times| *times >= 10), "{times:?}");
            assert!(strikes.len() > 200);
            assert!(strikes.is_sorted_by_key(|strike| strike.at));
            assert!(strikes.iter().all(|strike| strike.at < Duration::from_secs(600)));
        }
    }

    #[test]
    fn a_short_run_has_every_kind_once() {
        let mut kinds: Vec<Kind> = schedule(3, 40).iter().map(|strike| strike.kind).collect();
        kinds.sort();
        assert_eq!(kinds, Kind::ALL);
    }

    #[test]
    fn a_long_run_loses_the_broker_with_and_without_its_data() {
        let losses = schedule(1, 600).into_iter().filter(|strike| strike.loses_all).count();
        assert_eq!(losses, 4);
    }

    #[test]
    fn some_freezes_outlast_every_lease() {
        let longest = schedule(1, 600)
            .into_iter()
            .filter(|strike| strike.kind == Kind::Sigstop(Role::Sender))
            .map(|strike| strike.lasts)
            .max();
        assert!(longest > Some(Duration::from_secs(6)));
    }
}
