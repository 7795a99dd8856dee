//! How quickly places come free: whether it is worth waiting for one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A line in which a place comes free this often is a moving one: whoever is behind as many others as are accepted at
/// once by default gets a place within the patience of one who has just come.
const MOVING: Duration = Duration::from_micros(1900);
/// When none came free for so long, the line stands still, whatever it did before.
const STANDSTILL: Duration = Duration::from_millis(50);

/// The line for the places of one account. Its figures are estimates, and races between those who end a call do no harm.
pub(super) struct Line {
    origin: Instant,
    /// When a place came free last, in microseconds since `origin`.
    last: AtomicU64,
    /// The time from one to the next in microseconds, the last ones weighing most.
    gap: AtomicU64,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            origin: Instant::now(),
            last: AtomicU64::new(0),
            gap: AtomicU64::new(micros(STANDSTILL)),
        }
    }
}

impl Line {
    /// A place came free after it was used.
    pub(super) fn advance(&self) {
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

    #[tokio::test]
    async fn a_line_moves_while_places_come_free_one_after_the_other_and_not_after_a_standstill() {
        let line = Line::default();
        assert!(!line.moves(), "nothing is known yet");
        for _ in 0..50 {
            line.advance();
        }
        assert!(line.moves());
        tokio::time::sleep(STANDSTILL).await;
        assert!(!line.moves());
        line.advance();
        assert!(!line.moves(), "one call after a standstill is no movement yet");
    }
}
