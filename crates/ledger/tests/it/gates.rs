//! Gates: what is closed is claimed by nobody, and only who closed it, or a person, opens it.

use std::time::Duration;

use ledger::{Acceptance, Claim, CloseReason, Closing, First, GateAction, GateState, Ledger, NewTransaction};
use receipt::{RetryClass, StateName, StoreCode};

use crate::sample::{
    LEASE, MINUTE, a_refusal, account, at_once, claim, claimed, offer, outcome, queued, quota, refused, retry,
};
use crate::scratch::Scratch;

pub(crate) fn stores() -> Vec<StoreCode> {
    ["main", "second"]
        .map(|store| StoreCode::parse(store).expect("a store code"))
        .to_vec()
}

pub(crate) fn closing(reason: CloseReason) -> Closing {
    Closing {
        account: account("main"),
        reason,
        refusal: *a_refusal(match reason {
            CloseReason::Breaker => RetryClass::MAYBE_SEEN,
            CloseReason::Halt => RetryClass::Halt { certain: true },
        }),
        probe_in: MINUTE,
    }
}

pub(crate) async fn close(ledger: &Ledger, reason: CloseReason) -> bool {
    ledger.close_gate(&closing(reason), &stores()).await.expect("no outage")
}

pub(crate) async fn gate(ledger: &Ledger) -> ledger::Gate {
    let mut gates = ledger.gates().await.expect("no outage");
    assert_eq!(gates.len(), 1, "{gates:?}");
    gates.remove(0)
}

async fn pause(ledger: &Ledger, seen: i64) -> GateAction {
    ledger
        .pause_gate(&account("main"), "olga", "inventory", seen, &stores())
        .await
        .expect("no outage")
}

async fn resume(ledger: &Ledger, seen: i64) -> GateAction {
    ledger
        .resume_gate(&account("main"), "olga", "", seen, &stores())
        .await
        .expect("no outage")
}

/// What account events there are: routing key and one field of the body.
async fn told(scratch: &Scratch, field: &str) -> Vec<(String, String)> {
    sqlx::query_as(
        "SELECT store || '.' || type, coalesce(body ->> $1, '') FROM events WHERE type LIKE 'account.%' ORDER BY id",
    )
    .bind(field)
    .fetch_all(&scratch.pool)
    .await
    .expect("the events")
}

async fn changes(scratch: &Scratch) -> Vec<(String, String, bool, String)> {
    sqlx::query_as("SELECT change, who, is_person, reason FROM gate_changes ORDER BY id")
        .fetch_all(&scratch.pool)
        .await
        .expect("the changes")
}

/// All three ways to claim find nothing.
async fn nothing_can_be_claimed(scratch: &Scratch, ledger: &Ledger, number: &str) {
    let accepted = ledger
        .accept(NewTransaction {
            first: at_once(),
            ..offer(number)
        })
        .await
        .expect("acceptance goes on");
    let Acceptance::Queued(id) = accepted else {
        panic!("{number} is {accepted:?}");
    };
    let row = scratch.transaction(id).await;
    assert_eq!((row.state.as_str(), row.fence, row.trials), ("queued", 0, 0));
    assert!(row.due_in_seconds.is_some_and(|due| due <= 0.0), "it stays due");
    assert!(
        matches!(ledger.claim(id, 0, LEASE).await, Ok(Claim::Stale)),
        "by pointer"
    );
    let due = ledger
        .claim_due(&quota(10), Duration::ZERO, LEASE)
        .await
        .expect("no outage");
    assert!(due.is_empty(), "by due row");
    assert!(scratch.attempts(id).await.is_empty());
    let again = ledger
        .accept(NewTransaction {
            first: at_once(),
            ..offer(number)
        })
        .await;
    assert!(
        matches!(
            again,
            Ok(Acceptance::Known {
                state: StateName::Queued,
                ..
            })
        ),
        "{again:?}"
    );
}

#[tokio::test]
async fn behind_a_closed_gate_no_way_to_claim_finds_a_row_and_when_it_opens_all_do() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    for (number, reason) in [("1", CloseReason::Breaker), ("2", CloseReason::Halt)] {
        assert!(close(&ledger, reason).await);
        nothing_can_be_claimed(&scratch, &ledger, number).await;
        assert_eq!(resume(&ledger, gate(&ledger).await.version).await, GateAction::Done);
    }
    assert_eq!(pause(&ledger, gate(&ledger).await.version).await, GateAction::Done);
    nothing_can_be_claimed(&scratch, &ledger, "3").await;
    assert_eq!(resume(&ledger, gate(&ledger).await.version).await, GateAction::Done);
    let due = ledger
        .claim_due(&quota(10), Duration::ZERO, LEASE)
        .await
        .expect("no outage");
    assert_eq!(due.len(), 3);
    claimed(&ledger, "4").await;
    let id = queued(&ledger, "5").await;
    claim(&ledger, id, 0).await;
}

#[tokio::test]
async fn a_gate_is_one_accounts_and_leaves_the_others_alone() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    close(&ledger, CloseReason::Breaker).await;
    let other = NewTransaction {
        account: account("other"),
        first: at_once(),
        ..offer("417")
    };
    assert!(matches!(ledger.accept(other).await, Ok(Acceptance::Claimed(_))));
}

#[tokio::test]
async fn a_claim_that_was_made_before_the_gate_closed_is_recorded_and_can_be_repeated() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let new = NewTransaction {
        first: at_once(),
        ..offer("417")
    };
    let Ok(Acceptance::Claimed(before)) = ledger.accept(new.clone()).await else {
        panic!("it is claimed");
    };
    close(&ledger, CloseReason::Breaker).await;
    let again = ledger.accept(new).await;
    assert!(
        matches!(again, Ok(Acceptance::Claimed(_))),
        "the answer to the first commit may have been lost: {again:?}"
    );
    ledger
        .record(refused(&before, RetryClass::MAYBE_SEEN, retry(Duration::ZERO)))
        .await
        .expect("recorded");
    assert_eq!(scratch.state(before.subject.transaction_id).await, "retrying");
}

#[tokio::test]
async fn many_close_a_gate_at_once_and_it_is_told_once_to_each_store() {
    let scratch = Scratch::new().await;
    let ledgers: Vec<Ledger> = (0..4).map(|n| scratch.ledger_of(&format!("worker-{n}"))).collect();
    let closed = futures_util::future::join_all(ledgers.iter().map(|ledger| close(ledger, CloseReason::Breaker))).await;
    assert_eq!(closed.iter().filter(|closed| **closed).count(), 1, "{closed:?}");
    let gate = gate(&ledgers[0]).await;
    assert_eq!(
        (gate.is_open, gate.state, gate.reason),
        (false, GateState::Closed, Some(CloseReason::Breaker))
    );
    assert_eq!((gate.code.as_deref(), gate.version), (Some("system 50"), 1));
    assert_eq!(
        told(&scratch, "reason").await,
        [
            ("main.account.paused".to_owned(), "breaker".to_owned()),
            ("second.account.paused".to_owned(), "breaker".to_owned()),
        ]
    );
    let body: serde_json::Value = sqlx::query_scalar("SELECT body FROM events WHERE store = 'second'")
        .fetch_one(&scratch.pool)
        .await
        .expect("an event");
    assert_eq!(
        (&body["account"], &body["store"], &body["state"], &body["by"]),
        (&"main".into(), &"second".into(), &"paused".into(), &"machine".into())
    );
    assert_eq!(body["error"]["cure"]["ru"], "Что делать.");
    assert!(
        body["text"]["ru"]
            .as_str()
            .is_some_and(|text| text.contains("Причина.")),
        "{body}"
    );
    assert!(
        body["since"]
            .as_str()
            .is_some_and(|since| since.parse::<jiff::Timestamp>().is_ok()),
        "{body}"
    );
    assert!(body.get("transaction_id").is_none());
    let commits = scratch
        .count("SELECT count(DISTINCT xmin::text) FROM (SELECT xmin FROM gates UNION ALL SELECT xmin FROM events UNION ALL SELECT xmin FROM gate_changes) w")
        .await;
    assert_eq!(commits, 1, "the change and what is told about it are one commit");
}

#[tokio::test]
async fn a_halt_says_more_than_the_breaker_and_nothing_less_replaces_it() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    assert!(close(&ledger, CloseReason::Breaker).await);
    let since = gate(&ledger).await.closed_at;
    assert!(close(&ledger, CloseReason::Halt).await);
    assert!(!close(&ledger, CloseReason::Breaker).await);
    assert!(!close(&ledger, CloseReason::Halt).await);
    let gate = gate(&ledger).await;
    assert!(gate.is_halted() && gate.closed_at == since);
    assert_eq!(changes(&scratch).await.len(), 2);
}

#[tokio::test]
async fn a_person_who_saw_an_older_gate_changes_nothing() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    assert_eq!(
        pause(&ledger, 3).await,
        GateAction::Changed,
        "there is no gate that could have been seen"
    );
    close(&ledger, CloseReason::Breaker).await;
    assert_eq!(pause(&ledger, 0).await, GateAction::Changed, "it was closed meanwhile");
    assert_eq!(resume(&ledger, 0).await, GateAction::Changed);
    assert_eq!(pause(&ledger, 1).await, GateAction::Done);
    assert_eq!(
        resume(&ledger, 1).await,
        GateAction::Changed,
        "somebody has paused it meanwhile"
    );
    assert_eq!(resume(&ledger, 2).await, GateAction::Done);
    assert_eq!(
        resume(&ledger, 3).await,
        GateAction::Changed,
        "an open gate cannot be opened"
    );
}

#[tokio::test]
async fn a_person_opens_what_a_person_and_a_machine_have_closed_and_everything_is_kept() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    assert_eq!(pause(&ledger, 0).await, GateAction::Done);
    assert!(
        close(&ledger, CloseReason::Halt).await,
        "a machine may say more about a paused account"
    );
    let paused = gate(&ledger).await;
    let pause = paused.pause.as_ref().expect("a pause");
    assert_eq!((pause.by.as_str(), pause.reason.as_str()), ("olga", "inventory"));
    assert!(!paused.is_open && paused.is_halted());
    assert_eq!(resume(&ledger, paused.version).await, GateAction::Done);
    let gate = gate(&ledger).await;
    assert!(gate.is_open && gate.pause.is_none() && !gate.is_halted());
    assert!(gate.open_for.is_some_and(|since| since < MINUTE));
    let kept: Vec<(String, bool)> = changes(&scratch)
        .await
        .into_iter()
        .map(|(what, _, person, _)| (what, person))
        .collect();
    assert_eq!(
        kept,
        [
            ("paused".to_owned(), true),
            ("closed".to_owned(), false),
            ("resumed".to_owned(), true)
        ]
    );
    let keys: Vec<String> = told(&scratch, "who")
        .await
        .into_iter()
        .map(|(key, who)| format!("{key} {who}"))
        .collect();
    assert_eq!(
        keys,
        [
            "main.account.paused olga",
            "second.account.paused olga",
            "main.account.paused ",
            "second.account.paused ",
            "main.account.resumed olga",
            "second.account.resumed olga"
        ]
    );
}

#[tokio::test]
async fn receipts_that_were_refused_before_it_was_known_that_the_account_is_meant_wait_for_the_gate() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let halt = RetryClass::Halt { certain: false };
    let first = claimed(&ledger, "1").await;
    ledger
        .record(refused(&first, halt.clone(), retry(MINUTE)))
        .await
        .expect("recorded");
    let taken = claimed(&ledger, "2").await;
    ledger
        .record(outcome(&taken, crate::sample::accepted("uuid-2")))
        .await
        .expect("recorded");
    // It was refused once, and its last try was lost on the way: it keeps its wait, and the quiet time in it.
    let silent = claimed(&ledger, "3").await;
    ledger
        .record(refused(&silent, RetryClass::MAYBE_SEEN, retry(MINUTE)))
        .await
        .expect("recorded");
    let silent_id = silent.subject.transaction_id;
    let ids = [first.subject.transaction_id, taken.subject.transaction_id];
    ledger
        .wait_for_gate(&[ids[0], ids[1], silent_id])
        .await
        .expect("no outage");
    let silent = scratch.transaction(silent_id).await;
    assert!(silent.due_in_seconds.is_some_and(|due| due > 30.0), "{silent:?}");
    let (first, taken) = (scratch.transaction(ids[0]).await, scratch.transaction(ids[1]).await);
    assert!(first.due_in_seconds.is_some_and(|due| due <= 0.0), "{first:?}");
    assert_eq!(
        (taken.state.as_str(), taken.due_in_seconds),
        ("waiting", None),
        "what is settled is left alone"
    );
}

#[tokio::test]
async fn an_account_that_was_never_closed_needs_no_row() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    assert!(ledger.gates().await.expect("no outage").is_empty());
    assert!(matches!(
        ledger
            .accept(NewTransaction {
                first: First::Queue,
                ..offer("417")
            })
            .await,
        Ok(Acceptance::Queued(_))
    ));
    assert_eq!(resume(&ledger, 0).await, GateAction::Changed);
}
