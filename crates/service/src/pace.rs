//! How often somebody may come.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// What may come at once although it is more than the pace: so many seconds of it.
const BURST: Duration = Duration::from_secs(5);

/// So many a second on average, with a burst (generic cell rate algorithm: one time instead of a count of tokens).
#[derive(Debug)]
pub struct Pace {
    apart: Duration,
    /// When the next one would come if all came evenly.
    next: Mutex<Instant>,
}

impl Pace {
    /// `rate` a second; 0 counts as 1.
    #[must_use]
    pub fn new(rate: u32) -> Self {
        Self {
            apart: Duration::from_secs(1) / rate.max(1),
            next: Mutex::new(Instant::now()),
        }
    }

    /// Takes one, if it may come now.
    #[must_use]
    pub fn allows(&self) -> bool {
        let now = Instant::now();
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let allowed = next.saturating_duration_since(now) + self.apart <= BURST;
        if allowed {
            *next = (*next).max(now) + self.apart;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_let_through_and_then_the_pace_is_kept() {
        let pace = Pace::new(10);
        let burst = (0..1000).filter(|_| pace.allows()).count();
        assert_eq!(burst, 50, "five seconds of the pace");
        tokio::time::advance(Duration::from_millis(250)).await;
        assert_eq!((0..1000).filter(|_| pace.allows()).count(), 2);
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!(
            (0..1000).filter(|_| pace.allows()).count(),
            50,
            "an idle hour is not saved up"
        );
    }
}
