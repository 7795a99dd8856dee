//! Answers that come after the lease of the attempt that asked: evidence that is kept and followed.

use std::time::Duration;

use ledger::{Claimed, Ledger, Recorded, Verdict};
use receipt::{Doubt, RetryClass, TransactionId};

use crate::sample::{
    MINUTE, a_fiscal_document, accepted, answer, claim, claimed, done, outcome, polled, reclaimed, refused, rekey,
    retry,
};
use crate::scratch::Scratch;

/// A transaction whose first attempt came late with a uuid while the second was under way.
async fn late_uuid(scratch: &Scratch, ledger: &Ledger) -> (TransactionId, Claimed) {
    let late = claimed(ledger, "417").await;
    let current = reclaimed(scratch, ledger).await;
    let recorded = ledger
        .record(outcome(&late, accepted("late-uuid")))
        .await
        .expect("recorded");
    assert_eq!(recorded, Recorded::Fenced);
    (late.subject.transaction_id, current)
}

#[tokio::test]
async fn a_late_uuid_is_kept_and_polled_and_moves_nothing() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let (id, current) = late_uuid(&scratch, &ledger).await;
    let transaction = scratch.transaction(id).await;
    assert_eq!(
        (transaction.state.as_str(), transaction.fence),
        ("sending", current.attempt)
    );
    assert_eq!(transaction.vendor_uuid, None);
    let registration = scratch.registration(id).await;
    assert_eq!(
        (registration.state.as_str(), registration.vendor_uuid.as_deref()),
        ("waiting", Some("late-uuid"))
    );
    assert!(registration.poll_in_seconds.expect("polled") <= 0.0);
    assert_eq!(polled(&ledger).await.vendor_uuid.as_str(), "late-uuid");
    assert_eq!(scratch.events(id).await, ["receipt.accepted"]);
}

#[tokio::test]
async fn the_document_of_a_late_uuid_ends_a_transaction_that_was_to_be_tried_again() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let (id, current) = late_uuid(&scratch, &ledger).await;
    ledger
        .record(refused(&current, RetryClass::MAYBE_SEEN, retry(MINUTE)))
        .await
        .expect("recorded");
    assert_eq!(scratch.state(id).await, "retrying");
    let polled = polled(&ledger).await;
    assert_eq!(
        ledger.record_poll(answer(&polled, done())).await.expect("recorded"),
        Recorded::Applied
    );
    let transaction = scratch.transaction(id).await;
    assert_eq!((transaction.state.as_str(), transaction.due_in_seconds), ("done", None));
    assert_eq!(transaction.vendor_uuid.as_deref(), Some("late-uuid"));
    let registration = scratch.registration(id).await;
    assert_eq!((registration.state.as_str(), registration.doubtful), ("done", false));
    assert_eq!(
        scratch.events(id).await,
        ["receipt.accepted", "receipt.retrying", "receipt.done"]
    );
    let pointer = ledger.claim(id, current.attempt, crate::sample::LEASE).await;
    assert!(
        matches!(pointer, Ok(ledger::Claim::Stale)),
        "its pointer is on the way and finds nothing: {pointer:?}"
    );
}

#[tokio::test]
async fn the_document_of_a_late_uuid_fences_off_the_attempt_that_is_under_way() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let (id, current) = late_uuid(&scratch, &ledger).await;
    let polled = polled(&ledger).await;
    assert_eq!(
        ledger.record_poll(answer(&polled, done())).await.expect("recorded"),
        Recorded::Applied
    );
    assert_eq!(scratch.state(id).await, "done");

    let in_doubt = refused(&current, RetryClass::MAYBE_SEEN, retry(MINUTE));
    assert_eq!(ledger.record(in_doubt).await.expect("recorded"), Recorded::Fenced);
    assert_eq!(scratch.state(id).await, "done");
    let registration = scratch.registration(id).await;
    assert_eq!((registration.state.as_str(), registration.doubtful), ("done", false));
    assert_eq!(registration.poll_in_seconds, None);
    assert!(scratch.attempts(id).await.iter().all(|attempt| attempt.finished));
    assert_eq!(scratch.events(id).await, ["receipt.accepted", "receipt.done"]);
}

#[tokio::test]
async fn the_document_of_a_late_uuid_ends_an_unknown_outcome() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let (id, current) = late_uuid(&scratch, &ledger).await;
    ledger
        .record(refused(&current, RetryClass::Unknown, Verdict::Unknown))
        .await
        .expect("recorded");
    assert_eq!(scratch.state(id).await, "unknown");
    let polled = polled(&ledger).await;
    assert_eq!(
        ledger.record_poll(answer(&polled, done())).await.expect("recorded"),
        Recorded::Applied
    );
    assert_eq!(scratch.state(id).await, "done");
}

#[tokio::test]
async fn a_late_uuid_ends_no_doubt_while_the_same_id_is_sent_again() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let (id, current) = late_uuid(&scratch, &ledger).await;
    assert!(scratch.registration(id).await.doubtful);
    let polled = polled(&ledger).await;
    let no_news = ledger::PollVerdict::Again(MINUTE);
    ledger.record_poll(answer(&polled, no_news)).await.expect("recorded");
    ledger
        .record(refused(&current, RetryClass::NOT_SEEN, retry(Duration::ZERO)))
        .await
        .expect("recorded");
    let next = claim(&ledger, id, current.attempt).await;
    assert_eq!(
        next.doubt,
        Doubt::Stands,
        "its refusal would be believed although the vendor holds the receipt"
    );
}

#[tokio::test]
async fn a_late_uuid_and_the_outcome_of_its_successor_in_one_batch_are_both_kept() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let late = claimed(&ledger, "417").await;
    let id = late.subject.transaction_id;
    let current = reclaimed(&scratch, &ledger).await;
    let (moved, fenced) = tokio::join!(
        ledger.record(refused(&current, RetryClass::MAYBE_SEEN, retry(MINUTE))),
        ledger.record(outcome(&late, accepted("late-uuid")))
    );
    assert_eq!(
        (moved.expect("recorded"), fenced.expect("recorded")),
        (Recorded::Applied, Recorded::Fenced)
    );
    assert_eq!(scratch.state(id).await, "retrying");
    let registration = scratch.registration(id).await;
    assert_eq!(
        (registration.vendor_uuid.as_deref(), registration.doubtful),
        (Some("late-uuid"), true)
    );
    assert!(registration.poll_in_seconds.is_some());
    assert!(scratch.attempts(id).await.iter().all(|attempt| attempt.finished));
}

#[tokio::test]
async fn the_uuid_of_the_live_attempt_is_the_one_that_is_followed() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let (id, current) = late_uuid(&scratch, &ledger).await;
    ledger
        .record(outcome(&current, accepted("live-uuid")))
        .await
        .expect("recorded");
    assert_eq!(scratch.transaction(id).await.vendor_uuid.as_deref(), Some("live-uuid"));
    let polled = polled(&ledger).await;
    assert_eq!(
        polled.vendor_uuid.as_str(),
        "live-uuid",
        "else no answer would ever move the transaction"
    );
    assert_eq!(
        ledger.record_poll(answer(&polled, done())).await.expect("recorded"),
        Recorded::Applied
    );
    assert_eq!(scratch.state(id).await, "done");
}

#[tokio::test]
async fn a_document_that_a_slow_poller_found_is_taken_although_another_uuid_is_followed_by_now() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let (id, current) = late_uuid(&scratch, &ledger).await;
    let slow = polled(&ledger).await;
    ledger
        .record(outcome(&current, accepted("live-uuid")))
        .await
        .expect("recorded");
    assert_eq!(
        ledger.record_poll(answer(&slow, done())).await.expect("recorded"),
        Recorded::Applied
    );
    assert_eq!(scratch.state(id).await, "done");
}

#[tokio::test]
async fn an_id_that_was_found_dead_and_is_then_taken_again_is_polled_again() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let (id, current) = late_uuid(&scratch, &ledger).await;
    let dead = polled(&ledger).await;
    let verdict = ledger::PollVerdict::Rekey {
        delay: Duration::ZERO,
        trials: 1,
        next: receipt::ExternalId::parse("invoice_main_417__1").expect("valid"),
        check: MINUTE,
    };
    assert_eq!(
        ledger.record_poll(answer(&dead, verdict)).await.expect("recorded"),
        Recorded::Fenced
    );
    assert_eq!(
        scratch.registrations(id).await.len(),
        1,
        "the attempt under way decides"
    );

    let adopted = Verdict::Accepted {
        vendor_uuid: crate::sample::uuid("late-uuid"),
        adopted: true,
        first_poll: Duration::ZERO,
    };
    ledger.record(outcome(&current, adopted)).await.expect("recorded");
    assert_eq!(scratch.state(id).await, "waiting");
    assert_eq!(
        polled(&ledger).await.vendor_uuid.as_str(),
        "late-uuid",
        "else it would wait for ever"
    );
}

#[tokio::test]
async fn a_late_fiscal_document_ends_the_transaction_whatever_the_fence() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let late = claimed(&ledger, "417").await;
    let id = late.subject.transaction_id;
    let current = reclaimed(&scratch, &ledger).await;
    let registered = outcome(&late, Verdict::Done(a_fiscal_document()));
    assert_eq!(
        ledger.record(registered.clone()).await.expect("recorded"),
        Recorded::Applied
    );
    assert_eq!(scratch.state(id).await, "done");
    let registration = scratch.registration(id).await;
    assert_eq!((registration.state.as_str(), registration.doubtful), ("done", false));
    assert_eq!(scratch.attempts(id).await[0].class.as_deref(), Some("done"));
    // The same id again: the vendor answers with the document that it has.
    assert_eq!(
        ledger
            .record(outcome(&current, Verdict::Done(a_fiscal_document())))
            .await
            .expect("recorded"),
        Recorded::Fenced
    );
    assert_eq!(ledger.record(registered).await.expect("recorded"), Recorded::Already);
    assert_eq!(
        scratch.events(id).await,
        ["receipt.accepted", "receipt.done"],
        "told once, and no double"
    );
    assert!(scratch.attempts(id).await.iter().all(|attempt| attempt.finished));
}

#[tokio::test]
async fn a_late_fiscal_document_ends_a_failure_and_an_unknown_outcome() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    for (number, class, verdict, told) in [
        ("1", RetryClass::Unknown, Verdict::Unknown, "receipt.unknown"),
        (
            "2",
            RetryClass::Permanent,
            Verdict::Failed(receipt::Failure::Rejected),
            "receipt.failed",
        ),
    ] {
        let late = claimed(&ledger, number).await;
        let id = late.subject.transaction_id;
        let current = reclaimed(&scratch, &ledger).await;
        ledger
            .record(refused(&current, class, verdict))
            .await
            .expect("recorded");
        let registered = outcome(&late, Verdict::Done(a_fiscal_document()));
        assert_eq!(ledger.record(registered).await.expect("recorded"), Recorded::Applied);
        let transaction = scratch.transaction(id).await;
        assert_eq!((transaction.state.as_str(), transaction.failure), ("done", None));
        assert_eq!(scratch.events(id).await, ["receipt.accepted", told, "receipt.done"]);
    }
}

#[tokio::test]
async fn a_late_doubt_about_an_id_that_the_vendor_has_taken_since_is_none() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let late = claimed(&ledger, "417").await;
    let current = reclaimed(&scratch, &ledger).await;
    ledger
        .record(outcome(&current, accepted("uuid-1")))
        .await
        .expect("recorded");
    ledger
        .record(refused(&late, RetryClass::MAYBE_SEEN, retry(MINUTE)))
        .await
        .expect("recorded");
    assert!(!scratch.registration(late.subject.transaction_id).await.doubtful);
}

#[tokio::test]
async fn a_late_answer_about_a_retired_id_opens_no_generation() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let late = claimed(&ledger, "417").await;
    let id = late.subject.transaction_id;
    let current = reclaimed(&scratch, &ledger).await;
    ledger
        .record(refused(&current, RetryClass::Rekey, rekey("invoice_main_417__1")))
        .await
        .expect("recorded");
    let again = refused(&late, RetryClass::Rekey, rekey("invoice_main_417__1"));
    assert_eq!(ledger.record(again).await.expect("recorded"), Recorded::Fenced);
    assert_eq!(scratch.registrations(id).await.len(), 2);
    assert_eq!(scratch.transaction(id).await.generation, 1);
}
