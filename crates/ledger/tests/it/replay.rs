//! Dead letters that are accepted after all, and dropped.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::civil::{Date, date};
use ledger::{
    Acceptance, Actor, DeadLetter, First, Judged, Ledger, LetterFilter, NewDeadLetter, NewTransaction, Origin,
    Rejection, Replayed, Request, WouldReplay,
};
use receipt::intake::Directory;
use receipt::{StoreCode, StoreSettings, VendorName};
use serde_json::{Value, json};

use crate::sample::account;
use crate::scratch::Scratch;

const TODAY: Date = date(2026, 11, 23);

fn directory(stores: &[&str]) -> Directory {
    let settings: StoreSettings = serde_json::from_value(json!({
        "account": "main", "inn": "7701234567", "sno": "osn", "payment_address": "https://shop.example",
        "company_email": "kassa@shop.example"
    }))
    .expect("settings");
    Directory {
        stores: stores
            .iter()
            .map(|code| (StoreCode::parse(code).expect("a store code"), settings.clone()))
            .collect(),
        vendors: BTreeMap::from([(account("main"), VendorName::parse("atol").expect("a vendor name"))]),
    }
}

fn request(number: &str, name: &str) -> Value {
    json!({
        "operation": "sell",
        "document": { "number": number },
        "customer": { "email": "buyer@example.org" },
        "lines": [{ "name": name, "price": "100.00", "quantity": "1", "vat": "none" }],
        "total": "100.00"
    })
}

/// Buries a message the way the accept loop does.
async fn bury(ledger: &Ledger, directory: &Directory, key: &str, body: &[u8]) -> DeadLetter {
    let judged = ledger
        .judge(
            directory,
            Request {
                body,
                message_type: None,
                routing_key: Some(key),
                today: TODAY,
            },
        )
        .await
        .expect("no outage");
    let rejection = match judged {
        Judged::Refused(why) => Rejection::of(&why),
        Judged::Acceptable(prepared) => {
            let subject = prepared.subject.clone();
            match ledger.accept(NewTransaction::of(*prepared, First::Queue)).await {
                Ok(Acceptance::Conflict { id, state }) => Rejection::conflict(subject, id, state),
                other => panic!("{other:?}"),
            }
        }
        Judged::Known(id) => panic!("known as {id}"),
    };
    ledger
        .bury(&NewDeadLetter {
            origin: Origin::Intake,
            exchange: "kassa.requests".to_owned(),
            routing_key: key.to_owned(),
            message_id: Some(format!("m-{key}")),
            body: body.to_vec(),
            headers: json!({ "type": null, "headers": {} }),
            rejection,
        })
        .await
        .expect("buried");
    let newest = ledger
        .list_letters(&LetterFilter::default(), 1)
        .await
        .expect("no outage");
    letter(ledger, newest[0].id).await
}

async fn letter(ledger: &Ledger, id: uuid::Uuid) -> DeadLetter {
    ledger.letter(id).await.expect("no outage").expect("a letter")
}

fn maria() -> Actor {
    Actor {
        name: "maria".to_owned(),
        reason: None,
    }
}

async fn replay(ledger: &Ledger, directory: &Directory, letter: &DeadLetter, body: Option<&[u8]>) -> Replayed {
    ledger
        .replay(directory, letter, body, TODAY, &maria())
        .await
        .expect("no outage")
}

async fn accept(ledger: &Ledger, directory: &Directory, body: &Value) -> receipt::TransactionId {
    let body = body.to_string();
    let request = Request {
        body: body.as_bytes(),
        message_type: None,
        routing_key: Some("main"),
        today: TODAY,
    };
    let Ok(Judged::Acceptable(prepared)) = ledger.judge(directory, request).await else {
        panic!("not acceptable");
    };
    match ledger.accept(NewTransaction::of(*prepared, First::Queue)).await {
        Ok(Acceptance::Queued(id)) => id,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_letter_replayed_twice_is_one_transaction() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let body = request("417", "Mug").to_string();
    let buried = bury(&ledger, &directory(&[]), "main", body.as_bytes()).await;
    assert_eq!(buried.reason_code, "unknown_store");
    let now = directory(&["main"]);
    let would = ledger
        .would_replay(&now, &buried, None, TODAY)
        .await
        .expect("no outage");
    assert!(matches!(would, WouldReplay::Accept), "{would:?}");
    assert!(scratch.ids().await.is_empty(), "looking changes nothing");

    let Replayed::Accepted { id, external_id, .. } = replay(&ledger, &now, &buried, None).await else {
        panic!("not accepted");
    };
    assert_eq!(external_id.as_str(), "invoice_main_417");
    let marked = letter(&ledger, buried.id).await;
    assert_eq!(
        (marked.replayed_at.is_some(), marked.transaction_id),
        (true, Some(id.0))
    );
    // Again as it is now, and as somebody saw it before.
    for seen in [&marked, &buried] {
        assert!(matches!(replay(&ledger, &now, seen, None).await, Replayed::Known(again) if again == id));
    }
    assert_eq!(scratch.ids().await, [id.0]);
    assert_eq!(
        ledger.actions(id.0).await.expect("no outage").len(),
        1,
        "it was marked once"
    );
    assert!(
        ledger
            .list_letters(&LetterFilter::default(), 10)
            .await
            .expect("no outage")
            .is_empty()
    );
}

#[tokio::test]
async fn a_replay_that_died_between_acceptance_and_mark_finds_the_transaction_again() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let body = request("417", "Mug");
    let buried = bury(&ledger, &directory(&[]), "main", body.to_string().as_bytes()).await;
    let now = directory(&["main"]);
    let id = accept(&ledger, &now, &body).await;
    assert!(matches!(replay(&ledger, &now, &buried, None).await, Replayed::Known(known) if known == id));
    assert_eq!(letter(&ledger, buried.id).await.transaction_id, Some(id.0));
    assert_eq!(scratch.ids().await, [id.0]);
}

#[tokio::test]
async fn a_letter_that_is_refused_again_keeps_the_new_reason_and_the_shop_is_told_once() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let mut body = request("417", "Mug");
    // The store has no default rate, which is found out only when there is a store.
    body["lines"][0].as_object_mut().expect("a line").remove("vat");
    let buried = bury(&ledger, &directory(&[]), "main", body.to_string().as_bytes()).await;
    let now = directory(&["main"]);
    for _ in 0..2 {
        let Replayed::Refused(why) = replay(&ledger, &now, &buried, None).await else {
            panic!("accepted");
        };
        assert_eq!(why.code, "invalid");
    }
    let kept = letter(&ledger, buried.id).await;
    assert_eq!((kept.reason_code.as_str(), kept.replayed_at), ("invalid", None));
    assert_eq!(kept.reason["errors"][0]["code"], "vat_missing");
    let told: Vec<String> = ledger
        .take_events(10)
        .await
        .expect("no outage")
        .into_iter()
        .map(|event| event.body["problem"]["code"].to_string())
        .collect();
    assert_eq!(told, ["\"unknown_store\"", "\"invalid\""]);
    // The same message again is the same letter, by its new reason.
    bury(&ledger, &now, "main", body.to_string().as_bytes()).await;
    assert_eq!(letter(&ledger, buried.id).await.times, 2);
}

#[tokio::test]
async fn two_letters_of_one_message_may_come_to_the_same_reason() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let mut body = request("417", "Mug");
    body["lines"][0].as_object_mut().expect("a line").remove("vat");
    let body = body.to_string();
    let early = bury(&ledger, &directory(&[]), "main", body.as_bytes()).await;
    let now = directory(&["main"]);
    let late = bury(&ledger, &now, "main", body.as_bytes()).await;
    assert_ne!(early.id, late.id);
    assert!(matches!(
        replay(&ledger, &now, &early, None).await,
        Replayed::Refused(_)
    ));
    assert_eq!(letter(&ledger, early.id).await.reason_code, "invalid");
}

#[tokio::test]
async fn a_corrected_body_goes_in_and_the_letter_keeps_what_came() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let now = directory(&["main"]);
    let buried = bury(&ledger, &now, "main", b"{not json").await;
    let still_wrong = replay(&ledger, &now, &buried, Some(b"[]")).await;
    assert!(matches!(still_wrong, Replayed::Refused(_)), "{still_wrong:?}");
    assert_eq!(
        letter(&ledger, buried.id).await.reason,
        buried.reason,
        "the reason is that of its own body"
    );
    let corrected = request("417", "Mug").to_string();
    let Replayed::Accepted { id, .. } = replay(&ledger, &now, &buried, Some(corrected.as_bytes())).await else {
        panic!("not accepted");
    };
    let kept = letter(&ledger, buried.id).await;
    assert_eq!(
        (kept.body.as_slice(), kept.transaction_id),
        (&b"{not json"[..], Some(id.0))
    );
    let action = ledger.actions(id.0).await.expect("no outage").remove(0);
    assert_eq!(
        (action.action.as_str(), &action.details["corrected"]),
        ("replay", &json!(true))
    );
    // The wrong message once more is refused once more, and needs a person again.
    bury(&ledger, &now, "main", b"{not json").await;
    let again = letter(&ledger, buried.id).await;
    assert_eq!((again.times, again.replayed_at, again.transaction_id), (2, None, None));
}

#[tokio::test]
async fn a_wrong_routing_key_or_type_is_cured_by_a_corrected_body_that_names_its_store() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let now = directory(&["main"]);
    let mut body = request("417", "Mug");
    let buried = bury(&ledger, &now, "a.b.c#*", body.to_string().as_bytes()).await;
    body["store"] = json!("main");
    let replayed = replay(&ledger, &now, &buried, Some(body.to_string().as_bytes())).await;
    assert!(matches!(replayed, Replayed::Accepted { .. }), "{replayed:?}");
}

#[tokio::test]
async fn a_conflict_names_both_documents_and_stands_in_the_holders_history() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let now = directory(&["main"]);
    let mut body = request("417", "Mug");
    body["document"]["order"] = json!("100000123");
    let id = accept(&ledger, &now, &body).await;
    let buried = bury(&ledger, &now, "main", request("417", "Cup").to_string().as_bytes()).await;
    assert_eq!(buried.reason_code, "conflict");
    let event = ledger
        .take_events(10)
        .await
        .expect("no outage")
        .pop()
        .expect("an event");
    assert_eq!(event.event_type, "receipt.conflict");
    for (field, value) in [
        ("store", "main"),
        ("operation", "sell"),
        ("document", "417"),
        ("part", "main"),
        ("external_id", "invoice_main_417"),
        ("state", "queued"),
        ("kkm_status", "wait"),
        ("message_id", "m-main"),
    ] {
        assert_eq!(event.body[field], value, "{field} of {}", event.body);
    }
    assert_eq!(event.body["transaction_id"], id.to_string());
    assert!(event.body["text"]["ru"].is_string() && event.body["problem"]["detail"].is_string());
    assert!(!event.body.to_string().contains("buyer@example.org"));
    assert_eq!(scratch.events(id).await, ["receipt.accepted", "receipt.conflict"]);
    let would = ledger
        .would_replay(&now, &buried, None, TODAY)
        .await
        .expect("no outage");
    assert!(matches!(would, WouldReplay::Refused(why) if why.code == "conflict"));
}

#[tokio::test]
async fn letters_of_a_store_that_is_configured_now_are_taken_once_by_any_number_of_processes() {
    let scratch = Scratch::new().await;
    let ledgers: Vec<Ledger> = (0..4).map(|n| scratch.ledger_of(&format!("p-{n}"))).collect();
    let before = directory(&["main"]);
    for number in 0..40 {
        let body = request(&format!("n-{number}"), "Mug").to_string();
        bury(&ledgers[0], &before, "outlet", body.as_bytes()).await;
    }
    bury(
        &ledgers[0],
        &before,
        "elsewhere",
        request("e", "Mug").to_string().as_bytes(),
    )
    .await;
    bury(&ledgers[0], &before, "main", b"{not json").await;
    let now = directory(&["main", "outlet"]);
    let stores = ["main".to_owned(), "outlet".to_owned()];
    let taken = futures_util::future::join_all(ledgers.iter().map(|ledger| async {
        let mut taken = 0;
        loop {
            let letters = ledger
                .take_letters_for(&stores, 7, Duration::from_secs(60))
                .await
                .expect("no outage");
            if letters.is_empty() {
                return taken;
            }
            taken += letters.len();
            for letter in &letters {
                let replayed = replay(ledger, &now, letter, None).await;
                assert!(matches!(replayed, Replayed::Accepted { .. }), "{replayed:?}");
            }
        }
    }))
    .await;
    assert_eq!(taken.iter().sum::<usize>(), 40, "{taken:?}");
    assert_eq!(scratch.ids().await.len(), 40);
    let left = ledgers[0]
        .list_letters(&LetterFilter::default(), 10)
        .await
        .expect("no outage");
    let mut keys: Vec<&str> = left.iter().map(|row| row.routing_key.as_str()).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["elsewhere", "main"]);
}

#[tokio::test]
async fn letters_that_a_dead_process_took_are_taken_again_after_its_time() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    bury(
        &ledger,
        &directory(&[]),
        "main",
        request("417", "Mug").to_string().as_bytes(),
    )
    .await;
    let stores = ["main".to_owned()];
    let hold = Duration::from_secs(60);
    assert_eq!(
        ledger
            .take_letters_for(&stores, 10, hold)
            .await
            .expect("no outage")
            .len(),
        1
    );
    assert!(
        ledger
            .take_letters_for(&stores, 10, hold)
            .await
            .expect("no outage")
            .is_empty()
    );
    scratch
        .run("UPDATE dead_letters SET replay_after = replay_after - interval '61 seconds'")
        .await;
    assert_eq!(
        ledger
            .take_letters_for(&stores, 10, hold)
            .await
            .expect("no outage")
            .len(),
        1
    );
}

#[tokio::test]
async fn each_filter_narrows_and_all_of_them_together() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let now = directory(&["main"]);
    let mut cyrillic = request("Б-1", "Чайник");
    cyrillic["document"]["number"] = json!("7/1");
    cyrillic["colour"] = json!("red");
    // As PHP spells it.
    let escaped = cyrillic
        .to_string()
        .replace("Чайник", "\\u0427\\u0430\\u0439\\u043d\\u0438\\u043a");
    let escaped = bury(&ledger, &now, "main", escaped.as_bytes()).await;
    let broken = bury(&ledger, &now, "main", br#"{"document": {"number": "7/1"}, broken"#).await;
    let stranger = bury(&ledger, &now, "outlet", request("8", "Mug").to_string().as_bytes()).await;
    let found = async |filter: LetterFilter| {
        let rows = ledger.list_letters(&filter, 10).await.expect("no outage");
        let mut ids: Vec<_> = rows.into_iter().map(|row| row.id).collect();
        let mut matching = ledger.matching_letters(&filter, 10).await.expect("no outage").ids;
        ids.sort_unstable();
        matching.sort_unstable();
        assert_eq!(ids, matching, "a list and a bulk action mean the same: {filter:?}");
        ids
    };
    let none = LetterFilter::default;
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(found(none()).await.len(), 3);
    assert_eq!(
        found(LetterFilter {
            reason: text("unknown_store"),
            ..none()
        })
        .await,
        [stranger.id]
    );
    assert_eq!(
        found(LetterFilter {
            store: text("outlet"),
            ..none()
        })
        .await,
        [stranger.id]
    );
    assert_eq!(
        found(LetterFilter {
            origin: text("broker"),
            ..none()
        })
        .await
        .len(),
        0
    );
    assert_eq!(
        found(LetterFilter {
            document: text("7/1"),
            ..none()
        })
        .await,
        [escaped.id, broken.id]
    );
    assert_eq!(
        found(LetterFilter {
            text: text("Чайник"),
            ..none()
        })
        .await,
        [escaped.id]
    );
    assert_eq!(
        found(LetterFilter {
            text: text("broken"),
            ..none()
        })
        .await,
        [broken.id]
    );
    assert_eq!(
        found(LetterFilter {
            ids: Some(vec!["m-outlet".to_owned()]),
            ..none()
        })
        .await,
        [stranger.id]
    );
    let ids = Some(vec![broken.id.to_string(), "no such id' OR 1=1 --".to_owned()]);
    assert_eq!(found(LetterFilter { ids, ..none() }).await, [broken.id]);
    let since = Some(stranger.last_seen);
    assert_eq!(found(LetterFilter { since, ..none() }).await, [stranger.id]);
    assert_eq!(found(LetterFilter { until: since, ..none() }).await.len(), 2);
    let several = LetterFilter {
        store: text("main"),
        text: text("red"),
        until: since,
        ..none()
    };
    assert_eq!(found(several).await, [escaped.id]);
}

#[tokio::test]
async fn what_is_dropped_is_gone_and_its_trace_stays() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let now = directory(&["main"]);
    let doomed = bury(&ledger, &now, "main", b"{doomed").await;
    let came_again = bury(&ledger, &now, "main", b"{again").await;
    let matching = ledger
        .matching_letters(&LetterFilter::default(), 10)
        .await
        .expect("no outage");
    bury(&ledger, &now, "main", b"{again").await;
    let dropped = ledger
        .drop_letters(&matching.ids, matching.as_of, &maria())
        .await
        .expect("no outage");
    assert_eq!(dropped, [doomed.id], "what came again since the person looked stays");
    assert!(ledger.letter(doomed.id).await.expect("no outage").is_none());
    assert!(ledger.letter(came_again.id).await.expect("no outage").is_some());
    let (actor, details): (String, Value) =
        sqlx::query_as("SELECT actor, details FROM actions WHERE action = 'drop' AND dead_letter_id = $1")
            .bind(doomed.id)
            .fetch_one(&scratch.pool)
            .await
            .expect("one action");
    assert_eq!(
        (actor.as_str(), &details["reason_code"], &details["body_bytes"]),
        ("maria", &json!("invalid"), &json!(7))
    );
    assert!(
        ledger
            .drop_letters(&matching.ids, matching.as_of, &maria())
            .await
            .expect("no outage")
            .is_empty()
    );
    assert_eq!(scratch.count("SELECT count(*) FROM actions").await, 1);
}
