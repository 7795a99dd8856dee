//! What a send came to.

use std::time::Duration;

use ledger::{LedgerError, Outcome, Recorded, Verdict};
use receipt::{Doubt, Failure, RetryClass};

use crate::sample::{
    MINUTE, a_fiscal_document, a_refusal, accepted, claim, claimed, outcome, queued, reclaimed, refused, rekey, retry,
};
use crate::scratch::Scratch;

#[tokio::test]
async fn what_the_vendor_took_waits_and_is_polled() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let claimed = claimed(&ledger, "417").await;
    let id = claimed.subject.transaction_id;
    let taken = Verdict::Accepted {
        vendor_uuid: crate::sample::uuid("uuid-1"),
        adopted: false,
        first_poll: MINUTE,
    };
    assert_eq!(
        ledger.record(outcome(&claimed, taken)).await.expect("recorded"),
        Recorded::Applied
    );

    let transaction = scratch.transaction(id).await;
    assert_eq!(
        (transaction.state.as_str(), transaction.vendor_uuid.as_deref()),
        ("waiting", Some("uuid-1"))
    );
    assert_eq!((transaction.trials, transaction.due_in_seconds), (1, None));
    let registration = scratch.registration(id).await;
    assert_eq!(
        (registration.state.as_str(), registration.vendor_uuid.as_deref()),
        ("waiting", Some("uuid-1"))
    );
    let poll = registration.poll_in_seconds.expect("a poll");
    assert!((50.0..=60.0).contains(&poll), "{poll}");
    assert_eq!(scratch.attempts(id).await[0].class.as_deref(), Some("accepted"));
    assert_eq!(scratch.events(id).await, ["receipt.accepted", "receipt.waiting"]);
    assert_eq!(scratch.commits(id).await.len(), 1, "state, attempt and event");
}

#[tokio::test]
async fn a_send_that_is_tried_again_is_due_after_its_wait_by_the_databases_clock() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let claimed = claimed(&ledger, "417").await;
    let id = claimed.subject.transaction_id;
    let outcome = refused(
        &claimed,
        RetryClass::NOT_SEEN,
        Verdict::Retry {
            delay: 5 * MINUTE,
            trials: 3,
        },
    );
    assert_eq!(ledger.record(outcome).await.expect("recorded"), Recorded::Applied);

    let transaction = scratch.transaction(id).await;
    assert_eq!(
        (transaction.state.as_str(), transaction.trials, transaction.fence),
        ("retrying", 3, 1)
    );
    let due = transaction.due_in_seconds.expect("due");
    assert!((290.0..=300.0).contains(&due), "{due}");
    let registration = scratch.registration(id).await;
    assert_eq!((registration.state.as_str(), registration.doubtful), ("open", false));
    let attempts = scratch.attempts(id).await;
    assert_eq!(attempts[0].class.as_deref(), Some("retry"));
    assert_eq!(attempts[0].message.as_deref(), Some("as the vendor put it"));
    assert_eq!(attempts[0].answer.as_deref(), Some("{}"));
    assert_eq!(scratch.events(id).await, ["receipt.accepted", "receipt.retrying"]);
    assert_eq!(scratch.commits(id).await.len(), 1);
}

#[tokio::test]
async fn a_doubt_stands_until_the_vendors_uuid_is_known() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let first = claimed(&ledger, "417").await;
    let id = first.subject.transaction_id;
    ledger
        .record(refused(&first, RetryClass::MAYBE_SEEN, retry(Duration::ZERO)))
        .await
        .expect("recorded");
    let since: String = sqlx::query_scalar("SELECT doubt_since::text FROM registrations")
        .fetch_one(&scratch.pool)
        .await
        .expect("doubt");

    let second = claim(&ledger, id, 1).await;
    assert_eq!(second.doubt, Doubt::Stands);
    ledger
        .record(refused(&second, RetryClass::NOT_SEEN, retry(Duration::ZERO)))
        .await
        .expect("recorded");
    let third = claim(&ledger, id, 2).await;
    assert_eq!(
        third.doubt,
        Doubt::Stands,
        "a refusal proves nothing about the first try"
    );
    ledger
        .record(refused(&third, RetryClass::MAYBE_SEEN, retry(Duration::ZERO)))
        .await
        .expect("recorded");
    let still: String = sqlx::query_scalar("SELECT doubt_since::text FROM registrations")
        .fetch_one(&scratch.pool)
        .await
        .expect("doubt");
    assert_eq!(still, since, "since the first try that may have been seen");

    let fourth = claim(&ledger, id, 3).await;
    ledger
        .record(outcome(&fourth, accepted("uuid-1")))
        .await
        .expect("recorded");
    assert!(!scratch.registration(id).await.doubtful);
}

#[tokio::test]
async fn a_rekey_retires_the_dead_id_and_opens_the_next() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let first = claimed(&ledger, "417").await;
    let id = first.subject.transaction_id;
    let outcome = refused(&first, RetryClass::Rekey, rekey("invoice_main_417__1"));
    assert_eq!(ledger.record(outcome).await.expect("recorded"), Recorded::Applied);

    let transaction = scratch.transaction(id).await;
    assert_eq!((transaction.state.as_str(), transaction.generation), ("retrying", 1));
    assert_eq!(transaction.external_id, "invoice_main_417__1");
    let registrations = scratch.registrations(id).await;
    let states: Vec<_> = registrations
        .iter()
        .map(|one| {
            (
                one.generation,
                one.external_id.as_str(),
                one.state.as_str(),
                one.wire_body.is_some(),
            )
        })
        .collect();
    assert_eq!(
        states,
        [
            (0, "invoice_main_417", "dead", true),
            (1, "invoice_main_417__1", "open", false)
        ],
        "the next id is rendered anew"
    );
    assert_eq!(scratch.events(id).await, ["receipt.accepted", "receipt.retrying"]);

    let second = claim(&ledger, id, 1).await;
    assert_eq!(
        (second.generation, second.external_id.as_str()),
        (1, "invoice_main_417__1")
    );
    assert!(second.receipt.is_some());
    assert_eq!(scratch.attempts(id).await[1].generation, 1);
}

#[tokio::test]
async fn a_permanent_refusal_fails_the_transaction() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let claimed = claimed(&ledger, "417").await;
    let id = claimed.subject.transaction_id;
    let outcome = refused(&claimed, RetryClass::Permanent, Verdict::Failed(Failure::Rejected));
    assert_eq!(ledger.record(outcome).await.expect("recorded"), Recorded::Applied);
    let transaction = scratch.transaction(id).await;
    assert_eq!(
        (transaction.state.as_str(), transaction.failure.as_deref()),
        ("failed", Some("rejected"))
    );
    assert_eq!(scratch.registration(id).await.state, "dead");
    assert_eq!(scratch.events(id).await, ["receipt.accepted", "receipt.failed"]);
    let hint: String =
        sqlx::query_scalar("SELECT body ->> 'order_status_hint' FROM events WHERE type = 'receipt.failed'")
            .fetch_one(&scratch.pool)
            .await
            .expect("the event");
    assert_eq!(hint, "kkm_failed");
}

#[tokio::test]
async fn an_outcome_that_nobody_can_know_is_unknown() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let claimed = claimed(&ledger, "417").await;
    let id = claimed.subject.transaction_id;
    ledger
        .record(refused(&claimed, RetryClass::Unknown, Verdict::Unknown))
        .await
        .expect("recorded");
    assert_eq!(scratch.state(id).await, "unknown");
    assert_eq!(scratch.registration(id).await.state, "open", "not proven dead");
    assert_eq!(scratch.events(id).await, ["receipt.accepted", "receipt.unknown"]);
}

#[tokio::test]
async fn what_is_registered_at_once_is_done_with_its_fiscal_document() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let claimed = claimed(&ledger, "417").await;
    let id = claimed.subject.transaction_id;
    ledger
        .record(outcome(&claimed, Verdict::Done(a_fiscal_document())))
        .await
        .expect("recorded");
    let transaction = scratch.transaction(id).await;
    assert_eq!(transaction.state, "done");
    assert_eq!(transaction.fn_number.as_deref(), Some("9999078900000001"));
    assert_eq!(
        (transaction.fd, transaction.fpd.as_deref()),
        (Some(48_213), Some("2871940355"))
    );
    assert_eq!(transaction.registered_at.as_deref(), Some("2026-02-14 11:08:00"));
    assert_eq!(scratch.registration(id).await.state, "done");
    assert_eq!(scratch.events(id).await, ["receipt.accepted", "receipt.done"]);
}

#[tokio::test]
async fn the_same_outcome_again_is_already_recorded() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let claimed = claimed(&ledger, "417").await;
    let id = claimed.subject.transaction_id;
    let outcome = outcome(&claimed, rekey("invoice_main_417__1"));
    assert_eq!(
        ledger.record(outcome.clone()).await.expect("recorded"),
        Recorded::Applied
    );
    let version = scratch.transaction(id).await.version;
    assert_eq!(ledger.record(outcome).await.expect("recorded"), Recorded::Already);
    assert_eq!(scratch.transaction(id).await.version, version);
    assert_eq!(scratch.registrations(id).await.len(), 2);
    assert_eq!(scratch.events(id).await, ["receipt.accepted", "receipt.retrying"]);
}

#[tokio::test]
async fn the_same_outcome_twice_in_one_batch_is_told_once() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let claimed = claimed(&ledger, "417").await;
    let id = claimed.subject.transaction_id;
    let outcome = outcome(&claimed, rekey("invoice_main_417__1"));
    let (one, other) = tokio::join!(ledger.record(outcome.clone()), ledger.record(outcome));
    let mut both = [one.expect("recorded"), other.expect("recorded")];
    both.sort_by_key(|recorded| *recorded == Recorded::Already);
    assert_eq!(both, [Recorded::Applied, Recorded::Already]);
    assert_eq!(scratch.events(id).await, ["receipt.accepted", "receipt.retrying"]);
}

#[tokio::test]
async fn outcomes_of_many_transactions_in_one_batch_go_to_their_own_rows() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let mut claims = Vec::new();
    for number in 0..20 {
        claims.push(claimed(&ledger, &number.to_string()).await);
    }
    // Not in the order of their ids, as they come.
    let outcomes = claims.iter().rev().enumerate().map(|(index, claimed)| match index % 3 {
        0 => outcome(claimed, accepted(&format!("uuid-{}", claimed.subject.document))),
        1 => refused(claimed, RetryClass::NOT_SEEN, retry(MINUTE)),
        _ => refused(claimed, RetryClass::Permanent, Verdict::Failed(Failure::Rejected)),
    });
    let recorded = futures_util::future::join_all(outcomes.map(|outcome| ledger.record(outcome))).await;
    assert!(
        recorded.iter().all(|one| matches!(one, Ok(Recorded::Applied))),
        "{recorded:?}"
    );
    for (index, claimed) in claims.iter().rev().enumerate() {
        let transaction = scratch.transaction(claimed.subject.transaction_id).await;
        assert_eq!(transaction.state, ["waiting", "retrying", "failed"][index % 3]);
        if index % 3 == 0 {
            assert_eq!(
                transaction.vendor_uuid,
                Some(format!("uuid-{}", claimed.subject.document))
            );
        }
        assert_eq!(scratch.events(claimed.subject.transaction_id).await.len(), 2);
    }
}

#[tokio::test]
async fn a_row_whose_data_is_refused_does_not_fail_its_neighbours() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    queued(&ledger, "417").await;
    let (before, bad, after) = (
        claimed(&ledger, "1").await,
        claimed(&ledger, "2").await,
        claimed(&ledger, "3").await,
    );
    let (first, taken, last) = tokio::join!(
        ledger.record(outcome(&before, accepted("uuid-1"))),
        ledger.record(outcome(&bad, rekey("INVOICE_main_417"))),
        ledger.record(outcome(&after, retry(MINUTE)))
    );
    assert_eq!(first.expect("recorded"), Recorded::Applied);
    assert!(matches!(taken, Err(LedgerError::ExternalIdTaken)), "{taken:?}");
    assert_eq!(last.expect("recorded"), Recorded::Applied);
    let left = scratch.transaction(bad.subject.transaction_id).await;
    assert_eq!(
        (left.state.as_str(), left.generation),
        ("sending", 0),
        "its claim ends with its lease"
    );
    assert!(!scratch.attempts(bad.subject.transaction_id).await[0].finished);
    assert_eq!(scratch.events(bad.subject.transaction_id).await, ["receipt.accepted"]);
}

#[tokio::test]
async fn nothing_that_a_vendor_answers_keeps_an_outcome_from_being_recorded() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let nul = "a\0b".to_owned();
    let first = claimed(&ledger, "417").await;
    let mut refusal = a_refusal(RetryClass::NOT_SEEN);
    (refusal.message, refusal.code, refusal.kind) = (nul.clone(), nul.clone(), nul.clone());
    refusal.cause.ru = nul.clone();
    let mut said = Outcome {
        refusal: Some(refusal),
        ..outcome(&first, retry(Duration::ZERO))
    };
    said.evidence.answer = Some(nul.clone());
    assert_eq!(ledger.record(said).await.expect("recorded"), Recorded::Applied);
    assert_eq!(
        scratch.attempts(first.subject.transaction_id).await[0]
            .message
            .as_deref(),
        Some("a\u{fffd}b")
    );

    let second = claim(&ledger, first.subject.transaction_id, 1).await;
    let mut fiscal = a_fiscal_document();
    (fiscal.qr, fiscal.ofd_url, fiscal.fn_number) = (Some(nul.clone()), Some(nul.clone()), nul);
    assert_eq!(
        ledger
            .record(outcome(&second, Verdict::Done(fiscal)))
            .await
            .expect("recorded"),
        Recorded::Applied
    );
    assert_eq!(scratch.state(first.subject.transaction_id).await, "done");
}

#[tokio::test]
async fn an_outcome_after_the_lease_completes_its_attempt_and_moves_nothing() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let late = claimed(&ledger, "417").await;
    let id = late.subject.transaction_id;
    let current = reclaimed(&scratch, &ledger).await;
    let version = scratch.transaction(id).await.version;
    let failed = refused(&late, RetryClass::Permanent, Verdict::Failed(Failure::Rejected));
    assert_eq!(ledger.record(failed.clone()).await.expect("recorded"), Recorded::Fenced);

    let transaction = scratch.transaction(id).await;
    assert_eq!(
        (transaction.state.as_str(), transaction.version, transaction.fence),
        ("sending", version, 2)
    );
    let attempts = scratch.attempts(id).await;
    assert_eq!(
        (attempts[0].finished, attempts[0].class.as_deref()),
        (true, Some("permanent"))
    );
    assert!(!attempts[1].finished);
    assert_eq!(scratch.registration(id).await.state, "open");
    assert_eq!(scratch.events(id).await, ["receipt.accepted"]);
    assert_eq!(ledger.record(failed).await.expect("recorded"), Recorded::Already);
    assert_eq!(
        ledger.record(outcome(&current, retry(MINUTE))).await.expect("recorded"),
        Recorded::Applied
    );
}
