//! A lost database is an ordinary state: it is told as one, soon, and it passes.

use std::time::Duration;

use ledger::{Acceptance, Config, Ledger, LedgerError};
use sqlx::Executor;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::sample::{LEASE, MINUTE, answer, claimed, done, offer, outcome, polled, queued, quota, retry, waiting};
use crate::scratch::{Scratch, until};

const SHORT: Duration = Duration::from_millis(300);

fn unreachable(port: u16) -> Ledger {
    let url = format!("postgres://kassa:secret@127.0.0.1:{port}/kassa");
    Ledger::open(
        &Config {
            acquire_timeout: SHORT,
            ..Config::at(url)
        },
        "test-1",
    )
    .expect("the URL is one")
}

fn is_outage<T: std::fmt::Debug>(answer: &Result<T, LedgerError>, what: &str) {
    assert!(answer.as_ref().is_err_and(LedgerError::is_outage), "{what}: {answer:?}");
}

#[tokio::test]
async fn every_call_tells_an_unreachable_database_as_an_outage_within_the_acquire_timeout() {
    let scratch = Scratch::new().await;
    let there = scratch.ledger();
    let claimed = claimed(&there, "417").await;
    waiting(&there, "418", "uuid-1").await;
    let polled = polled(&there).await;

    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let ledger = unreachable(port);
    let began = Instant::now();
    is_outage(&ledger.probe().await, "probe");
    is_outage(&ledger.accept(offer("419")).await, "accept");
    is_outage(&ledger.claim_due(&quota(1), Duration::ZERO, LEASE).await, "claim_due");
    is_outage(&ledger.abandoned(1).await, "abandoned");
    is_outage(&ledger.give_back(&claimed).await, "give_back");
    is_outage(
        &ledger.store_wire_body(&claimed, "body".to_owned()).await,
        "store_wire_body",
    );
    is_outage(&ledger.record(outcome(&claimed, retry(MINUTE))).await, "record");
    is_outage(&ledger.claim_polls(&quota(1), MINUTE).await, "claim_polls");
    is_outage(&ledger.record_poll(answer(&polled, done())).await, "record_poll");
    is_outage(&ledger.take_events(1).await, "take_events");
    is_outage(&ledger.mark_published(&[]).await, "mark_published");
    is_outage(&ledger.find("417").await, "find");
    let calls = 12;
    // A claim is tried twice, because its first commit may have taken effect.
    is_outage(&ledger.claim(claimed.subject.transaction_id, 1, LEASE).await, "claim");
    let each = began.elapsed() / (calls + 2);
    assert!(each < SHORT * 2, "{each:?}");
}

#[tokio::test]
async fn many_callers_of_an_unreachable_database_wait_once_and_not_one_after_another() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let ledger = unreachable(port);
    let began = Instant::now();
    let answers =
        futures_util::future::join_all((0..100).map(|number| ledger.accept(offer(&number.to_string())))).await;
    assert!(
        answers
            .iter()
            .all(|answer| answer.as_ref().is_err_and(LedgerError::is_outage))
    );
    assert!(began.elapsed() < SHORT * 5, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_server_that_takes_connections_and_says_nothing_is_an_outage() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let ledger = unreachable(listener.local_addr().expect("an address").port());
    let began = Instant::now();
    is_outage(&ledger.accept(offer("417")).await, "accept");
    assert!(began.elapsed() < SHORT * 3, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_database_that_is_not_migrated_yet_is_an_outage() {
    let scratch = Scratch::empty().await;
    let ledger = scratch.ledger();
    is_outage(&ledger.accept(offer("417")).await, "accept");
    ledger.migrate().await.expect("migrated");
    queued(&ledger, "417").await;
}

#[tokio::test]
async fn a_connection_that_is_cut_in_a_statement_is_an_outage_and_the_next_call_works() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger_of("to-be-cut");
    let mut holder = scratch.pool.begin().await.expect("a transaction");
    holder
        .execute("LOCK TABLE transactions IN ACCESS EXCLUSIVE MODE")
        .await
        .expect("locked");
    let mut callers = JoinSet::new();
    let caller = ledger.clone();
    callers.spawn(async move { caller.accept(offer("417")).await });
    until("the statement waits for the lock", || async {
        scratch
            .count(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                 AND application_name = 'kassa to-be-cut' AND wait_event_type = 'Lock'",
            )
            .await
            == 1
    })
    .await;
    scratch
        .run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND application_name = 'kassa to-be-cut'",
        )
        .await;
    let cut = callers.join_next().await.expect("one caller").expect("no panic");
    is_outage(&cut, "accept");
    holder.rollback().await.expect("unlocked");
    assert!(matches!(ledger.accept(offer("417")).await, Ok(Acceptance::Queued(_))));
}

#[tokio::test]
async fn connections_that_are_cut_while_nobody_uses_them_are_not_noticed() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger_of("to-be-cut");
    queued(&ledger, "417").await;
    cut_all(&scratch).await;
    // One that was in use a moment ago is believed.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    queued(&ledger, "418").await;
}

#[tokio::test]
async fn connections_that_are_cut_while_they_are_believed_are_an_outage_once() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger_of("to-be-cut");
    // Several at once, so that there are several connections.
    let callers = (0..4).map(|number| {
        let ledger = ledger.clone();
        async move {
            queued(&ledger, &number.to_string()).await;
            ledger.take_events(1).await.expect("no outage");
        }
    });
    futures_util::future::join_all(callers).await;
    cut_all(&scratch).await;
    // On a busy machine so much time may have gone by that they are not believed any more.
    let first = ledger.accept(offer("416")).await;
    if first.is_err() {
        is_outage(&first, "accept");
    }
    queued(&ledger, "417").await;
    ledger.take_events(1).await.expect("no outage");
}

/// Ends every connection of the ledger `to-be-cut`, from the server's side.
async fn cut_all(scratch: &Scratch) {
    scratch
        .run(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity \
             WHERE datname = current_database() AND application_name = 'kassa to-be-cut'",
        )
        .await;
}

#[tokio::test]
async fn a_closed_ledger_has_no_connections_left() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger_of("to-be-closed");
    let clone = ledger.clone();
    queued(&ledger, "417").await;
    drop(clone);
    ledger.close().await;
    until("the server has noticed", || async {
        scratch
            .count(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                 AND application_name = 'kassa to-be-closed'",
            )
            .await
            == 0
    })
    .await;
}

#[tokio::test]
async fn a_probe_says_how_much_a_commit_promises() {
    let scratch = Scratch::new().await;
    assert!(
        scratch
            .ledger()
            .probe()
            .await
            .expect("it answers")
            .commits_are_durable()
    );
}
