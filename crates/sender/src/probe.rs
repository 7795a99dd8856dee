//! Probing closed gates: by a call without effect where the vendor has one, then by one real send.
//!
//! A call for a token proves login and certificate, not the group and not that receipts are taken; so a gate opens only
//! after a real send, unless there is none to be made. Whatever happens to this process, the probe ends with its lease.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ledger::{GateSettings, LedgerError, Probe, ProbeEnd};
use receipt::{Refusal, RetryClass};
use vendors::Vendor;

use crate::attempt::attempt;
use crate::config::{RECORDING, STARTING};
use crate::sender::Context;
use crate::slots::Slot;

/// A probe in the hands of this process.
#[derive(Clone)]
pub(crate) struct Probing {
    pub(crate) probe: Probe,
    has_ended: Arc<AtomicBool>,
}

impl Probing {
    fn new(probe: Probe) -> Self {
        Self {
            probe,
            has_ended: Arc::default(),
        }
    }

    /// The end of a probe that failed: the next one after twice the wait, and not before the vendor wishes.
    pub(crate) fn failed(&self, refusal: Box<Refusal>, settings: &GateSettings) -> ProbeEnd {
        let asked = match refusal.class {
            RetryClass::Retry { after, .. } => after.unwrap_or_default(),
            RetryClass::Rekey | RetryClass::Halt { .. } | RetryClass::Permanent | RetryClass::Unknown => Duration::ZERO,
        };
        let wait = settings.probe_wait(self.probe.failed.saturating_add(1)).max(asked);
        ProbeEnd::Fails { refusal, wait }
    }

    /// The end of a probe that said nothing.
    pub(crate) fn learnt_nothing(&self, settings: &GateSettings) -> ProbeEnd {
        ProbeEnd::Nothing {
            wait: settings.probe_wait(self.probe.failed),
        }
    }

    pub(crate) fn end(&self) {
        self.has_ended.store(true, Ordering::Relaxed);
    }

    fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Relaxed)
    }
}

/// Starts a probe of every closed account whose probe is due and that nobody probes.
pub(crate) async fn step(context: &Arc<Context>) -> Result<(), LedgerError> {
    let mut closed = context.watch.closed();
    closed.retain(|account| context.registry.get(account).is_some());
    if closed.is_empty() || context.stop.is_cancelled() {
        return Ok(());
    }
    let lease = context.registry.longest_call() + RECORDING + STARTING;
    for probe in context.ledger.take_probes(&closed, lease).await? {
        context.attempts.spawn(run(Arc::clone(context), Probing::new(probe)));
    }
    Ok(())
}

async fn run(context: Arc<Context>, probing: Probing) {
    let settings = context.watch.settings();
    let Some(vendor) = context.registry.get(&probing.probe.account) else {
        return;
    };
    let answers = match vendor.probe().await.map(|reply| reply.outcome) {
        Some(Err(refusal)) => {
            let end = probing.failed(refusal, settings);
            context.gates.end_probe(&probing, &end).await;
            return;
        }
        Some(Ok(())) => true,
        None => false,
    };
    let end = match real_send(&context, vendor.as_ref(), &probing).await {
        Sent::Decided => return,
        Sent::NothingToCome if answers => ProbeEnd::Works,
        // The next receipt that is accepted should not wait for what earlier ones have come to.
        Sent::NothingToCome | Sent::NothingDue => ProbeEnd::Nothing {
            wait: settings.probe_wait(0),
        },
        // Nothing was tried: somebody may try at once.
        Sent::Unsent => ProbeEnd::Nothing { wait: Duration::ZERO },
    };
    context.gates.end_probe(&probing, &end).await;
}

/// What became of the one real send.
enum Sent {
    /// It was made, and has decided.
    Decided,
    /// Everything that waits is due later.
    NothingDue,
    /// No receipt of the account waits, or none may be sent, so none will tell.
    NothingToCome,
    /// It could not be made.
    Unsent,
}

async fn real_send(context: &Arc<Context>, vendor: &dyn Vendor, probing: &Probing) -> Sent {
    if context.stop.is_cancelled() {
        return Sent::Unsent;
    }
    if probing.probe.is_paused {
        return Sent::NothingToCome;
    }
    let claimed_at = Instant::now();
    let probe = match &probing.probe.halted_by {
        Some((kind, code)) if vendor.may_have_forgotten(kind, code) => probing.probe.clone().without_doubt(),
        Some(_) | None => probing.probe.clone(),
    };
    match context.ledger.claim_probe(&probe, context.config.claim_lease()).await {
        Ok(Some(claimed)) => {
            let slot = Slot::Probe(probing.clone());
            attempt(Arc::clone(context), Box::new(claimed), slot, claimed_at).await;
            if probing.has_ended() {
                Sent::Decided
            } else {
                Sent::Unsent
            }
        }
        Ok(None) => match context.ledger.has_to_send(&probing.probe.account).await {
            Ok(true) => Sent::NothingDue,
            Ok(false) => Sent::NothingToCome,
            Err(error) => unsent(&probing.probe, &error),
        },
        Err(error) => unsent(&probing.probe, &error),
    }
}

fn unsent(probe: &Probe, error: &LedgerError) -> Sent {
    let error = service::error::chain(error);
    tracing::warn!(account = %probe.account, error, "no receipt could be claimed for a probe");
    Sent::Unsent
}
