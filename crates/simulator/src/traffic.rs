//! How many requests were under way at once, and how many came within a second: the witness of a client's limits.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::books::Traffic;
use crate::shared::lock;

/// The counters of all kinds of requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counted {
    kinds: Arc<Mutex<BTreeMap<String, Kind>>>,
}

#[derive(Debug, Default)]
struct Kind {
    under_way: u64,
    recent: VecDeque<Instant>,
    traffic: Traffic,
}

/// A request that is under way until this is dropped, also when its client has gone.
#[derive(Debug)]
pub(crate) struct UnderWay {
    kind: String,
    kinds: Arc<Mutex<BTreeMap<String, Kind>>>,
}

impl Counted {
    pub(crate) fn began(&self, kind: String) -> UnderWay {
        self.began_at(kind, Instant::now())
    }

    fn began_at(&self, kind: String, now: Instant) -> UnderWay {
        let mut kinds = lock(&self.kinds);
        let counted = kinds.entry(kind.clone()).or_default();
        counted.under_way += 1;
        counted.recent.push_back(now);
        while counted
            .recent
            .front()
            .is_some_and(|&then| now.duration_since(then) >= Duration::from_secs(1))
        {
            counted.recent.pop_front();
        }
        let within_a_second = u64::try_from(counted.recent.len()).unwrap_or(u64::MAX);
        counted.traffic.requests += 1;
        counted.traffic.most_at_once = counted.traffic.most_at_once.max(counted.under_way);
        counted.traffic.most_in_a_second = counted.traffic.most_in_a_second.max(within_a_second);
        UnderWay {
            kind,
            kinds: Arc::clone(&self.kinds),
        }
    }

    pub(crate) fn so_far(&self) -> BTreeMap<String, Traffic> {
        let kinds = lock(&self.kinds);
        kinds
            .iter()
            .map(|(kind, counted)| (kind.clone(), counted.traffic))
            .collect()
    }

    /// Forgets what was; what is under way stays so.
    pub(crate) fn forget(&self) {
        for counted in lock(&self.kinds).values_mut() {
            counted.recent.clear();
            counted.traffic = Traffic {
                most_at_once: counted.under_way,
                ..Traffic::default()
            };
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(counted) = lock(&self.kinds).get_mut(&self.kind) {
            counted.under_way = counted.under_way.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_at_once_and_within_a_second() {
        let counted = Counted::default();
        let start = Instant::now();
        let began = |ms| counted.began_at("register g".to_owned(), start + Duration::from_millis(ms));
        let together = (began(0), began(0));
        drop(together);
        drop(began(600));
        drop(began(1_200));
        let so_far = counted.so_far()["register g"];
        assert_eq!(
            (so_far.requests, so_far.most_at_once, so_far.most_in_a_second),
            (4, 2, 3)
        );
        counted.forget();
        assert_eq!(counted.so_far()["register g"], Traffic::default());
    }
}
