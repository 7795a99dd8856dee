//! What the suite needs of a vendor's fake.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use vendors::{CallTimeouts, Vendor};

/// How a vendor behaves badly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It calls the receipt wrong.
    Refuses,
    /// It asks to come back after so many seconds.
    Throttles(u64),
    /// It registers, and answers too late.
    AnswersLate,
    /// The connection breaks, and nothing was registered.
    CutsBefore,
    /// The connection breaks after it was registered.
    CutsAfter,
    /// A gateway answers in its place.
    Gateway,
    /// It registers, and the answer is no answer.
    Babbles(Nonsense),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nonsense {
    Html,
    Half,
    NotUtf8,
    Nothing,
}

impl Nonsense {
    pub(crate) const ALL: [Nonsense; 4] = [Nonsense::Html, Nonsense::Half, Nonsense::NotUtf8, Nonsense::Nothing];
}

/// A vendor with a fake behind it.
#[async_trait]
pub(crate) trait Fake: Send + Sync {
    /// As a stage has it from the registry.
    fn vendor(&self) -> Arc<dyn Vendor>;

    /// Behaves so from now on; `None` is healthy.
    fn trouble(&self, trouble: Option<Trouble>);

    /// Whatever the account shows who it is with is no longer good. Cured by [`Fake::renew_credentials`].
    fn expire_credentials(&self);

    fn renew_credentials(&self);

    /// How many fiscal documents there are with this first line.
    fn registered(&self, marker: &str) -> u32;

    /// What the account would not want to see stored.
    fn secrets(&self) -> Vec<String>;

    /// Nobody listens any more.
    async fn go_away(&mut self);
}

/// Long enough for a busy machine, short enough for a test that waits for it.
pub(crate) fn timeouts() -> CallTimeouts {
    CallTimeouts {
        connect: Duration::from_millis(1500),
        call: Duration::from_secs(3),
    }
}

/// Longer than a call may take.
pub(crate) const TOO_LONG: Duration = Duration::from_secs(8);
