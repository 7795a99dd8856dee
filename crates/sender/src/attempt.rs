//! One attempt: render, call, decide, record. No database transaction is open while the vendor thinks.
//!
//! A crash between any two lines is answered by the table: before the call the claim ends with its lease and leaves a
//! doubt; after the call the repetition goes out under the same id with the same bytes, and the vendor answers with
//! what it has.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use jiff::Timestamp;
use ledger::{Claimed, Evidence, LedgerError, Outcome, Recorded, until_taken};
use queue::Pointer;
use receipt::policy::Gate;
use receipt::{Refusal, RetryClass, RetryPolicy, StateName, Text};
use service::metrics;
use tracing::Instrument;
use vendors::{Call, Exchange, Origin, Rendering, Reply, Vendor};

use crate::config::RECORDING;
use crate::decide::{Before, Decided, Sent, decide, forgotten};
use crate::predecessor;
use crate::sender::Context;
use crate::slots::Slot;

/// Makes the attempt that `claimed` stands for. `claimed_at` was taken before the claim was asked for.
pub(crate) async fn attempt(context: Arc<Context>, claimed: Box<Claimed>, slot: Slot, claimed_at: Instant) {
    let span = tracing::info_span!(
        "send",
        transaction.id = %claimed.subject.transaction_id,
        vendor.name = %claimed.vendor,
        attempt.number = claimed.attempt,
    );
    // A panic is this receipt's failure only: its lease ends, it is tried again, and after the third time in a row a
    // person is asked.
    let attempt = AssertUnwindSafe(run(&context, claimed, claimed_at, slot)).catch_unwind();
    if attempt.instrument(span.clone()).await.is_err() {
        span.in_scope(|| tracing::error!("the attempt panicked; its claim ends with its lease"));
    }
    context.slots.ended();
}

async fn run(context: &Arc<Context>, claimed: Box<Claimed>, claimed_at: Instant, mut slot: Slot) {
    let Some(vendor) = context.registry.get(&claimed.account) else {
        let reply = not_called(account_missing(&claimed));
        return record(context, None, claimed, reply, None, Gate::Open).await;
    };
    let vendor = vendor.as_ref();
    let past = match until_taken(&context.abort, "a claim's past", || context.ledger.past(&claimed)).await {
        Ok(past) => past,
        // Nothing was sent, and the lease says when it may be.
        Err(error) if error.is_outage() => return,
        Err(error) => {
            tracing::error!(error = %service::error::chain(&error), "what the claim follows cannot be read");
            let reply = not_called(unreadable(&claimed));
            return record(context, Some(vendor), claimed, reply, None, Gate::Open).await;
        }
    };
    let before = past
        .doubt
        .map(|doubt| Before::of(doubt, vendor.idempotency_horizon(None), Instant::now()));
    let (claimed, claimed_at) = match past.predecessor.clone() {
        Some(predecessor) => {
            if !its_turn(context, vendor, &claimed, claimed_at, &mut slot).await {
                return give_back(context, &claimed).await;
            }
            // Boxed, so that not every attempt has room for what few need.
            let asked = Box::pin(predecessor::ask(context, claimed, claimed_at, predecessor, &past));
            let Some(cleared) = asked.await else { return };
            cleared
        }
        None => (claimed, claimed_at),
    };
    let wire_body = match wire_body(context, &claimed, vendor).await {
        Ok(Some(wire_body)) => wire_body,
        // The database is away and we are stopping: nothing was sent, and the lease says when it may be.
        Ok(None) => return,
        Err(refusal) => return record(context, Some(vendor), claimed, not_called(refusal), before, Gate::Open).await,
    };
    if !its_turn(context, vendor, &claimed, claimed_at, &mut slot).await {
        return give_back(context, &claimed).await;
    }
    if before.is_some_and(|before| before.ends_within(vendor.longest_call())) {
        drop(slot);
        let reply = not_called(forgotten(None));
        return record(context, Some(vendor), claimed, reply, before, Gate::Open).await;
    }
    let call = Call {
        operation: claimed.subject.operation,
        external_id: &claimed.external_id,
        wire_body: &wire_body,
    };
    let began = Instant::now();
    let reply = vendor.register(&call).await;
    slot.called(began.elapsed());
    measure(&claimed, &reply);
    let gate = context.gates.note(&claimed, &reply.outcome, &slot, began).await;
    // The place was one at the vendor, who has answered; writing the answer down takes none from the next receipt.
    drop(slot);
    record(context, Some(vendor), claimed, reply, before, gate).await;
}

fn measure(claimed: &Claimed, reply: &Reply<vendors::Registered>) {
    let vendor = claimed.vendor.as_str();
    let outcome = match &reply.outcome {
        Ok(_) => "ok",
        Err(refusal) => {
            metrics::vendor_error(vendor, &refusal.kind, &refusal.code);
            refusal.class.name()
        }
    };
    metrics::vendor_call(vendor, "send", outcome, reply.exchange.duration);
}

/// Waits until the vendor may be called. He may not when the call could outlive the lease, when the account was closed
/// meanwhile, or when we are stopping.
async fn its_turn(
    context: &Context,
    vendor: &dyn Vendor,
    claimed: &Claimed,
    claimed_at: Instant,
    slot: &mut Slot,
) -> bool {
    let longest = vendor.longest_call().saturating_add(RECORDING);
    let latest = claimed_at + context.config.lease.saturating_sub(longest);
    let turn = context.slots.turn(&claimed.account, slot);
    let turn = context.stop.run_until_cancelled(turn);
    let turn = tokio::time::timeout_at(latest.into(), turn).await;
    // Both may have come at once.
    turn == Ok(Some(true)) && Instant::now() <= latest && !context.stop.is_cancelled()
}

/// Gives back a claim with which nothing was sent.
pub(crate) async fn give_back(context: &Context, claimed: &Claimed) {
    if let Err(error) = context.ledger.give_back(claimed).await {
        let error = service::error::chain(&error);
        tracing::warn!(error, "an unused claim could not be given back; it ends with its lease");
    }
}

/// The bytes to send: the stored ones, or rendered now and stored before they are used.
async fn wire_body(context: &Context, claimed: &Claimed, vendor: &dyn Vendor) -> Result<Option<String>, Box<Refusal>> {
    if let Some(wire_body) = &claimed.wire_body {
        return Ok(Some(wire_body.clone()));
    }
    let Some(receipt) = &claimed.receipt else {
        return Err(unreadable(claimed));
    };
    let rendered = vendor.render(&Rendering {
        receipt,
        operation: claimed.subject.operation,
        external_id: &claimed.external_id,
        rendered_at: Timestamp::now(),
        callback_url: context.callback_url(&claimed.subject.store, vendor).as_deref(),
    })?;
    let store = || context.ledger.store_wire_body(claimed, rendered.clone());
    match until_taken(&context.abort, "the rendered request", store).await {
        Ok(wire_body) => Ok(Some(wire_body)),
        Err(error) if error.is_outage() => Ok(None),
        Err(error) => {
            tracing::error!(error = %service::error::chain(&error), "the rendered request cannot be stored");
            Err(unreadable(claimed))
        }
    }
}

/// Decides and writes down what a call came to. `before` is the doubt of earlier tries, if one stands.
async fn record(
    context: &Context,
    vendor: Option<&dyn Vendor>,
    claimed: Box<Claimed>,
    reply: Reply<vendors::Registered>,
    before: Option<Before>,
    gate: Gate,
) {
    let store = context.directory.stores.get(&claimed.subject.store);
    let mut policy = store.map_or_else(
        || RetryPolicy {
            quiet_time: context.config.quiet_time,
            ..RetryPolicy::default()
        },
        |store| store.retry_policy(context.config.quiet_time),
    );
    policy.gate = gate;
    let Reply { exchange, outcome } = reply;
    // The store may take a refusal for less final than the vendor's table does.
    let outcome = outcome.map_err(|refusal| match store {
        Some(store) => Box::new(store.reclassed(*refusal)),
        None => refusal,
    });
    // What this try adds counts from its beginning: the recording may have to wait for a lost database.
    let adds = match (&outcome, vendor) {
        (Err(refusal), Some(vendor)) if leaves_doubt(vendor, refusal) => {
            Some(vendor.idempotency_horizon(Some(refusal)))
        }
        (Err(_) | Ok(_), Some(_) | None) => None,
    };
    let left = before.map(|before| before.until.saturating_duration_since(Instant::now()));
    let sent = Sent {
        operation: claimed.subject.operation,
        expected: claimed.expected(),
        doubt: claimed.doubt,
        is_last_word: exchange.origin == Origin::Memory && before.is_none_or(|before| before.is_remembered),
        trials: claimed.trials,
        left: left.into_iter().chain(adds).min(),
    };
    let decided = decide(outcome, &sent, store, &policy, &context.moscow);
    finish(context, claimed, exchange, decided, adds).await;
}

/// Whether the vendor may hold the receipt after this refusal: by its class, or because its memory has failed.
fn leaves_doubt(vendor: &dyn Vendor, refusal: &Refusal) -> bool {
    refusal.class.leaves_doubt() || vendor.may_have_forgotten(&refusal.kind, &refusal.code)
}

/// Writes down what was decided. `horizon` is for how long a doubt that this try leaves may be settled by repeating.
pub(crate) async fn finish(
    context: &Context,
    claimed: Box<Claimed>,
    exchange: Exchange,
    decided: Decided,
    horizon: Option<Duration>,
) {
    let Decided {
        verdict,
        refusal,
        pointer,
    } = decided;
    tell(&claimed, refusal.as_deref(), &verdict, exchange.duration);
    let due = Pointer {
        transaction: claimed.subject.transaction_id,
        fence: claimed.attempt,
    };
    let (vendor, account) = (claimed.vendor.clone(), claimed.account.clone());
    let (operation, state, accepted_at) = (claimed.subject.operation, verdict.state(), claimed.accepted_at);
    let evidence = Evidence {
        request: exchange.request,
        http_status: exchange.http_status,
        answer: exchange.answer,
        duration: exchange.duration,
    };
    let outcome = Arc::new(Outcome {
        claimed: *claimed,
        evidence,
        refusal,
        verdict,
        horizon,
    });
    let write = || context.ledger.record(Arc::clone(&outcome));
    match until_taken(&context.abort, "the outcome", write).await {
        Ok(Recorded::Applied | Recorded::Already) => {
            metrics::receipt(vendor.as_str(), operation.name(), state.name());
            if state == StateName::Done {
                metrics::registered(vendor.as_str(), since(accepted_at));
            }
            if let Some(wait) = pointer
                && context.config.delays == crate::Delays::Broker
            {
                context.pointers.send_for(&vendor, &account, due, Some(wait));
            }
        }
        Ok(Recorded::Fenced) => {
            tracing::warn!("the outcome came after the lease; it is kept as evidence and the state is not touched");
        }
        // A machine must not choose another key than the next one.
        Err(LedgerError::ExternalIdTaken) => {
            let unknown = Arc::new(Arc::unwrap_or_clone(outcome).unknown());
            let write = || context.ledger.record(Arc::clone(&unknown));
            let recorded = until_taken(&context.abort, "the outcome", write).await;
            tracing::error!(
                ?recorded,
                "the next external id belongs to another document; a person must look"
            );
        }
        Err(error) => {
            let error = service::error::chain(&error);
            tracing::error!(error, "the outcome is not recorded; the claim ends with its lease");
        }
    }
}

fn since(time: Timestamp) -> Duration {
    Timestamp::now().duration_since(time).try_into().unwrap_or_default()
}

fn tell(claimed: &Claimed, refusal: Option<&Refusal>, verdict: &ledger::Verdict, duration: Duration) {
    let duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let external_id = &claimed.external_id;
    let Some(refusal) = refusal else {
        tracing::info!(%external_id, duration_ms, "{external_id} was taken by the vendor");
        return;
    };
    let (class, kind, code, cause) = (
        refusal.class.name(),
        refusal.kind.as_str(),
        refusal.code.as_str(),
        refusal.cause.en.as_str(),
    );
    let person_acts = matches!(refusal.class, RetryClass::Halt { .. })
        || matches!(verdict, ledger::Verdict::Failed(_) | ledger::Verdict::Unknown);
    if person_acts {
        tracing::error!(%external_id, class, kind, code, duration_ms, "{external_id} needs a person: {cause}");
    } else {
        tracing::warn!(%external_id, class, kind, code, duration_ms, "{external_id} will be tried again: {cause}");
    }
}

/// A reply for an attempt that never reached the network.
fn not_called(refusal: Box<Refusal>) -> Reply<vendors::Registered> {
    Reply {
        exchange: vendors::Exchange {
            request: String::from("not sent"),
            http_status: None,
            answer: None,
            duration: Duration::ZERO,
            origin: Origin::Fresh,
        },
        outcome: Err(refusal),
    }
}

fn account_missing(claimed: &Claimed) -> Box<Refusal> {
    let account = &claimed.account;
    Box::new(Refusal {
        class: RetryClass::Halt { certain: false },
        kind: "kassa".to_owned(),
        code: "account_missing".to_owned(),
        message: String::new(),
        cause: Text::new(
            format!("Учётная запись {account} не настроена."),
            format!("The account {account} is not configured."),
        ),
        cure: Text::new(
            format!("Верните раздел [accounts.{account}] в настройки."),
            format!("Put the section [accounts.{account}] back into the configuration."),
        ),
    })
}

fn unreadable(claimed: &Claimed) -> Box<Refusal> {
    Box::new(Refusal {
        class: RetryClass::Unknown,
        kind: "kassa".to_owned(),
        code: "unreadable".to_owned(),
        message: String::new(),
        cause: Text::new(
            format!("Сохранённый чек {} не читается.", claimed.subject.document),
            format!("The stored receipt {} cannot be read.", claimed.subject.document),
        ),
        cure: Text::new("Обратитесь к разработчикам.", "Ask the developers."),
    })
}
