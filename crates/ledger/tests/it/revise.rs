//! A corrected content of a document whose receipt has certainly failed.

use std::time::Duration;

use ledger::{Acceptance, Acted, First, Key, Ledger, NewTransaction, PollVerdict, Resending, WouldAccept};
use receipt::{Failure, RetryClass, StateName, TransactionId};

use crate::look::Registration;
use crate::resend::{maria, standing};
use crate::sample::{
    DAY, LEASE, MINUTE, accepted, answer, at_once, claim, claimed, done, offer, outcome, polled, queued, quota,
    reclaimed, refused, rekey, retry, waiting,
};
use crate::scratch::Scratch;

fn corrected(number: &str, content: u8) -> NewTransaction {
    NewTransaction {
        request_hash: [content; 32],
        ..offer(number)
    }
}

async fn failed(ledger: &Ledger, number: &str) -> TransactionId {
    let claimed = claimed(ledger, number).await;
    fail(ledger, &claimed).await;
    claimed.subject.transaction_id
}

async fn fail(ledger: &Ledger, claimed: &ledger::Claimed) {
    let verdict = ledger::Verdict::Failed(Failure::Rejected);
    ledger
        .record(refused(claimed, RetryClass::Permanent, verdict))
        .await
        .expect("recorded");
}

async fn revised(ledger: &Ledger, number: &str, content: u8) -> (TransactionId, String, TransactionId) {
    match ledger.accept(corrected(number, content)).await {
        Ok(Acceptance::Revised {
            id,
            external_id,
            replaces,
            state: StateName::Queued,
        }) => (id, external_id.to_string(), replaces),
        other => panic!("{number} is not revised but {other:?}"),
    }
}

async fn conflict(ledger: &Ledger, number: &str, content: u8) -> (TransactionId, StateName) {
    match ledger.accept(corrected(number, content)).await {
        Ok(Acceptance::Conflict { id, state }) => (id, state),
        other => panic!("{number} is no conflict but {other:?}"),
    }
}

#[tokio::test]
async fn a_corrected_receipt_of_a_failed_one_is_its_revision_under_the_next_id() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let former = failed(&ledger, "417").await;
    let before = scratch.transaction(former).await;
    let subject = offer("417").subject;
    let would = ledger.would_accept(&subject, &[2; 32]).await.expect("no outage");
    assert_eq!(would, WouldAccept::Revision { replaces: former });
    let (id, external_id, replaces) = revised(&ledger, "417", 2).await;
    assert_eq!((external_id.as_str(), replaces), ("invoice_main_417__1", former));
    assert_ne!(id, former);

    assert_eq!(scratch.commits(id).await.len(), 1);
    let row = scratch.transaction(id).await;
    assert_eq!(
        (row.state.as_str(), row.external_id.as_str()),
        ("queued", "invoice_main_417__1")
    );
    let Registration { external_id, state, .. } = scratch.registration(id).await;
    assert_eq!((external_id.as_str(), state.as_str()), ("invoice_main_417__1", "open"));
    let after = scratch.transaction(former).await;
    assert_eq!((after.state, after.external_id), (before.state, before.external_id));
    assert_eq!(
        after.version,
        before.version + 1,
        "whoever saw it before has seen another document"
    );

    let events = ledger.take_events(10).await.expect("no outage");
    let told = events.last().expect("events");
    assert_eq!(told.event_type, "receipt.accepted");
    assert_eq!(told.body["replaces"], former.to_string());
    assert_eq!(told.body["external_id"], "invoice_main_417__1");
    assert_eq!(told.body["transaction_id"], id.to_string());
    // It goes its own way to the end.
    let claimed = claim(&ledger, id, 0).await;
    assert_eq!(claimed.external_id.as_str(), "invoice_main_417__1");
    ledger
        .record(outcome(&claimed, accepted("uuid-2")))
        .await
        .expect("recorded");
    ledger
        .record_poll(answer(&polled(&ledger).await, done()))
        .await
        .expect("recorded");
    assert_eq!(scratch.state(id).await, "done");
    assert_eq!(conflict(&ledger, "417", 3).await, (id, StateName::Done));
}

#[tokio::test]
async fn a_content_that_had_failed_is_known_and_not_revived_by_being_published_again() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let former = failed(&ledger, "417").await;
    let (newest, ..) = revised(&ledger, "417", 2).await;
    for (content, known, state) in [(1, former, StateName::Failed), (2, newest, StateName::Queued)] {
        match ledger.accept(corrected("417", content)).await {
            Ok(Acceptance::Known { id, state: stands, .. }) => assert_eq!((id, stands), (known, state)),
            other => panic!("{content}: {other:?}"),
        }
        let found = ledger.accepted_before(&offer("417").subject, &[content; 32]).await;
        assert_eq!(found.expect("no outage"), Some(known));
    }
    // Also when the correction has failed as well.
    let claimed = claim(&ledger, newest, 0).await;
    fail(&ledger, &claimed).await;
    assert!(matches!(
        ledger.accept(corrected("417", 1)).await,
        Ok(Acceptance::Known { id, state: StateName::Failed, .. }) if id == former
    ));
    assert_eq!(scratch.ids().await.len(), 2);
}

#[tokio::test]
async fn the_next_revision_counts_on_from_the_highest_id_that_was_used() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let first = claimed(&ledger, "417").await;
    ledger
        .record(refused(&first, RetryClass::Rekey, rekey("invoice_main_417__1")))
        .await
        .expect("recorded");
    let second = claim(&ledger, first.subject.transaction_id, 1).await;
    fail(&ledger, &second).await;
    let (id, external_id, _) = revised(&ledger, "417", 2).await;
    assert_eq!(external_id, "invoice_main_417__2");
    fail(&ledger, &claim(&ledger, id, 0).await).await;
    let (_, external_id, replaces) = revised(&ledger, "417", 3).await;
    assert_eq!((external_id.as_str(), replaces), ("invoice_main_417__3", id));
}

#[tokio::test]
async fn no_other_content_is_taken_while_anything_of_the_document_may_be_registered() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    queued(&ledger, "queued").await;
    claimed(&ledger, "sending").await;
    waiting(&ledger, "waiting", "uuid-1").await;
    let retrying = claimed(&ledger, "retrying").await;
    ledger
        .record(refused(&retrying, RetryClass::NOT_SEEN, retry(LEASE.hold)))
        .await
        .expect("recorded");
    let unknown = claimed(&ledger, "unknown").await;
    ledger
        .record(refused(&unknown, RetryClass::Unknown, ledger::Verdict::Unknown))
        .await
        .expect("recorded");
    for number in ["queued", "sending", "waiting", "retrying", "unknown"] {
        assert_eq!(conflict(&ledger, number, 2).await.1.to_string(), number);
    }
    // Failed, but a registration of it is not proven dead, or a doubt stands.
    for (number, spoil) in [
        (
            "doubtful",
            "UPDATE registrations SET doubt_since = now() WHERE external_id = 'invoice_main_doubtful'",
        ),
        (
            "open",
            "UPDATE registrations SET state = 'open' WHERE external_id = 'invoice_main_open'",
        ),
        (
            "followed",
            "UPDATE registrations SET state = 'waiting', vendor_uuid = 'late' WHERE external_id = 'invoice_main_followed'",
        ),
        (
            "registered",
            "UPDATE registrations SET state = 'done' WHERE external_id = 'invoice_main_registered'",
        ),
    ] {
        let id = failed(&ledger, number).await;
        scratch.run(spoil).await;
        assert_eq!(conflict(&ledger, number, 2).await, (id, StateName::Failed), "{number}");
        let would = ledger
            .would_accept(&offer(number).subject, &[2; 32])
            .await
            .expect("no outage");
        assert!(matches!(would, WouldAccept::Conflict { .. }), "{number}: {would:?}");
    }
}

#[tokio::test]
async fn a_registration_of_an_earlier_revision_that_is_found_done_forbids_the_next_one() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    failed(&ledger, "417").await;
    let (id, ..) = revised(&ledger, "417", 2).await;
    fail(&ledger, &claim(&ledger, id, 0).await).await;
    scratch
        .run("UPDATE registrations SET state = 'done' WHERE external_id = 'invoice_main_417'")
        .await;
    assert_eq!(conflict(&ledger, "417", 3).await, (id, StateName::Failed));
}

#[tokio::test]
async fn of_many_who_revise_at_once_one_makes_the_revision() {
    let scratch = Scratch::new().await;
    let (one, other) = (scratch.ledger_of("one"), scratch.ledger_of("other"));
    for round in 0..10 {
        let number = format!("r-{round}");
        failed(&one, &number).await;
        // Half of them offer one correction, half another one.
        let answers = futures_util::future::join_all((0..12_u8).map(|n| {
            let ledger = if n % 2 == 0 { &one } else { &other };
            ledger.accept(corrected(&number, 2 + n / 6))
        }))
        .await;
        let revised = answers
            .iter()
            .filter(|answer| matches!(answer, Ok(Acceptance::Revised { .. })));
        assert_eq!(revised.count(), 1, "{answers:?}");
        let settled = answers.iter().all(|answer| {
            matches!(
                answer,
                Ok(Acceptance::Revised { .. } | Acceptance::Known { .. } | Acceptance::Conflict { .. })
            )
        });
        assert!(settled, "{answers:?}");
    }
    assert_eq!(scratch.ids().await.len(), 20);
    assert_eq!(scratch.count("SELECT count(*) FROM registrations").await, 20);
}

#[tokio::test]
async fn an_id_that_the_vendor_had_taken_is_asked_about_before_its_correction_is_sent_and_afterwards() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let former = waiting(&ledger, "417", "uuid-1").await.subject.transaction_id;
    let record = answer(&polled(&ledger).await, PollVerdict::Failed(Failure::Rejected));
    ledger.record_poll(record).await.expect("recorded");
    assert_eq!(scratch.registration(former).await.poll_in_seconds, None);

    let (id, ..) = revised(&ledger, "417", 2).await;
    let correction = claim(&ledger, id, 0).await;
    let past = ledger.past(&correction).await.expect("no outage");
    let predecessor = past.predecessor.expect("the former id");
    assert_eq!(
        (predecessor.subject.transaction_id, predecessor.vendor_uuid.as_str()),
        (former, "uuid-1")
    );
    // The question before the sending moves nothing but its own evidence, however often it is recorded.
    let asked = answer(&predecessor, PollVerdict::Dead(None)).before_correcting();
    for _ in 0..2 {
        ledger.record_poll(asked.clone()).await.expect("recorded");
    }
    assert_eq!(scratch.state(former).await, "failed");
    assert_eq!(scratch.state(id).await, "sending");

    let check = scratch.registration(former).await.poll_in_seconds;
    assert!(
        check.is_some_and(|seconds| (590.0..=600.0).contains(&seconds)),
        "{check:?}"
    );
    scratch.pass(11 * MINUTE).await;
    let again = polled(&ledger).await;
    assert_eq!((again.subject.transaction_id, again.generation), (former, 0));
    assert!(again.retired.is_some(), "it is another id's turn");
    ledger.record_poll(answer(&again, done())).await.expect("recorded");
    assert_eq!(scratch.state(former).await, "done");
}

#[tokio::test]
async fn a_revision_whose_answer_was_lost_is_the_same_revision_when_repeated() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    failed(&ledger, "417").await;
    let new = corrected("417", 2);
    let id = new.subject.transaction_id;
    assert!(matches!(
        ledger.accept(new.clone()).await,
        Ok(Acceptance::Revised { .. })
    ));
    assert!(matches!(ledger.accept(new.clone()).await, Ok(Acceptance::Queued(again)) if again == id));
    let at_once = NewTransaction {
        first: at_once(),
        ..new
    };
    assert!(matches!(
        ledger.accept(at_once).await,
        Ok(Acceptance::Known { id: again, state: StateName::Queued, fence: 0 }) if again == id
    ));
    assert_eq!(scratch.ids().await.len(), 2);
}

#[tokio::test]
async fn a_late_answer_of_the_former_one_makes_nobody_wait_in_a_circle() {
    let scratch = Scratch::new().await;
    let (ledger, late_worker) = (scratch.ledger_of("one"), scratch.ledger_of("late"));
    for round in 0..10 {
        let number = format!("l-{round}");
        let slow = claimed(&ledger, &number).await;
        let quick = reclaimed(&scratch, &ledger).await;
        // The doubt that the slow one left is ended by a report about the quick one's uuid.
        ledger
            .record(outcome(&quick, accepted("uuid-quick")))
            .await
            .expect("recorded");
        let verdict = ledger::PollVerdict::Failed(Failure::Rejected);
        let poll = polled(&ledger).await;
        ledger.record_poll(answer(&poll, verdict)).await.expect("recorded");
        let (revision, late) = tokio::join!(
            ledger.accept(corrected(&number, 2)),
            late_worker.record(outcome(&slow, accepted("uuid-late")))
        );
        late.expect("recorded");
        assert!(
            matches!(revision, Ok(Acceptance::Revised { .. } | Acceptance::Conflict { .. })),
            "{revision:?}"
        );
        if let Ok(Acceptance::Revised { id, .. }) = revision {
            fail(&ledger, &claim(&ledger, id, 0).await).await;
        }
        scratch.run("UPDATE registrations SET next_poll_at = NULL").await;
        scratch
            .run("UPDATE transactions SET state = 'cancelled', failure = NULL, due_at = NULL")
            .await;
    }
}

#[tokio::test]
async fn a_corrected_receipt_of_a_store_that_sends_by_hand_is_held_until_a_person_sends_it() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let former = failed(&ledger, "417").await;
    let held = NewTransaction {
        first: First::Hold,
        ..corrected("417", 2)
    };
    let Ok(Acceptance::Revised {
        id,
        replaces,
        state: StateName::Held,
        ..
    }) = ledger.accept(held).await
    else {
        panic!("it is not held")
    };
    assert_eq!(replaces, former);
    let row = scratch.transaction(id).await;
    assert_eq!((row.state.as_str(), row.due_in_seconds), ("held", None));
    scratch.pass(DAY).await;
    let due = ledger.claim_due(&quota(10), Duration::ZERO, LEASE).await;
    assert!(due.expect("no outage").is_empty());
    let events = ledger.take_events(100).await.expect("no outage");
    let told = &events.last().expect("events").body;
    assert_eq!(
        (&told["state"], &told["replaces"]),
        (&"held".into(), &former.to_string().into())
    );

    let seen = standing(&ledger, id).await;
    let how = seen.resending(Key::Same).expect("a person may send it");
    assert_eq!(how, Resending::Release);
    let sent = ledger.resend(&seen, &how, Duration::ZERO, &maria()).await;
    assert_eq!(sent.expect("no outage"), Acted::Done);
    assert_eq!(scratch.state(id).await, "queued");
}
