//! Events on their way out.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::join_all;
use receipt::EventId;

use crate::sample::{accepted, claimed, offer, outcome, queued};
use crate::scratch::Scratch;

#[tokio::test]
async fn an_event_is_taken_with_everything_that_is_published() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let id = queued(&ledger, "417").await;
    let events = ledger.take_events(10).await.expect("no outage");
    assert_eq!(events.len(), 1);
    let event = &events[0];
    assert_eq!(
        (event.event_type.as_str(), event.store.as_str()),
        ("receipt.accepted", "main")
    );
    assert_eq!(event.correlation_id, None);
    assert_eq!(event.body["transaction_id"], id.to_string());
    assert_eq!(
        (event.body["state"].as_str(), event.body["kkm_status"].as_str()),
        (Some("queued"), Some("wait"))
    );
    assert!(jiff::Timestamp::now().duration_since(event.time).as_secs().abs() < 60);
}

#[tokio::test]
async fn events_of_a_transaction_come_in_the_order_in_which_they_happened() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    for number in 0..20 {
        let claimed = claimed(&ledger, &number.to_string()).await;
        ledger
            .record(outcome(&claimed, accepted(&format!("uuid-{number}"))))
            .await
            .expect("recorded");
    }
    let events = ledger.take_events(100).await.expect("no outage");
    assert_eq!(events.len(), 40);
    for number in 0..20 {
        let types: Vec<_> = events
            .iter()
            .filter(|event| event.body["document"].as_str() == Some(&number.to_string()))
            .map(|event| event.event_type.as_str())
            .collect();
        assert_eq!(types, ["receipt.accepted", "receipt.waiting"]);
    }
}

#[tokio::test]
async fn the_oldest_events_are_taken_first() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    for number in ["1", "2", "3"] {
        queued(&ledger, number).await;
    }
    for expected in ["1", "2", "3"] {
        let events = ledger.take_events(1).await.expect("no outage");
        assert_eq!(events[0].body["document"], expected);
    }
}

#[tokio::test]
async fn four_relays_take_every_event_once() {
    let scratch = Scratch::new().await;
    let ledgers: Vec<_> = ["one", "two", "three", "four"]
        .into_iter()
        .map(|name| scratch.ledger_of(name))
        .collect();
    join_all((0..200).map(|number| ledgers[0].accept(offer(&number.to_string())))).await;
    let taken: Vec<Vec<EventId>> = join_all(ledgers.iter().map(|ledger| async {
        let mut mine = Vec::new();
        loop {
            let events = ledger.take_events(9).await.expect("no outage");
            if events.is_empty() {
                return mine;
            }
            mine.extend(events.into_iter().map(|event| event.id));
        }
    }))
    .await;
    let all: Vec<_> = taken.iter().flatten().collect();
    assert_eq!(all.len(), 200);
    assert_eq!(all.iter().collect::<HashSet<_>>().len(), 200);
}

#[tokio::test]
async fn an_event_that_nobody_confirmed_is_taken_again() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    queued(&ledger, "417").await;
    let first = ledger.take_events(10).await.expect("no outage");
    assert!(
        ledger.take_events(10).await.expect("no outage").is_empty(),
        "another relay has it"
    );
    scratch.pass(Duration::from_secs(30)).await;
    let second = ledger.take_events(10).await.expect("no outage");
    assert_eq!(
        (first[0].id, second.len()),
        (second[0].id, 1),
        "the same id, so that a consumer knows it"
    );
}

#[tokio::test]
async fn a_confirmed_event_is_never_taken_again() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    queued(&ledger, "417").await;
    queued(&ledger, "418").await;
    let ids: Vec<EventId> = ledger
        .take_events(10)
        .await
        .expect("no outage")
        .iter()
        .map(|event| event.id)
        .collect();
    ledger.mark_published(&ids[..1]).await.expect("marked");
    scratch.pass(crate::sample::DAY).await;
    let left = ledger.take_events(10).await.expect("no outage");
    assert_eq!((left.len(), left[0].id), (1, ids[1]));
    ledger.mark_published(&ids).await.expect("twice does no harm");
    ledger.return_events(&ids).await.expect("no outage");
    scratch.pass(crate::sample::DAY).await;
    assert!(
        ledger.take_events(10).await.expect("no outage").is_empty(),
        "what is published cannot be returned"
    );
}

/// A queue that takes nothing must not keep the events of all others waiting, however many pile up before it.
#[tokio::test]
async fn events_that_the_broker_does_not_take_go_behind_newer_ones_and_wait_longer_each_time() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    join_all((0..60).map(|number| ledger.accept(offer(&number.to_string())))).await;
    let ids = |events: &[ledger::PendingEvent]| events.iter().map(|event| event.id).collect::<Vec<_>>();
    let refused = ids(&ledger.take_events(100).await.expect("no outage"));
    assert_eq!(refused.len(), 60);
    ledger.put_off_events(&refused).await.expect("put off");
    queued(&ledger, "new").await;
    let taken = ledger.take_events(10).await.expect("no outage");
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0].body["document"], "new");
    ledger.mark_published(&ids(&taken)).await.expect("marked");

    // Half a minute later they are due again, and those that come after that are before them once they were refused again.
    for (refusal, wait) in [30, 60, 120, 240, 480, 900, 900].into_iter().enumerate() {
        scratch.pass(Duration::from_secs(wait - 5)).await;
        assert!(ledger.take_events(100).await.expect("no outage").is_empty(), "{wait} s");
        scratch.pass(Duration::from_secs(5)).await;
        queued(&ledger, &format!("after-{refusal}")).await;
        let taken = ids(&ledger.take_events(61).await.expect("no outage"));
        assert_eq!(taken.len(), 61);
        ledger.put_off_events(&refused).await.expect("put off");
        let newer: Vec<_> = taken.into_iter().filter(|id| !refused.contains(id)).collect();
        ledger.mark_published(&newer).await.expect("marked");
    }
}

#[tokio::test]
async fn a_returned_event_is_taken_again_at_once() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    queued(&ledger, "417").await;
    let ids: Vec<EventId> = ledger
        .take_events(10)
        .await
        .expect("no outage")
        .iter()
        .map(|event| event.id)
        .collect();
    ledger.return_events(&ids).await.expect("returned");
    assert_eq!(ledger.take_events(10).await.expect("no outage").len(), 1);
}
