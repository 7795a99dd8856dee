//! What this process may do with an account now: the gate, the ramp, its part of the limits.

use std::time::Instant;

use ledger::Door;
use receipt::AccountName;
use service::limiter::{Bounds, Refused};

use crate::slots::Slots;

impl Slots {
    /// The places that an account has now: one for each call that is allowed, and some to claim ahead. Where calls are
    /// spaced each has its time, and nothing may go ahead of it.
    pub(super) fn bounds(&self, account: &AccountName) -> Option<Bounds> {
        let allowed = self.allowed(account)?;
        let line = &self.places.get(account)?.line;
        let ahead = match allowed.spacing {
            Some(_) => 0,
            None => line.ahead(allowed.at_once),
        };
        Some(Bounds {
            at_once: allowed.at_once.saturating_add(ahead),
            ..allowed
        })
    }

    /// The calls that this process may make for an account now; none behind a closed gate.
    pub(super) fn allowed(&self, account: &AccountName) -> Option<Bounds> {
        let Door::Open { since } = self.watch.door(account) else {
            return None;
        };
        let allowance = self.watch.allowance(account);
        let ramp = since.map_or(u32::MAX, |since| self.ramp(since));
        Some(Bounds {
            at_once: self.most.min(ramp).min(allowance.at_once.unwrap_or(u32::MAX)),
            spacing: allowance.spacing,
        })
    }

    /// Calls at once after an opening: one, and twice as many after each step.
    fn ramp(&self, since: Instant) -> u32 {
        let step = self.watch.settings().ramp_step.as_micros().max(1);
        let steps = u32::try_from(since.elapsed().as_micros() / step).unwrap_or(u32::MAX);
        2_u32.checked_pow(steps).unwrap_or(u32::MAX)
    }

    /// When the limits leave a place by the mere passing of time.
    pub(super) fn due(&self, account: &AccountName) -> Option<Instant> {
        match self.places.get(account)?.limiter.check(self.bounds(account)?) {
            Err(Refused::TooSoon(due)) => Some(due),
            Ok(()) | Err(Refused::TooMany) => None,
        }
    }
}
