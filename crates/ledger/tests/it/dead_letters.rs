//! Messages that could not be accepted.

use ledger::{Ledger, LetterFilter, LetterRow, NewDeadLetter, Origin, Rejection};
use receipt::event::EventType;
use serde_json::{Value, json};

use crate::scratch::Scratch;

fn a_letter() -> NewDeadLetter {
    NewDeadLetter {
        origin: Origin::Intake,
        exchange: "kassa.requests".to_owned(),
        routing_key: "main".to_owned(),
        message_id: Some("message-1".to_owned()),
        body: b"not json".to_vec(),
        headers: json!({ "content_type": "application/json" }),
        rejection: Rejection {
            code: "malformed".to_owned(),
            problem: json!({ "title": "Malformed", "errors": [{ "pointer": "/lines/0" }] }),
            event: EventType::Rejected,
            about: None,
        },
    }
}

async fn the_letters(ledger: &Ledger, limit: i64) -> Vec<LetterRow> {
    ledger
        .list_letters(&LetterFilter::default(), limit)
        .await
        .expect("no outage")
}

async fn the_event(ledger: &Ledger) -> (String, String, Option<String>, Value) {
    let mut events = ledger.take_events(10).await.expect("no outage");
    assert_eq!(events.len(), 1, "one event");
    let event = events.remove(0);
    (event.event_type, event.store, event.correlation_id, event.body)
}

#[tokio::test]
async fn every_byte_is_kept() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let body: Vec<u8> = (0..=255).chain(*b"\0\xff\xfe").collect();
    ledger
        .bury(&NewDeadLetter {
            body: body.clone(),
            ..a_letter()
        })
        .await
        .expect("buried");
    let letters = the_letters(&ledger, 10).await;
    assert_eq!(letters.len(), 1);
    let letter = ledger
        .letter(letters[0].id)
        .await
        .expect("no outage")
        .expect("a letter");
    assert_eq!(letter.body, body);
    assert_eq!(
        (letters[0].origin.as_str(), letters[0].routing_key.as_str()),
        ("intake", "main")
    );
    assert_eq!((letters[0].reason_code.as_str(), letters[0].times), ("malformed", 1));
    assert_eq!(letter.reason["title"], "Malformed");
    assert_eq!(letter.headers["content_type"], "application/json");
}

#[tokio::test]
async fn the_shop_is_told_which_message_was_refused_and_why() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    ledger.bury(&a_letter()).await.expect("buried");
    let commits = scratch
        .count("SELECT count(DISTINCT written) FROM (SELECT xmin::text AS written FROM dead_letters UNION ALL SELECT xmin::text FROM events) rows")
        .await;
    assert_eq!(commits, 1, "the message and what is told of it");
    let (event_type, store, correlation_id, body) = the_event(&ledger).await;
    assert_eq!((event_type.as_str(), store.as_str()), ("request.rejected", "main"));
    assert_eq!(correlation_id.as_deref(), Some("message-1"));
    assert_eq!(body["problem"]["errors"][0]["pointer"], "/lines/0");
}

#[tokio::test]
async fn a_conflict_is_told_as_one() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let mut letter = a_letter();
    letter.rejection.event = EventType::Conflict;
    ledger.bury(&letter).await.expect("buried");
    assert_eq!(the_event(&ledger).await.0, "receipt.conflict");
}

#[tokio::test]
async fn the_same_message_again_is_counted_and_told_again() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    for _ in 0..3 {
        ledger.bury(&a_letter()).await.expect("buried");
    }
    let letters = the_letters(&ledger, 10).await;
    assert_eq!((letters.len(), letters[0].times), (1, 3));
    assert_eq!(ledger.take_events(10).await.expect("no outage").len(), 3);
}

#[tokio::test]
async fn another_key_reason_or_body_is_another_message() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let mut other_reason = a_letter();
    other_reason.rejection.code = "unknown_store".to_owned();
    for letter in [
        a_letter(),
        other_reason,
        NewDeadLetter {
            routing_key: "outlet".to_owned(),
            ..a_letter()
        },
        NewDeadLetter {
            body: b"not json either".to_vec(),
            ..a_letter()
        },
    ] {
        ledger.bury(&letter).await.expect("buried");
    }
    assert_eq!(the_letters(&ledger, 10).await.len(), 4);
    assert_eq!(the_letters(&ledger, 2).await.len(), 2);
}

#[tokio::test]
async fn one_message_that_two_processes_bury_at_once_is_one() {
    let scratch = Scratch::new().await;
    let (one, other) = (scratch.ledger_of("one"), scratch.ledger_of("other"));
    let letter = a_letter();
    let buried =
        futures_util::future::join_all((0..10).map(|n| if n % 2 == 0 { &one } else { &other }.bury(&letter))).await;
    assert!(buried.iter().all(Result::is_ok), "{buried:?}");
    assert_eq!(the_letters(&one, 10).await[0].times, 10);
}

#[tokio::test]
async fn nothing_that_a_stranger_sends_keeps_a_message_from_being_kept() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let nul = "a\0b".to_owned();
    let letter = NewDeadLetter {
        origin: Origin::Broker,
        exchange: nul.clone(),
        routing_key: nul.clone(),
        message_id: Some(nul.clone()),
        body: Vec::new(),
        headers: json!({ "a\0b": ["a\0b", { "x": "\0" }] }),
        rejection: Rejection {
            code: nul.clone(),
            problem: json!({ "detail": "unknown field a\0b" }),
            event: EventType::Rejected,
            about: None,
        },
    };
    ledger.bury(&letter).await.expect("buried");
    let (_, store, correlation_id, body) = the_event(&ledger).await;
    assert_eq!(store, "unknown", "no stranger chooses the routing key of an event");
    assert_eq!(correlation_id.as_deref(), Some("a\u{fffd}b"));
    assert_eq!(body["problem"]["detail"], "unknown field a\u{fffd}b");
}
