//! Permits for calls: so many at once, so many in a second. Nobody waits here; what finds no permit stays where it is.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Calls may come together that are due within this time. Without it, somebody who comes ten times a second could make no
/// more than ten calls a second.
const TOGETHER: Duration = Duration::from_millis(100);

/// What is allowed now. It may be another thing for every permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Calls under way at once.
    pub at_once: u32,
    /// The time between the beginnings of two calls, on average.
    pub spacing: Option<Duration>,
}

/// Why there is no permit now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// There is one when another is given back.
    TooMany,
    /// There is one at this time.
    TooSoon(Instant),
}

/// Counts the calls of one kind. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Limiter {
    book: Arc<Mutex<Book>>,
}

#[derive(Debug, Default)]
struct Book {
    under_way: u32,
    /// When the next call would be due, were they all evenly spaced.
    next: Option<Instant>,
}

/// A place for one call. Dropping it frees the place; if no call was begun with it, its turn is free as well.
#[derive(Debug)]
pub struct Permit {
    book: Arc<Mutex<Book>>,
    spacing: Option<Duration>,
    is_used: bool,
}

impl Limiter {
    /// A permit, if there is one now.
    ///
    /// # Errors
    /// Why there is none.
    pub fn take(&self, bounds: Bounds) -> Result<Permit, Refused> {
        let mut book = open(&self.book);
        let next = book.check(bounds)?;
        book.under_way += 1;
        book.next = next;
        Ok(Permit {
            book: Arc::clone(&self.book),
            spacing: bounds.spacing,
            is_used: false,
        })
    }

    /// Whether there is a permit now.
    ///
    /// # Errors
    /// Why there is none.
    pub fn check(&self, bounds: Bounds) -> Result<(), Refused> {
        open(&self.book).check(bounds).map(|_| ())
    }

    /// How many permits are out.
    #[must_use]
    pub fn under_way(&self) -> u32 {
        open(&self.book).under_way
    }
}

impl Book {
    /// When the next call is due after one that begins now.
    fn check(&self, bounds: Bounds) -> Result<Option<Instant>, Refused> {
        if self.under_way >= bounds.at_once {
            return Err(Refused::TooMany);
        }
        let Some(spacing) = bounds.spacing else { return Ok(None) };
        let now = Instant::now();
        let next = self.next.unwrap_or(now).max(now);
        // With a spacing above it, calls are strictly spaced.
        let early = TOGETHER.saturating_sub(spacing);
        match next.checked_sub(early) {
            Some(due) if due > now => Err(Refused::TooSoon(due)),
            Some(_) | None => Ok(next.checked_add(spacing)),
        }
    }
}

impl Permit {
    /// Says that a call begins with it.
    pub fn begin(&mut self) {
        self.is_used = true;
    }

    /// Whether a call has begun with it.
    #[must_use]
    pub const fn is_used(&self) -> bool {
        self.is_used
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut book = open(&self.book);
        book.under_way = book.under_way.saturating_sub(1);
        if !self.is_used
            && let (Some(next), Some(spacing)) = (book.next, self.spacing)
        {
            book.next = next.checked_sub(spacing);
        }
    }
}

/// Nothing that can panic runs while it is open.
fn open(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at_once(at_once: u32) -> Bounds {
        Bounds { at_once, spacing: None }
    }

    const fn spaced(spacing: Duration) -> Bounds {
        Bounds {
            at_once: u32::MAX,
            spacing: Some(spacing),
        }
    }

    #[test]
    fn no_more_are_under_way_at_once_than_allowed_even_when_less_is_allowed_than_before() {
        let limiter = Limiter::default();
        let permits: Vec<Permit> = std::iter::from_fn(|| limiter.take(at_once(3)).ok()).collect();
        assert_eq!(permits.len(), 3);
        assert_eq!(limiter.take(at_once(2)).err(), Some(Refused::TooMany));
        let mut permits = permits.into_iter();
        drop(permits.next());
        assert_eq!(
            limiter.check(at_once(2)),
            Err(Refused::TooMany),
            "two are still under way"
        );
        drop(permits.next());
        assert!(limiter.take(at_once(2)).is_ok());
        assert!(limiter.take(at_once(0)).is_err());
    }

    #[test]
    fn calls_are_spaced_and_those_of_a_tenth_of_a_second_may_come_together() {
        let hour = Duration::from_secs(3600);
        let slow = Limiter::default();
        let mut first = slow.take(spaced(hour)).expect("the first call need not wait");
        first.begin();
        drop(first);
        assert!(matches!(slow.take(spaced(hour)), Err(Refused::TooSoon(at)) if at > Instant::now() + hour / 2));

        let quick = Limiter::default();
        let mut together = 0;
        let began = Instant::now();
        while let Ok(mut permit) = quick.take(spaced(Duration::from_millis(10))) {
            permit.begin();
            together += 1;
        }
        let more = began.elapsed().as_millis() / 10;
        assert!(
            together >= 10 && u128::try_from(together).is_ok_and(|together| together <= 11 + more),
            "{together}"
        );
    }

    #[test]
    fn a_permit_without_a_call_gives_its_turn_back() {
        let hour = Duration::from_secs(3600);
        let limiter = Limiter::default();
        drop(limiter.take(spaced(hour)).expect("a permit"));
        assert!(limiter.take(spaced(hour)).is_ok());
    }

    #[test]
    fn time_without_calls_is_not_saved_up() {
        let limiter = Limiter::default();
        let spacing = Duration::from_millis(200);
        let mut first = limiter.take(spaced(spacing)).expect("a permit");
        first.begin();
        open(&limiter.book).next = Instant::now().checked_sub(Duration::from_secs(60));
        let mut second = limiter.take(spaced(spacing)).expect("a permit");
        second.begin();
        assert!(
            limiter.take(spaced(spacing)).is_err(),
            "one call for the whole idle minute"
        );
    }
}
