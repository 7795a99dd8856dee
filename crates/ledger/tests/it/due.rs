//! Due rows: what no pointer woke, and what a dead worker left behind.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::join_all;
use ledger::{NewTransaction, Quota, Recorded, Verdict};
use receipt::{Doubt, RetryClass};

use crate::sample::{
    LEASE, MINUTE, account, claimed, offer, outcome, queued, quota, reclaimed, refused, retry, waiting,
};
use crate::scratch::Scratch;

#[tokio::test]
async fn the_longest_due_are_claimed_first() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    for number in ["1", "2", "3"] {
        queued(&ledger, number).await;
    }
    scratch
        .run("UPDATE transactions SET due_at = now() - document_number::int * interval '1 minute'")
        .await;
    for expected in ["3", "2", "1"] {
        let claims = ledger
            .claim_due(&quota(1), Duration::ZERO, LEASE)
            .await
            .expect("no outage");
        let numbers: Vec<_> = claims.iter().map(|claimed| claimed.subject.document.as_str()).collect();
        assert_eq!(numbers, [expected]);
    }
}

#[tokio::test]
async fn no_account_gets_more_than_its_slots() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    for number in 0..30 {
        let name = ["main", "second", "third"][number % 3];
        ledger
            .accept(NewTransaction {
                account: account(name),
                ..offer(&number.to_string())
            })
            .await
            .expect("accepted");
    }
    let quotas = [("main", 2), ("second", 5), ("third", 0), ("fourth", 9)].map(|(name, slots)| Quota {
        account: account(name),
        slots,
    });
    let claims = ledger
        .claim_due(&quotas, Duration::ZERO, LEASE)
        .await
        .expect("no outage");
    let of = |name: &str| claims.iter().filter(|claimed| claimed.account.as_str() == name).count();
    assert_eq!((of("main"), of("second"), of("third")), (2, 5, 0));
    assert!(
        ledger
            .claim_due(&[], Duration::ZERO, LEASE)
            .await
            .expect("no outage")
            .is_empty()
    );
}

#[tokio::test]
async fn a_row_is_left_to_its_pointer_for_the_grace_period() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    queued(&ledger, "417").await;
    let grace = Duration::from_secs(10);
    assert!(
        ledger
            .claim_due(&quota(5), grace, LEASE)
            .await
            .expect("no outage")
            .is_empty()
    );
    scratch.pass(grace).await;
    assert_eq!(
        ledger
            .claim_due(&quota(5), grace, LEASE)
            .await
            .expect("no outage")
            .len(),
        1
    );
}

#[tokio::test]
async fn two_hundred_rows_are_claimed_once_each_by_four_processes() {
    let scratch = Scratch::new().await;
    let ledgers: Vec<_> = ["one", "two", "three", "four"]
        .into_iter()
        .map(|name| scratch.ledger_of(name))
        .collect();
    join_all((0..200).map(|number| ledgers[0].accept(offer(&number.to_string())))).await;
    let claims: Vec<Vec<_>> = join_all(ledgers.iter().map(|ledger| async {
        let mut mine = Vec::new();
        loop {
            let claims = ledger
                .claim_due(&quota(7), Duration::ZERO, LEASE)
                .await
                .expect("no outage");
            if claims.is_empty() {
                return mine;
            }
            mine.extend(claims.into_iter().map(|claimed| claimed.subject.transaction_id));
        }
    }))
    .await;
    let all: Vec<_> = claims.iter().flatten().collect();
    assert_eq!(all.len(), 200, "{:?}", claims.iter().map(Vec::len).collect::<Vec<_>>());
    assert_eq!(all.iter().collect::<HashSet<_>>().len(), 200);
    assert_eq!(scratch.count("SELECT count(*) FROM attempts").await, 200);
}

#[tokio::test]
async fn pointers_and_due_rows_exclude_each_other() {
    let scratch = Scratch::new().await;
    let (one, other) = (scratch.ledger_of("one"), scratch.ledger_of("other"));
    join_all((0..50).map(|number| one.accept(offer(&number.to_string())))).await;
    let ids = scratch.ids().await;
    let quotas = quota(50);
    let (by_pointer, by_time) = tokio::join!(
        join_all(ids.iter().map(|id| one.claim(receipt::TransactionId(*id), 0, LEASE))),
        other.claim_due(&quotas, Duration::ZERO, LEASE)
    );
    let won = by_pointer
        .iter()
        .filter(|answer| matches!(answer, Ok(ledger::Claim::Won(_))))
        .count();
    let taken = by_time.expect("no outage").len();
    assert!(won + taken <= 50, "{won} and {taken}");
    let attempts = scratch.count("SELECT count(*) FROM attempts").await;
    assert_eq!(usize::try_from(attempts).expect("few"), won + taken);
}

#[tokio::test]
async fn a_live_lease_is_not_taken_away() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    claimed(&ledger, "417").await;
    scratch.pass(LEASE.hold).await;
    let claims = ledger
        .claim_due(&quota(5), Duration::ZERO, LEASE)
        .await
        .expect("no outage");
    assert!(claims.is_empty(), "the quiet time belongs to the lease");
}

#[tokio::test]
async fn an_expired_lease_is_claimed_again_and_leaves_a_doubt() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let first = claimed(&ledger, "417").await;
    let id = first.subject.transaction_id;
    let second = reclaimed(&scratch, &ledger).await;
    assert_eq!((second.attempt, second.doubt), (2, Doubt::Stands));
    assert_eq!(second.wire_body, first.wire_body, "the same bytes");
    assert_eq!(second.external_id, first.external_id);
    assert!(scratch.registration(id).await.doubtful);
    assert_eq!(scratch.transaction(id).await.unfinished, 1);
    assert!(
        !scratch.attempts(id).await[0].finished,
        "the only trace of the worker that died"
    );
}

#[tokio::test]
async fn a_row_that_was_not_being_sent_is_claimed_without_a_doubt() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let first = claimed(&ledger, "417").await;
    ledger.record(outcome(&first, retry(MINUTE))).await.expect("recorded");
    let second = reclaimed(&scratch, &ledger).await;
    assert_eq!(second.doubt, Doubt::None);
    assert_eq!(scratch.transaction(first.subject.transaction_id).await.unfinished, 0);
}

#[tokio::test]
async fn what_was_started_three_times_and_never_finished_is_not_started_again() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let id = claimed(&ledger, "417").await.subject.transaction_id;
    for attempt in [2, 3] {
        assert!(ledger.abandoned(10).await.expect("no outage").is_empty());
        assert_eq!(reclaimed(&scratch, &ledger).await.attempt, attempt);
    }
    assert!(
        ledger.abandoned(10).await.expect("no outage").is_empty(),
        "the third lease still runs"
    );
    scratch.pass(LEASE.hold + LEASE.quiet_time).await;
    assert!(
        ledger
            .claim_due(&quota(5), Duration::ZERO, LEASE)
            .await
            .expect("no outage")
            .is_empty()
    );

    let abandoned = ledger.abandoned(10).await.expect("no outage");
    assert_eq!(abandoned.len(), 1);
    assert_eq!((abandoned[0].attempt, abandoned[0].doubt), (3, Doubt::Stands));
    let unknown = refused(&abandoned[0], RetryClass::Unknown, Verdict::Unknown);
    assert_eq!(
        ledger.record(unknown.clone()).await.expect("recorded"),
        Recorded::Applied
    );
    assert_eq!(
        ledger.record(unknown).await.expect("recorded"),
        Recorded::Already,
        "another process found it too"
    );
    assert_eq!(scratch.state(id).await, "unknown");
    assert!(scratch.registration(id).await.doubtful);
    assert!(ledger.abandoned(10).await.expect("no outage").is_empty());
    assert_eq!(scratch.events(id).await, ["receipt.accepted", "receipt.unknown"]);
}

#[tokio::test]
async fn a_word_from_a_worker_ends_the_row_of_unfinished_starts() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    claimed(&ledger, "417").await;
    reclaimed(&scratch, &ledger).await;
    let third = reclaimed(&scratch, &ledger).await;
    assert_eq!(scratch.transaction(third.subject.transaction_id).await.unfinished, 2);
    ledger
        .record(refused(&third, RetryClass::NOT_SEEN, retry(Duration::ZERO)))
        .await
        .expect("recorded");
    assert_eq!(scratch.transaction(third.subject.transaction_id).await.unfinished, 0);
    assert_eq!(reclaimed(&scratch, &ledger).await.attempt, 4);
}

#[tokio::test]
async fn what_waits_or_is_settled_is_never_due() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    waiting(&ledger, "1", "uuid-1").await;
    let unknown = claimed(&ledger, "2").await;
    ledger
        .record(outcome(&unknown, Verdict::Unknown))
        .await
        .expect("recorded");
    let failed = claimed(&ledger, "3").await;
    ledger
        .record(outcome(&failed, Verdict::Failed(receipt::Failure::Rejected)))
        .await
        .expect("recorded");
    let done = claimed(&ledger, "4").await;
    ledger
        .record(outcome(&done, Verdict::Done(crate::sample::a_fiscal_document())))
        .await
        .expect("recorded");
    scratch.pass(crate::sample::DAY).await;
    assert!(
        ledger
            .claim_due(&quota(9), Duration::ZERO, LEASE)
            .await
            .expect("no outage")
            .is_empty()
    );
}
