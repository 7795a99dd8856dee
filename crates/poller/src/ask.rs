//! Asking: claim what is due, ask, decide, record.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use ledger::{
    CloseReason, Evidence, LedgerError, PollLimit, PollRecord, PollVerdict, Polled, Quota, Recorded, until_taken,
};
use receipt::{Refusal, RetryClass, RetryPolicy, StateName, VendorName};
use service::metrics;
use tracing::Instrument;
use vendors::{News, Reply};

use crate::decide::decide;
use crate::places::Place;
use crate::poller::Context;

/// What a poll's claim must leave beyond the call itself.
const RECORDING: Duration = Duration::from_secs(5);

/// Claims what is due into the free slots and starts asking. Returns how many.
pub(crate) async fn step(context: &Arc<Context>) -> Result<usize, LedgerError> {
    let mut slots = context.places.take();
    let quotas: Vec<Quota> = slots
        .iter()
        .map(|(account, taken)| Quota {
            account: account.clone(),
            slots: u32::try_from(taken.len()).unwrap_or(u32::MAX),
        })
        .collect();
    if quotas.is_empty() {
        return Ok(0);
    }
    let due = context
        .ledger
        .claim_polls(&quotas, context.registry.longest_call() + RECORDING)
        .await?;
    let count = due.len();
    for polled in due {
        let Some(mut slot) = slots.get_mut(&polled.account).and_then(Vec::pop) else {
            continue;
        };
        slot.begin();
        let span =
            tracing::info_span!("poll", transaction.id = %polled.subject.transaction_id, poll.number = polled.polls);
        context
            .questions
            .spawn(ask(Arc::clone(context), polled, slot).instrument(span));
    }
    for (account, left) in &slots {
        context.places.set_backlog(account, left.is_empty());
    }
    Ok(count)
}

/// Tells of what has waited for longer than its store allows. Returns how many were found.
pub(crate) async fn tell_overdue(context: &Context) -> Result<usize, LedgerError> {
    const AT_ONCE: i64 = 100;
    let accounts: Vec<_> = context.registry.accounts().cloned().collect();
    let limits: Vec<PollLimit> = context
        .directory
        .stores
        .iter()
        .map(|(code, store)| PollLimit {
            store: code.clone(),
            after: store.overdue_after,
        })
        .collect();
    context
        .ledger
        .tell_overdue(&accounts, &limits, receipt::settings::OVERDUE_AFTER, AT_ONCE)
        .await
}

async fn ask(context: Arc<Context>, polled: Polled, slot: Place) {
    // Only accounts that can be asked have slots, and only what has a slot is claimed.
    let vendor = context.registry.get(&polled.account);
    let Some((name, follower)) = vendor
        .as_deref()
        .and_then(|vendor| Some((vendor.name(), vendor.follower()?)))
    else {
        return;
    };
    let reply = follower.follow(&polled.vendor_uuid).await;
    drop(slot);
    measure(name, &reply);
    if let Err(refusal) = &reply.outcome {
        halt(&context, &polled, refusal).await;
    }
    let store = context.directory.stores.get(&polled.subject.store);
    // No quiet time: a registration whose fate is known may be followed by the next one at once.
    let policy = store.map_or_else(RetryPolicy::default, |store| store.retry_policy(Duration::ZERO));
    let decided = decide(
        reply.outcome,
        &polled,
        store,
        &policy,
        &context.registers,
        &context.config.retired_checks,
    );
    tell(
        &polled,
        &decided.verdict,
        decided.refusal.as_deref(),
        reply.exchange.duration,
    );
    let evidence = Evidence {
        request: reply.exchange.request,
        http_status: reply.exchange.http_status,
        answer: reply.exchange.answer,
        duration: reply.exchange.duration,
    };
    let (operation, accepted_at) = (polled.subject.operation, polled.accepted_at);
    let moves = decided.verdict.state().filter(|_| polled.retired.is_none());
    let record = PollRecord::new(polled, evidence, decided.refusal, decided.verdict);
    match until_taken(&context.abort, "a poll", || context.ledger.record_poll(record.clone())).await {
        Ok(Recorded::Applied | Recorded::Already) => {
            if let Some(state) = moves {
                metrics::receipt(name.as_str(), operation.name(), state.name());
            }
            if moves == Some(StateName::Done) {
                let age = Timestamp::now().duration_since(accepted_at);
                metrics::registered(name.as_str(), age.try_into().unwrap_or_default());
            }
        }
        Ok(Recorded::Fenced) => {}
        // A machine must not choose another key than the next one.
        Err(LedgerError::ExternalIdTaken) => {
            let unknown = record.unknown();
            let recorded = until_taken(&context.abort, "a poll", || context.ledger.record_poll(unknown.clone())).await;
            tracing::error!(
                ?recorded,
                "the next external id belongs to another document; a person must look"
            );
        }
        Err(error) => {
            let error = service::error::chain(&error);
            tracing::error!(error, "the answer is not recorded; it is asked for again");
        }
    }
}

fn measure(vendor: &VendorName, reply: &Reply<News>) {
    let refusal = match &reply.outcome {
        Ok(News::Done { .. }) => None,
        Ok(News::None(refusal)) => refusal.as_deref(),
        Ok(News::Refused(refusal)) | Err(refusal) => Some(&**refusal),
    };
    if let Some(refusal) = refusal {
        metrics::vendor_error(vendor.as_str(), &refusal.kind, &refusal.code);
    }
    let outcome = refusal.map_or("ok", |refusal| refusal.class.name());
    metrics::vendor_call(vendor.as_str(), "poll", outcome, reply.exchange.duration);
}

/// An account that is certainly refused is not asked again, and nothing is sent by it, until a sender's probe works.
async fn halt(context: &Context, polled: &Polled, refusal: &Refusal) {
    if refusal.class != (RetryClass::Halt { certain: true }) {
        return;
    }
    let account = &polled.account;
    if let Err(error) = context.watch.close(account, CloseReason::Halt, refusal).await {
        let error = service::error::chain(&error);
        tracing::warn!(%account, error, "the gate of the account {account} could not be closed; the next refusal tries again");
    }
}

fn tell(polled: &Polled, verdict: &PollVerdict, refusal: Option<&receipt::Refusal>, duration: Duration) {
    let duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let external_id = &polled.external_id;
    let cause = refusal.map_or("no news", |refusal| refusal.cause.en.as_str());
    match verdict {
        PollVerdict::Again(wait) => {
            let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            tracing::debug!(%external_id, duration_ms, wait_ms, "{external_id} still waits: {cause}");
        }
        PollVerdict::Done(fiscal) => {
            tracing::info!(%external_id, duration_ms, fd = fiscal.fd, "{external_id} is registered");
        }
        PollVerdict::Rekey { next, .. } => {
            tracing::warn!(%external_id, duration_ms, "{external_id} is dead, {next} follows: {cause}");
        }
        PollVerdict::Dead(_) => {
            tracing::info!(%external_id, duration_ms, "{external_id} was retired and is dead, as was known: {cause}");
        }
        PollVerdict::Failed(_) | PollVerdict::Unknown => {
            tracing::error!(%external_id, duration_ms, "{external_id} needs a person: {cause}");
        }
    }
}
