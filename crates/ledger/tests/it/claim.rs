//! Claims by pointer, the rendered request, and claims that are given back.

use std::time::Duration;

use futures_util::future::join_all;
use ledger::{Acceptance, Claim, NewTransaction, Recorded};
use receipt::{Doubt, RetryClass, TransactionId};

use crate::sample::{LEASE, MINUTE, WIRE_BODY, claim, claimed, offer, outcome, queued, quota, refused, retry, waiting};
use crate::scratch::Scratch;

fn won(answers: &[Result<Claim, ledger::LedgerError>]) -> usize {
    answers
        .iter()
        .filter(|answer| matches!(answer, Ok(Claim::Won(_))))
        .count()
}

#[tokio::test]
async fn a_claim_is_in_the_table_before_it_is_answered() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger_of("sender-7");
    let id = queued(&ledger, "417").await;
    let claimed = claim(&ledger, id, 0).await;
    assert_eq!(
        (claimed.attempt, claimed.generation, claimed.doubt),
        (1, 0, Doubt::None)
    );
    assert_eq!(claimed.subject.document.as_str(), "417");
    assert_eq!(
        claimed.receipt,
        Some(crate::sample::a_receipt()),
        "nothing is rendered yet"
    );

    let transaction = scratch.transaction(id).await;
    assert_eq!(
        (transaction.state.as_str(), transaction.fence, transaction.version),
        ("sending", 1, 1)
    );
    let due = transaction.due_in_seconds.expect("the end of the lease");
    assert!((60.0..=65.0).contains(&due), "{due}");
    let attempts = scratch.attempts(id).await;
    assert_eq!(attempts.len(), 1);
    assert_eq!(
        (attempts[0].number, attempts[0].worker.as_str(), attempts[0].finished),
        (1, "sender-7", false)
    );
}

#[tokio::test]
async fn of_ten_claimers_in_two_processes_one_wins_a_pointer() {
    let scratch = Scratch::new().await;
    let (one, other) = (scratch.ledger_of("one"), scratch.ledger_of("other"));
    let id = queued(&one, "417").await;
    let answers = join_all((0..10).map(|n| if n % 2 == 0 { &one } else { &other }.claim(id, 0, LEASE))).await;
    assert_eq!(won(&answers), 1, "{answers:?}");
    assert_eq!(scratch.attempts(id).await.len(), 1);
}

#[tokio::test]
async fn many_pointers_in_a_batch_are_won_once_each() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let ids: Vec<TransactionId> = join_all((0..50).map(|number| {
        let ledger = &ledger;
        async move { queued(ledger, &number.to_string()).await }
    }))
    .await;
    let answers = join_all(ids.iter().chain(&ids).map(|id| ledger.claim(*id, 0, LEASE))).await;
    assert_eq!(won(&answers), 50);
    assert_eq!(scratch.count("SELECT count(*) FROM attempts").await, 50);
}

#[tokio::test]
async fn a_pointer_with_another_fence_is_stale() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let id = queued(&ledger, "417").await;
    assert!(matches!(ledger.claim(id, 1, LEASE).await, Ok(Claim::Stale)));
    let claimed = claim(&ledger, id, 0).await;
    ledger
        .record(outcome(&claimed, retry(std::time::Duration::ZERO)))
        .await
        .expect("recorded");
    assert!(
        matches!(ledger.claim(id, 0, LEASE).await, Ok(Claim::Stale)),
        "the first pointer was delivered again"
    );
    assert_eq!(claim(&ledger, id, 1).await.attempt, 2);
}

#[tokio::test]
async fn a_pointer_to_nothing_is_stale() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    assert!(matches!(
        ledger.claim(TransactionId::new(), 0, LEASE).await,
        Ok(Claim::Stale)
    ));
}

#[tokio::test]
async fn a_pointer_that_comes_before_its_time_is_stale() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let first = claimed(&ledger, "417").await;
    let id = first.subject.transaction_id;
    ledger.record(outcome(&first, retry(MINUTE))).await.expect("recorded");
    assert!(matches!(ledger.claim(id, 1, LEASE).await, Ok(Claim::Stale)));
    scratch.pass(MINUTE).await;
    assert_eq!(claim(&ledger, id, 1).await.attempt, 2);
}

#[tokio::test]
async fn no_pointer_claims_what_is_being_sent_or_waits_at_the_vendor() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let sending = claimed(&ledger, "417").await.subject.transaction_id;
    let waits = waiting(&ledger, "418", "uuid-418").await.subject.transaction_id;
    scratch.pass(crate::sample::DAY).await;
    for id in [sending, waits] {
        let fence = scratch.transaction(id).await.fence;
        assert!(
            matches!(ledger.claim(id, fence, LEASE).await, Ok(Claim::Stale)),
            "an expired lease too: due rows do that"
        );
    }
}

#[tokio::test]
async fn a_claim_brings_the_rendered_request_and_the_doubt_of_earlier_tries() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let first = claimed(&ledger, "417").await;
    let id = first.subject.transaction_id;
    let in_doubt = refused(&first, RetryClass::MAYBE_SEEN, retry(std::time::Duration::ZERO));
    ledger.record(in_doubt).await.expect("recorded");
    let second = claim(&ledger, id, 1).await;
    assert_eq!(second.doubt, Doubt::Stands);
    assert_eq!(second.wire_body.as_deref(), Some(WIRE_BODY));
    assert_eq!(second.receipt, None, "what is rendered is not rendered again");
    assert_eq!(second.trials, 1);
}

#[tokio::test]
async fn the_first_rendered_bytes_win() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let id = queued(&ledger, "417").await;
    let claimed = claim(&ledger, id, 0).await;
    assert_eq!(
        ledger
            .store_wire_body(&claimed, "first".to_owned())
            .await
            .expect("stored"),
        "first"
    );
    assert_eq!(
        ledger
            .store_wire_body(&claimed, "second".to_owned())
            .await
            .expect("stored"),
        "first"
    );
    assert_eq!(scratch.registration(id).await.wire_body.as_deref(), Some("first"));
}

#[tokio::test]
async fn two_renderings_in_one_batch_send_the_same_bytes() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let id = queued(&ledger, "417").await;
    let claimed = claim(&ledger, id, 0).await;
    let (one, other) = tokio::join!(
        ledger.store_wire_body(&claimed, "one".to_owned()),
        ledger.store_wire_body(&claimed, "other".to_owned())
    );
    assert_eq!(one.expect("stored"), other.expect("stored"));
}

#[tokio::test]
async fn a_claim_that_is_given_back_costs_no_trial_and_is_due_at_once() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let first = claimed(&ledger, "417").await;
    let id = first.subject.transaction_id;
    ledger.give_back(&first).await.expect("given back");

    let transaction = scratch.transaction(id).await;
    assert_eq!(
        (transaction.state.as_str(), transaction.trials, transaction.unfinished),
        ("retrying", 0, 0)
    );
    assert!(transaction.due_in_seconds.expect("due") <= 0.0);
    assert!(
        !scratch.registration(id).await.doubtful,
        "nothing was written to the vendor"
    );
    let attempts = scratch.attempts(id).await;
    assert_eq!(
        (attempts[0].finished, attempts[0].class.as_deref()),
        (true, Some("returned"))
    );
    assert_eq!(
        scratch.events(id).await,
        ["receipt.accepted"],
        "nothing happened that the shop should know"
    );

    let second = claim(&ledger, id, 1).await;
    assert_eq!((second.attempt, second.trials, second.doubt), (2, 0, Doubt::None));
}

#[tokio::test]
async fn what_is_given_back_is_rendered_anew_unless_it_may_have_been_sent_before() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let first = claimed(&ledger, "417").await;
    let id = first.subject.transaction_id;
    ledger.give_back(&first).await.expect("given back");
    let second = claim(&ledger, id, 1).await;
    assert_eq!(second.wire_body, None, "it never left");
    let body = ledger.store_wire_body(&second, "rendered anew".to_owned()).await;
    assert_eq!(body.expect("stored"), "rendered anew");

    // Its worker dies, and the next one has to give it back: what the vendor may have must be repeated as it was.
    let third = crate::sample::reclaimed(&scratch, &ledger).await;
    ledger.give_back(&third).await.expect("given back");
    let fourth = claim(&ledger, id, 3).await;
    assert_eq!(fourth.wire_body.as_deref(), Some("rendered anew"));
}

#[tokio::test]
async fn what_is_given_back_goes_before_what_came_after_it() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let first = claimed(&ledger, "417").await;
    let _second = queued(&ledger, "418").await;
    ledger.give_back(&first).await.expect("given back");
    let claims = ledger
        .claim_due(&quota(1), Duration::ZERO, LEASE)
        .await
        .expect("no outage");
    assert_eq!(claims.len(), 1);
    assert_eq!(claims[0].subject.transaction_id, first.subject.transaction_id);
}

#[tokio::test]
async fn a_claim_that_is_no_longer_ours_cannot_be_given_back() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let first = claimed(&ledger, "417").await;
    let second = crate::sample::reclaimed(&scratch, &ledger).await;
    ledger.give_back(&first).await.expect("no outage");
    assert_eq!(scratch.state(first.subject.transaction_id).await, "sending");
    assert_eq!(
        ledger.record(outcome(&second, retry(MINUTE))).await.expect("recorded"),
        Recorded::Applied
    );
    ledger.give_back(&second).await.expect("no outage");
    assert_eq!(
        scratch.attempts(first.subject.transaction_id).await[1].class.as_deref(),
        Some("retry"),
        "what was recorded is not given back"
    );
}

#[tokio::test]
async fn one_unreadable_row_does_not_keep_its_neighbours_from_being_claimed() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let bad = queued(&ledger, "417").await;
    let good = queued(&ledger, "418").await;
    scratch
        .run("UPDATE transactions SET document_part = 'No Such Part' WHERE document_number = '417'")
        .await;
    let (bad, good) = tokio::join!(ledger.claim(bad, 0, LEASE), ledger.claim(good, 0, LEASE));
    assert!(matches!(bad, Ok(Claim::Stale)), "{bad:?}");
    assert!(matches!(good, Ok(Claim::Won(_))), "{good:?}");
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_unknown_with_its_cause_and_is_not_claimed_again() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let (pointed, due) = (queued(&ledger, "417").await, queued(&ledger, "418").await);
    scratch
        .run("UPDATE transactions SET document_part = 'No Such Part'")
        .await;
    assert!(matches!(ledger.claim(pointed, 0, LEASE).await, Ok(Claim::Stale)));
    let claims = ledger
        .claim_due(&crate::sample::quota(5), std::time::Duration::ZERO, LEASE)
        .await
        .expect("no outage");
    assert!(claims.is_empty());
    for id in [pointed, due] {
        let transaction = scratch.transaction(id).await;
        assert_eq!(
            (transaction.state.as_str(), transaction.due_in_seconds),
            ("unknown", None)
        );
        let attempts = scratch.attempts(id).await;
        assert_eq!(attempts.len(), 1);
        assert!(attempts[0].finished && attempts[0].class.as_deref() == Some("unknown"));
        assert_eq!(scratch.events(id).await, ["receipt.accepted", "receipt.unknown"]);
    }
    let (code, cause): (String, String) = sqlx::query_as(
        "SELECT body #>> '{error,code}', body #>> '{text,en}' FROM events WHERE type = 'receipt.unknown' LIMIT 1",
    )
    .fetch_one(&scratch.pool)
    .await
    .expect("the event");
    assert_eq!(code, "unreadable");
    assert!(cause.contains("cannot be read"), "{cause}");
}

#[tokio::test]
async fn a_claim_of_a_row_whose_body_cannot_be_read_is_won_without_the_body() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let id = queued(&ledger, "417").await;
    scratch.run("UPDATE transactions SET body = '{\"total\": true}'").await;
    let Ok(Claim::Won(claimed)) = ledger.claim(id, 0, LEASE).await else {
        panic!("the sender has to record why it cannot be sent")
    };
    assert!(claimed.receipt.is_none() && claimed.wire_body.is_none());
}

#[tokio::test]
async fn an_accepted_and_claimed_receipt_is_no_pointers_any_more() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let Ok(Acceptance::Claimed(claimed)) = ledger
        .accept(NewTransaction {
            first: crate::sample::at_once(),
            ..offer("417")
        })
        .await
    else {
        panic!("not claimed")
    };
    let id = claimed.subject.transaction_id;
    for fence in 0..3 {
        assert!(matches!(ledger.claim(id, fence, LEASE).await, Ok(Claim::Stale)));
    }
}
