//! A database that vanishes without closing its connections: nobody ever answers, and nobody says so.

use std::time::{Duration, Instant};

use ledger::{Config, Ledger, LedgerError};
use sqlx::ConnectOptions;
use sqlx::postgres::PgSslMode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::sample::{LEASE, offer, queued};
use crate::scratch::Scratch;

/// Longer than the ledger waits for a statement and for a connection together.
const PATIENCE: Duration = Duration::from_secs(40);

#[tokio::test]
async fn a_database_that_says_nothing_any_more_counts_as_lost_and_is_used_again_when_it_is_back() {
    let scratch = Scratch::new().await;
    let options = scratch.options();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (talks, heard) = watch::channel(true);
    let target = (options.get_host().to_owned(), options.get_port());
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(&target).await.expect("the server is there");
            connections.spawn(carry(client, server, heard.clone()));
        }
    });
    let url = scratch
        .options()
        .host("127.0.0.1")
        .port(port)
        .ssl_mode(PgSslMode::Disable)
        .to_url_lossy();
    let ledger = Ledger::open(&Config::at(url.to_string()), "patient").expect("the URL is one");
    let id = queued(&ledger, "417").await;

    talks.send_replace(false);
    let began = Instant::now();
    let (accepted, claimed, probed) = tokio::time::timeout(PATIENCE, async {
        tokio::join!(ledger.accept(offer("418")), ledger.claim(id, 0, LEASE), ledger.probe())
    })
    .await
    .expect("nobody waits without end");
    assert!(accepted.is_err_and(|error| error.is_outage()));
    assert!(claimed.is_err_and(|error| error.is_outage()));
    assert!(probed.is_err_and(|error| matches!(error, LedgerError::Unavailable(_))));
    assert!(began.elapsed() < PATIENCE);

    talks.send_replace(true);
    let back = tokio::time::timeout(PATIENCE, async { while ledger.accept(offer("418")).await.is_err() {} });
    back.await.expect("it is used again");
}

#[tokio::test]
async fn what_is_left_in_the_middle_of_a_statement_is_in_nobodys_way() {
    let scratch = Scratch::new().await;
    let config = Config {
        // One of them for what runs for every receipt.
        max_connections: 2,
        ..Config::at(scratch.url())
    };
    let ledger = Ledger::open(&config, "impatient").expect("the URL is one");
    queued(&ledger, "417").await;
    let events = ledger.take_events(10).await.expect("no outage");
    assert_eq!(events.len(), 1);

    let mut holder = scratch.pool.begin().await.expect("a transaction");
    let held = sqlx::query("SELECT event_id FROM outbox FOR UPDATE").fetch_all(&mut *holder);
    assert_eq!(held.await.expect("locked").len(), 1);
    let ids = [events[0].id];
    let marking = tokio::time::timeout(Duration::from_millis(300), ledger.mark_published(&ids));
    assert!(marking.await.is_err(), "its caller has gone while it waits for the row");

    // On that connection it would wait behind the statement that was left.
    let next = tokio::time::timeout(Duration::from_secs(10), queued(&ledger, "418"));
    next.await.expect("another connection is made");
    holder.rollback().await.expect("released");
}

/// Carries bytes both ways while `talks`; what the server says meanwhile is gone for ever.
async fn carry(client: TcpStream, server: TcpStream, talks: watch::Receiver<bool>) {
    let (mut client_read, mut client_write) = client.into_split();
    let (mut server_read, mut server_write) = server.into_split();
    let up = async {
        let mut buffer = vec![0; 65_536];
        while let Ok(read @ 1..) = client_read.read(&mut buffer).await {
            if *talks.borrow() && server_write.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    };
    let down = async {
        let mut buffer = vec![0; 65_536];
        while let Ok(read @ 1..) = server_read.read(&mut buffer).await {
            if *talks.borrow() && client_write.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! { () = up => {}, () = down => {} }
}
