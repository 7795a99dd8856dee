//! Those who come to an address that is not ours.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How often strangers are told of.
const TELLING: Duration = Duration::from_secs(60);

/// Counts those who came to an address that is not ours, and tells now and then: a secret was dropped too early, or
/// somebody tries.
#[derive(Default)]
pub(super) struct Strangers {
    untold: Mutex<(u64, Option<Instant>)>,
}

impl Strangers {
    pub(super) fn one_more(&self) {
        let mut untold = self.untold.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, told) = &mut *untold;
        *count += 1;
        if told.is_none_or(|told| told.elapsed() >= TELLING) {
            tracing::warn!(
                count,
                "{count} callbacks came to an address that no store has; see callback_secrets of the stores"
            );
            (*count, *told) = (0, Some(Instant::now()));
        }
    }
}
