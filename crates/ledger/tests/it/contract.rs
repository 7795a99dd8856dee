//! What is published keeps the contract `event.v1`: every transition of the ledger, seen as the bytes that leave.

use std::time::Duration;

use ledger::{First, Ledger, NewDeadLetter, NewTransaction, Origin, PollVerdict, Rejection, Verdict};
use receipt::{Failure, RetryClass, TransactionId};
use serde_json::{Value, json};

use crate::sample::{
    a_fiscal_document, a_refusal, accepted, answer, claimed, done, outcome, polled, queued, refused, rekey, retry,
    waiting,
};
use crate::scratch::Scratch;

/// Every event so far, as published.
async fn published(ledger: &Ledger) -> Vec<Value> {
    let events = ledger.take_events(1000).await.expect("no outage");
    events
        .iter()
        .map(|event| serde_json::from_slice(&event.published()).expect("JSON"))
        .collect()
}

async fn every_transition(scratch: &Scratch) -> Vec<Value> {
    let ledger = scratch.ledger();
    queued(&ledger, "queued").await;
    waiting(&ledger, "done", "uuid-done").await;
    let poll = polled(&ledger).await;
    ledger.record_poll(answer(&poll, done())).await.expect("recorded");
    let held = NewTransaction {
        first: First::Hold,
        ..crate::sample::offer("held")
    };
    ledger.accept(held).await.expect("accepted");
    // Both halves of a resell, and the release of the second.
    let (refund, _) = crate::resell::started(&ledger, "done").await;
    crate::resell::register(scratch, &ledger, refund, 1).await;
    waiting(&ledger, "failed", "uuid-failed").await;
    let mut poll = answer(&polled(&ledger).await, PollVerdict::Failed(Failure::Rejected));
    poll.refusal = Some(a_refusal(RetryClass::Permanent));
    ledger.record_poll(poll).await.expect("recorded");
    for (number, class, verdict) in [
        ("retry", RetryClass::NOT_SEEN, retry(Duration::from_secs(60))),
        ("doubt", RetryClass::MAYBE_SEEN, retry(Duration::from_secs(60))),
        (
            "halt",
            RetryClass::Halt { certain: true },
            retry(Duration::from_secs(60)),
        ),
        ("rekey", RetryClass::Rekey, rekey("invoice_main_rekey__1")),
        ("exhausted", RetryClass::NOT_SEEN, Verdict::Failed(Failure::Exhausted)),
        ("unknown", RetryClass::Unknown, Verdict::Unknown),
        ("at-once", RetryClass::NOT_SEEN, Verdict::Done(a_fiscal_document())),
    ] {
        let claimed = claimed(&ledger, number).await;
        let outcome = match &verdict {
            Verdict::Done(_) => outcome(&claimed, verdict),
            Verdict::Accepted { .. }
            | Verdict::Retry { .. }
            | Verdict::Rekey { .. }
            | Verdict::Failed(_)
            | Verdict::Unknown => refused(&claimed, class, verdict),
        };
        ledger.record(outcome).await.expect("recorded");
    }
    for rejection in [
        Rejection::not_storable(),
        Rejection::conflict(
            crate::sample::offer("taken").subject,
            TransactionId::new(),
            receipt::StateName::Done,
        ),
    ] {
        let letter = NewDeadLetter {
            origin: Origin::Intake,
            exchange: "kassa.requests".to_owned(),
            routing_key: "main".to_owned(),
            message_id: Some("m-1".to_owned()),
            body: b"{}".to_vec(),
            headers: json!({}),
            rejection,
        };
        ledger.bury(&letter).await.expect("buried");
    }
    published(&ledger).await
}

#[tokio::test]
async fn everything_that_is_published_keeps_the_contract() {
    let scratch = Scratch::new().await;
    let events = every_transition(&scratch).await;
    let validator = jsonschema::draft202012::new(&receipt::event::schema()).expect("a schema");
    for event in &events {
        let errors: Vec<_> = validator.iter_errors(event).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{event}: {errors:?}");
        for language in ["ru", "en"] {
            assert!(
                event["text"][language].as_str().is_some_and(|text| !text.is_empty()),
                "{event}"
            );
        }
        assert!(!event.to_string().contains("buyer@example.org"), "{event}");
    }
    let mut types: Vec<_> = events.iter().filter_map(|event| event["type"].as_str()).collect();
    types.sort_unstable();
    types.dedup();
    assert_eq!(
        types,
        [
            "receipt.accepted",
            "receipt.conflict",
            "receipt.done",
            "receipt.failed",
            "receipt.retrying",
            "receipt.unknown",
            "receipt.waiting",
            "request.rejected",
        ]
    );
}

#[tokio::test]
async fn the_version_of_an_event_is_the_one_of_the_row_that_it_tells_of() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let claimed = claimed(&ledger, "417").await;
    ledger
        .record(outcome(&claimed, accepted("uuid-417")))
        .await
        .expect("recorded");
    let poll = polled(&ledger).await;
    ledger.record_poll(answer(&poll, done())).await.expect("recorded");
    let versions: Vec<_> = published(&ledger)
        .await
        .iter()
        .map(|event| (event["type"].clone(), event["version"].as_i64().expect("a version")))
        .collect();
    assert_eq!(
        versions,
        [
            (json!("receipt.accepted"), 0),
            (json!("receipt.waiting"), 1),
            (json!("receipt.done"), 2)
        ]
    );
    let row: i64 = sqlx::query_scalar("SELECT version FROM transactions")
        .fetch_one(&scratch.pool)
        .await
        .expect("a row");
    assert_eq!(row, 2);
}

#[tokio::test]
async fn a_claim_and_its_return_are_told_to_nobody() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let id = queued(&ledger, "417").await;
    let claimed = crate::sample::claim(&ledger, id, 0).await;
    ledger.give_back(&claimed).await.expect("given back");
    let types: Vec<_> = published(&ledger)
        .await
        .iter()
        .map(|event| event["type"].clone())
        .collect();
    assert_eq!(types, [json!("receipt.accepted")]);
}

#[tokio::test]
async fn an_event_is_published_as_the_same_bytes_every_time() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    queued(&ledger, "417").await;
    let first = ledger.take_events(10).await.expect("no outage");
    scratch.pass(Duration::from_secs(30)).await;
    let second = scratch.ledger_of("another").take_events(10).await.expect("no outage");
    assert_eq!(first[0].published(), second[0].published());
}
