//! Deliveries: made in the event's commit, claimed once, followed when a dispatcher dies.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::join_all;
use ledger::{
    Delivery, DeliveryFilter, DeliveryOutcome, DeliveryQuota, DeliveryState, DeliveryVerdict, Endpoint, Ledger,
    NewTransaction, Recorded,
};
use receipt::event::EventType;
use receipt::{EventId, Operation, StoreCode};
use sqlx::Executor;

use crate::sample::{DAY, MINUTE, accepted, claimed, offer, offer_of, outcome, queued};
use crate::scratch::Scratch;

fn store(code: &str) -> StoreCode {
    StoreCode::parse(code).expect("a store code")
}

fn endpoint(code: &str, event_types: &[EventType]) -> Endpoint {
    endpoint_at(code, "https://shop.example/kassa", event_types)
}

fn endpoint_at(code: &str, url: &str, event_types: &[EventType]) -> Endpoint {
    Endpoint {
        store: store(code),
        url: url.to_owned(),
        event_types: event_types.to_vec(),
    }
}

pub(crate) fn delivery_quota(code: &str, slots: u32) -> DeliveryQuota {
    DeliveryQuota {
        store: store(code),
        slots,
    }
}

pub(crate) fn tried(delivery: &Delivery, verdict: DeliveryVerdict) -> DeliveryOutcome {
    DeliveryOutcome {
        event: delivery.event.id,
        attempt: delivery.attempt,
        http_status: Some(200),
        error: None,
        verdict,
    }
}

const LATER: DeliveryVerdict = DeliveryVerdict::Again {
    delay: MINUTE,
    slow: None,
};

async fn bound(scratch: &Scratch, endpoints: &[Endpoint]) -> Ledger {
    let ledger = scratch.ledger();
    ledger.bind_webhooks(endpoints).await.expect("bound");
    ledger
}

async fn due(ledger: &Ledger, code: &str) -> Vec<Delivery> {
    ledger
        .claim_deliveries(&[delivery_quota(code, 100)], MINUTE)
        .await
        .expect("no outage")
}

async fn only(ledger: &Ledger, code: &str) -> Delivery {
    let mut deliveries = due(ledger, code).await;
    assert_eq!(deliveries.len(), 1, "one delivery is due");
    deliveries.remove(0)
}

async fn queued_in(ledger: &Ledger, code: &str, number: &str) {
    let new = NewTransaction {
        ..offer_of(Operation::Sell, code, number, "main")
    };
    ledger.accept(new).await.expect("accepted");
}

async fn states(ledger: &Ledger) -> Vec<String> {
    let filter = DeliveryFilter {
        limit: 100,
        ..DeliveryFilter::default()
    };
    let rows = ledger.deliveries(&filter).await.expect("no outage");
    rows.into_iter().map(|row| row.state).collect()
}

#[tokio::test]
async fn every_event_of_a_store_with_a_webhook_makes_a_delivery_and_no_other_store_s_does() {
    let scratch = Scratch::new().await;
    let ledger = bound(&scratch, &[endpoint("main", &[])]).await;
    let claimed = claimed(&ledger, "417").await;
    ledger
        .record(outcome(&claimed, accepted("uuid-417")))
        .await
        .expect("recorded");
    queued_in(&ledger, "second", "418").await;
    let deliveries = due(&ledger, "main").await;
    let types: Vec<_> = deliveries.iter().map(|due| due.event.event_type.as_str()).collect();
    assert_eq!(types, ["receipt.accepted", "receipt.waiting"]);
    assert!(deliveries.iter().all(|due| due.attempt == 1 && due.slowdowns == 0));
    assert!(due(&ledger, "second").await.is_empty());
    assert_eq!(states(&ledger).await.len(), 2);
}

#[tokio::test]
async fn a_delivery_carries_what_the_broker_is_given() {
    let scratch = Scratch::new().await;
    let ledger = bound(&scratch, &[endpoint("main", &[])]).await;
    queued(&ledger, "417").await;
    let delivery = only(&ledger, "main").await;
    let event = ledger.take_events(10).await.expect("no outage").remove(0);
    assert_eq!(delivery.event.published(), event.published());
}

#[tokio::test]
async fn only_the_wanted_types_make_deliveries() {
    let scratch = Scratch::new().await;
    let ledger = bound(&scratch, &[endpoint("main", &[EventType::Waiting, EventType::Done])]).await;
    let claimed = claimed(&ledger, "417").await;
    ledger
        .record(outcome(&claimed, accepted("uuid-417")))
        .await
        .expect("recorded");
    assert_eq!(only(&ledger, "main").await.event.event_type, "receipt.waiting");
}

/// A cursor over ids or times would have gone past the event that commits last.
#[tokio::test]
async fn an_event_whose_commit_comes_late_is_delivered_too() {
    let scratch = Scratch::new().await;
    let ledger = bound(&scratch, &[endpoint("main", &[])]).await;
    let early = EventId::new();
    let mut slow = scratch.pool.begin().await.expect("a transaction");
    sqlx::query("INSERT INTO events (id, type, store, body) VALUES ($1, 'receipt.done', 'main', '{}')")
        .bind(early.0)
        .execute(&mut *slow)
        .await
        .expect("inserted");
    queued(&ledger, "417").await;
    let first = only(&ledger, "main").await;
    assert!(
        first.event.id > early,
        "the later event is committed and delivered first"
    );
    ledger
        .record_delivery(&tried(&first, DeliveryVerdict::Delivered))
        .await
        .expect("recorded");
    slow.commit().await.expect("committed");
    assert_eq!(only(&ledger, "main").await.event.id, early);
}

#[tokio::test]
async fn an_event_that_is_rolled_back_makes_no_delivery() {
    let scratch = Scratch::new().await;
    let ledger = bound(&scratch, &[endpoint("main", &[])]).await;
    let mut undone = scratch.pool.begin().await.expect("a transaction");
    undone
        .execute("INSERT INTO events (id, type, store, body) VALUES (gen_random_uuid(), 'x', 'main', '{}')")
        .await
        .expect("inserted");
    undone.rollback().await.expect("rolled back");
    assert!(states(&ledger).await.is_empty());
}

#[tokio::test]
async fn a_webhook_begins_with_what_happens_after_it_was_configured() {
    let scratch = Scratch::new().await;
    queued(&scratch.ledger(), "before").await;
    let ledger = bound(&scratch, &[endpoint("main", &[])]).await;
    queued(&ledger, "after").await;
    assert_eq!(only(&ledger, "main").await.event.body["document"], "after");
}

#[tokio::test]
async fn a_webhook_that_is_configured_no_more_gets_nothing_new_and_keeps_what_waits() {
    let scratch = Scratch::new().await;
    let ledger = bound(&scratch, &[endpoint("main", &[])]).await;
    queued(&ledger, "with").await;
    ledger.bind_webhooks(&[]).await.expect("bound");
    queued(&ledger, "without").await;
    assert!(due(&ledger, "main").await.is_empty());
    ledger
        .bind_webhooks(&[endpoint("main", &[])])
        .await
        .expect("bound again");
    assert_eq!(only(&ledger, "main").await.event.body["document"], "with");
}

#[tokio::test]
async fn binding_may_be_repeated_and_by_several_processes_at_once() {
    let scratch = Scratch::new().await;
    let ledgers = [scratch.ledger_of("one"), scratch.ledger_of("two")];
    let endpoints = [endpoint("main", &[]), endpoint("second", &[EventType::Done])];
    for bound in join_all(ledgers.iter().map(|ledger| ledger.bind_webhooks(&endpoints))).await {
        bound.expect("bound");
    }
    ledgers[0].bind_webhooks(&endpoints).await.expect("bound again");
    let rows = ledgers[0].webhook_endpoints().await.expect("no outage");
    let rows: Vec<_> = rows.iter().map(|row| (row.store.as_str(), row.active)).collect();
    assert_eq!(rows, [("main", true), ("second", true)]);
}

#[tokio::test]
async fn four_dispatchers_take_every_delivery_once() {
    let scratch = Scratch::new().await;
    let ledger = bound(&scratch, &[endpoint("main", &[])]).await;
    join_all((0..200).map(|number| ledger.accept(offer(&number.to_string())))).await;
    let ledgers: Vec<_> = ["one", "two", "three", "four"]
        .into_iter()
        .map(|name| scratch.ledger_of(name))
        .collect();
    let taken: Vec<Vec<EventId>> = join_all(ledgers.iter().map(|ledger| async {
        let mut mine = Vec::new();
        loop {
            let quota = [delivery_quota("main", 7)];
            let deliveries = ledger.claim_deliveries(&quota, MINUTE).await.expect("no outage");
            if deliveries.is_empty() {
                return mine;
            }
            mine.extend(deliveries.into_iter().map(|delivery| delivery.event.id));
        }
    }))
    .await;
    let all: Vec<_> = taken.iter().flatten().collect();
    assert_eq!(all.len(), 200);
    assert_eq!(all.iter().collect::<HashSet<_>>().len(), 200);
}

#[tokio::test]
async fn a_delivery_whose_dispatcher_died_is_taken_over_with_the_same_event() {
    let scratch = Scratch::new().await;
    let ledger = bound(&scratch, &[endpoint("main", &[])]).await;
    queued(&ledger, "417").await;
    let first = only(&ledger, "main").await;
    assert!(due(&ledger, "main").await.is_empty(), "another has it");
    scratch.pass(MINUTE).await;
    let second = only(&scratch.ledger_of("another"), "main").await;
    assert_eq!((second.event.id, second.attempt), (first.event.id, 2));
}

#[tokio::test]
async fn a_late_failure_moves_nothing_and_a_late_success_ends_the_delivery() {
    let scratch = Scratch::new().await;
    let ledger = bound(&scratch, &[endpoint("main", &[])]).await;
    queued(&ledger, "417").await;
    let first = only(&ledger, "main").await;
    scratch.pass(MINUTE).await;
    let second = only(&ledger, "main").await;
    for late in [LATER, DeliveryVerdict::Exhausted, DeliveryVerdict::Gone] {
        let recorded = ledger.record_delivery(&tried(&first, late)).await.expect("no outage");
        assert_eq!(recorded, Recorded::Fenced, "{late:?}");
    }
    let late = tried(&first, DeliveryVerdict::Delivered);
    assert_eq!(
        ledger.record_delivery(&late).await.expect("no outage"),
        Recorded::Applied
    );
    let slower = tried(&second, LATER);
    assert_eq!(
        ledger.record_delivery(&slower).await.expect("no outage"),
        Recorded::Fenced
    );
    assert_eq!(states(&ledger).await, ["delivered"]);
}

#[tokio::test]
async fn a_delivery_is_tried_again_when_its_wait_is_over_and_not_after_the_last_try() {
    let scratch = Scratch::new().await;
    let ledger = bound(&scratch, &[endpoint("main", &[])]).await;
    queued(&ledger, "417").await;
    let first = only(&ledger, "main").await;
    ledger.record_delivery(&tried(&first, LATER)).await.expect("recorded");
    assert!(due(&ledger, "main").await.is_empty());
    scratch.pass(MINUTE).await;
    let second = only(&ledger, "main").await;
    assert_eq!(second.attempt, 2);
    ledger
        .record_delivery(&tried(&second, DeliveryVerdict::Exhausted))
        .await
        .expect("recorded");
    scratch.pass(DAY).await;
    assert!(due(&ledger, "main").await.is_empty());
    assert_eq!(states(&ledger).await, ["exhausted"]);
    assert_eq!(ledger.webhook_endpoints().await.expect("no outage")[0].exhausted, 1);
}

#[tokio::test]
async fn an_endpoint_that_is_gone_gets_nothing_until_a_person_resumes_it() {
    let scratch = Scratch::new().await;
    let ledger = bound(&scratch, &[endpoint("main", &[]), endpoint("second", &[])]).await;
    queued(&ledger, "1").await;
    let first = only(&ledger, "main").await;
    ledger
        .record_delivery(&tried(&first, DeliveryVerdict::Gone))
        .await
        .expect("recorded");
    queued(&ledger, "2").await;
    queued_in(&ledger, "second", "3").await;
    scratch.pass(DAY).await;
    assert!(due(&ledger, "main").await.is_empty());
    assert_eq!(ledger.stopped_webhooks().await.expect("no outage"), ["main"]);
    assert_eq!(due(&ledger, "second").await.len(), 1, "the other store goes on");
    ledger
        .bind_webhooks(&[endpoint("main", &[]), endpoint("second", &[])])
        .await
        .expect("a restart changes nothing");
    assert!(due(&ledger, "main").await.is_empty());
    let resumed = ledger.resume_webhook(&store("main"), false).await.expect("no outage");
    assert_eq!(resumed, Some(2));
    let again = due(&ledger, "main").await;
    assert_eq!(again.iter().map(|due| due.attempt).collect::<Vec<_>>(), [1, 1]);
    assert_eq!(
        ledger.resume_webhook(&store("nobody"), false).await.expect("no outage"),
        None
    );
}

#[tokio::test]
async fn an_endpoint_that_is_gone_goes_on_at_a_new_address() {
    let scratch = Scratch::new().await;
    let ledger = bound(&scratch, &[endpoint("main", &[])]).await;
    queued(&ledger, "1").await;
    let first = only(&ledger, "main").await;
    ledger
        .record_delivery(&tried(&first, DeliveryVerdict::Gone))
        .await
        .expect("recorded");
    ledger
        .bind_webhooks(&[endpoint_at("main", "https://new.example/kassa", &[])])
        .await
        .expect("bound");
    assert_eq!(only(&ledger, "main").await.event.id, first.event.id);
}

#[tokio::test]
async fn what_was_given_up_is_tried_again_when_a_person_says_so() {
    let scratch = Scratch::new().await;
    let ledger = bound(&scratch, &[endpoint("main", &[])]).await;
    queued(&ledger, "417").await;
    let delivery = only(&ledger, "main").await;
    ledger
        .record_delivery(&tried(&delivery, DeliveryVerdict::Exhausted))
        .await
        .expect("recorded");
    let main = store("main");
    assert_eq!(ledger.resume_webhook(&main, false).await.expect("no outage"), Some(0));
    assert_eq!(ledger.resume_webhook(&main, true).await.expect("no outage"), Some(1));
    let again = only(&ledger, "main").await;
    assert_eq!((again.event.id, again.attempt), (delivery.event.id, 1));
}

#[tokio::test]
async fn an_endpoint_that_asks_for_less_is_left_alone_and_then_tried_with_one() {
    let scratch = Scratch::new().await;
    let ledger = bound(&scratch, &[endpoint("main", &[])]).await;
    for number in 0..5 {
        queued(&ledger, &number.to_string()).await;
    }
    let two = ledger
        .claim_deliveries(&[delivery_quota("main", 2)], MINUTE)
        .await
        .expect("no outage");
    let slow = DeliveryVerdict::Again {
        delay: Duration::from_secs(300),
        slow: Some(Duration::from_secs(10)),
    };
    for delivery in &two {
        ledger.record_delivery(&tried(delivery, slow)).await.expect("recorded");
    }
    assert!(due(&ledger, "main").await.is_empty());
    scratch.pass(Duration::from_secs(10)).await;
    let probe = only(&ledger, "main").await;
    assert_eq!(probe.slowdowns, 1, "two at once have asked once");
    ledger
        .record_delivery(&tried(&probe, DeliveryVerdict::Delivered))
        .await
        .expect("recorded");
    assert_eq!(due(&ledger, "main").await.len(), 2);
}

#[tokio::test]
async fn only_what_was_delivered_long_ago_is_forgotten() {
    let scratch = Scratch::new().await;
    let ledger = bound(&scratch, &[endpoint("main", &[])]).await;
    for number in ["delivered", "exhausted", "pending"] {
        queued(&ledger, number).await;
    }
    for delivery in due(&ledger, "main").await {
        let verdict = match delivery.event.body["document"].as_str() {
            Some("delivered") => DeliveryVerdict::Delivered,
            Some("exhausted") => DeliveryVerdict::Exhausted,
            _ => continue,
        };
        ledger
            .record_delivery(&tried(&delivery, verdict))
            .await
            .expect("recorded");
    }
    assert_eq!(ledger.forget_deliveries(DAY, 10).await.expect("no outage"), 0);
    scratch.pass(2 * DAY).await;
    assert_eq!(ledger.forget_deliveries(DAY, 10).await.expect("no outage"), 1);
    let mut left = states(&ledger).await;
    left.sort();
    assert_eq!(left, ["exhausted", "pending"]);
    let events: i64 = sqlx::query_scalar("SELECT count(*) FROM events")
        .fetch_one(&scratch.pool)
        .await
        .expect("a count");
    assert_eq!(events, 3, "the events themselves stay");
}

#[tokio::test]
async fn deliveries_are_listed_by_store_state_and_transaction() {
    let scratch = Scratch::new().await;
    let ledger = bound(&scratch, &[endpoint("main", &[]), endpoint("second", &[])]).await;
    let id = queued(&ledger, "1").await;
    queued_in(&ledger, "second", "2").await;
    let delivery = only(&ledger, "second").await;
    ledger
        .record_delivery(&tried(&delivery, DeliveryVerdict::Exhausted))
        .await
        .expect("recorded");
    let all = DeliveryFilter {
        limit: 10,
        ..DeliveryFilter::default()
    };
    for (filter, expected) in [
        (all.clone(), vec!["second", "main"]),
        (
            DeliveryFilter {
                store: Some(store("main")),
                ..all.clone()
            },
            vec!["main"],
        ),
        (
            DeliveryFilter {
                state: Some(DeliveryState::Exhausted),
                ..all.clone()
            },
            vec!["second"],
        ),
        (
            DeliveryFilter {
                transaction: Some(id.0),
                ..all.clone()
            },
            vec!["main"],
        ),
    ] {
        let rows = ledger.deliveries(&filter).await.expect("no outage");
        let stores: Vec<_> = rows.iter().map(|row| row.store.as_str()).collect();
        assert_eq!(stores, expected, "{filter:?}");
    }
}
