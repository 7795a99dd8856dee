//! The router of callbacks without a database: who is let in, and what is let in of what they bring. An honoured id
//! shows as 503, because there is no ledger to take it.

#![expect(clippy::unwrap_used, reason = "a test that can't go on should say where")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ledger::Ledger;
use receipt::intake::Directory;
use receipt::{AccountName, StoreCode};
use serde_json::{Value, json};
use service::http::{Limits, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use vendors::{CallTimeouts, Registry};

const LIMIT: Duration = Duration::from_secs(20);
const NEW: &str = "k7Rw-2mQx_9ZpL4tVb8NsD3yHc6";
const OLD: &str = "old-old-old-old-old-old-old-old";
const REPORT: &str = r#"{"uuid":"5d9b1b0e","external_id":"invoice_main_417","status":"done"}"#;

struct Listening {
    address: SocketAddr,
    _running: JoinSet<()>,
}

/// Stores `main` (two secrets, while one replaces the other) and `off` (none), with so many callbacks a second.
async fn listening(rate: u32) -> Listening {
    let store = |secrets: Value| {
        json!({
            "account": "main", "inn": "7805123470", "sno": "osn", "payment_address": "https://shop.example",
            "company_email": "kassa@shop.example", "public_url": "https://receipts.shop.example/kassa/",
            "callback_secrets": secrets
        })
    };
    let stores: BTreeMap<StoreCode, _> =
        serde_json::from_value(json!({ "main": store(json!([NEW, OLD])), "off": store(json!([])) })).unwrap();
    let accounts: BTreeMap<AccountName, _> = serde_json::from_value(json!({ "main": {
        "vendor": "atol", "url": "https://online.atol.ru/possystem/v4", "login": "l", "password": "p",
        "group_code": "g"
    }}))
    .unwrap();
    let registry = Registry::build(&accounts, CallTimeouts::default()).unwrap();
    let directory = Directory {
        stores,
        vendors: BTreeMap::new(),
    };
    let vendor = registry.vendor_names().remove(0);
    let url = directory.callback_url(&StoreCode::parse("main").unwrap(), &vendor);
    assert_eq!(
        url.as_deref(),
        Some(format!("https://receipts.shop.example/kassa/callbacks/atol/main/{NEW}").as_str())
    );
    assert_eq!(directory.callback_url(&StoreCode::parse("off").unwrap(), &vendor), None);

    let nowhere = ledger::Config::at("postgres://kassa@127.0.0.1:1/kassa");
    let router = poller::callbacks::router(Ledger::open(&nowhere, "test").unwrap(), &directory, &registry, rate);
    let limits = Limits {
        connections: 64,
        requests: 64,
        head: LIMIT,
        request: LIMIT,
        drain: Duration::ZERO,
    };
    let server = Server::bind(SocketAddr::from(([127, 0, 0, 1], 0)), router, limits)
        .await
        .unwrap();
    let address = server.address();
    let mut running = JoinSet::new();
    running.spawn(async move { server.run(&CancellationToken::new()).await });
    Listening {
        address,
        _running: running,
    }
}

impl Listening {
    /// Sends a head and as much of a body as there is; status, and everything that came but the date.
    async fn send(&self, head: &str, body: &[u8]) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        // The answer may come, and the connection end, before all of the body is written.
        let _ = stream.write_all(body).await;
        let mut bytes = Vec::new();
        let _ = tokio::time::timeout(LIMIT, stream.read_to_end(&mut bytes))
            .await
            .expect("the connection is closed in time");
        let text = String::from_utf8(bytes).unwrap();
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("date:")).collect();
        (status.unwrap_or(0), lines.join("\n"))
    }

    async fn post(&self, path: &str, body: impl AsRef<[u8]>) -> (u16, String) {
        let body = body.as_ref();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        self.send(&head, body).await
    }
}

fn path(secret: &str) -> String {
    format!("/callbacks/atol/main/{secret}")
}

#[tokio::test]
async fn every_secret_of_the_list_is_answered_and_nothing_else() {
    let server = listening(1000).await;
    for secret in [NEW, OLD] {
        assert_eq!(server.post(&path(secret), REPORT).await.0, 503, "{secret}");
    }
    let cut = &NEW[..NEW.len() - 1];
    let mut answers = Vec::new();
    for path in [
        path("wrong"),
        path(cut),
        path(&format!("{NEW}x")),
        path(&NEW.to_lowercase()),
        path("%ff%00"),
        path(&"x".repeat(4000)),
        format!("/callbacks/atol/nobody/{NEW}"),
        format!("/callbacks/atol/off/{NEW}"),
        "/callbacks/atol/off/x".to_owned(),
        format!("/callbacks/acme/main/{NEW}"),
        format!("/callbacks/atolmain//{NEW}"),
        format!("/callbacks/atol/main/{NEW}/more"),
        "/callbacks".to_owned(),
    ] {
        answers.push(server.post(&path, REPORT).await);
    }
    assert_eq!(answers[0].0, 404);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
}

#[tokio::test]
async fn a_body_that_names_nothing_is_taken_and_asks_for_nothing() {
    let server = listening(1000).await;
    let deep = "[".repeat(60_000);
    for body in [
        "",
        "null",
        "{}",
        "not json",
        r#"{"uuid":{"a":1},"external_id":[]}"#,
        "\u{0}\u{1}",
        &deep,
    ] {
        assert_eq!(server.post(&path(NEW), body).await.0, 200, "{body:.20}");
    }
    assert_eq!(server.post(&path(NEW), [0xff, 0xfe, 0x00]).await.0, 200);
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_however_it_is_sent() {
    let server = listening(1000).await;
    let fits = format!("{}{REPORT}", " ".repeat(64 * 1024 - REPORT.len()));
    assert_eq!(server.post(&path(NEW), &fits).await.0, 503, "it was read");
    assert_eq!(server.post(&path(NEW), format!(" {fits}")).await.0, 413);

    let head = format!(
        "POST {} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n",
        path(NEW)
    );
    let chunk = format!("4000\r\n{}\r\n", "x".repeat(0x4000)).repeat(5);
    let (status, text) = server.send(&head, chunk.as_bytes()).await;
    assert_eq!(status, 413, "{text}");
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let server = listening(1000).await;
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: test\r\nContent-Length: 1000\r\n\r\n",
        path(NEW)
    );
    let began = Instant::now();
    let (status, text) = server.send(&head, b"{\"uuid\":").await;
    assert_eq!(status, 408, "{text}");
    assert!(began.elapsed() < LIMIT / 2, "{:?}", began.elapsed());
    // A stranger's is not waited for at all.
    let head = head.replace(NEW, "wrong");
    assert_eq!(server.send(&head, b"{\"uuid\":").await.0, 404);
}

#[tokio::test]
async fn who_comes_too_often_is_asked_to_wait_and_strangers_do_not_use_up_his_turns() {
    let server = listening(1).await;
    for _ in 0..30 {
        assert_eq!(server.post(&path("wrong"), "").await.0, 404);
    }
    assert_eq!(server.post(&path(NEW), "").await.0, 200, "five at once are let through");
    // Both secrets are of one store. However slow the machine is, it is quicker than one a second.
    let mut seen = Vec::new();
    for turn in 0..1000 {
        seen.push(server.post(&path([NEW, OLD][turn % 2]), "").await);
        let refused = |remainder| seen.iter().skip(remainder).step_by(2).any(|(status, _)| *status == 429);
        if refused(0) && refused(1) {
            break;
        }
    }
    let (_, refusal) = seen.iter().find(|(status, _)| *status == 429).expect("a refusal");
    assert!(refusal.contains("retry-after: 5"), "{refusal}");
    assert!(seen.iter().all(|(status, _)| matches!(status, 200 | 429)), "{seen:?}");
}

#[tokio::test]
async fn another_method_finds_nothing_to_do() {
    let server = listening(1000).await;
    for secret in [NEW, "wrong"] {
        let head = format!(
            "GET {} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n",
            path(secret)
        );
        assert_eq!(server.send(&head, b"").await.0, 405);
    }
}
