//! A person's word about an unknown outcome, and closing by a person.

use ledger::{Acted, Actor, Finding, Ledger, LedgerError, Standing, Verdict};
use receipt::{Doubt, ExternalId, Failure, RetryClass, StateName, TransactionId};

use crate::sample::{
    LEASE, a_fiscal_document, accepted, answer, claimed, done, offer, outcome, queued, quota, reclaimed, refused,
    retry, waiting,
};
use crate::scratch::Scratch;

fn maria() -> Actor {
    Actor {
        name: "maria".to_owned(),
        reason: Some("looked it up in the cabinet".to_owned()),
    }
}

async fn standing(ledger: &Ledger, id: TransactionId) -> Standing {
    ledger.standing(id).await.expect("no outage").expect("a transaction")
}

/// A transaction whose outcome is unknown and in doubt.
async fn unknown(ledger: &Ledger, number: &str) -> TransactionId {
    let claimed = claimed(ledger, number).await;
    ledger
        .record(refused(&claimed, RetryClass::Unknown, Verdict::Unknown))
        .await
        .expect("recorded");
    claimed.subject.transaction_id
}

fn registered() -> Finding {
    Finding::Registered {
        document: a_fiscal_document(),
        time_is_assumed: false,
    }
}

fn not_registered(next: &str) -> Finding {
    Finding::NotRegistered {
        next: ExternalId::parse(next).expect("an external id"),
    }
}

#[tokio::test]
async fn a_document_that_a_person_found_ends_an_unknown_outcome_in_one_commit() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let id = unknown(&ledger, "417").await;
    let seen = standing(&ledger, id).await;
    assert_eq!(
        (seen.state, seen.doubt, seen.is_at_vendor),
        (StateName::Unknown, Doubt::Stands, false)
    );
    assert_eq!(
        ledger.resolve(&seen, &registered(), &maria()).await.expect("no outage"),
        Acted::Done
    );

    let row = scratch.transaction(id).await;
    assert_eq!(row.state, "done");
    assert_eq!(
        (row.fn_number.as_deref(), row.fd),
        (Some("9999078900000001"), Some(48_213))
    );
    let registration = scratch.registration(id).await;
    assert_eq!((registration.state.as_str(), registration.doubtful), ("done", false));
    assert_eq!(
        scratch.events(id).await.last().map(String::as_str),
        Some("receipt.done")
    );
    let actions = ledger.actions(id.0).await.expect("no outage");
    assert_eq!(actions.len(), 1);
    let action = &actions[0];
    assert_eq!(
        (
            action.actor.as_str(),
            action.action.as_str(),
            action.state_before.as_deref(),
            action.state_after.as_deref()
        ),
        ("maria", "resolve", Some("unknown"), Some("done"))
    );
    assert_eq!(action.reason.as_deref(), Some("looked it up in the cabinet"));
    let commits = scratch
        .count(
            "SELECT count(DISTINCT written) FROM (SELECT xmin::text AS written FROM transactions \
             UNION ALL SELECT xmin::text FROM registrations UNION ALL SELECT xmin::text FROM actions \
             UNION ALL (SELECT xmin::text FROM events ORDER BY id DESC LIMIT 1)) rows",
        )
        .await;
    assert_eq!(commits, 1);

    let other = queued(&ledger, "418").await;
    let document = a_fiscal_document();
    let holder = ledger.holder_of(&document, other).await.expect("no outage");
    assert_eq!(holder, Some(id));
    assert_eq!(ledger.holder_of(&document, id).await.expect("no outage"), None);
    let mut much_later = document;
    much_later.registered_at = jiff::civil::date(2126, 2, 14).at(11, 8, 0, 0);
    let holder = ledger.holder_of(&much_later, other).await.expect("no outage");
    assert_eq!(
        holder, None,
        "nothing that was accepted so long before is registered now"
    );
}

#[tokio::test]
async fn what_was_not_registered_is_sent_again_under_the_next_id_with_trials_from_the_start() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let id = unknown(&ledger, "417").await;
    scratch.run("UPDATE transactions SET trials = 9, unfinished = 2").await;
    let seen = standing(&ledger, id).await;
    let finding = not_registered("invoice_main_417__1");
    assert_eq!(
        ledger.resolve(&seen, &finding, &maria()).await.expect("no outage"),
        Acted::Done
    );

    let row = scratch.transaction(id).await;
    assert_eq!(
        (row.state.as_str(), row.generation, row.trials, row.unfinished),
        ("retrying", 1, 0, 0)
    );
    assert_eq!(
        (row.external_id.as_str(), row.vendor_uuid),
        ("invoice_main_417__1", None)
    );
    let registrations = scratch.registrations(id).await;
    let brief: Vec<_> = registrations
        .iter()
        .map(|registration| {
            (
                registration.state.as_str(),
                registration.doubtful,
                registration.poll_in_seconds.is_some(),
            )
        })
        .collect();
    assert_eq!(brief, [("dead", false, false), ("open", false, false)]);
    assert_eq!(
        scratch.events(id).await.last().map(String::as_str),
        Some("receipt.retrying")
    );

    let mut claims = ledger
        .claim_due(&quota(1), std::time::Duration::ZERO, LEASE)
        .await
        .expect("no outage");
    let claimed = claims.remove(0);
    assert_eq!(
        (claimed.doubt, claimed.wire_body),
        (Doubt::None, None),
        "rendered anew, with its own id"
    );
}

#[tokio::test]
async fn a_retired_uuid_is_asked_once_more_after_a_persons_word() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let id = waiting(&ledger, "417", "uuid-1").await.subject.transaction_id;
    let poll = ledger
        .claim_polls(&quota(1), LEASE.hold)
        .await
        .expect("no outage")
        .remove(0);
    ledger
        .record_poll(answer(&poll, ledger::PollVerdict::Unknown))
        .await
        .expect("recorded");
    let seen = standing(&ledger, id).await;
    assert_eq!(seen.vendor_uuid.as_ref().map(|uuid| uuid.as_str()), Some("uuid-1"));
    let finding = not_registered("invoice_main_417__1");
    assert_eq!(
        ledger.resolve(&seen, &finding, &maria()).await.expect("no outage"),
        Acted::Done
    );
    let retired = &scratch.registrations(id).await[0];
    assert_eq!(
        (retired.state.as_str(), retired.vendor_uuid.as_deref()),
        ("dead", Some("uuid-1"))
    );
    let wait = retired.poll_in_seconds.expect("a poll");
    assert!((590.0..=600.0).contains(&wait), "{wait}");
}

#[tokio::test]
async fn of_two_people_who_act_on_what_they_saw_one_does() {
    let scratch = Scratch::new().await;
    let (one, other) = (scratch.ledger_of("one"), scratch.ledger_of("other"));
    let id = unknown(&one, "417").await;
    let seen = standing(&one, id).await;
    let (finding_one, finding_other, actor) = (registered(), not_registered("invoice_main_417__1"), maria());
    let (first, second) = tokio::join!(
        one.resolve(&seen, &finding_one, &actor),
        other.resolve(&seen, &finding_other, &actor)
    );
    let mut acted = [first.expect("no outage"), second.expect("no outage")];
    acted.sort_by_key(|acted| *acted == Acted::Changed);
    assert_eq!(acted, [Acted::Done, Acted::Changed]);
    assert_eq!(one.actions(id.0).await.expect("no outage").len(), 1);
}

#[tokio::test]
async fn a_machine_that_was_quicker_is_not_overruled() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    // The slow worker's answer comes after the outcome was given up; its uuid is asked about and the document found.
    let slow = claimed(&ledger, "417").await;
    let id = slow.subject.transaction_id;
    let second = reclaimed(&scratch, &ledger).await;
    ledger
        .record(refused(&second, RetryClass::Unknown, Verdict::Unknown))
        .await
        .expect("recorded");
    let seen = standing(&ledger, id).await;
    ledger.record(outcome(&slow, accepted("late"))).await.expect("recorded");
    let poll = ledger
        .claim_polls(&quota(1), LEASE.hold)
        .await
        .expect("no outage")
        .remove(0);
    ledger.record_poll(answer(&poll, done())).await.expect("recorded");
    let finding = not_registered("invoice_main_417__1");
    assert_eq!(
        ledger.resolve(&seen, &finding, &maria()).await.expect("no outage"),
        Acted::Changed
    );
    assert_eq!(scratch.state(id).await, "done");
    assert_eq!(scratch.registrations(id).await.len(), 1);
    assert!(ledger.actions(id.0).await.expect("no outage").is_empty());
}

#[tokio::test]
async fn only_an_unknown_outcome_takes_a_persons_word() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let ids = [
        queued(&ledger, "queued").await,
        claimed(&ledger, "sending").await.subject.transaction_id,
        waiting(&ledger, "waiting", "uuid-1").await.subject.transaction_id,
    ];
    for id in ids {
        let seen = standing(&ledger, id).await;
        for finding in [registered(), not_registered("invoice_main_x__1")] {
            let refused = ledger.resolve(&seen, &finding, &maria()).await;
            let by_the_machine_of_states = matches!(refused, Err(LedgerError::Corrupt { .. }));
            assert!(by_the_machine_of_states, "{}: {refused:?}", seen.state);
        }
    }
    assert_eq!(scratch.count("SELECT count(*) FROM actions").await, 0);
}

#[tokio::test]
async fn a_next_id_that_belongs_to_another_document_changes_nothing() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let id = unknown(&ledger, "417").await;
    queued(&ledger, "418").await;
    let seen = standing(&ledger, id).await;
    let taken = ledger
        .resolve(&seen, &not_registered("INVOICE_main_418"), &maria())
        .await;
    assert!(matches!(taken, Err(LedgerError::ExternalIdTaken)), "{taken:?}");
    assert_eq!(scratch.state(id).await, "unknown");
}

#[tokio::test]
async fn a_person_closes_what_is_certainly_not_registered() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let waits = claimed(&ledger, "retrying").await;
    ledger
        .record(refused(&waits, RetryClass::NOT_SEEN, retry(LEASE.hold)))
        .await
        .expect("recorded");
    let failed = claimed(&ledger, "failed").await;
    ledger
        .record(refused(
            &failed,
            RetryClass::Permanent,
            Verdict::Failed(Failure::Rejected),
        ))
        .await
        .expect("recorded");
    for id in [
        queued(&ledger, "queued").await,
        waits.subject.transaction_id,
        failed.subject.transaction_id,
    ] {
        let seen = standing(&ledger, id).await;
        assert_eq!(
            ledger.cancel(&seen, &maria()).await.expect("no outage"),
            Acted::Done,
            "{}",
            seen.state
        );
        let row = scratch.transaction(id).await;
        assert_eq!(
            (row.state.as_str(), row.failure, row.due_in_seconds),
            ("cancelled", None, None)
        );
        assert_eq!(scratch.registration(id).await.state, "dead");
        assert_eq!(
            scratch.events(id).await.last().map(String::as_str),
            Some("receipt.cancelled")
        );
        // A corrected receipt is taken instead.
        let number = if seen.state == StateName::Queued {
            "queued"
        } else {
            seen.subject.document.as_str()
        };
        let corrected = ledger::NewTransaction {
            request_hash: [2; 32],
            ..offer(number)
        };
        assert!(matches!(
            ledger.accept(corrected).await,
            Ok(ledger::Acceptance::Revised { replaces, .. }) if replaces == id
        ));
    }
}

#[tokio::test]
async fn nothing_that_the_vendor_may_have_is_closed() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let doubtful = claimed(&ledger, "doubtful").await;
    ledger
        .record(refused(&doubtful, RetryClass::MAYBE_SEEN, retry(LEASE.hold)))
        .await
        .expect("recorded");
    let id = doubtful.subject.transaction_id;
    let seen = standing(&ledger, id).await;
    assert_eq!(ledger.cancel(&seen, &maria()).await.expect("no outage"), Acted::Changed);
    assert_eq!(scratch.state(id).await, "retrying");
    for id in [
        claimed(&ledger, "sending").await.subject.transaction_id,
        waiting(&ledger, "waiting", "uuid-1").await.subject.transaction_id,
        unknown(&ledger, "unknown").await,
    ] {
        let seen = standing(&ledger, id).await;
        assert!(
            matches!(ledger.cancel(&seen, &maria()).await, Err(LedgerError::Corrupt { .. })),
            "{}",
            seen.state
        );
    }
}

#[tokio::test]
async fn a_claim_and_a_person_who_closes_exclude_each_other() {
    let scratch = Scratch::new().await;
    let (ledger, person) = (scratch.ledger_of("sender"), scratch.ledger_of("person"));
    for round in 0..20 {
        let id = queued(&ledger, &format!("c-{round}")).await;
        let seen = standing(&person, id).await;
        let actor = maria();
        let (claim, closed) = tokio::join!(ledger.claim(id, 0, LEASE), person.cancel(&seen, &actor));
        let claimed = matches!(claim.expect("no outage"), ledger::Claim::Won(_));
        let closed = closed.expect("no outage") == Acted::Done;
        assert_ne!(claimed, closed, "one of the two");
        assert_eq!(scratch.state(id).await, if closed { "cancelled" } else { "sending" });
    }
}

#[tokio::test]
async fn a_stale_pointer_does_not_wake_what_a_person_closed() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let id = queued(&ledger, "417").await;
    let seen = standing(&ledger, id).await;
    assert_eq!(ledger.cancel(&seen, &maria()).await.expect("no outage"), Acted::Done);
    assert!(matches!(ledger.claim(id, 0, LEASE).await, Ok(ledger::Claim::Stale)));
    scratch.pass(LEASE.hold).await;
    assert!(
        ledger
            .claim_due(&quota(5), std::time::Duration::ZERO, LEASE)
            .await
            .expect("no outage")
            .is_empty()
    );
}
