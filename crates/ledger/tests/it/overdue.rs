//! What waits for too long is told once and changed in nothing.

use std::time::Duration;

use ledger::{Ledger, PollLimit};
use receipt::StoreCode;

use crate::sample::{DAY, MINUTE, account, answer, done, polled, waiting};
use crate::scratch::Scratch;

fn limit(store: &str, after: Duration) -> PollLimit {
    PollLimit {
        store: StoreCode::parse(store).expect("a store code"),
        after,
    }
}

async fn tell(ledger: &Ledger, limits: &[PollLimit]) -> usize {
    let accounts = [account("main"), account("other")];
    let found = ledger.tell_overdue(&accounts, limits, DAY, 100).await;
    found.expect("no outage")
}

#[tokio::test]
async fn a_receipt_that_waits_for_too_long_is_told_once_and_goes_on_waiting() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let id = waiting(&ledger, "417", "uuid-1").await.subject.transaction_id;
    let limits = [limit("main", 60 * MINUTE)];
    assert_eq!(tell(&ledger, &limits).await, 0);
    scratch
        .run("UPDATE registrations SET waiting_since = now() - interval '61 minutes'")
        .await;
    let before = scratch.transaction(id).await;
    let other = scratch.ledger_of("other");
    tokio::join!(tell(&ledger, &limits), tell(&other, &limits));
    assert_eq!(tell(&ledger, &limits).await, 0, "found no more");
    assert_eq!(
        scratch.events(id).await,
        ["receipt.accepted", "receipt.waiting", "receipt.overdue"]
    );
    let after = scratch.transaction(id).await;
    assert_eq!((after.state.as_str(), after.version), ("waiting", before.version));
    assert!(scratch.registration(id).await.poll_in_seconds.is_some());
    let (state, text): (String, String) =
        sqlx::query_as("SELECT body ->> 'state', body #>> '{text,en}' FROM events WHERE type = 'receipt.overdue'")
            .fetch_one(&scratch.pool)
            .await
            .expect("the event");
    assert_eq!(state, "waiting");
    assert!(
        text.contains("(1 h)") && text.contains("do not send it again"),
        "{text}"
    );
    let polled = polled(&ledger).await;
    ledger.record_poll(answer(&polled, done())).await.expect("recorded");
    assert_eq!(scratch.state(id).await, "done");
}

#[tokio::test]
async fn each_store_has_its_own_limit() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let id = waiting(&ledger, "417", "uuid-1").await.subject.transaction_id;
    scratch
        .run("UPDATE registrations SET waiting_since = now() - interval '2 hours'")
        .await;
    assert_eq!(
        tell(&ledger, &[limit("second", MINUTE), limit("main", 3 * 60 * MINUTE)]).await,
        0
    );
    assert_eq!(
        tell(&ledger, &[limit("second", MINUTE)]).await,
        0,
        "a day for a store that is gone"
    );
    assert_eq!(tell(&ledger, &[limit("main", 60 * MINUTE)]).await, 1);
    assert_eq!(
        scratch.events(id).await.last().map(String::as_str),
        Some("receipt.overdue")
    );
}
