//! How quickly places come free: whether it is worth waiting for one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// A line in which a place comes free this often is a moving one: whoever is behind as many others as are accepted at
/// once by default gets a place within the patience of one who has just come.
const MOVING: Duration = Duration::from_micros(1900);
/// When none came free for so long, the line stands still, whatever it did before.
const STANDSTILL: Duration = Duration::from_millis(50);
/// When no call has ended for so long, nobody is claimed ahead: how long calls take now is not known.
const SILENCE: Duration = Duration::from_secs(1);
/// Receipts are claimed ahead that get their turn within this time: longer than a claim takes on a busy machine.
const AHEAD: Duration = Duration::from_millis(50);

/// The line for the places of one account. Its figures are estimates, and races between those who end a call do no harm.
pub(super) struct Line {
    origin: Instant,
    /// When a place came free last, in microseconds since `origin`.
    last: AtomicU64,
    /// The time from one to the next in microseconds, the last ones weighing most.
    gap: AtomicU64,
    /// How long a call takes in microseconds, the last ones weighing most. Zero until one has ended.
    call: AtomicU64,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            origin: Instant::now(),
            last: AtomicU64::new(0),
            gap: AtomicU64::new(micros(STANDSTILL)),
            call: AtomicU64::new(0),
        }
    }
}

impl Line {
    /// A place came free after a call that took so long.
    pub(super) fn advance(&self, call: Duration) {
        let call = micros(call).max(1);
        let usual = match self.call.load(Ordering::Relaxed) {
            0 => call,
            usual => (usual * 7 + call) / 8,
        };
        self.call.store(usual, Ordering::Relaxed);
        let now = self.now();
        let since = now.saturating_sub(self.last.swap(now, Ordering::Relaxed));
        // A night without work must not weigh more than a standstill.
        let since = since.min(micros(STANDSTILL));
        let gap = self.gap.load(Ordering::Relaxed);
        self.gap.store((gap * 7 + since) / 8, Ordering::Relaxed);
    }

    /// Whether somebody who has just come may expect a place soon.
    pub(super) fn moves(&self) -> bool {
        let since = self.now().saturating_sub(self.last.load(Ordering::Relaxed));
        since < micros(STANDSTILL) && self.gap.load(Ordering::Relaxed) < micros(MOVING)
    }

    /// How many receipts are claimed before there is a place for their calls, beside `at_once` calls: as many as get one
    /// within [`AHEAD`], and a quarter of the calls at most. While calls take seconds it is nobody, or they would wait until
    /// their leases are too short, be given back, and be claimed again.
    ///
    /// Without them a place would stay empty from the answer to one receipt to the commit of the next one's claim, which
    /// at a vendor who answers in a third of a second is a twentieth of the time.
    pub(super) fn ahead(&self, at_once: u32) -> u32 {
        let call = self.call.load(Ordering::Relaxed);
        let since = self.now().saturating_sub(self.last.load(Ordering::Relaxed));
        if call == 0 || since > micros(SILENCE) {
            return 0;
        }
        let soon = u64::from(at_once).saturating_mul(micros(AHEAD)) / call;
        u32::try_from(soon).unwrap_or(u32::MAX).min(at_once / 4)
    }

    fn now(&self) -> u64 {
        micros(self.origin.elapsed())
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Duration = Duration::from_millis(5);

    #[test]
    fn as_many_are_claimed_ahead_as_soon_get_their_turn() {
        let line = Line::default();
        assert_eq!(line.ahead(128), 0, "nothing is known yet");
        line.advance(Duration::from_millis(300));
        assert_eq!(line.ahead(128), 21);
        assert_eq!(line.ahead(1), 0, "an account with one call at a time");
        (0..50).for_each(|_| line.advance(QUICK));
        assert_eq!(line.ahead(128), 32, "a quarter at most");
        (0..50).for_each(|_| line.advance(Duration::from_secs(30)));
        assert_eq!(line.ahead(128), 0, "they would wait while their leases run");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_claimed_ahead_of_calls_that_do_not_end() {
        let line = Line::default();
        line.advance(QUICK);
        tokio::time::advance(SILENCE).await;
        assert_eq!(line.ahead(128), 32);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(line.ahead(128), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_moves_while_places_come_free_one_after_the_other_and_not_after_a_standstill() {
        let line = Line::default();
        assert!(!line.moves(), "nothing is known yet");
        for _ in 0..50 {
            line.advance(QUICK);
        }
        assert!(line.moves());
        tokio::time::advance(STANDSTILL).await;
        assert!(!line.moves());
        line.advance(QUICK);
        assert!(!line.moves(), "one call after a standstill is no movement yet");
    }
}
