//! Workers share the limits of the accounts among those that are there.

use std::time::Duration;

use ledger::{Ledger, Presence, Rank, WorkerRole};
use uuid::Uuid;

use crate::scratch::Scratch;

const EXPIRY: Duration = Duration::from_secs(10);
const SETTLE: Duration = Duration::from_secs(5);

fn presence(role: WorkerRole) -> Presence {
    Presence {
        id: Uuid::now_v7(),
        role,
        expiry: EXPIRY,
        settle: SETTLE,
    }
}

async fn show(ledger: &Ledger, presence: &Presence) -> Rank {
    ledger.show_up(presence).await.expect("no outage")
}

#[tokio::test]
async fn workers_of_one_role_count_each_other_and_each_has_a_number_of_its_own() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let senders: Vec<Presence> = (0..3).map(|_| presence(WorkerRole::Sender)).collect();
    let poller = presence(WorkerRole::Poller);
    for sender in &senders {
        show(&ledger, sender).await;
    }
    assert_eq!(show(&ledger, &poller).await.of, 1, "a poller has the polls for itself");
    scratch.pass(SETTLE).await;
    let mut standings = Vec::new();
    for sender in &senders {
        standings.push(show(&ledger, sender).await);
    }
    let mut ranks: Vec<u32> = standings.iter().map(|standing| standing.rank).collect();
    ranks.sort_unstable();
    assert_eq!(ranks, [0, 1, 2]);
    assert_eq!(standings.iter().map(|standing| standing.share(7)).sum::<u32>(), 7);
}

#[tokio::test]
async fn a_newcomer_takes_nothing_before_the_others_had_the_time_to_see_it() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let old = presence(WorkerRole::Sender);
    assert_eq!(
        show(&ledger, &old).await.share(4),
        0,
        "two may start at the same moment"
    );
    scratch.pass(SETTLE).await;
    assert_eq!(show(&ledger, &old).await.share(4), 4);
    let newcomer = presence(WorkerRole::Sender);
    assert_eq!(show(&ledger, &newcomer).await.share(4), 0);
    assert_eq!(show(&ledger, &old).await.share(4), 2, "room is made at once");
    scratch.pass(SETTLE).await;
    assert_eq!(show(&ledger, &newcomer).await.share(4), 2);
}

#[tokio::test]
async fn the_share_of_a_worker_that_is_gone_returns() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let (stays, dies, leaves) = (
        presence(WorkerRole::Sender),
        presence(WorkerRole::Sender),
        presence(WorkerRole::Sender),
    );
    for worker in [&stays, &dies, &leaves] {
        show(&ledger, worker).await;
    }
    scratch.pass(SETTLE).await;
    ledger.leave(leaves.id).await.expect("no outage");
    assert_eq!(show(&ledger, &stays).await.of, 2);
    scratch.pass(EXPIRY / 2).await;
    show(&ledger, &stays).await;
    scratch.pass(Duration::from_secs(1)).await;
    assert_eq!(
        show(&ledger, &stays).await.share(4),
        4,
        "it has not shown itself for longer than it may"
    );
    assert!(
        !show(&ledger, &dies).await.is_settled,
        "who comes back comes as a newcomer"
    );
    assert_eq!(show(&ledger, &stays).await.of, 2);
}
