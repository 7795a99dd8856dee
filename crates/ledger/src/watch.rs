//! What one process knows of the gates and of the other workers: read now and then, asked for every receipt.
//!
//! It only spares claims that would find nothing: what is closed is closed in the claiming statements themselves. And it
//! is this process's part of the limits, which nothing else enforces; so what is known is believed for a bounded time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use receipt::intake::Directory;
use receipt::{AccountName, Limits, Refusal, RetryClass, StoreCode};
use uuid::Uuid;

use crate::error::LedgerError;
use crate::gates::{CloseReason, Closing, Gate, GateSettings, GateState};
use crate::pool::Ledger;
use crate::workers::{Presence, Rank, WorkerRole};

/// Cheap to clone; every clone shares what is known.
#[derive(Clone)]
pub struct Watch {
    inner: Arc<Inner>,
}

struct Inner {
    ledger: Ledger,
    settings: GateSettings,
    limits: HashMap<AccountName, Limits>,
    directory: Arc<Directory>,
    presence: Presence,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    gates: HashMap<AccountName, Seen>,
    standing: Option<(Rank, Instant)>,
}

struct Seen {
    gate: Gate,
    /// When it was opened last, by this process's clock.
    opened: Option<Instant>,
}

/// Where the gate of an account stands, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// Receipts may be sent.
    Open {
        /// Since when, if it was closed before.
        since: Option<Instant>,
    },
    /// None may be sent.
    Closed {
        /// Whether the account itself is refused: then it is not asked either.
        is_halted: bool,
    },
}

/// How much of an account this process may use now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Calls under way at once.
    pub at_once: Option<u32>,
    /// The time between the beginnings of two calls.
    pub spacing: Option<Duration>,
}

impl Allowance {
    const NOTHING: Self = Self {
        at_once: Some(0),
        spacing: None,
    };
}

impl Watch {
    /// Knows nothing until it is refreshed: every gate is open, and of a limited account nothing is this process's part.
    #[must_use]
    pub fn new(
        ledger: Ledger,
        settings: GateSettings,
        limits: impl IntoIterator<Item = (AccountName, Limits)>,
        directory: Arc<Directory>,
        role: WorkerRole,
    ) -> Self {
        let presence = Presence {
            id: Uuid::now_v7(),
            role,
            expiry: settings.worker_expiry,
            settle: settings.settle(),
        };
        Self {
            inner: Arc::new(Inner {
                ledger,
                settings,
                limits: limits.into_iter().collect(),
                directory,
                presence,
                known: Mutex::default(),
            }),
        }
    }

    /// The ledger that it looks at.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.inner.ledger
    }

    /// The configured stores and accounts.
    #[must_use]
    pub fn directory(&self) -> &Arc<Directory> {
        &self.inner.directory
    }

    /// The section `[gates]`.
    #[must_use]
    pub fn settings(&self) -> &GateSettings {
        &self.inner.settings
    }

    /// Looks at the gates, and shows that this worker is there. Returns the accounts that have been opened since it
    /// looked last.
    ///
    /// # Errors
    /// An outage; what was known before is known on, for a while.
    pub async fn refresh(&self) -> Result<Vec<AccountName>, LedgerError> {
        let Inner { ledger, presence, .. } = &*self.inner;
        let asked = Instant::now();
        let standing = ledger.show_up(presence).await?;
        let gates = ledger.gates().await?;
        let mut known = self.known();
        known.standing = Some((standing, asked));
        let mut opened = Vec::new();
        for gate in gates {
            let seen = Seen {
                opened: gate.open_for.and_then(|since| asked.checked_sub(since)),
                gate,
            };
            let account = seen.gate.account.clone();
            let is_open = seen.gate.is_open;
            let before = known.gates.insert(account.clone(), seen);
            if is_open && before.is_some_and(|before| !before.gate.is_open) {
                opened.push(account);
            }
        }
        Ok(opened)
    }

    /// Where the gate of an account stands.
    #[must_use]
    pub fn door(&self, account: &AccountName) -> Door {
        match self.known().gates.get(account) {
            None => Door::Open { since: None },
            Some(seen) if seen.gate.is_open => Door::Open { since: seen.opened },
            Some(seen) => Door::Closed {
                is_halted: seen.gate.is_halted(),
            },
        }
    }

    /// The accounts that a machine has closed.
    #[must_use]
    pub fn closed(&self) -> Vec<AccountName> {
        let known = self.known();
        let closed = known.gates.values().filter(|seen| seen.gate.state != GateState::Open);
        closed.map(|seen| seen.gate.account.clone()).collect()
    }

    /// How much of an account this process may use now: its part of the account's limits. Nothing of a limited account,
    /// while it is not known who else there is.
    #[must_use]
    pub fn allowance(&self, account: &AccountName) -> Allowance {
        let limits = self.inner.limits.get(account).copied().unwrap_or_default();
        let (at_once, per_second) = match self.inner.presence.role {
            WorkerRole::Sender => (limits.sends_at_once, limits.sends_per_second),
            WorkerRole::Poller => (limits.polls_at_once, limits.polls_per_second),
        };
        if at_once.is_none() && per_second.is_none() {
            return Allowance {
                at_once: None,
                spacing: None,
            };
        }
        match self.known().standing {
            Some((standing, at)) if standing.is_settled && at.elapsed() < self.inner.presence.settle => Allowance {
                at_once: at_once.map(|limit| standing.share(limit)),
                spacing: per_second.map(|limit| standing.spacing(limit)),
            },
            Some(_) | None => Allowance::NOTHING,
        }
    }

    /// Closes a gate for what this process found, for all workers. Returns whether it was this call that closed it.
    ///
    /// # Errors
    /// An outage.
    pub async fn close(
        &self,
        account: &AccountName,
        reason: CloseReason,
        refusal: &Refusal,
    ) -> Result<bool, LedgerError> {
        let asked = match refusal.class {
            RetryClass::Retry { after, .. } => after.unwrap_or_default(),
            RetryClass::Rekey | RetryClass::Halt { .. } | RetryClass::Permanent | RetryClass::Unknown => Duration::ZERO,
        };
        let closing = Closing {
            account: account.clone(),
            reason,
            refusal: refusal.clone(),
            probe_in: self.inner.settings.probe_wait(0).max(asked),
        };
        let changed = self.inner.ledger.close_gate(&closing, &self.stores_of(account)).await?;
        self.learn(account, |gate| {
            gate.is_open = false;
            gate.state = GateState::Closed;
            gate.reason = gate.reason.max(Some(reason));
        });
        if changed {
            let (cause, code) = (refusal.cause.en.as_str(), refusal.code.as_str());
            match reason {
                CloseReason::Halt => tracing::error!(
                    %account, kind = %refusal.kind, code,
                    "the account {account} is refused and needs a person; its receipts wait: {cause}"
                ),
                CloseReason::Breaker => tracing::warn!(
                    %account, kind = %refusal.kind, code,
                    "the gate of the account {account} is closed after failures in a row; its receipts wait: {cause}"
                ),
            }
        }
        Ok(changed)
    }

    /// What is known after this process has opened a gate itself.
    pub fn opened(&self, account: &AccountName) {
        let mut known = self.known();
        if let Some(seen) = known.gates.get_mut(account) {
            seen.gate.state = GateState::Open;
            seen.gate.reason = None;
            seen.gate.is_open = seen.gate.pause.is_none();
            seen.opened = Some(Instant::now());
        }
    }

    /// Waits for the end of what is under way, and shows meanwhile that this worker still holds its share.
    pub async fn stay_until<T>(&self, ended: impl Future<Output = T>) -> T {
        let mut ticks = tokio::time::interval(self.inner.settings.interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut ended = std::pin::pin!(ended);
        loop {
            tokio::select! {
                biased;
                ended = &mut ended => return ended,
                _ = ticks.tick() => {}
            }
            // Without a database nobody can claim anything either.
            let shown = self.inner.ledger.show_up(&self.inner.presence);
            tokio::select! {
                biased;
                ended = &mut ended => return ended,
                _ = shown => {}
            }
        }
    }

    /// Gives this worker's share back: it has stopped, and nothing of it is under way.
    ///
    /// # Errors
    /// An outage.
    pub async fn leave(&self) -> Result<(), LedgerError> {
        self.inner.ledger.leave(self.inner.presence.id).await
    }

    /// The stores that are told about an account.
    #[must_use]
    pub fn stores_of(&self, account: &AccountName) -> Vec<StoreCode> {
        self.inner.directory.stores_of(account)
    }

    fn learn(&self, account: &AccountName, change: impl FnOnce(&mut Gate)) {
        let mut known = self.known();
        let seen = known.gates.entry(account.clone()).or_insert_with(|| Seen {
            gate: Gate::never_closed(account.clone()),
            opened: None,
        });
        change(&mut seen.gate);
    }

    /// No code that can panic runs while it is locked.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.inner.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
