//! Until when a doubt may be settled by repeating.

use std::time::Duration;

use ledger::{Outcome, Recorded, Verdict};
use receipt::{Doubt, Failure, RetryClass};

use crate::sample::{DAY, MINUTE, accepted, claim, claimed, outcome, reclaimed, refused, retry};
use crate::scratch::Scratch;

const MONTH: Duration = Duration::from_secs(30 * 86_400);

fn in_doubt(claimed: &ledger::Claimed, horizon: Duration) -> Outcome {
    Outcome {
        horizon: Some(horizon),
        ..refused(claimed, RetryClass::MAYBE_SEEN, retry(Duration::ZERO))
    }
}

#[tokio::test]
async fn a_claim_without_a_doubt_has_no_past() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let past = ledger.past(&claimed(&ledger, "417").await).await.expect("no outage");
    assert!(past.doubt.is_none() && past.predecessor.is_none());
}

#[tokio::test]
async fn the_least_of_what_was_said_counts_and_a_uuid_ends_it() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let first = claimed(&ledger, "417").await;
    let id = first.subject.transaction_id;
    ledger.record(in_doubt(&first, 50 * MINUTE)).await.expect("recorded");
    let until = scratch.registration(id).await.doubt_for_seconds.expect("a horizon");
    assert!((2900.0..=3000.0).contains(&until), "{until}");

    let second = claim(&ledger, id, 1).await;
    assert_eq!(second.doubt, Doubt::Stands);
    let doubt = ledger.past(&second).await.expect("no outage").doubt.expect("it stands");
    let left = doubt.left(MONTH);
    assert!(left <= 50 * MINUTE && left > 48 * MINUTE, "{left:?}");
    assert!(doubt.left(MINUTE) <= MINUTE, "nor longer than the vendor ever does");

    ledger.record(in_doubt(&second, MONTH)).await.expect("recorded");
    let until = scratch.registration(id).await.doubt_for_seconds.expect("a horizon");
    assert!(until <= 3000.0, "a later answer makes it no longer: {until}");
    let third = claim(&ledger, id, 2).await;
    ledger.record(in_doubt(&third, 5 * MINUTE)).await.expect("recorded");
    let until = scratch.registration(id).await.doubt_for_seconds.expect("a horizon");
    assert!(until <= 300.0, "{until}");

    let fourth = claim(&ledger, id, 3).await;
    ledger
        .record(outcome(&fourth, accepted("uuid-1")))
        .await
        .expect("recorded");
    let registration = scratch.registration(id).await;
    assert_eq!((registration.doubtful, registration.doubt_for_seconds), (false, None));
}

#[tokio::test]
async fn a_horizon_that_has_passed_leaves_nothing() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let first = claimed(&ledger, "417").await;
    ledger.record(in_doubt(&first, 50 * MINUTE)).await.expect("recorded");
    scratch
        .run("UPDATE registrations SET doubt_until = doubt_until - interval '51 minutes'")
        .await;
    let second = claim(&ledger, first.subject.transaction_id, 1).await;
    let doubt = ledger.past(&second).await.expect("no outage").doubt.expect("it stands");
    assert_eq!(doubt.left(MONTH), Duration::ZERO);
}

#[tokio::test]
async fn a_lease_that_ended_without_a_word_counts_from_the_beginning_of_its_try() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    claimed(&ledger, "417").await;
    // The whole fleet was down for a day and an hour after that.
    scratch
        .run("UPDATE attempts SET started_at = started_at - interval '25 hours'")
        .await;
    let second = reclaimed(&scratch, &ledger).await;
    let doubt = ledger.past(&second).await.expect("no outage").doubt.expect("it stands");
    assert_eq!(doubt.left, None, "no answer said so");
    assert!(doubt.age >= DAY + 60 * MINUTE, "{:?}", doubt.age);
    assert_eq!(doubt.left(DAY), Duration::ZERO);
    assert!(doubt.left(MONTH) < MONTH - DAY);
}

#[tokio::test]
async fn a_refusal_that_settles_the_doubt_clears_it_and_a_late_one_does_not() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let first = claimed(&ledger, "417").await;
    let id = first.subject.transaction_id;
    ledger.record(in_doubt(&first, MONTH)).await.expect("recorded");
    let second = claim(&ledger, id, 1).await;
    // Its lease ends and somebody else claims the receipt; the answer comes later.
    let third = reclaimed(&scratch, &ledger).await;
    let rejected = |claimed| refused(claimed, RetryClass::Permanent, Verdict::Failed(Failure::Rejected));
    assert_eq!(
        ledger.record(rejected(&second)).await.expect("recorded"),
        Recorded::Fenced
    );
    assert!(scratch.registration(id).await.doubtful, "the third may be under way");
    assert_eq!(
        ledger.record(rejected(&third)).await.expect("recorded"),
        Recorded::Applied
    );
    let registration = scratch.registration(id).await;
    assert_eq!((registration.state.as_str(), registration.doubtful), ("dead", false));
    assert_eq!(registration.doubt_for_seconds, None);
}

#[tokio::test]
async fn what_the_database_was_away_for_is_not_added_to_the_horizon() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let first = claimed(&ledger, "417").await;
    // The answer came, and could be recorded forty minutes later.
    scratch
        .run("UPDATE attempts SET started_at = started_at - interval '40 minutes'")
        .await;
    ledger.record(in_doubt(&first, 50 * MINUTE)).await.expect("recorded");
    let until = scratch
        .registration(first.subject.transaction_id)
        .await
        .doubt_for_seconds;
    let until = until.expect("a horizon");
    assert!((550.0..=600.0).contains(&until), "{until}");
}
