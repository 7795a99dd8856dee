//! What each answer says about its account: failures in a row close the gate, and the one call of a probe decides it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ledger::{Claimed, CloseReason, Door, ProbeEnd, Watch};
use receipt::policy::Gate;
use receipt::{AccountName, Refusal};
use vendors::Registered;

use crate::breaker::{Breaker, Sign};
use crate::probe::Probing;
use crate::slots::{Slot, Slots};

/// The breakers of all accounts, over the gates that all workers share.
pub(crate) struct Gates {
    watch: Watch,
    slots: Slots,
    breakers: Mutex<HashMap<AccountName, Breaker>>,
}

impl Gates {
    pub(crate) fn new(watch: Watch, slots: Slots) -> Self {
        Self {
            watch,
            slots,
            breakers: Mutex::default(),
        }
    }

    /// Takes note of what a call came to that began at `began`. Closes or opens the gate, if that is what it says.
    /// Returns where the gate stands for the receipt: behind a closed one its failure spends no trial.
    pub(crate) async fn note(
        &self,
        claimed: &Claimed,
        outcome: &Result<Registered, Box<Refusal>>,
        slot: &Slot,
        began: Instant,
    ) -> Gate {
        let sign = outcome
            .as_ref()
            .err()
            .map_or(Sign::Works, |refusal| Sign::of(&refusal.class));
        match (slot, outcome) {
            (Slot::Probe(probing), _) => self.note_probe(probing, sign, outcome).await,
            (Slot::Call(_), Err(refusal)) if sign == Sign::Fails => self.note_failure(claimed, refusal, began).await,
            (Slot::Call(_), Ok(_) | Err(_)) => {
                if sign == Sign::Works {
                    self.reset(&claimed.account);
                }
                Gate::Open
            }
        }
    }

    /// The gate of an account was opened: earlier failures say nothing about it any more, and what waits in the table is
    /// looked for at once.
    pub(crate) fn opened(&self, account: &AccountName) {
        self.reset(account);
        self.slots.wake(account);
    }

    async fn note_failure(&self, claimed: &Claimed, refusal: &Refusal, began: Instant) -> Gate {
        let account = &claimed.account;
        match self.watch.door(account) {
            Door::Closed { .. } => return Gate::Closed,
            // It was under way while the gate was closed, and says nothing about the account since.
            Door::Open { since: Some(since) } if began < since => return Gate::Closed,
            Door::Open { .. } => {}
        }
        let (reason, halted) = {
            let mut breakers = self.breakers();
            let breaker = breakers.entry(account.clone()).or_default();
            let reason = breaker.failed(claimed.subject.transaction_id, &refusal.class, self.watch.settings());
            (reason, breaker.halted())
        };
        let Some(reason) = reason else { return Gate::Open };
        if let Err(error) = self.watch.close(account, reason, refusal).await {
            let error = service::error::chain(&error);
            tracing::warn!(%account, error, "the gate of the account {account} could not be closed; the next failure tries again");
            return Gate::Open;
        }
        if reason == CloseReason::Halt
            && !halted.is_empty()
            && let Err(error) = self.watch.ledger().wait_for_gate(&halted).await
        {
            let error = service::error::chain(&error);
            tracing::warn!(%account, error, "receipts that were refused before are due after their interval");
        }
        Gate::Closed
    }

    async fn note_probe(&self, probing: &Probing, sign: Sign, outcome: &Result<Registered, Box<Refusal>>) -> Gate {
        let end = match (sign, outcome) {
            (Sign::Works, _) => ProbeEnd::Works,
            (Sign::Fails, Err(refusal)) => probing.failed(refusal.clone(), self.watch.settings()),
            (Sign::Fails, Ok(_)) | (Sign::Nothing, _) => probing.learnt_nothing(self.watch.settings()),
        };
        if self.end_probe(probing, &end).await {
            return Gate::Open;
        }
        Gate::Closed
    }

    /// Ends a probe. Returns whether it opened the gate.
    pub(crate) async fn end_probe(&self, probing: &Probing, end: &ProbeEnd) -> bool {
        let probe = &probing.probe;
        let account = &probe.account;
        probing.end();
        let stores = self.watch.stores_of(account);
        let is_ours = match self.watch.ledger().end_probe(probe, end, &stores).await {
            Ok(is_ours) => is_ours,
            Err(error) => {
                let error = service::error::chain(&error);
                tracing::warn!(%account, error, "what the probe of {account} came to is not stored; it is probed again");
                return false;
            }
        };
        match end {
            ProbeEnd::Works if is_ours => {
                tracing::info!(%account, "the account {account} works");
                self.watch.opened(account);
                self.opened(account);
                true
            }
            ProbeEnd::Fails { refusal, wait } if is_ours => {
                let (cause, wait_ms) = (
                    refusal.cause.en.as_str(),
                    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
                );
                tracing::warn!(%account, code = %refusal.code, wait_ms, "the account {account} does not work yet: {cause}");
                false
            }
            ProbeEnd::Works | ProbeEnd::Fails { .. } | ProbeEnd::Nothing { .. } => false,
        }
    }

    fn reset(&self, account: &AccountName) {
        self.breakers().remove(account);
    }

    /// No code that can panic runs while it is locked.
    fn breakers(&self) -> MutexGuard<'_, HashMap<AccountName, Breaker>> {
        self.breakers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
