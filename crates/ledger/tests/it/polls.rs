//! Following what waits.

use std::collections::HashSet;

use futures_util::future::join_all;
use ledger::{LedgerError, PollVerdict, Quota, Recorded};
use receipt::{ExternalId, Failure, RetryClass, StateName};

use crate::sample::{
    MINUTE, a_refusal, accepted, account, answer, claim, done, outcome, polled, queued, quota, waiting,
};
use crate::scratch::Scratch;

fn rekey(next: &str) -> PollVerdict {
    let next = ExternalId::parse(next).expect("an external id");
    PollVerdict::Rekey {
        delay: MINUTE,
        trials: 2,
        next,
        check: 10 * MINUTE,
    }
}

#[tokio::test]
async fn a_poll_knows_what_it_asks_about() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let claimed = waiting(&ledger, "417", "uuid-1").await;
    let polled = polled(&ledger).await;
    assert_eq!(polled.subject, claimed.subject);
    assert_eq!(
        (polled.account.as_str(), polled.generation, polled.polls),
        ("main", 0, 1)
    );
    assert_eq!(
        (polled.external_id.as_str(), polled.vendor_uuid.as_str()),
        ("invoice_main_417", "uuid-1")
    );
    assert_eq!(
        (polled.state, polled.trials, polled.total.kopecks()),
        (StateName::Waiting, 1, 90_000)
    );
    assert!(polled.age < MINUTE);
}

#[tokio::test]
async fn what_is_taken_or_not_due_is_not_polled() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    waiting(&ledger, "417", "uuid-1").await;
    polled(&ledger).await;
    assert!(
        ledger
            .claim_polls(&quota(5), MINUTE)
            .await
            .expect("no outage")
            .is_empty(),
        "another poller has it"
    );
    scratch.pass(MINUTE).await;
    assert_eq!(polled(&ledger).await.polls, 2, "the poller died");
    let other = [Quota {
        account: account("second"),
        slots: 5,
    }];
    scratch.pass(MINUTE).await;
    assert!(ledger.claim_polls(&other, MINUTE).await.expect("no outage").is_empty());
}

#[tokio::test]
async fn the_longest_due_polls_are_taken_first_and_no_more_than_the_slots() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    for number in ["1", "2", "3"] {
        waiting(&ledger, number, &format!("uuid-{number}")).await;
    }
    scratch
        .run("UPDATE registrations SET next_poll_at = now() - right(vendor_uuid, 1)::int * interval '1 minute'")
        .await;
    for expected in ["uuid-3", "uuid-2", "uuid-1"] {
        let polls = ledger.claim_polls(&quota(1), MINUTE).await.expect("no outage");
        let uuids: Vec<_> = polls.iter().map(|polled| polled.vendor_uuid.as_str()).collect();
        assert_eq!(uuids, [expected]);
    }
}

#[tokio::test]
async fn one_hundred_polls_are_taken_once_each_by_four_pollers() {
    let scratch = Scratch::new().await;
    let ledgers: Vec<_> = ["one", "two", "three", "four"]
        .into_iter()
        .map(|name| scratch.ledger_of(name))
        .collect();
    join_all((0..100).map(|number| {
        let ledger = &ledgers[0];
        async move { waiting(ledger, &number.to_string(), &format!("uuid-{number}")).await }
    }))
    .await;
    let polls: Vec<Vec<_>> = join_all(ledgers.iter().map(|ledger| async {
        let mut mine = Vec::new();
        loop {
            let polls = ledger.claim_polls(&quota(6), MINUTE).await.expect("no outage");
            if polls.is_empty() {
                return mine;
            }
            mine.extend(polls.into_iter().map(|polled| polled.vendor_uuid.as_str().to_owned()));
        }
    }))
    .await;
    let all: Vec<_> = polls.iter().flatten().collect();
    assert_eq!(all.len(), 100);
    assert_eq!(all.iter().collect::<HashSet<_>>().len(), 100);
}

#[tokio::test]
async fn no_news_moves_only_the_next_poll() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let id = waiting(&ledger, "417", "uuid-1").await.subject.transaction_id;
    let before = scratch.transaction(id).await;
    let polled = polled(&ledger).await;
    ledger
        .record_poll(answer(&polled, PollVerdict::Again(5 * MINUTE)))
        .await
        .expect("recorded");
    let after = scratch.transaction(id).await;
    assert_eq!(
        (after.state.as_str(), after.version, after.fence),
        ("waiting", before.version, before.fence)
    );
    let registration = scratch.registration(id).await;
    let poll = registration.poll_in_seconds.expect("a poll");
    assert!((290.0..=300.0).contains(&poll), "{poll}");
    assert_eq!(registration.polls, 1);
    let attempts = scratch.attempts(id).await;
    assert_eq!(
        (
            attempts[1].number,
            attempts[1].kind.as_str(),
            attempts[1].class.as_deref()
        ),
        (2, "poll", Some("waiting"))
    );
    assert_eq!(scratch.events(id).await, ["receipt.accepted", "receipt.waiting"]);
}

#[tokio::test]
async fn a_document_ends_the_transaction() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let id = waiting(&ledger, "417", "uuid-1").await.subject.transaction_id;
    let polled = polled(&ledger).await;
    assert_eq!(
        ledger.record_poll(answer(&polled, done())).await.expect("recorded"),
        Recorded::Applied
    );
    let transaction = scratch.transaction(id).await;
    assert_eq!(
        (transaction.state.as_str(), transaction.vendor_uuid.as_deref()),
        ("done", Some("uuid-1"))
    );
    assert_eq!(transaction.fn_number.as_deref(), Some("9999078900000001"));
    assert_eq!(
        (transaction.fd, transaction.fpd.as_deref()),
        (Some(48_213), Some("2871940355"))
    );
    assert_eq!(transaction.registered_at.as_deref(), Some("2026-02-14 11:08:00"));
    let registration = scratch.registration(id).await;
    assert_eq!(
        (registration.state.as_str(), registration.poll_in_seconds),
        ("done", None)
    );
    assert_eq!(
        scratch.events(id).await,
        ["receipt.accepted", "receipt.waiting", "receipt.done"]
    );
    assert_eq!(scratch.commits(id).await.len(), 1, "state, attempt and event");
}

#[tokio::test]
async fn a_document_that_is_found_twice_moves_the_state_once() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let id = waiting(&ledger, "417", "uuid-1").await.subject.transaction_id;
    let polled = polled(&ledger).await;
    // Together in one batch, and once more after it.
    let (one, other) = tokio::join!(
        ledger.record_poll(answer(&polled, done())),
        ledger.record_poll(answer(&polled, done()))
    );
    let again = ledger.record_poll(answer(&polled, done())).await;
    let applied = [one, other, again]
        .into_iter()
        .filter(|recorded| matches!(recorded, Ok(Recorded::Applied)))
        .count();
    assert_eq!(applied, 1);
    assert_eq!(
        scratch.events(id).await,
        ["receipt.accepted", "receipt.waiting", "receipt.done"]
    );
}

#[tokio::test]
async fn no_news_of_a_slow_poller_does_not_wake_a_settled_registration() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let id = waiting(&ledger, "417", "uuid-1").await.subject.transaction_id;
    let slow = polled(&ledger).await;
    ledger.record_poll(answer(&slow, done())).await.expect("recorded");
    ledger
        .record_poll(answer(&slow, PollVerdict::Again(MINUTE)))
        .await
        .expect("recorded");
    assert_eq!(scratch.registration(id).await.poll_in_seconds, None);
    assert_eq!(scratch.state(id).await, "done");
}

#[tokio::test]
async fn a_failed_report_that_proves_the_id_dead_leads_to_the_next() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let id = waiting(&ledger, "417", "uuid-1").await.subject.transaction_id;
    let old = polled(&ledger).await;
    let mut record = answer(&old, rekey("invoice_main_417__1"));
    record.refusal = Some(a_refusal(RetryClass::Rekey));
    assert_eq!(ledger.record_poll(record).await.expect("recorded"), Recorded::Applied);
    let transaction = scratch.transaction(id).await;
    assert_eq!((transaction.state.as_str(), transaction.generation), ("retrying", 1));
    assert_eq!((transaction.trials, transaction.vendor_uuid), (2, None));
    let due = transaction.due_in_seconds.expect("due");
    assert!((50.0..=60.0).contains(&due), "{due}");
    let registrations = scratch.registrations(id).await;
    assert_eq!(registrations[0].state.as_str(), "dead");
    let check = registrations[0].poll_in_seconds.expect("vendors have been wrong");
    assert!((590.0..=600.0).contains(&check), "{check}");
    assert_eq!(
        (registrations[1].state.as_str(), registrations[1].external_id.as_str()),
        ("open", "invoice_main_417__1")
    );

    scratch.pass(MINUTE).await;
    let next = claim(&ledger, id, transaction.fence).await;
    assert_eq!((next.attempt, next.generation), (3, 1), "a poll is an attempt too");
    let stale = ledger.claim(id, 1, crate::sample::LEASE).await;
    assert!(
        matches!(stale, Ok(ledger::Claim::Stale)),
        "the pointer of the first send"
    );
}

#[tokio::test]
async fn a_failed_report_that_needs_a_person_fails_the_transaction() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let id = waiting(&ledger, "417", "uuid-1").await.subject.transaction_id;
    let polled = polled(&ledger).await;
    let record = answer(&polled, PollVerdict::Failed(Failure::Rejected));
    assert_eq!(ledger.record_poll(record).await.expect("recorded"), Recorded::Applied);
    let transaction = scratch.transaction(id).await;
    assert_eq!(
        (transaction.state.as_str(), transaction.failure.as_deref()),
        ("failed", Some("rejected"))
    );
    let registration = scratch.registration(id).await;
    assert_eq!(
        (registration.state.as_str(), registration.poll_in_seconds),
        ("dead", None)
    );
    assert_eq!(
        scratch.events(id).await,
        ["receipt.accepted", "receipt.waiting", "receipt.failed"]
    );
}

#[tokio::test]
async fn what_has_no_news_for_too_long_is_unknown_and_not_polled() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let id = waiting(&ledger, "417", "uuid-1").await.subject.transaction_id;
    let polled = polled(&ledger).await;
    assert_eq!(
        ledger
            .record_poll(answer(&polled, PollVerdict::Unknown))
            .await
            .expect("recorded"),
        Recorded::Applied
    );
    assert_eq!(scratch.state(id).await, "unknown");
    let registration = scratch.registration(id).await;
    assert_eq!(
        (registration.state.as_str(), registration.poll_in_seconds),
        ("waiting", None)
    );
    assert_eq!(
        scratch.events(id).await,
        ["receipt.accepted", "receipt.waiting", "receipt.unknown"]
    );
}

#[tokio::test]
async fn no_refusal_of_a_retired_generation_changes_a_state() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let id = waiting(&ledger, "417", "uuid-1").await.subject.transaction_id;
    let old = polled(&ledger).await;
    ledger
        .record_poll(answer(&old, rekey("invoice_main_417__1")))
        .await
        .expect("recorded");
    let version = scratch.transaction(id).await.version;
    for verdict in [
        PollVerdict::Failed(Failure::Rejected),
        PollVerdict::Unknown,
        rekey("invoice_main_417__2"),
        PollVerdict::Again(MINUTE),
        PollVerdict::Dead(Some(MINUTE)),
    ] {
        let recorded = ledger
            .record_poll(answer(&old, verdict.clone()))
            .await
            .expect("recorded");
        assert_eq!(recorded, Recorded::Fenced, "{verdict:?}");
    }
    let transaction = scratch.transaction(id).await;
    assert_eq!(
        (transaction.state.as_str(), transaction.version, transaction.generation),
        ("retrying", version, 1)
    );
    assert_eq!(
        scratch.events(id).await,
        ["receipt.accepted", "receipt.waiting", "receipt.retrying"]
    );
    assert_eq!(scratch.attempts(id).await.len(), 7, "every answer is kept as evidence");
}

#[tokio::test]
async fn answers_about_a_retired_and_a_live_registration_in_one_batch_are_told_apart() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let id = waiting(&ledger, "417", "uuid-1").await.subject.transaction_id;
    let retired = polled(&ledger).await;
    ledger
        .record_poll(answer(&retired, rekey("invoice_main_417__1")))
        .await
        .expect("recorded");
    scratch.pass(MINUTE).await;
    let fence = scratch.transaction(id).await.fence;
    let second = claim(&ledger, id, fence).await;
    ledger
        .record(outcome(&second, accepted("uuid-2")))
        .await
        .expect("recorded");
    let live = polled(&ledger).await;
    assert_eq!(live.generation, 1);
    let (old, new) = tokio::join!(
        ledger.record_poll(answer(&retired, PollVerdict::Failed(Failure::Rejected))),
        ledger.record_poll(answer(&live, done()))
    );
    assert_eq!(
        (old.expect("recorded"), new.expect("recorded")),
        (Recorded::Fenced, Recorded::Applied)
    );
    assert_eq!(scratch.state(id).await, "done");
}

#[tokio::test]
async fn a_poll_whose_data_is_refused_does_not_fail_its_neighbours() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    queued(&ledger, "417").await;
    for number in ["1", "2", "3"] {
        waiting(&ledger, number, &format!("uuid-{number}")).await;
    }
    let mut polls = ledger.claim_polls(&quota(5), MINUTE).await.expect("no outage");
    polls.sort_by_key(|polled| polled.subject.transaction_id);
    let (first, taken, last) = tokio::join!(
        ledger.record_poll(answer(&polls[0], done())),
        ledger.record_poll(answer(&polls[1], rekey("INVOICE_main_417"))),
        ledger.record_poll(answer(&polls[2], done()))
    );
    assert_eq!(first.expect("recorded"), Recorded::Applied);
    assert!(matches!(taken, Err(LedgerError::ExternalIdTaken)), "{taken:?}");
    assert_eq!(last.expect("recorded"), Recorded::Applied);
    assert_eq!(scratch.state(polls[1].subject.transaction_id).await, "waiting");
}

#[tokio::test]
async fn nothing_that_a_report_says_keeps_it_from_being_recorded() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let id = waiting(&ledger, "417", "uuid-1").await.subject.transaction_id;
    let polled = polled(&ledger).await;
    let mut refusal = a_refusal(RetryClass::Permanent);
    refusal.message = "a\0b".to_owned();
    let mut record = answer(&polled, PollVerdict::Failed(Failure::Rejected));
    record.refusal = Some(refusal);
    assert_eq!(ledger.record_poll(record).await.expect("recorded"), Recorded::Applied);
    assert_eq!(scratch.state(id).await, "failed");
}

#[tokio::test]
async fn one_unreadable_row_does_not_keep_its_neighbours_from_being_polled() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    waiting(&ledger, "417", "uuid-1").await;
    waiting(&ledger, "418", "uuid-2").await;
    scratch
        .run("UPDATE registrations SET vendor_uuid = 'not a uuid' WHERE vendor_uuid = 'uuid-1'")
        .await;
    assert_eq!(polled(&ledger).await.vendor_uuid.as_str(), "uuid-2");
}
