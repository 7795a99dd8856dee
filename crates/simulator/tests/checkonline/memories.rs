//! The two memories (fact sheet, section 8): what they keep, under which key, and what a repetition meets.

use serde_json::{Value, json};
use simulator::Certificate;

use crate::client::{Shop, receipt};

/// The same request with `ResendToSameDevice`.
fn to_the_same_register(mut body: Value) -> Value {
    body["ResendToSameDevice"] = true.into();
    body
}

#[tokio::test]
async fn a_repetition_gets_the_same_bytes_and_a_header_that_says_so_whatever_its_content() {
    let shop = Shop::open().await;
    let first = shop.post(&receipt("A-1")).await;
    assert_eq!((first.code(), first.memory), ((200, 0), None));
    let mut changed = receipt("A-1");
    changed["Lines"][0]["Price"] = 1.into();
    for body in [receipt("A-1"), changed] {
        let again = shop.post(&body).await;
        assert_eq!(again.memory, Some("x-from-fce-cache"));
        assert_eq!(again.text, first.text);
    }
    assert_eq!(shop.registered("A-1"), 1);
}

#[tokio::test]
async fn group_request_and_client_together_are_the_key() {
    let shop = Shop::open().await;
    assert_eq!(shop.post(&receipt("K-1")).await.code(), (200, 0));
    let mut other_point = receipt("K-1");
    other_point["ClientId"] = "shop-8".into();
    let other_group = shop.post_as(Certificate::South, receipt("K-1").to_string());
    for reply in [shop.post(&other_point).await, other_group.await] {
        assert_eq!((reply.code(), reply.memory), ((200, 0), None), "{reply:?}");
    }
    assert_eq!(shop.registered("K-1"), 3, "to the service these are three receipts");
    assert_eq!(shop.post(&receipt("K-1")).await.memory, Some("x-from-fce-cache"));
}

#[tokio::test]
async fn only_the_refusals_that_the_manual_names_are_kept() {
    let shop = Shop::open().await;
    for (code, is_kept) in [
        (51, true),
        (69, true),
        (142, true),
        (80, false),
        (250, false),
        (70, false),
    ] {
        let id = format!("R-{code}");
        shop.once("device", code);
        let refused = shop.post(&receipt(&id)).await;
        assert_eq!(refused.code(), (200, code));
        assert_eq!(refused.body["Date"]["Date"]["Year"], 0, "zeros stand in an error");
        let again = shop.post(&receipt(&id)).await;
        match is_kept {
            true => assert_eq!(again.text, refused.text),
            false => assert_eq!(again.code(), (200, 0), "{code}"),
        }
        assert_eq!(shop.registered(&id), u32::from(!is_kept), "{code}");
    }
}

/// What `ResendToSameDevice` is for: the service forgets such an answer, and the document is one register's alone.
#[tokio::test]
async fn a_repetition_after_a_silent_board_meets_another_register_unless_it_asks_for_the_same() {
    let shop = Shop::open().await;
    shop.once_after("device", 250);
    assert_eq!(shop.post(&receipt("T-1")).await.code(), (200, 250));
    assert_eq!(shop.post(&receipt("T-1")).await.code(), (200, 0));
    assert_eq!(shop.registered("T-1"), 2, "the other register knows nothing of it");

    let body = to_the_same_register(receipt("T-2"));
    shop.once_after("device", 250);
    let silent = shop.post(&body).await;
    let again = shop.post(&body).await;
    assert_eq!((silent.code(), again.code()), ((200, 250), (200, 0)));
    assert_eq!(again.memory, Some("x-from-cache"));
    assert_eq!(silent.body["Device"], again.body["Device"]);
    assert_eq!(shop.registered("T-2"), 1);
    assert_eq!(shop.post(&body).await.text, again.text, "from now on the service knows");
}

#[tokio::test]
async fn an_hour_later_the_same_register_closes_a_second_document() {
    let shop = Shop::open().await;
    let body = to_the_same_register(receipt("H-1"));
    shop.once_after("device", 249);
    assert_eq!(shop.post(&body).await.code(), (200, 249));
    shop.simulator.control().forget_in_devices();
    assert_eq!(shop.post(&body).await.code(), (200, 0));
    assert_eq!(shop.registered("H-1"), 2);
}

#[tokio::test]
async fn a_kept_refusal_is_asked_for_again_at_the_same_register_which_remembers_it_for_an_hour() {
    let shop = Shop::open().await;
    let body = to_the_same_register(receipt("C-1"));
    shop.once("device", 51);
    let refused = shop.post(&body).await;
    let again = shop.post(&body).await;
    assert_eq!((again.memory, again.text), (Some("x-from-cache"), refused.text));
    shop.simulator.control().forget_in_devices();
    assert_eq!(shop.post(&body).await.code(), (200, 0));
}

#[tokio::test]
async fn a_broken_exchange_stays_what_it_is_for_every_repetition() {
    let shop = Shop::open().await;
    for (id, body) in [("U-1", receipt("U-1")), ("U-2", to_the_same_register(receipt("U-2")))] {
        shop.once_after("fce", 6);
        let broken = shop.post(&body).await;
        assert_eq!(broken.code(), (500, 6));
        assert_eq!(shop.post(&body).await.text, broken.text, "{id}");
        assert_eq!(shop.registered(id), 1, "{id}");
    }
}

#[tokio::test]
async fn documents_and_receipts_are_numbered_by_their_register_and_a_shift_takes_numbers_too() {
    let shop = Shop::open().await;
    let mut by_register: std::collections::BTreeMap<String, Vec<(i64, i64)>> = std::collections::BTreeMap::new();
    for number in 0..4 {
        if number == 2 {
            shop.simulator.control().close_shifts();
        }
        let reply = shop.post(&receipt(&format!("N-{number}"))).await;
        let device = reply.body["DeviceSerialNumber"].as_str().expect("a serial").to_owned();
        let in_shift = reply.body["DocNumber"].as_i64().expect("a number");
        by_register.entry(device).or_default().push((reply.number(), in_shift));
    }
    assert_eq!(by_register.len(), 2, "they take turns");
    for numbers in by_register.into_values() {
        let [(first, 1), (second, 1)] = numbers[..] else {
            panic!("each shift begins with receipt 1: {numbers:?}");
        };
        assert_eq!(
            second,
            first + 3,
            "the closed and the opened shift have numbers of their own"
        );
    }
    assert_eq!(
        shop.post(&json!({"Device": "auto", "RequestId": "N-0", "ClientId": "shop-7"}))
            .await
            .memory,
        Some("x-from-fce-cache")
    );
}
