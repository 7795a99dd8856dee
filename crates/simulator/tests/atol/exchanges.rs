//! The worked exchanges of the fact sheet, section 10, and what surrounds them.

use std::time::Duration;

use serde_json::{Value, json};
use simulator::{Account, Faults, Registers, Status};
use tokio::task::JoinSet;

use crate::client::{GROUP, INN, Shop, account, builder, receipt, send};

/// The keys of an object, in the order of the alphabet.
fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<_> = value
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect();
    keys.sort_unstable();
    keys
}

fn registers_off() -> Faults {
    Faults {
        registers: Registers::Off,
        ..Faults::default()
    }
}

#[tokio::test]
async fn a_token_is_granted_in_both_forms_of_the_call() {
    let shop = Shop::open().await;
    let posted = shop.get_token().await;
    assert_eq!(posted.status, 200);
    assert_eq!(keys(&posted.body), ["error", "timestamp", "token"]);
    assert_eq!(posted.body["error"], Value::Null);
    assert_eq!(
        posted.body["timestamp"].as_str().map(str::len),
        Some("14.02.2026 11:05:03".len())
    );

    let got = send(shop.http.get(shop.url("getToken?login=severny-veter-ru&pass=k7Rw2mQx"))).await;
    assert_eq!(got.status, 200);
    assert_eq!(got.body["token"].as_str().map(str::len), Some(128));
}

#[tokio::test]
async fn as_many_tokens_live_at_once_as_the_service_has_replicas() {
    let shop = Shop::open_with(builder().replicas(2)).await;
    let mut tokens = std::collections::BTreeSet::new();
    for _ in 0..40 {
        tokens.insert(
            shop.get_token().await.body["token"]
                .as_str()
                .expect("a token")
                .to_owned(),
        );
    }
    assert_eq!(tokens.len(), 2);
    for (index, token) in tokens.iter().enumerate() {
        let request = shop
            .http
            .post(shop.url(&format!("{GROUP}/sell")))
            .header("Token", token);
        assert_eq!(
            send(request.json(&receipt(&format!("order-{index}")))).await.status,
            200
        );
    }
}

#[tokio::test]
async fn a_wrong_password_is_refused_with_12() {
    let shop = Shop::open().await;
    let refused = send(
        shop.http
            .post(shop.url("getToken"))
            .json(&json!({"login": "severny-veter-ru", "pass": "wrong"})),
    )
    .await;
    assert_eq!(refused.code(), (401, 12));
    assert_eq!(keys(&refused.body), ["error", "timestamp"].as_slice());
    assert_eq!(keys(&refused.body["error"]), ["code", "error_id", "text", "type"]);
}

#[tokio::test]
async fn an_empty_login_is_refused_as_it_was_captured() {
    let shop = Shop::open().await;
    let refused = send(
        shop.http
            .post(shop.url("getToken"))
            .json(&json!({"login": "", "pass": "x"})),
    )
    .await;
    assert_eq!(refused.code(), (400, 32));
    assert_eq!(refused.body["status"], "fail");
    assert_eq!(
        refused.text(),
        "Ошибка валидации входящего чека. Ошибочные поля : PatternMismatch: #/login"
    );
}

#[tokio::test]
async fn a_sale_is_accepted_waits_and_is_done() {
    let shop = Shop::open().await;
    shop.control().set_faults(registers_off()).expect("valid");
    let accepted = shop.sell("order-58127-sell-1").await;
    assert_eq!(accepted.status, 200);
    assert_eq!(keys(&accepted.body), ["error", "status", "timestamp", "uuid"]);
    assert_eq!(
        (&accepted.body["status"], &accepted.body["error"]),
        (&json!("wait"), &Value::Null)
    );

    let waiting = shop.report(&accepted.uuid()).await;
    assert_eq!(waiting.code(), (200, 34));
    assert_eq!(keys(&waiting.body), ["callback_url", "error", "status", "timestamp"]);
    assert_eq!(waiting.body["status"], "wait");

    shop.control().clear_faults();
    let done = shop.ended(&accepted.uuid()).await;
    assert_eq!(
        keys(&done),
        [
            "callback_url",
            "daemon_code",
            "device_code",
            "error",
            "external_id",
            "group_code",
            "payload",
            "status",
            "timestamp",
            "uuid",
            "warnings"
        ]
    );
    let payload = &done["payload"];
    assert_eq!(
        keys(payload),
        [
            "ecr_registration_number",
            "fiscal_document_attribute",
            "fiscal_document_number",
            "fiscal_receipt_number",
            "fn_number",
            "fns_site",
            "ofd_inn",
            "ofd_receipt_url",
            "receipt_datetime",
            "shift_number",
            "total"
        ]
    );
    assert_eq!(payload["total"], json!(2835));
    assert!(payload["fiscal_document_attribute"].as_u64() > Some(i32::MAX.unsigned_abs().into()));
    assert_eq!(payload["fn_number"].as_str().map(str::len), Some(16));
    assert_eq!(
        (&done["error"], &done["warnings"], &done["callback_url"]),
        (&Value::Null, &Value::Null, &json!(""))
    );

    let books = shop.control().books();
    let document = books.by_external_id("order-58127-sell-1").expect("in the books");
    assert_eq!(
        (document.status, document.registered, document.requests),
        (Status::Done, 1, 1)
    );
    assert_eq!(
        (document.total.as_str(), document.operation.as_str()),
        ("2835.00", "sell")
    );
    assert_eq!(document.marker.as_deref(), Some("Чайник походный 1,2 л"));
    let fiscal = document.fiscal.as_ref().expect("a fiscal document");
    assert_eq!(payload["fiscal_document_number"], fiscal.fiscal_document_number);
    assert_eq!(payload["ofd_receipt_url"], fiscal.ofd_receipt_url);
}

#[tokio::test]
async fn every_fault_of_a_body_is_named_at_once() {
    let shop = Shop::open().await;
    let mut body = receipt("order-1");
    body["receipt"]["total"] = json!(-1);
    body["receipt"].as_object_mut().expect("an object").remove("client");
    let refused = shop.post("sell", &body).await;
    assert_eq!(refused.code(), (400, 32));
    assert_eq!(keys(&refused.body), ["error", "status", "timestamp"]);
    assert_eq!(
        refused.text(),
        "Ошибка валидации входного чека. Ошибочные поля : PropertyRequired: #/receipt.client, \
         NumberTooSmall: #/receipt.total"
    );
    assert_eq!(shop.control().books().refused["order-1"], 1);

    // Nothing was registered, so the same id may be used after the repair.
    assert_eq!(shop.sell("order-1").await.status, 200);
    assert_eq!(
        shop.control()
            .books()
            .by_external_id("order-1")
            .map(|document| document.requests),
        Some(2)
    );
}

#[tokio::test]
async fn a_used_external_id_is_answered_with_the_first_number_for_ever() {
    let shop = Shop::open().await;
    let first = shop.sell("order-58127-sell-1").await.uuid();
    let mut other = receipt("order-58127-sell-1");
    other["receipt"]["items"][0]["name"] = json!("something else");
    for operation in ["sell", "sell_refund"] {
        let again = shop.post(operation, &other).await;
        assert_eq!(again.code(), (400, 33));
        assert_eq!((again.uuid(), &again.body["status"]), (first.clone(), &json!("wait")));
        assert_eq!(
            again.text(),
            format!("В системе существует чек с external_id : \"order-58127-sell-1\" и group_code: \"{GROUP}\"")
        );
    }

    let mut wrong_tax = receipt("order-2");
    wrong_tax["receipt"]["vats"][0]["sum"] = json!(1);
    let failed = shop.post("sell", &wrong_tax).await.uuid();
    assert_eq!(shop.ended(&failed).await["status"], "fail");
    let again = shop.sell("order-2").await;
    assert_eq!((again.code(), again.uuid()), ((400, 33), failed));
}

#[tokio::test]
async fn many_requests_with_one_external_id_register_one_document() {
    let shop = Shop::open_with(builder().delay(Duration::ZERO, Duration::from_millis(5))).await;
    let mut requests = JoinSet::new();
    for _ in 0..100 {
        requests.spawn(send(shop.posting("sell", &receipt("order-1"))));
    }
    let mut uuids: Vec<_> = requests
        .join_all()
        .await
        .iter()
        .map(crate::client::Reply::uuid)
        .collect();
    uuids.dedup();
    assert_eq!(uuids.len(), 1);
    assert_eq!(shop.ended(&uuids[0]).await["status"], "done");
    let books = shop.control().books();
    assert_eq!(
        (
            books.documents.len(),
            books.documents[0].registered,
            books.documents[0].requests
        ),
        (1, 1, 100)
    );
    assert_eq!(
        (
            books.answers["register 200 wait"],
            books.answers["register 400 system:33"]
        ),
        (1, 99)
    );
}

#[tokio::test]
async fn a_wrong_tax_is_accepted_and_fails_at_the_register() {
    let shop = Shop::open().await;
    let mut body = receipt("order-58130-sell-1");
    body["receipt"]["vats"][0]["sum"] = json!(400);
    let uuid = shop.post("sell", &body).await.uuid();
    let report = shop.report(&uuid).await;
    assert_eq!(report.code(), (200, 128));
    assert_eq!(keys(&report.body["error"]), ["code", "text", "type"]);
    assert_eq!(
        (report.text(), &report.body["error"]["type"]),
        ("Некорректная сумма налога", &json!("driver"))
    );
    assert_eq!(
        (&report.body["status"], &report.body["payload"]),
        (&json!("fail"), &Value::Null)
    );
    assert_eq!(shop.control().books().documents[0].registered, 0);
}

#[tokio::test]
async fn a_foreign_inn_fails_in_the_agent() {
    let shop = Shop::open().await;
    let mut body = receipt("order-58131-sell-1");
    body["receipt"]["company"]["inn"] = json!("7701452865");
    let uuid = shop.post("sell", &body).await.uuid();
    let report = shop.report(&uuid).await;
    assert_eq!(
        (report.code(), &report.body["error"]["type"]),
        ((200, 2009), &json!("agent"))
    );
    assert_eq!(
        report.text(),
        format!(
            "ИНН, указанный в чеке 7701452865, не соответствует ИНН группы касс {INN}. Попыток регистрировать чек не \
             производилось."
        )
    );
}

#[tokio::test]
async fn a_document_that_waits_too_long_fails_and_is_never_registered() {
    let shop = Shop::open_with(builder().queue_timeout(Duration::from_millis(30))).await;
    shop.control().set_faults(registers_off()).expect("valid");
    let uuid = shop.sell("order-58133-sell-1").await.uuid();
    let report = shop.ended(&uuid).await;
    assert_eq!((&report["status"], &report["payload"]), (&json!("fail"), &Value::Null));
    assert_eq!(
        (&report["error"]["type"], &report["error"]["code"]),
        (&json!("timeout"), &json!(1))
    );
    shop.control().clear_faults();
    assert_eq!(shop.ended(&shop.sell("order-2").await.uuid()).await["status"], "done");
    assert_eq!(shop.report(&uuid).await.body, report);
}

#[tokio::test]
async fn an_expired_token_is_told_from_an_unknown_one() {
    let shop = Shop::open().await;
    shop.control().expire_tokens();
    let expired = shop.sell("order-1").await;
    assert_eq!(expired.code(), (401, 11));
    assert_eq!(keys(&expired.body), ["error", "timestamp"]);
    let without = send(
        shop.http
            .post(shop.url(&format!("{GROUP}/sell")))
            .json(&receipt("order-1")),
    )
    .await;
    assert_eq!(without.code(), (401, 10));
    let fresh = shop.get_token().await.body["token"]
        .as_str()
        .expect("a token")
        .to_owned();
    let url = shop.url(&format!("{GROUP}/sell/?token={fresh}"));
    assert_eq!(send(shop.http.post(url).json(&receipt("order-1"))).await.status, 200);
}

#[tokio::test]
async fn tokens_expire_by_themselves() {
    let shop = Shop::open_with(builder().token_life(Duration::ZERO)).await;
    assert_eq!(shop.sell("order-1").await.code(), (401, 11));
}

#[tokio::test]
async fn a_token_serves_its_own_group_and_protocol_only() {
    let second = Account {
        group: "other_1".to_owned(),
        login: "other".to_owned(),
        ..account()
    };
    let shop = Shop::open_with(builder().account(second)).await;
    let foreign = shop
        .http
        .post(shop.url("other_1/sell"))
        .header("Token", &shop.token)
        .json(&receipt("order-1"));
    assert_eq!(send(foreign).await.code(), (401, 20));
    let v5 = shop.url("getToken").replace("/v4/", "/v5/");
    let right = json!({"login": "severny-veter-ru", "pass": "k7Rw2mQx"});
    assert_eq!(send(shop.http.post(v5).json(&right)).await.code(), (401, 21));
    let v5 = shop.url(&format!("{GROUP}/sell")).replace("/v4/", "/v5/");
    assert_eq!(
        send(shop.http.post(v5).header("Token", &shop.token).json(&receipt("a")))
            .await
            .code(),
        (401, 21)
    );
}

#[tokio::test]
async fn an_unknown_number_is_answered_with_30() {
    let shop = Shop::open().await;
    for uuid in ["00000000-0000-0000-0000-000000000001", "not-a-number"] {
        let report = shop.report(uuid).await;
        assert_eq!((report.code(), &report.body["status"]), ((400, 30), &json!("fail")));
        assert!(
            report
                .text()
                .starts_with(&format!("Передан некорректный UUID : \"{uuid}\"")),
            "{}",
            report.text()
        );
    }
}

#[tokio::test]
async fn checks_come_in_order_token_operation_type_json_schema() {
    let shop = Shop::open().await;
    let url = shop.url(&format!("{GROUP}/sell_everything"));
    assert_eq!(send(shop.http.post(&url).body("{")).await.code(), (401, 10));
    assert_eq!(
        send(shop.http.post(&url).header("Token", &shop.token).body("{"))
            .await
            .code(),
        (400, 31)
    );
    let url = shop.url(&format!("{GROUP}/sell"));
    let post = || shop.http.post(&url).header("Token", &shop.token);
    assert_eq!(send(post().body("{")).await.code(), (415, 41));
    let json = "application/json; charset=utf-8";
    assert_eq!(
        send(post().header("Content-Type", json).body("{")).await.code(),
        (400, 40)
    );
    assert_eq!(
        send(post().header("Content-Type", json).body(vec![b'"', 0xff, b'"']))
            .await
            .code(),
        (400, 40)
    );
    assert_eq!(
        send(post().header("Content-Type", json).body("{}")).await.code(),
        (400, 32)
    );
}

#[tokio::test]
async fn refunds_outlays_and_corrections_are_registered_too() {
    let shop = Shop::open().await;
    for operation in ["sell_refund", "buy", "buy_refund"] {
        let uuid = shop.post(operation, &receipt(operation)).await.uuid();
        assert_eq!(shop.ended(&uuid).await["status"], "done");
    }
    let correction = json!({
        "timestamp": "16.02.2026 09:40:00",
        "external_id": "corr-2026-07",
        "correction": {
            "company": {"sno": "osn", "inn": INN, "payment_address": "https://severny-veter.example"},
            "correction_info": {"type": "instruction", "base_date": "28.01.2026", "base_number": "17-08/00412"},
            "payments": [{"type": 1, "sum": 4750.00}],
            "vats": [{"type": "vat22", "sum": 856.56}]
        }
    });
    let uuid = shop.post("sell_correction", &correction).await.uuid();
    assert_eq!(shop.ended(&uuid).await["payload"]["total"], json!(4750));
    assert_eq!(shop.post("sell_refund_correction", &correction).await.code(), (400, 31));
    let mut over_the_internet = correction;
    over_the_internet["external_id"] = json!("corr-2");
    over_the_internet["correction"]["internet"] = json!(true);
    let refused = shop.post("sell_correction", &over_the_internet).await;
    assert!(
        refused.text().ends_with("PropertyRequired: #/correction.client"),
        "{}",
        refused.text()
    );
}

#[tokio::test]
async fn fiscal_numbers_never_repeat() {
    let shop = Shop::open_with(builder().registers(3)).await;
    for index in 0..30 {
        shop.sell(&format!("order-{index}")).await;
        if index == 14 {
            shop.control().close_shifts();
        }
    }
    let books = shop.control().books();
    let mut last = std::collections::BTreeMap::new();
    for document in &books.documents {
        let fiscal = document.fiscal.as_ref().expect("done");
        let number = fiscal.fiscal_document_number;
        assert!(
            last.insert(&fiscal.fn_number, number)
                .is_none_or(|before| before < number)
        );
    }
    assert_eq!(last.len(), 3);
    let first_receipts = books
        .documents
        .iter()
        .filter_map(|document| document.fiscal.as_ref())
        .filter(|f| f.fiscal_receipt_number == 1);
    assert_eq!(first_receipts.count(), 6);
}

#[tokio::test]
async fn one_seed_makes_one_history() {
    let mut histories = Vec::new();
    for _ in 0..2 {
        let shop = Shop::open().await;
        for index in 0..5 {
            shop.sell(&format!("order-{index}")).await;
        }
        let fiscal = |d: &simulator::Document| {
            let fiscal = d.fiscal.clone().expect("done");
            (
                d.uuid,
                fiscal.fn_number,
                fiscal.fiscal_document_number,
                fiscal.fiscal_document_attribute,
            )
        };
        histories.push((
            shop.token.clone(),
            shop.control().books().documents.iter().map(fiscal).collect::<Vec<_>>(),
        ));
    }
    assert_eq!(histories[0], histories[1]);
}
