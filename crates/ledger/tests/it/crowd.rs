//! Several processes that take each other's work away all the time: nothing waits for each other, nothing is told twice.

use std::time::Duration;

use futures_util::future::join_all;
use ledger::{Lease, Ledger, LedgerError, PollVerdict, Verdict};
use receipt::{Failure, RetryClass, TransactionId};

use crate::sample::{a_fiscal_document, accepted, answer, done, offer, outcome, quota, refused, rekey, retry};
use crate::scratch::Scratch;

/// Over as soon as it is made, so that every attempt has a successor before it ends.
const NONE: Lease = Lease {
    hold: Duration::ZERO,
    quiet_time: Duration::ZERO,
};

/// A round of everything that a sender and a poller do. What an attempt comes to is as good as drawn.
async fn round(ledger: &Ledger) -> Result<(), LedgerError> {
    let claims = ledger.claim_due(&quota(15), Duration::ZERO, NONE).await?;
    let outcomes = claims.iter().map(|claimed| {
        let uuid = format!("uuid-{}-{}", claimed.subject.document, claimed.generation);
        let next = claimed.external_id.next_generation().expect("short enough").to_string();
        match claimed.subject.transaction_id.0.as_u128() % 7 + u128::from(claimed.attempt.unsigned_abs()) % 3 {
            0 | 1 => refused(claimed, RetryClass::Rekey, rekey(&next)),
            2..=4 => refused(claimed, RetryClass::MAYBE_SEEN, retry(Duration::ZERO)),
            5 | 6 => outcome(claimed, accepted(&uuid)),
            7 => outcome(claimed, Verdict::Done(a_fiscal_document())),
            _ => refused(claimed, RetryClass::Permanent, Verdict::Failed(Failure::Rejected)),
        }
    });
    let rendered = claims
        .iter()
        .map(|claimed| ledger.store_wire_body(claimed, "body".to_owned()));
    join_all(rendered).await.into_iter().collect::<Result<Vec<_>, _>>()?;
    let recorded = join_all(outcomes.map(|outcome| ledger.record(outcome))).await;
    recorded.into_iter().collect::<Result<Vec<_>, _>>()?;
    for claimed in ledger.abandoned(5).await? {
        ledger
            .record(refused(&claimed, RetryClass::Unknown, Verdict::Unknown))
            .await?;
    }
    let polls = ledger.claim_polls(&quota(15), Duration::ZERO).await?;
    let answers = polls.iter().map(|polled| {
        let verdict = match polled.polls % 4 {
            0 => done(),
            1 | 2 => PollVerdict::Again(Duration::ZERO),
            _ => PollVerdict::Failed(Failure::Rejected),
        };
        ledger.record_poll(answer(polled, verdict))
    });
    join_all(answers).await.into_iter().collect::<Result<Vec<_>, _>>()?;
    let events: Vec<_> = ledger.take_events(20).await?.iter().map(|event| event.id).collect();
    ledger.mark_published(&events).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_processes_that_snatch_each_others_claims_never_wait_in_a_circle() {
    let scratch = Scratch::new().await;
    let ledgers: Vec<_> = ["one", "two", "three", "four"]
        .into_iter()
        .map(|name| scratch.ledger_of(name))
        .collect();
    join_all((0..60).map(|number| ledgers[0].accept(offer(&number.to_string())))).await;
    let rounds = join_all(ledgers.iter().map(|ledger| async {
        for _ in 0..30 {
            round(ledger).await?;
        }
        Ok::<_, LedgerError>(())
    }))
    .await;
    for rounds in rounds {
        rounds.expect("nothing is refused");
    }
    for ledger in ledgers {
        ledger.close().await;
    }
    let deadlocks = scratch.count("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()");
    assert_eq!(deadlocks.await, 0, "even those that a repetition would hide");
    for id in scratch.ids().await.into_iter().map(TransactionId) {
        let (transaction, events) = (scratch.transaction(id).await, scratch.events(id).await);
        let told = |event: &str| events.iter().filter(|told| *told == event).count();
        assert_eq!(told("receipt.accepted"), 1);
        assert_eq!(
            told("receipt.done"),
            usize::from(transaction.state == "done"),
            "{events:?}"
        );
        assert!(told("receipt.failed") <= 1, "{events:?}");
        assert!(
            told("receipt.failed") == 1 || transaction.state != "failed",
            "only a document takes a failure back: {events:?}"
        );
        let attempts = scratch.attempts(id).await;
        let numbers: Vec<i32> = attempts.iter().map(|attempt| attempt.number).collect();
        assert_eq!(
            numbers,
            (1..=transaction.last_attempt).collect::<Vec<_>>(),
            "every number once, and none missing"
        );
        let registrations = scratch.registrations(id).await;
        let live = registrations
            .iter()
            .find(|one| one.generation == transaction.generation)
            .expect("a live registration");
        assert_eq!(live.external_id, transaction.external_id);
        assert_eq!(live.state == "done", transaction.state == "done", "{registrations:?}");
    }
}
