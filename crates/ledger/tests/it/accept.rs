//! A receipt is accepted once.

use std::time::Duration;

use futures_util::future::join_all;
use ledger::{Acceptance, Claim, First, LedgerError, NewTransaction};
use receipt::{ExternalId, Operation, StateName, TransactionId};

use crate::sample::{LEASE, WIRE_BODY, at_once, claim, offer, offer_of, outcome, queued, quota, retry};
use crate::scratch::Scratch;

/// The same request as another process reads it: equal but for the id that was made for it.
fn again(new: &NewTransaction) -> NewTransaction {
    let mut again = new.clone();
    again.subject.transaction_id = TransactionId::new();
    again
}

#[tokio::test]
async fn what_is_accepted_to_be_held_is_due_for_nobody_and_says_so() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let held = || NewTransaction {
        first: First::Hold,
        ..offer("417")
    };
    let Ok(Acceptance::Held(id)) = ledger.accept(held()).await else {
        panic!("it is not held")
    };
    let row = scratch.transaction(id).await;
    assert_eq!((row.state.as_str(), row.due_in_seconds), ("held", None));
    let events = ledger.take_events(10).await.expect("no outage");
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].event_type, "receipt.accepted");
    assert_eq!(
        (&events[0].body["state"], &events[0].body["kkm_status"]),
        (&"held".into(), &"wait".into())
    );
    assert!(matches!(ledger.claim(id, 0, LEASE).await, Ok(Claim::Stale)));
    let due = ledger.claim_due(&quota(10), Duration::ZERO, LEASE).await;
    assert!(due.expect("no outage").is_empty());

    // Offered again it is the same one; offered by a process that would send, too.
    for new in [held(), offer("417")] {
        match ledger.accept(new).await {
            Ok(Acceptance::Known { id: known, state, .. }) => assert_eq!((known, state), (id, StateName::Held)),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn the_same_request_again_is_known_and_changes_nothing() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let id = queued(&ledger, "417").await;
    match ledger.accept(offer("417")).await {
        Ok(Acceptance::Known {
            id: known,
            state: StateName::Queued,
            fence: 0,
        }) => assert_eq!(known, id),
        other => panic!("{other:?}"),
    }
    assert_eq!(scratch.transaction(id).await.version, 0);
    assert_eq!(scratch.ids().await, [id.0]);
    assert_eq!(scratch.events(id).await, ["receipt.accepted"]);
}

#[tokio::test]
async fn known_says_where_the_transaction_stands() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let id = queued(&ledger, "417").await;
    let claimed = claim(&ledger, id, 0).await;
    ledger
        .record(outcome(&claimed, retry(crate::sample::MINUTE)))
        .await
        .expect("recorded");
    let known = ledger.accept(offer("417")).await;
    assert!(
        matches!(
            known,
            Ok(Acceptance::Known {
                state: StateName::Retrying,
                fence: 1,
                ..
            })
        ),
        "{known:?}"
    );
}

#[tokio::test]
async fn twenty_tasks_of_two_processes_accept_one_request_once() {
    let scratch = Scratch::new().await;
    let (one, other) = (scratch.ledger_of("one"), scratch.ledger_of("other"));
    let request = offer("417");
    let answers = join_all((0..20).map(|task| {
        let ledger = if task % 2 == 0 { &one } else { &other };
        ledger.accept(again(&request))
    }))
    .await;
    let new: Vec<_> = answers
        .iter()
        .filter(|answer| matches!(answer, Ok(Acceptance::Queued(_))))
        .collect();
    let known: Vec<_> = answers
        .iter()
        .filter(|answer| matches!(answer, Ok(Acceptance::Known { .. })))
        .collect();
    assert_eq!((new.len(), known.len()), (1, 19), "{answers:?}");
    assert_eq!(scratch.ids().await.len(), 1);
    assert_eq!(scratch.count("SELECT count(*) FROM events").await, 1);
}

#[tokio::test]
async fn a_request_that_stands_in_a_batch_twice_is_accepted_once() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let request = NewTransaction {
        first: at_once(),
        ..offer("417")
    };
    // Both wait before the batching task runs for the first time.
    let (first, second) = tokio::join!(ledger.accept(again(&request)), ledger.accept(again(&request)));
    let claimed = [&first, &second]
        .into_iter()
        .filter(|answer| matches!(answer, Ok(Acceptance::Claimed(_))))
        .count();
    let known = [&first, &second]
        .into_iter()
        .filter(|answer| {
            matches!(
                answer,
                Ok(Acceptance::Known {
                    state: StateName::Sending,
                    fence: 1,
                    ..
                })
            )
        })
        .count();
    assert_eq!((claimed, known), (1, 1), "{first:?} {second:?}");
}

#[tokio::test]
async fn another_content_of_the_same_document_is_a_conflict() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let id = queued(&ledger, "417").await;
    let other = NewTransaction {
        request_hash: [2; 32],
        ..offer("417")
    };
    match ledger.accept(other).await {
        Ok(Acceptance::Conflict {
            id: holder,
            state: StateName::Queued,
        }) => assert_eq!(holder, id),
        other => panic!("{other:?}"),
    }
    assert_eq!(scratch.ids().await, [id.0]);
}

#[tokio::test]
async fn of_two_contents_in_one_batch_one_is_a_conflict() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let answers = tokio::join!(
        ledger.accept(offer("417")),
        ledger.accept(NewTransaction {
            request_hash: [2; 32],
            ..offer("417")
        })
    );
    let answers = [answers.0, answers.1];
    assert!(
        answers.iter().any(|answer| matches!(answer, Ok(Acceptance::Queued(_)))),
        "{answers:?}"
    );
    assert!(
        answers
            .iter()
            .any(|answer| matches!(answer, Ok(Acceptance::Conflict { .. }))),
        "{answers:?}"
    );
}

#[tokio::test]
async fn another_store_operation_or_part_is_another_transaction() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    for (operation, store, part) in [
        (Operation::Sell, "main", "main"),
        (Operation::Sell, "outlet", "main"),
        (Operation::Refund, "main", "main"),
        (Operation::Sell, "main", "prepaid"),
    ] {
        let accepted = ledger.accept(offer_of(operation, store, "417", part)).await;
        assert!(
            matches!(accepted, Ok(Acceptance::Queued(_))),
            "{operation} {store} {part}: {accepted:?}"
        );
    }
}

#[tokio::test]
async fn an_external_id_that_differs_only_in_letter_case_is_taken_and_the_neighbours_are_accepted() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    queued(&ledger, "a-417").await;
    let (before, taken, after) = tokio::join!(
        ledger.accept(offer("416")),
        ledger.accept(offer("A-417")),
        ledger.accept(offer("418"))
    );
    assert!(matches!(before, Ok(Acceptance::Queued(_))), "{before:?}");
    assert!(matches!(taken, Err(LedgerError::ExternalIdTaken)), "{taken:?}");
    assert!(matches!(after, Ok(Acceptance::Queued(_))), "{after:?}");
    assert_eq!(scratch.ids().await.len(), 3, "nothing is left of the refused one");
    assert_eq!(scratch.count("SELECT count(*) FROM events").await, 3);
}

#[tokio::test]
async fn the_same_external_id_may_be_used_at_another_account() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    queued(&ledger, "417").await;
    let elsewhere = NewTransaction {
        account: crate::sample::account("second"),
        external_id: ExternalId::parse("invoice_main_417").expect("valid"),
        ..offer_of(Operation::Sell, "outlet", "417", "main")
    };
    assert!(matches!(ledger.accept(elsewhere).await, Ok(Acceptance::Queued(_))));
}

#[tokio::test]
async fn an_accepted_receipt_is_queued_and_due_at_once() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let id = queued(&ledger, "417").await;
    let transaction = scratch.transaction(id).await;
    assert_eq!(transaction.state, "queued");
    assert_eq!(
        (transaction.fence, transaction.last_attempt, transaction.trials),
        (0, 0, 0)
    );
    assert!(transaction.due_in_seconds.expect("due") <= 0.0);
    let registration = scratch.registration(id).await;
    assert_eq!(
        (registration.state.as_str(), registration.external_id.as_str()),
        ("open", "invoice_main_417")
    );
    assert_eq!(registration.wire_body, None);
    assert!(scratch.attempts(id).await.is_empty());
}

#[tokio::test]
async fn acceptance_and_claim_are_one_commit() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger_of("sender-7");
    let new = NewTransaction {
        first: at_once(),
        ..offer("417")
    };
    let id = new.subject.transaction_id;
    let Ok(Acceptance::Claimed(claimed)) = ledger.accept(new).await else {
        panic!("not claimed")
    };
    assert_eq!((claimed.attempt, claimed.generation, claimed.trials), (1, 0, 0));
    assert_eq!(claimed.wire_body.as_deref(), Some(WIRE_BODY));

    let transaction = scratch.transaction(id).await;
    assert_eq!(
        (transaction.state.as_str(), transaction.fence, transaction.last_attempt),
        ("sending", 1, 1)
    );
    let due = transaction.due_in_seconds.expect("the end of the lease");
    assert!((60.0..=65.0).contains(&due), "hold and quiet time, {due}");
    assert_eq!(scratch.registration(id).await.wire_body.as_deref(), Some(WIRE_BODY));
    let attempts = scratch.attempts(id).await;
    assert_eq!(attempts.len(), 1);
    assert_eq!(
        (attempts[0].number, attempts[0].generation, attempts[0].kind.as_str()),
        (1, 0, "send")
    );
    assert_eq!((attempts[0].worker.as_str(), attempts[0].finished), ("sender-7", false));
    assert_eq!(scratch.events(id).await, ["receipt.accepted"]);
    assert_eq!(scratch.commits(id).await.len(), 1);
}

#[tokio::test]
async fn the_event_of_acceptance_has_no_buyer_in_it() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    queued(&ledger, "417").await;
    let body: String = sqlx::query_scalar("SELECT body::text FROM events")
        .fetch_one(&scratch.pool)
        .await
        .expect("one event");
    assert!(body.contains("\"417\"") && body.contains("100000123"), "{body}");
    assert!(!body.contains("buyer@example.org"), "{body}");
}

#[tokio::test]
async fn the_same_value_may_be_offered_until_it_succeeds() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    for new in [
        offer("417"),
        NewTransaction {
            first: at_once(),
            ..offer("418")
        },
    ] {
        let id = new.subject.transaction_id;
        for _ in 0..3 {
            match (&new.first, ledger.accept(new.clone()).await) {
                (First::Queue, Ok(Acceptance::Queued(accepted))) => assert_eq!(accepted, id),
                (First::Claim { .. }, Ok(Acceptance::Claimed(claimed))) => {
                    assert_eq!((claimed.subject.transaction_id, claimed.attempt), (id, 1));
                }
                (_, other) => panic!("{other:?}"),
            }
        }
        assert_eq!(scratch.events(id).await, ["receipt.accepted"]);
        assert_eq!(scratch.registrations(id).await.len(), 1);
    }
    assert_eq!(scratch.ids().await.len(), 2);
    assert_eq!(scratch.count("SELECT count(*) FROM attempts").await, 1);
}

#[tokio::test]
async fn a_repeated_acceptance_has_its_whole_lease_before_it() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let new = NewTransaction {
        first: at_once(),
        ..offer("417")
    };
    let id = new.subject.transaction_id;
    ledger.accept(new.clone()).await.expect("accepted");
    scratch.pass(std::time::Duration::from_secs(50)).await;
    assert!(matches!(ledger.accept(new).await, Ok(Acceptance::Claimed(_))));
    let due = scratch
        .transaction(id)
        .await
        .due_in_seconds
        .expect("the end of the lease");
    assert!(due > 60.0, "{due}");
}

#[tokio::test]
async fn a_repeated_acceptance_does_not_take_back_a_claim_that_somebody_else_has_by_now() {
    let scratch = Scratch::new().await;
    let (ledger, other) = (scratch.ledger_of("slow"), scratch.ledger_of("other"));
    let new = NewTransaction {
        first: at_once(),
        ..offer("417")
    };
    ledger.accept(new.clone()).await.expect("accepted");
    let theirs = crate::sample::reclaimed(&scratch, &other).await;
    assert_eq!(theirs.attempt, 2);
    let repeated = ledger.accept(new).await;
    assert!(
        matches!(
            repeated,
            Ok(Acceptance::Known {
                state: StateName::Sending,
                fence: 2,
                ..
            })
        ),
        "two workers would post the same id at the same time: {repeated:?}"
    );
}

#[tokio::test]
async fn two_hundred_receipts_at_once_are_all_accepted() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let offers: Vec<_> = (0..200).map(|number| offer(&number.to_string())).collect();
    let answers = join_all(offers.into_iter().map(|new| ledger.accept(new))).await;
    assert!(answers.iter().all(|answer| matches!(answer, Ok(Acceptance::Queued(_)))));
    assert_eq!(scratch.ids().await.len(), 200);
    let commits = scratch
        .count("SELECT count(DISTINCT xmin::text) FROM transactions")
        .await;
    assert!(commits <= 3, "they share commits: {commits}");
}

#[tokio::test]
async fn what_was_accepted_before_is_found_by_its_document_and_content_alone() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let id = queued(&ledger, "417").await;
    let again = again(&offer("417"));
    assert_eq!(
        ledger
            .accepted_before(&again.subject, &[1; 32])
            .await
            .expect("no outage"),
        Some(id)
    );
    assert_eq!(
        ledger
            .accepted_before(&again.subject, &[2; 32])
            .await
            .expect("no outage"),
        None
    );
    let other = offer_of(Operation::Sell, "main", "417", "prepaid");
    assert_eq!(
        ledger
            .accepted_before(&other.subject, &[1; 32])
            .await
            .expect("no outage"),
        None
    );
}
