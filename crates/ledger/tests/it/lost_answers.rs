//! Commits that took effect although their answer was lost on the way.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ledger::{Acceptance, Claim, Config, Ledger, LedgerError, NewTransaction, Recorded};
use receipt::Doubt;
use sqlx::ConnectOptions;
use sqlx::postgres::PgSslMode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::sample::{
    LEASE, MINUTE, accepted, answer, at_once, claimed, done, offer, outcome, polled, queued, reclaimed, waiting,
};
use crate::scratch::Scratch;

/// Stands between a ledger and its database and loses one answer when told to.
struct Thief {
    address: SocketAddr,
    /// Whether the answer to the next statement is to be lost, after its commit, and the connection with it.
    steals: Arc<AtomicBool>,
    _serving: JoinSet<()>,
}

impl Thief {
    async fn before(scratch: &Scratch) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let steals = Arc::new(AtomicBool::new(false));
        let options = scratch.options();
        let server = (options.get_host().to_owned(), options.get_port());
        let mut serving = JoinSet::new();
        let steal = Arc::clone(&steals);
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (server, steal) = (server.clone(), Arc::clone(&steal));
                connections.spawn(async move {
                    let server = TcpStream::connect(server)
                        .await
                        .expect("DATABASE_URL names a server behind TCP");
                    // Either side may go away at any time; then the connection is over.
                    let _ = carry(client, server, &steal).await;
                });
            }
        });
        Self {
            address,
            steals,
            _serving: serving,
        }
    }

    fn ledger(&self, scratch: &Scratch) -> Ledger {
        let options = scratch
            .options()
            .host("127.0.0.1")
            .port(self.address.port())
            .ssl_mode(PgSslMode::Disable);
        Ledger::open(&Config::at(options.to_url_lossy().to_string()), "robbed").expect("the URL is one")
    }

    fn steal(&self) {
        self.steals.store(true, Ordering::SeqCst);
    }

    fn has_stolen(&self) -> bool {
        !self.steals.load(Ordering::SeqCst)
    }
}

/// Messages from the server are one byte of type and four of length, which counts itself but not the type.
async fn carry(mut client: TcpStream, mut server: TcpStream, steals: &AtomicBool) -> std::io::Result<()> {
    const COMMAND_COMPLETE: u8 = b'C';
    const READY_FOR_QUERY: u8 = b'Z';
    let (mut up, mut down) = (vec![0; 65_536], vec![0; 65_536]);
    let mut pending: Vec<u8> = Vec::new();
    let mut stealing = false;
    loop {
        tokio::select! {
            read = client.read(&mut up) => match read? {
                0 => return Ok(()),
                read => server.write_all(&up[..read]).await?,
            },
            read = server.read(&mut down) => match read? {
                0 => return Ok(()),
                read => pending.extend_from_slice(&down[..read]),
            },
        }
        while let [kind, a, b, c, d, ..] = pending[..] {
            let length = 1 + usize::try_from(u32::from_be_bytes([a, b, c, d])).expect("a length");
            if pending.len() < length {
                break;
            }
            let message: Vec<u8> = pending.drain(..length).collect();
            // A new connection is first told its settings; that is no statement of the ledger's.
            let is_statement = kind == COMMAND_COMPLETE && !message[5..].starts_with(b"SET");
            stealing |= is_statement && steals.load(Ordering::SeqCst);
            if !stealing {
                client.write_all(&message).await?;
            } else if kind == READY_FOR_QUERY {
                // The commit is done: a statement of its own is committed before the server is ready again.
                steals.store(false, Ordering::SeqCst);
                return Ok(());
            }
        }
    }
}

fn is_outage<T>(answer: &Result<T, LedgerError>) -> bool {
    answer.as_ref().is_err_and(LedgerError::is_outage)
}

#[tokio::test]
async fn a_claim_whose_answer_was_lost_is_won_by_its_repetition() {
    let scratch = Scratch::new().await;
    let thief = Thief::before(&scratch).await;
    let ledger = thief.ledger(&scratch);
    let id = queued(&ledger, "417").await;
    thief.steal();
    let Ok(Claim::Won(claimed)) = ledger.claim(id, 0, LEASE).await else {
        panic!("the row is ours and we do not know")
    };
    assert!(thief.has_stolen());
    assert_eq!((claimed.attempt, claimed.doubt), (1, Doubt::None));
    assert_eq!(scratch.attempts(id).await.len(), 1);
    assert_eq!(scratch.transaction(id).await.version, 1);
    assert!(
        matches!(scratch.ledger().claim(id, 0, LEASE).await, Ok(Claim::Stale)),
        "nobody else wins it"
    );
}

#[tokio::test]
async fn an_acceptance_whose_answer_was_lost_is_the_same_acceptance_when_repeated() {
    let scratch = Scratch::new().await;
    let thief = Thief::before(&scratch).await;
    let ledger = thief.ledger(&scratch);
    for new in [
        offer("417"),
        NewTransaction {
            first: at_once(),
            ..offer("418")
        },
    ] {
        let id = new.subject.transaction_id;
        thief.steal();
        let lost = ledger.accept(new.clone()).await;
        assert!(is_outage(&lost) && thief.has_stolen(), "{lost:?}");
        match ledger.accept(new).await {
            Ok(Acceptance::Queued(accepted)) => assert_eq!(accepted, id),
            Ok(Acceptance::Claimed(claimed)) => assert_eq!((claimed.subject.transaction_id, claimed.attempt), (id, 1)),
            other => panic!("{other:?}"),
        }
        assert_eq!(scratch.events(id).await, ["receipt.accepted"]);
    }
    assert_eq!(scratch.ids().await.len(), 2);
    assert_eq!(scratch.count("SELECT count(*) FROM attempts").await, 1);
}

#[tokio::test]
async fn an_outcome_whose_answer_was_lost_is_already_recorded_when_repeated() {
    let scratch = Scratch::new().await;
    let thief = Thief::before(&scratch).await;
    let ledger = thief.ledger(&scratch);
    let claimed = claimed(&ledger, "417").await;
    let id = claimed.subject.transaction_id;
    let outcome = outcome(&claimed, accepted("uuid-1"));
    thief.steal();
    let lost = ledger.record(outcome.clone()).await;
    assert!(is_outage(&lost) && thief.has_stolen(), "{lost:?}");
    assert_eq!(ledger.record(outcome).await.expect("recorded"), Recorded::Already);
    assert_eq!(scratch.state(id).await, "waiting");
    assert_eq!(scratch.events(id).await, ["receipt.accepted", "receipt.waiting"]);
}

#[tokio::test]
async fn a_document_whose_recording_was_not_answered_is_told_once() {
    let scratch = Scratch::new().await;
    let thief = Thief::before(&scratch).await;
    let ledger = thief.ledger(&scratch);
    let id = waiting(&ledger, "417", "uuid-1").await.subject.transaction_id;
    let record = answer(&polled(&ledger).await, done());
    thief.steal();
    let lost = ledger.record_poll(record.clone()).await;
    assert!(is_outage(&lost) && thief.has_stolen(), "{lost:?}");
    ledger.record_poll(record).await.expect("recorded");
    assert_eq!(scratch.state(id).await, "done");
    assert_eq!(
        scratch.events(id).await,
        ["receipt.accepted", "receipt.waiting", "receipt.done"]
    );
}

#[tokio::test]
async fn due_rows_whose_claim_was_not_answered_come_back_with_a_doubt() {
    let scratch = Scratch::new().await;
    let thief = Thief::before(&scratch).await;
    let ledger = thief.ledger(&scratch);
    queued(&ledger, "417").await;
    thief.steal();
    let lost = ledger
        .claim_due(&crate::sample::quota(1), std::time::Duration::ZERO, LEASE)
        .await;
    assert!(is_outage(&lost) && thief.has_stolen(), "{lost:?}");
    assert_eq!(
        reclaimed(&scratch, &ledger).await.doubt,
        Doubt::Stands,
        "the table cannot know that nobody sent it"
    );
}

#[tokio::test]
async fn events_whose_taking_was_not_answered_are_taken_again() {
    let scratch = Scratch::new().await;
    let thief = Thief::before(&scratch).await;
    let ledger = thief.ledger(&scratch);
    queued(&ledger, "417").await;
    thief.steal();
    assert!(is_outage(&ledger.take_events(10).await) && thief.has_stolen());
    scratch.pass(MINUTE).await;
    assert_eq!(ledger.take_events(10).await.expect("no outage").len(), 1);
}
