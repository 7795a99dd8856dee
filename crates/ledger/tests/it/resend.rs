//! A person has a transaction sent: what is held, what waits for its next try, what has certainly failed.

use std::time::Duration;

use ledger::{
    Acceptance, Acted, Actor, Claim, First, Key, Ledger, NewTransaction, NotResendable, Resending, Standing, Verdict,
};
use receipt::{Failure, RetryClass, StateName, TransactionId};

use crate::sample::{
    DAY, LEASE, MINUTE, accepted, answer, claim, claimed, done, offer, outcome, polled, queued, refused, retry, waiting,
};
use crate::scratch::Scratch;

const QUIET: Duration = Duration::from_secs(10);

pub(crate) fn maria() -> Actor {
    Actor {
        name: "maria".to_owned(),
        reason: Some("the cause is mended".to_owned()),
    }
}

pub(crate) async fn standing(ledger: &Ledger, id: TransactionId) -> Standing {
    ledger.standing(id).await.expect("no outage").expect("a transaction")
}

/// Sends it as it stands, which must be allowed.
async fn resend(ledger: &Ledger, id: TransactionId, key: Key) -> (Resending, Acted) {
    let seen = standing(ledger, id).await;
    let how = seen.resending(key).expect("it may be sent");
    let acted = ledger.resend(&seen, &how, QUIET, &maria()).await.expect("no outage");
    (how, acted)
}

async fn held(ledger: &Ledger, number: &str) -> TransactionId {
    let new = NewTransaction {
        first: First::Hold,
        ..offer(number)
    };
    match ledger.accept(new).await {
        Ok(Acceptance::Held(id)) => id,
        other => panic!("{number} is not held but {other:?}"),
    }
}

async fn failed(ledger: &Ledger, number: &str, why: Failure) -> TransactionId {
    let claimed = claimed(ledger, number).await;
    let class = match why {
        Failure::Rejected => RetryClass::Permanent,
        Failure::Exhausted => RetryClass::NOT_SEEN,
    };
    let outcome = refused(&claimed, class, Verdict::Failed(why));
    ledger.record(outcome).await.expect("recorded");
    claimed.subject.transaction_id
}

#[tokio::test]
async fn what_is_held_goes_out_once_by_a_persons_word() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let id = held(&ledger, "417").await;
    let seen = standing(&ledger, id).await;
    assert_eq!(seen.resending(Key::Next), Err(NotResendable::NotProvenDead));
    assert_eq!(resend(&ledger, id, Key::Same).await, (Resending::Release, Acted::Done));
    assert_eq!(scratch.state(id).await, "queued");
    assert_eq!(scratch.events(id).await, ["receipt.accepted", "receipt.accepted"]);
    let actions = ledger.actions(id.0).await.expect("no outage");
    let [action] = actions.as_slice() else {
        panic!("{actions:?}")
    };
    assert_eq!(
        (action.action.as_str(), action.state_after.as_deref()),
        ("send", Some("queued"))
    );
    // The second person has seen it held, too.
    let late = ledger.resend(&seen, &Resending::Release, QUIET, &maria()).await;
    assert_eq!(late.expect("no outage"), Acted::Changed);
    assert!(matches!(ledger.claim(id, 0, LEASE).await, Ok(Claim::Won(_))));
}

#[tokio::test]
async fn what_waits_for_its_next_try_is_sent_at_once_after_the_quiet_time_in_a_new_cycle() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let claimed = claimed(&ledger, "417").await;
    let id = claimed.subject.transaction_id;
    let retried = refused(
        &claimed,
        RetryClass::MAYBE_SEEN,
        Verdict::Retry { delay: DAY, trials: 9 },
    );
    ledger.record(retried).await.expect("recorded");
    let seen = standing(&ledger, id).await;
    assert_eq!(seen.resending(Key::Next), Err(NotResendable::InDoubt));
    assert_eq!(resend(&ledger, id, Key::Same).await, (Resending::Again, Acted::Done));
    let row = scratch.transaction(id).await;
    assert_eq!((row.state.as_str(), row.trials, row.generation), ("retrying", 0, 0));
    let due = row.due_in_seconds.expect("due");
    assert!(due > 5.0 && due <= 10.0, "the same key is not posted sooner: {due}");
    let registration = scratch.registration(id).await;
    assert!(registration.doubtful, "the doubt stands");
    scratch.pass(QUIET).await;
    let again = claim(&ledger, id, row.fence).await;
    assert_eq!(again.external_id, claimed.external_id);
    assert!(again.wire_body.is_some(), "the same bytes");
}

#[tokio::test]
async fn an_exhausted_receipt_begins_a_new_cycle_under_its_own_key() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let id = failed(&ledger, "417", Failure::Exhausted).await;
    assert_eq!(resend(&ledger, id, Key::Same).await, (Resending::Again, Acted::Done));
    let row = scratch.transaction(id).await;
    assert_eq!((row.state.as_str(), row.failure), ("retrying", None));
    assert_eq!(scratch.registration(id).await.state, "open");
    assert_eq!(
        scratch.events(id).await.last().map(String::as_str),
        Some("receipt.retrying")
    );
    scratch.pass(QUIET).await;
    let again = claim(&ledger, id, row.fence).await;
    ledger
        .record(outcome(&again, accepted("uuid-1")))
        .await
        .expect("recorded");
    ledger
        .record_poll(answer(&polled(&ledger).await, done()))
        .await
        .expect("recorded");
    assert_eq!(scratch.state(id).await, "done");
}

#[tokio::test]
async fn a_refused_receipt_goes_on_under_the_next_key_only() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let id = failed(&ledger, "417", Failure::Rejected).await;
    let seen = standing(&ledger, id).await;
    assert_eq!(seen.resending(Key::Same), Err(NotResendable::Rejected));
    let (how, acted) = resend(&ledger, id, Key::Next).await;
    assert!(matches!(&how, Resending::Rekey { next } if next.as_str() == "invoice_main_417__1"));
    assert_eq!(acted, Acted::Done);
    let row = scratch.transaction(id).await;
    assert_eq!(
        (row.state.as_str(), row.generation, row.external_id.as_str()),
        ("retrying", 1, "invoice_main_417__1")
    );
    let states: Vec<_> = scratch
        .registrations(id)
        .await
        .into_iter()
        .map(|one| one.state)
        .collect();
    assert_eq!(states, ["dead", "open"]);
    let claimed = claim(&ledger, id, row.fence).await;
    assert_eq!(
        (claimed.external_id.as_str(), claimed.trials),
        ("invoice_main_417__1", 0)
    );
}

#[tokio::test]
async fn a_key_that_the_vendor_had_taken_is_asked_about_before_the_next_one_is_sent() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let first = waiting(&ledger, "417", "uuid-1").await;
    let id = first.subject.transaction_id;
    let refusal = ledger::PollVerdict::Failed(Failure::Rejected);
    ledger
        .record_poll(answer(&polled(&ledger).await, refusal))
        .await
        .expect("recorded");
    resend(&ledger, id, Key::Next).await;
    let fence = scratch.transaction(id).await.fence;
    let claimed = claim(&ledger, id, fence).await;
    let past = ledger.past(&claimed).await.expect("no outage");
    let predecessor = past.predecessor.expect("the key before");
    assert_eq!(predecessor.vendor_uuid.as_str(), "uuid-1");
    assert!(!past.is_released, "nobody has looked at the vendor");
    let old = scratch.registrations(id).await.remove(0);
    assert!(old.poll_in_seconds.is_some(), "and once more later");
}

#[tokio::test]
async fn nothing_is_sent_that_may_be_registered_or_goes_out_by_itself() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let refusal = async |id| {
        let seen = standing(&ledger, id).await;
        (seen.resending(Key::Same).err(), seen.resending(Key::Next).err())
    };
    let both = |why: NotResendable| (Some(why.clone()), Some(why));
    let id = queued(&ledger, "queued").await;
    assert_eq!(refusal(id).await, both(NotResendable::Queued));
    let sending = claimed(&ledger, "sending").await;
    let id = sending.subject.transaction_id;
    assert_eq!(refusal(id).await, both(NotResendable::Sending));
    ledger
        .record(refused(&sending, RetryClass::Unknown, Verdict::Unknown))
        .await
        .expect("recorded");
    assert_eq!(refusal(id).await, both(NotResendable::Unknown));
    let id = waiting(&ledger, "waiting", "uuid-1").await.subject.transaction_id;
    assert_eq!(refusal(id).await, both(NotResendable::Waiting));
    ledger
        .record_poll(answer(&polled(&ledger).await, done()))
        .await
        .expect("recorded");
    assert_eq!(refusal(id).await, both(NotResendable::Done));
    let id = queued(&ledger, "cancelled").await;
    let seen = standing(&ledger, id).await;
    ledger.cancel(&seen, &maria()).await.expect("no outage");
    assert_eq!(refusal(id).await, both(NotResendable::Cancelled));

    // A late uuid comes for a key that was believed dead: it is not dead for the statement either.
    let id = failed(&ledger, "late", Failure::Rejected).await;
    let seen = standing(&ledger, id).await;
    let how = seen.resending(Key::Next).expect("dead so far");
    scratch
        .run("UPDATE registrations SET doubt_since = now() WHERE external_id = 'invoice_main_late'")
        .await;
    let acted = ledger.resend(&seen, &how, QUIET, &maria()).await.expect("no outage");
    assert_eq!(acted, Acted::Changed);
    assert_eq!(refusal(id).await, both(NotResendable::InDoubt));
}

#[tokio::test]
async fn what_a_corrected_receipt_has_replaced_is_sent_by_nobody_not_even_in_a_race() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let id = failed(&ledger, "417", Failure::Exhausted).await;
    let seen = standing(&ledger, id).await;
    let corrected = NewTransaction {
        request_hash: [2; 32],
        ..offer("417")
    };
    let Ok(Acceptance::Revised { id: newer, state, .. }) = ledger.accept(corrected).await else {
        panic!("it is not revised")
    };
    assert_eq!(state, StateName::Queued);
    for key in [Key::Same, Key::Next] {
        let how = seen.resending(key).expect("as it was seen");
        let acted = ledger.resend(&seen, &how, QUIET, &maria()).await.expect("no outage");
        assert_eq!(acted, Acted::Changed);
    }
    let now = standing(&ledger, id).await;
    assert_eq!(now.resending(Key::Same), Err(NotResendable::Replaced(newer)));
    assert_eq!(scratch.state(id).await, "failed");
}

#[tokio::test]
async fn of_a_correction_and_a_person_who_come_at_once_one_is_served() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    for number in 0..20 {
        let number = format!("race-{number}");
        let id = failed(&ledger, &number, Failure::Exhausted).await;
        let seen = standing(&ledger, id).await;
        let corrected = NewTransaction {
            request_hash: [2; 32],
            ..offer(&number)
        };
        let other = scratch.ledger_of("test-2");
        let actor = maria();
        let (revised, resent) = tokio::join!(
            ledger.accept(corrected),
            other.resend(&seen, &Resending::Again, MINUTE, &actor)
        );
        let revised = matches!(revised, Ok(Acceptance::Revised { .. }));
        let resent = resent.expect("no outage") == Acted::Done;
        assert!(revised != resent, "{number}: revised {revised}, sent again {resent}");
    }
}

#[tokio::test]
async fn a_retry_that_was_not_seen_keeps_its_key() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let claimed = claimed(&ledger, "417").await;
    ledger
        .record(refused(&claimed, RetryClass::NOT_SEEN, retry(DAY)))
        .await
        .expect("recorded");
    let seen = standing(&ledger, claimed.subject.transaction_id).await;
    assert_eq!(seen.resending(Key::Next), Err(NotResendable::NotProvenDead));
    assert_eq!(seen.resending(Key::Same), Ok(Resending::Again));
}
