//! The stores of one account share its slots, whatever backlog one of them has.

use std::collections::BTreeMap;
use std::time::Duration;

use ledger::{Claimed, Ledger};
use receipt::Operation;
use sqlx::{Connection, PgConnection};

use crate::sample::{LEASE, accepted, offer_of, outcome, quota};
use crate::scratch::Scratch;

async fn claim(ledger: &Ledger, slots: u32) -> Vec<Claimed> {
    ledger
        .claim_due(&quota(slots), Duration::ZERO, LEASE)
        .await
        .expect("no outage")
}

fn by_store(claims: &[Claimed]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for claimed in claims {
        *counts.entry(claimed.subject.store.to_string()).or_default() += 1;
    }
    counts
}

/// So many due receipts of a store, older than everything that a test offers.
async fn backlog(scratch: &Scratch, store: &str, count: i64) {
    let mut connection = PgConnection::connect_with(&scratch.options())
        .await
        .expect("a connection");
    for statement in [
        "INSERT INTO transactions (id, store, account, vendor, operation, document_number, document_part, \
         request_hash, body, total_kopecks, external_id, state, due_at) \
         SELECT gen_random_uuid(), $1, 'main', 'atol', 'sell', 'b' || n, 'main', sha256('x'), '{}', 100, \
         'invoice_' || $1 || '_b' || n, 'queued', now() - interval '1 day' + n * interval '1 ms' \
         FROM generate_series(1, $2) AS n",
        "INSERT INTO registrations (transaction_id, generation, account, external_id, wire_body) \
         SELECT id, 0, account, external_id, 'body' FROM transactions WHERE store = $1 LIMIT $2",
    ] {
        sqlx::query(statement)
            .bind(store)
            .bind(count)
            .execute(&mut connection)
            .await
            .expect("a backlog");
    }
    connection.close().await.expect("closed");
}

#[tokio::test]
async fn a_store_with_a_backlog_of_a_hundred_thousand_does_not_starve_another() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    backlog(&scratch, "big", 100_000).await;
    scratch.run("ANALYZE").await;
    for number in 0..40 {
        ledger
            .accept(offer_of(Operation::Sell, "small", &number.to_string(), "main"))
            .await
            .expect("accepted");
    }
    let first = by_store(&claim(&ledger, 20).await);
    assert_eq!(
        first,
        BTreeMap::from([("big".to_owned(), 10), ("small".to_owned(), 10)])
    );

    // One slot at a time, as they become free one by one: whose turn it is depends on no store's age.
    let mut claims = 0;
    while scratch
        .count("SELECT count(*) FROM transactions WHERE store = 'small' AND state = 'queued'")
        .await
        > 0
    {
        assert_eq!(claim(&ledger, 1).await.len(), 1, "a free slot is used");
        claims += 1;
        assert!(claims < 400, "the 30 that are left would be alone in 60 claims");
    }
    let last = by_store(&claim(&ledger, 20).await);
    assert_eq!(
        last,
        BTreeMap::from([("big".to_owned(), 20)]),
        "all slots for who is left"
    );
}

#[tokio::test]
async fn no_more_is_claimed_than_there_are_slots_and_slots_of_an_idle_store_are_used_by_the_next_claim() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    for store in ["a", "b", "c"] {
        backlog(&scratch, store, if store == "a" { 30 } else { 1 }).await;
    }
    assert_eq!(claim(&ledger, 2).await.len(), 2, "fewer slots than stores");
    let mut taken = 2;
    loop {
        let claims = claim(&ledger, 7).await;
        assert!(claims.len() <= 7);
        if claims.is_empty() {
            break;
        }
        taken += claims.len();
    }
    assert_eq!(taken, 32);
}

#[tokio::test]
async fn each_store_is_served_in_the_order_of_its_age() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    for store in ["a", "b"] {
        backlog(&scratch, store, 10).await;
    }
    let claims = claim(&ledger, 6).await;
    for store in ["a", "b"] {
        let mut numbers: Vec<_> = claims
            .iter()
            .filter(|claimed| claimed.subject.store.as_str() == store)
            .map(|claimed| claimed.subject.document.to_string())
            .collect();
        numbers.sort();
        assert_eq!(numbers, ["b1", "b2", "b3"], "{store}");
    }
}

/// Blocks that a claim of ten receipts reads.
async fn blocks(scratch: &Scratch) -> i64 {
    const BLOCKS: &str = "SELECT sum(heap_blks_read + heap_blks_hit + idx_blks_read + idx_blks_hit)::bigint \
                          FROM pg_statio_user_tables WHERE relname = 'transactions'";
    let mut connection = PgConnection::connect_with(&scratch.options())
        .await
        .expect("a connection");
    let before: i64 = sqlx::query_scalar(BLOCKS)
        .fetch_one(&mut connection)
        .await
        .expect("a count");
    let ledger = scratch.ledger();
    for _ in 0..12 {
        assert_eq!(claim(&ledger, 10).await.len(), 10);
    }
    ledger.close().await;
    crate::scratch::until("the ledger's connections have told what they read", || async {
        let of_the_ledger: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
             AND application_name LIKE 'kassa %'",
        )
        .fetch_one(&scratch.pool)
        .await
        .expect("a count");
        of_the_ledger == 0
    })
    .await;
    connection.close().await.expect("closed");
    let mut connection = PgConnection::connect_with(&scratch.options())
        .await
        .expect("a connection");
    let after: i64 = sqlx::query_scalar(BLOCKS)
        .fetch_one(&mut connection)
        .await
        .expect("a count");
    connection.close().await.expect("closed");
    after - before
}

#[tokio::test]
async fn a_claim_reads_the_same_however_great_the_backlog_is() {
    let mut read = Vec::new();
    for due in [500, 50_000] {
        let scratch = Scratch::new().await;
        backlog(&scratch, "main", due).await;
        backlog(&scratch, "second", due / 10).await;
        scratch.run("ANALYZE").await;
        read.push(blocks(&scratch).await);
    }
    assert!(
        read[1] < 2 * read[0],
        "{read:?} blocks with 500 and 50,000 due receipts"
    );
}

#[tokio::test]
async fn the_polls_of_a_store_do_not_wait_for_the_backlog_of_another() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    for statement in [
        "INSERT INTO transactions (id, store, account, vendor, operation, document_number, document_part, \
         request_hash, body, total_kopecks, external_id, vendor_uuid, state) \
         SELECT gen_random_uuid(), 'big', 'main', 'atol', 'sell', 'b' || n, 'main', sha256('x'), '{}', 100, \
         'invoice_big_b' || n, 'uuid-' || n, 'waiting' FROM generate_series(1, 20000) AS n",
        "INSERT INTO registrations (transaction_id, generation, account, external_id, vendor_uuid, state, \
         waiting_since, next_poll_at, store) \
         SELECT id, 0, account, external_id, vendor_uuid, 'waiting', now(), now() - interval '1 day', \
         CASE WHEN document_number LIKE '%7' THEN NULL ELSE store END FROM transactions",
        "ANALYZE",
    ] {
        scratch.run(statement).await;
    }
    for number in 0..5 {
        let number = number.to_string();
        let new = offer_of(Operation::Sell, "small", &number, "main");
        let id = new.subject.transaction_id;
        ledger.accept(new).await.expect("accepted");
        let claimed = claim(&ledger, 1).await.pop().expect("due");
        assert_eq!(claimed.subject.transaction_id, id);
        ledger
            .record(outcome(&claimed, accepted(&format!("small-{number}"))))
            .await
            .expect("recorded");
    }
    scratch
        .run("UPDATE registrations SET next_poll_at = now() WHERE store = 'small'")
        .await;
    let polls = ledger
        .claim_polls(&quota(12), Duration::from_secs(60))
        .await
        .expect("no outage");
    let mut counts = BTreeMap::new();
    for poll in &polls {
        *counts.entry(poll.subject.store.to_string()).or_insert(0) += 1;
    }
    // Those without a noted store have a turn of their own: three turns of four.
    assert_eq!(counts, BTreeMap::from([("big".to_owned(), 8), ("small".to_owned(), 4)]));
}
