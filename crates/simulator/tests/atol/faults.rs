//! Each fault switch, over the control API in JSON where that is shorter.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::{Value, json};
use simulator::{Action, Books, ErrorAnswer, Faults, Point, Rule, Status};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{GROUP, Shop, builder, receipt, send};

async fn set(shop: &Shop, faults: Value) {
    let url = format!("{}/control/faults", shop.simulator.url());
    let response = shop.http.put(url).json(&faults).send().await.expect("an answer");
    assert_eq!(
        response.status(),
        StatusCode::OK,
        "{}",
        response.text().await.expect("a text")
    );
}

fn one(rule: Rule) -> Faults {
    Faults {
        rules: vec![rule],
        ..Faults::default()
    }
}

#[tokio::test]
async fn a_cut_before_leaves_nothing_and_a_cut_after_leaves_a_registered_document() {
    let shop = Shop::open().await;
    set(&shop, json!({"rules": [{"at": "register", "do": "cut", "count": 1}]})).await;
    shop.posting("sell", &receipt("order-1"))
        .send()
        .await
        .expect_err("the connection is cut");
    assert_eq!(shop.control().books().documents, []);
    assert_eq!(shop.sell("order-1").await.status, 200);

    set(
        &shop,
        json!({"rules": [{"at": "register", "when": "after", "do": "cut", "count": 1}]}),
    )
    .await;
    shop.posting("sell", &receipt("order-2"))
        .send()
        .await
        .expect_err("the connection is cut");
    let books = shop.control().books();
    let document = books.by_external_id("order-2").expect("stored");
    assert_eq!((document.status, document.registered), (Status::Done, 1));
    let again = shop.sell("order-2").await;
    assert_eq!((again.code(), again.uuid()), ((400, 33), document.uuid.to_string()));
    assert_eq!(books.answers["register fault cut"], 2);
}

#[tokio::test]
async fn a_cut_closes_the_connection_without_a_byte() {
    let shop = Shop::open().await;
    for when in ["before", "after"] {
        set(
            &shop,
            json!({"rules": [{"at": "get_token", "when": when, "do": "cut"}]}),
        )
        .await;
        let mut stream = TcpStream::connect(shop.simulator.address())
            .await
            .expect("a connection");
        let request = b"GET /possystem/v4/getToken?login=a&pass=b HTTP/1.1\r\nHost: a\r\n\r\n";
        stream.write_all(request).await.expect("written");
        let mut answer = Vec::new();
        // Either an orderly end or a reset will do.
        let _ = stream.read_to_end(&mut answer).await;
        assert_eq!(answer, b"");
    }
}

#[tokio::test]
async fn proxies_answer_with_pages_and_may_say_when_to_come_again() {
    let shop = Shop::open().await;
    for (point, code) in [("get_token", 500), ("register", 502), ("report", 503)] {
        set(
            &shop,
            json!({"rules": [{"at": point, "do": {"status": {"code": code}}}]}),
        )
        .await;
        let request = match point {
            "get_token" => shop.http.get(shop.url("getToken?login=severny-veter-ru&pass=k7Rw2mQx")),
            "register" => shop.posting("sell", &receipt("order-1")),
            _ => shop.asking("6a0d3f3c-91b5-4d6e-b0f8-0c8d2f7a4e15"),
        };
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status().as_u16(), code);
        assert_eq!(response.headers()["content-type"], "text/html");
    }
    set(
        &shop,
        json!({"rules": [{"at": "register", "do": {"status": {"code": 429, "retry_after": 7}}}]}),
    )
    .await;
    let response = shop
        .posting("sell", &receipt("order-1"))
        .send()
        .await
        .expect("an answer");
    assert_eq!(
        (response.status().as_u16(), &response.headers()["retry-after"]),
        (429, &"7".parse().expect("a header"))
    );
    assert_eq!(shop.control().books().documents, []);
}

#[tokio::test]
async fn any_error_object_can_be_had_at_any_call() {
    let shop = Shop::open().await;
    let error = |at, code| json!({"rules": [{"at": at, "do": {"error": {"type": "system", "code": code}}}]});
    set(&shop, error("register", 11)).await;
    assert_eq!(shop.sell("order-1").await.code(), (401, 11));
    set(&shop, error("register", 50)).await;
    assert_eq!(shop.sell("order-1").await.code(), (500, 50));
    set(&shop, error("get_token", 13)).await;
    assert_eq!(shop.get_token().await.code(), (400, 13));
    set(&shop, error("report", 30)).await;
    assert_eq!(shop.report("any").await.code(), (400, 30));
    let own = json!({"type": "unknown", "code": 0, "text": "?", "http": 418});
    set(&shop, json!({"rules": [{"at": "register", "do": {"error": own}}]})).await;
    let answer = shop.sell("order-1").await;
    assert_eq!(
        (answer.code(), answer.text(), &answer.body["error"]["type"]),
        ((418, 0), "?", &json!("unknown"))
    );
    assert_eq!(shop.control().books().documents, []);
}

#[tokio::test]
async fn garbage_can_replace_an_answer_whether_or_not_the_document_was_stored() {
    let shop = Shop::open().await;
    for (index, form) in ["html", "truncated", "invalid_utf8", "empty"].into_iter().enumerate() {
        for when in ["before", "after"] {
            set(
                &shop,
                json!({"rules": [{"at": "register", "when": when, "do": {"garbage": form}}]}),
            )
            .await;
            let external_id = format!("order-{index}-{when}");
            let response = shop
                .posting("sell", &receipt(&external_id))
                .send()
                .await
                .expect("an answer");
            assert_eq!(response.status(), StatusCode::OK);
            let body = response.bytes().await.expect("a body");
            serde_json::from_slice::<Value>(&body).expect_err(form);
            assert_eq!(form == "invalid_utf8", std::str::from_utf8(&body).is_err());
            assert_eq!(
                shop.control().books().by_external_id(&external_id).is_some(),
                when == "after"
            );
        }
    }
}

#[tokio::test]
async fn an_answer_can_come_too_late() {
    let shop = Shop::open().await;
    let late = Rule::new(Point::Register, Action::Nothing)
        .after()
        .delayed(Duration::from_secs(60));
    shop.control().set_faults(one(late)).expect("valid");
    let request = shop
        .posting("sell", &receipt("order-1"))
        .timeout(Duration::from_millis(100));
    assert!(request.send().await.expect_err("no answer in time").is_timeout());
    assert_eq!(shop.control().books().documents[0].status, Status::Done);
}

#[tokio::test]
async fn a_rule_can_single_out_receipts_and_runs_out() {
    let shop = Shop::open().await;
    let rules = json!([
        {"at": "register", "do": {"status": {"code": 502}}, "marker": "походный", "external_id": "unlucky", "count": 2},
        {"at": "report", "do": {"error": {"type": "system", "code": 50}}, "external_id": "unlucky"}
    ]);
    set(&shop, json!({"rules": rules})).await;
    assert_eq!(shop.sell("lucky").await.status, 200);
    for _ in 0..2 {
        let response = shop
            .posting("sell", &receipt("unlucky"))
            .send()
            .await
            .expect("an answer");
        assert_eq!(response.status().as_u16(), 502);
    }
    let unlucky = shop.sell("unlucky").await;
    assert_eq!(unlucky.status, 200);
    assert_eq!(shop.report(&unlucky.uuid()).await.code(), (500, 50));
    assert_eq!(shop.control().faults().hits, [2, 1]);
}

#[tokio::test]
async fn a_share_of_the_requests_can_be_struck() {
    let shop = Shop::open().await;
    let rule = Rule::new(Point::Register, Action::Error(ErrorAnswer::new("system", 1))).with_probability(0.5);
    shop.control().set_faults(one(rule)).expect("valid");
    let mut struck = 0;
    for index in 0..200 {
        struck += usize::from(shop.sell(&format!("order-{index}")).await.status == 400);
    }
    assert!((60..140).contains(&struck), "{struck}");
    assert_eq!(shop.control().books().documents.len(), 200 - struck);
}

#[tokio::test]
async fn the_account_can_be_out_of_order() {
    let shop = Shop::open().await;
    set(&shop, json!({"account": "wrong_password"})).await;
    assert_eq!(shop.get_token().await.code(), (401, 12));
    assert_eq!(shop.sell("order-1").await.status, 200);
    set(&shop, json!({"account": "blocked"})).await;
    assert_eq!(shop.get_token().await.code(), (403, 14));
    assert_eq!(shop.sell("order-2").await.code(), (403, 14));
}

#[tokio::test]
async fn chosen_receipts_can_fail_at_the_register_with_any_code() {
    let shop = Shop::open().await;
    let rule = json!({"at": "processing", "do": {"error": {"type": "driver", "code": 68}}, "external_id": "bad"});
    set(&shop, json!({"rules": [rule]})).await;
    let bad = shop.sell("bad").await.uuid();
    let report = shop.report(&bad).await;
    assert_eq!(
        (report.code(), &report.body["error"]["type"]),
        ((200, 68), &json!("driver"))
    );
    let good = shop.sell("good").await.uuid();
    assert_eq!(shop.report(&good).await.body["status"], "done");
    let books = shop.control().books();
    assert_eq!(
        books
            .documents
            .iter()
            .map(|document| document.registered)
            .collect::<Vec<_>>(),
        [0, 1]
    );
}

#[tokio::test]
async fn processing_can_be_made_slow_for_all_or_for_some() {
    let shop = Shop::open().await;
    set(&shop, json!({"processing_ms": [50, 60]})).await;
    let started = Instant::now();
    let slow = shop.sell("slow").await.uuid();
    assert_eq!(shop.report(&slow).await.code(), (200, 34));
    assert_eq!(shop.ended(&slow).await["status"], "done");
    assert!(started.elapsed() >= Duration::from_millis(50));

    set(
        &shop,
        json!({"rules": [{"at": "processing", "delay_ms": 60_000, "external_id": "slower"}]}),
    )
    .await;
    let slower = shop.sell("slower").await.uuid();
    assert_eq!(shop.ended(&shop.sell("quick").await.uuid()).await["status"], "done");
    assert_eq!(shop.report(&slower).await.code(), (200, 34));
}

#[tokio::test]
async fn a_vat_rate_can_be_withdrawn() {
    let shop = Shop::open().await;
    set(&shop, json!({"refused_vat": ["vat22"]})).await;
    let refused = shop.sell("order-1").await;
    assert_eq!(refused.code(), (400, 32));
    assert!(
        refused.text().contains("NotInEnumeration: #/receipt.items[0].vat.type"),
        "{}",
        refused.text()
    );
    assert_eq!(shop.post("sell_refund", &receipt("order-1")).await.status, 200);
}

#[tokio::test]
async fn nonsense_is_refused_by_the_control_api_and_changes_nothing() {
    let shop = Shop::open().await;
    set(&shop, json!({"account": "blocked"})).await;
    let url = format!("{}/control/faults", shop.simulator.url());
    for nonsense in [
        r#"{"rulez": []}"#,
        "{",
        r#"{"rules": [{"at": "register", "do": "cut", "probability": 2}]}"#,
    ] {
        let response = shop.http.put(&url).body(nonsense).send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    }
    let shown: Value = shop
        .http
        .get(&url)
        .send()
        .await
        .expect("an answer")
        .json()
        .await
        .expect("JSON");
    assert_eq!(shown["account"], "blocked");
    let cleared = shop.http.delete(&url).send().await.expect("an answer");
    assert_eq!(cleared.status(), StatusCode::NO_CONTENT);
    assert_eq!(shop.sell("order-1").await.status, 200);
}

#[tokio::test]
async fn the_books_can_be_read_filtered_and_reset_over_http() {
    let shop = Shop::open_with(builder()).await;
    let mut body = receipt("order-2");
    body["receipt"]["items"][0]["name"] = json!("Mug M-0002");
    shop.sell("order-1").await;
    shop.post("sell", &body).await;
    let url = format!("{}/control/books", shop.simulator.url());
    let books: Books = shop
        .http
        .get(&url)
        .send()
        .await
        .expect("an answer")
        .json()
        .await
        .expect("books");
    assert_eq!(books, shop.control().books());
    assert_eq!(
        books.registered_by_marker().into_iter().collect::<Vec<_>>(),
        [("Mug M-0002", 1), ("Чайник походный 1,2 л", 1)]
    );
    let filtered = format!("{url}?marker=M-0002");
    let filtered: Books = shop
        .http
        .get(&filtered)
        .send()
        .await
        .expect("an answer")
        .json()
        .await
        .expect("books");
    assert_eq!(filtered.documents, [books.documents[1].clone()]);

    shop.http.delete(&url).send().await.expect("an answer");
    let emptied = shop.control().books();
    // Whom there was traffic with is still known, and counts from zero.
    assert!(
        emptied.traffic.values().all(|traffic| traffic.requests == 0),
        "{emptied:?}"
    );
    let traffic = emptied.traffic.clone();
    assert_eq!(
        emptied,
        Books {
            traffic,
            ..Books::default()
        }
    );
    assert_eq!(shop.sell("order-1").await.status, 200);
    let expire = format!("{}/control/tokens/expire", shop.simulator.url());
    shop.http.post(&expire).send().await.expect("an answer");
    let url = shop.url(&format!("{GROUP}/sell"));
    assert_eq!(
        send(shop.http.post(url).header("Token", &shop.token).json(&body))
            .await
            .code(),
        (401, 11)
    );
}

#[tokio::test]
async fn a_failed_document_is_registered_after_all_when_it_is_told_to() {
    let shop = Shop::open().await;
    let dies = Rule::new(Point::Processing, Action::Error(ErrorAnswer::new("timeout", 1)));
    shop.control().set_faults(one(dies.times(1))).expect("valid");
    assert_eq!(shop.sell("order-1").await.status, 200);
    let control = shop.control();
    let document = |external_id: &str| control.books().by_external_id(external_id).cloned();
    while document("order-1").expect("accepted").status == Status::Wait {
        tokio::task::yield_now().await;
    }
    assert_eq!(document("order-1").expect("accepted").status, Status::Fail);
    let url = format!("{}/control/documents/register", shop.simulator.url());
    for (external_id, status) in [("order-2", 404), ("order-1", 204), ("order-1", 404)] {
        let request = shop.http.post(format!("{url}?external_id={external_id}"));
        assert_eq!(request.send().await.expect("an answer").status().as_u16(), status);
    }
    let registered = document("order-1").expect("accepted");
    assert_eq!((registered.status, registered.registered), (Status::Done, 1));
    assert!(registered.failure.is_none() && registered.fiscal.is_some());
}
