//! Probes of a closed gate: one at a time, whoever dies.

use std::time::Duration;

use futures_util::future::join_all;
use ledger::{Claim, CloseReason, GateState, Ledger, Outcome, Probe, ProbeEnd};
use receipt::{RetryClass, TransactionId};

use crate::gates::{close, gate, stores};
use crate::sample::{LEASE, MINUTE, a_refusal, account, claimed, queued, quota, refused, retry};
use crate::scratch::Scratch;

async fn take(ledger: &Ledger) -> Vec<Probe> {
    ledger.take_probes(&[account("main")], MINUTE).await.expect("no outage")
}

async fn the_probe(ledger: &Ledger) -> Probe {
    let mut probes = take(ledger).await;
    assert_eq!(probes.len(), 1, "the probe is due");
    probes.remove(0)
}

async fn send(ledger: &Ledger, probe: &Probe) -> Option<TransactionId> {
    let claimed = ledger.claim_probe(probe, LEASE).await.expect("no outage");
    claimed.map(|claimed| claimed.subject.transaction_id)
}

async fn end(ledger: &Ledger, probe: &Probe, end: ProbeEnd) -> bool {
    ledger.end_probe(probe, &end, &stores()).await.expect("no outage")
}

fn fails(class: RetryClass, wait: Duration) -> ProbeEnd {
    ProbeEnd::Fails {
        refusal: a_refusal(class),
        wait,
    }
}

/// A closed gate whose probe is due, and so many receipts behind it.
async fn closed(scratch: &Scratch, ledger: &Ledger, receipts: usize) -> Vec<TransactionId> {
    let mut ids = Vec::new();
    for number in 0..receipts {
        ids.push(queued(ledger, &number.to_string()).await);
    }
    assert!(close(ledger, CloseReason::Breaker).await);
    scratch.pass(MINUTE).await;
    ids
}

#[tokio::test]
async fn a_probe_is_due_after_its_wait_and_two_senders_probe_once() {
    let scratch = Scratch::new().await;
    let ledgers: Vec<Ledger> = (0..4).map(|n| scratch.ledger_of(&format!("sender-{n}"))).collect();
    assert!(take(&ledgers[0]).await.is_empty(), "an open gate is not probed");
    close(&ledgers[0], CloseReason::Breaker).await;
    assert!(take(&ledgers[0]).await.is_empty(), "the wait is not over");
    scratch.pass(MINUTE).await;
    let probes = join_all(ledgers.iter().map(take)).await;
    assert_eq!(probes.iter().map(Vec::len).sum::<usize>(), 1);
    assert_eq!(
        gate(&ledgers[0]).await.version,
        1,
        "a person's action is not refused because of a probe"
    );
}

#[tokio::test]
async fn one_real_send_goes_through_a_closed_gate_and_no_second_one() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let ids = closed(&scratch, &ledger, 3).await;
    let probe = the_probe(&ledger).await;
    let sent = send(&ledger, &probe).await.expect("one is due");
    assert_eq!(gate(&ledger).await.state, GateState::Probing);
    assert_eq!(scratch.state(sent).await, "sending");
    assert_eq!(scratch.attempts(sent).await.len(), 1);
    assert!(take(&ledger).await.is_empty(), "it is being probed");
    let due = ledger
        .claim_due(&quota(10), Duration::ZERO, LEASE)
        .await
        .expect("no outage");
    assert!(due.is_empty());
    for id in ids.into_iter().filter(|id| *id != sent) {
        assert!(matches!(ledger.claim(id, 0, LEASE).await, Ok(Claim::Stale)));
    }
}

/// A vendor whose memory failed could take a receipt in doubt for a new one.
#[tokio::test]
async fn a_probe_without_doubt_takes_no_receipt_that_the_vendor_may_hold_until_its_horizon_has_passed() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let doubtful = claimed(&ledger, "older").await;
    let id = doubtful.subject.transaction_id;
    let in_doubt = Outcome {
        horizon: Some(50 * MINUTE),
        ..refused(&doubtful, RetryClass::Halt { certain: true }, retry(Duration::ZERO))
    };
    ledger.record(in_doubt).await.expect("recorded");
    assert!(scratch.registration(id).await.doubtful, "a halt may leave a doubt too");
    let fresh = closed(&scratch, &ledger, 1).await;
    let probe = the_probe(&ledger).await.without_doubt();
    assert_eq!(
        send(&ledger, &probe).await,
        Some(fresh[0]),
        "although the other is due for longer"
    );

    scratch
        .run("UPDATE gates SET probe_until = now() - interval '1 second'")
        .await;
    let probe = the_probe(&ledger).await.without_doubt();
    assert_eq!(send(&ledger, &probe).await, None, "one is in doubt, one is being sent");
    scratch
        .run("UPDATE registrations SET doubt_until = now() - interval '1 second' WHERE doubt_until IS NOT NULL")
        .await;
    assert_eq!(
        send(&ledger, &probe).await,
        Some(id),
        "it will be told to a person, and not be sent"
    );
}

#[tokio::test]
async fn a_probe_knows_why_the_account_is_halted() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    closed(&scratch, &ledger, 1).await;
    let probe = the_probe(&ledger).await;
    assert_eq!(probe.halted_by, None, "failures in a row say nothing of the account");
    let halts = fails(RetryClass::Halt { certain: true }, Duration::ZERO);
    assert!(end(&ledger, &probe, halts).await);
    let refusal = a_refusal(RetryClass::Halt { certain: true });
    let halted_by = the_probe(&ledger).await.halted_by;
    assert_eq!(halted_by, Some((refusal.kind, refusal.code)));
}

#[tokio::test]
async fn a_probe_that_works_opens_the_gate_and_tells_it() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    closed(&scratch, &ledger, 2).await;
    let probe = the_probe(&ledger).await;
    send(&ledger, &probe).await.expect("one is due");
    assert!(end(&ledger, &probe, ProbeEnd::Works).await);
    let open = gate(&ledger).await;
    assert!(
        open.is_open && open.open_for.is_some_and(|since| since < MINUTE),
        "{open:?}"
    );
    assert!(!end(&ledger, &probe, ProbeEnd::Works).await, "it has ended");
    let due = ledger
        .claim_due(&quota(10), Duration::ZERO, LEASE)
        .await
        .expect("no outage");
    assert_eq!(due.len(), 1);
    let resumed = scratch
        .count("SELECT count(*) FROM events WHERE type = 'account.resumed'")
        .await;
    assert_eq!(resumed, 2, "one for each store");
}

#[tokio::test]
async fn a_probe_that_fails_is_repeated_after_its_wait_with_another_receipt() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    closed(&scratch, &ledger, 2).await;
    let mut sent = Vec::new();
    for failed in 0..4_u32 {
        let probe = the_probe(&ledger).await;
        assert_eq!(probe.failed, failed);
        sent.push(send(&ledger, &probe).await.expect("one is due"));
        assert!(end(&ledger, &probe, fails(RetryClass::MAYBE_SEEN, 2 * MINUTE)).await);
        scratch.pass(MINUTE).await;
        assert!(take(&ledger).await.is_empty(), "the wait is not over");
        // As the sender records it: due again at once, without a trial.
        scratch
            .run("UPDATE transactions SET state = 'retrying', due_at = now() WHERE state = 'sending'")
            .await;
        scratch.pass(MINUTE).await;
    }
    assert!(sent.windows(2).all(|pair| pair[0] != pair[1]), "{sent:?}");
    assert_eq!(gate(&ledger).await.probes, 4);
}

#[tokio::test]
async fn the_only_receipt_is_sent_again_rather_than_none() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let ids = closed(&scratch, &ledger, 1).await;
    for _ in 0..2 {
        let probe = the_probe(&ledger).await;
        assert_eq!(send(&ledger, &probe).await, Some(ids[0]));
        end(&ledger, &probe, fails(RetryClass::MAYBE_SEEN, MINUTE)).await;
        scratch
            .run("UPDATE transactions SET state = 'retrying', due_at = now() WHERE state = 'sending'")
            .await;
        scratch.pass(MINUTE).await;
    }
}

#[tokio::test]
async fn the_probe_of_a_sender_that_was_killed_ends_with_its_lease() {
    let scratch = Scratch::new().await;
    let (killed, other) = (scratch.ledger_of("killed"), scratch.ledger_of("other"));
    closed(&scratch, &killed, 2).await;
    let lost = the_probe(&killed).await;
    let sent = send(&killed, &lost).await.expect("one is due");
    scratch.pass(LEASE.hold).await;
    assert!(take(&other).await.is_empty(), "its claim may still be at work");
    scratch.pass(LEASE.quiet_time).await;
    let probe = the_probe(&other).await;
    assert_eq!(probe.failed, 0, "nothing is known about the lost one");
    let next = send(&other, &probe).await.expect("one is due");
    assert_ne!(next, sent);
    // The killed one was only frozen.
    assert!(!end(&killed, &lost, ProbeEnd::Works).await);
    assert_eq!(send(&killed, &lost).await, None, "its right is gone");
    assert_eq!(gate(&other).await.state, GateState::Probing);
    assert!(end(&other, &probe, ProbeEnd::Works).await);
}

#[tokio::test]
async fn a_probe_opens_no_pause_and_sends_nothing_through_one() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    closed(&scratch, &ledger, 1).await;
    let running = the_probe(&ledger).await;
    let seen = gate(&ledger).await.version;
    ledger
        .pause_gate(&account("main"), "olga", "inventory", seen, &stores())
        .await
        .expect("no outage");
    assert_eq!(send(&ledger, &running).await, None, "the pause came before the send");
    end(&ledger, &running, ProbeEnd::Nothing { wait: Duration::ZERO }).await;

    let probe = the_probe(&ledger).await;
    assert!(probe.is_paused);
    assert!(
        end(&ledger, &probe, ProbeEnd::Works).await,
        "what a machine closed, a machine opens"
    );
    let paused = gate(&ledger).await;
    assert_eq!((paused.state, paused.is_open), (GateState::Open, false));
    let due = ledger
        .claim_due(&quota(10), Duration::ZERO, LEASE)
        .await
        .expect("no outage");
    assert!(due.is_empty());
    let resumed = scratch
        .count("SELECT count(*) FROM events WHERE type = 'account.resumed'")
        .await;
    assert_eq!(resumed, 0, "nothing is told that is not so");
}

#[tokio::test]
async fn a_person_who_opens_the_gate_ends_the_probe() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    closed(&scratch, &ledger, 1).await;
    let probe = the_probe(&ledger).await;
    send(&ledger, &probe).await.expect("one is due");
    let seen = gate(&ledger).await.version;
    ledger
        .resume_gate(&account("main"), "olga", "", seen, &stores())
        .await
        .expect("no outage");
    assert!(!end(&ledger, &probe, fails(RetryClass::MAYBE_SEEN, MINUTE)).await);
    assert!(gate(&ledger).await.is_open);
}

#[tokio::test]
async fn a_probe_learns_that_the_account_is_refused_and_does_not_forget_it() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    closed(&scratch, &ledger, 0).await;
    let classes = [RetryClass::Halt { certain: true }, RetryClass::NOT_SEEN];
    for class in classes {
        let probe = the_probe(&ledger).await;
        assert!(send(&ledger, &probe).await.is_none(), "nothing is due");
        end(&ledger, &probe, fails(class, Duration::ZERO)).await;
        assert!(gate(&ledger).await.is_halted());
    }
}
