//! Calls under way at a vendor, and the turn of those who wait to make the next one.

use std::time::Duration;

use service::limiter::{Bounds, Limiter, Permit};
use tokio::sync::{Mutex, Notify};

/// How often the first in line asks again by itself: more may be allowed by the mere passing of time.
const AGAIN: Duration = Duration::from_millis(50);

/// The calls of one account.
#[derive(Default)]
pub(super) struct Turns {
    under_way: Limiter,
    ended: Notify,
    /// Held by the first in line. It is fair: whoever came first is first.
    first: Mutex<()>,
}

impl Turns {
    /// Waits for a place among those who call. `at_once` is how many may, asked again as often as it takes; without an
    /// answer none may, and nobody waits.
    pub(super) async fn take(&self, at_once: impl Fn() -> Option<u32>) -> Option<Permit> {
        let _first = self.first.lock().await;
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            let bounds = Bounds {
                at_once: at_once()?,
                spacing: None,
            };
            if let Ok(permit) = self.under_way.take(bounds) {
                return Some(permit);
            }
            let _ = tokio::time::timeout(AGAIN, ended).await;
        }
    }

    /// Gives a place back.
    pub(super) fn give(&self, permit: Permit) {
        drop(permit);
        self.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_next_call_begins_when_one_ends_and_in_the_order_in_which_they_came() {
        let turns = Turns::default();
        let one = || Some(1);
        let held = turns.take(one).await.expect("nobody calls");
        let order = std::sync::Mutex::new(Vec::new());
        let next = async |name| {
            let permit = turns.take(one).await.expect("its turn comes");
            order.lock().expect("no panic").push(name);
            turns.give(permit);
        };
        let began = tokio::time::Instant::now();
        tokio::join!(next("first"), next("second"), next("third"), async { turns.give(held) });
        assert_eq!(*order.lock().expect("no panic"), ["first", "second", "third"]);
        assert_eq!(began.elapsed(), Duration::ZERO, "nobody had to ask again");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_a_call_that_may_not_be_made_any_more() {
        let turns = Turns::default();
        let held = turns.take(|| Some(1)).await.expect("nobody calls");
        let asked = std::cell::Cell::new(0);
        let closing = || {
            asked.set(asked.get() + 1);
            (asked.get() == 1).then_some(1)
        };
        assert!(turns.take(closing).await.is_none(), "the account was closed meanwhile");
        turns.give(held);
        assert!(turns.take(|| Some(1)).await.is_some(), "and the line moves on");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_allowed_later_is_found_without_a_call_that_ends() {
        let turns = Turns::default();
        let _held = turns.take(|| Some(1)).await.expect("nobody calls");
        let asked = std::cell::Cell::new(0);
        let opening = || {
            asked.set(asked.get() + 1);
            Some(asked.get())
        };
        assert!(turns.take(opening).await.is_some());
        assert_eq!(asked.get(), 2);
    }
}
