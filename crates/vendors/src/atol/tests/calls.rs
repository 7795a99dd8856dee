use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use futures_util::future::join_all;
use receipt::{AccountName, RetryClass, Seen};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use super::*;
use crate::registry::{AccountSettings, Registry};
use crate::vendor::{Adopted, LONGEST_ANSWER_KEPT, News, Registered, Reply, Vendor};

const BASE: &str = "/possystem/v4";
const SELL: &str = "/possystem/v4/lavka_4410/sell";

/// Gives tokens `token-1`, `token-2`, … and takes only the one that is valid now.
struct Gatekeeper {
    issued: Arc<AtomicUsize>,
}

impl Respond for Gatekeeper {
    fn respond(&self, _: &Request) -> ResponseTemplate {
        let number = self.issued.fetch_add(1, Ordering::SeqCst) + 1;
        json(
            200,
            format!(r#"{{"error":null,"token":"token-{number}","timestamp":""}}"#),
        )
    }
}

/// Accepts a receipt that comes with the valid token.
struct Taker {
    valid: Arc<AtomicUsize>,
}

impl Respond for Taker {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let wanted = format!("token-{}", self.valid.load(Ordering::SeqCst));
        if request
            .headers
            .get("Token")
            .is_some_and(|token| token.as_bytes() == wanted.as_bytes())
        {
            json(200, fixture!("accepted"))
        } else {
            json(401, fixture!("token_expired"))
        }
    }
}

fn json(status: u16, body: impl Into<String>) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_raw(body.into(), "application/json")
}

async fn server(token: ResponseTemplate, sell: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path(format!("{BASE}/getToken")))
        .respond_with(token)
        .mount(&server)
        .await;
    Mock::given(method("POST"))
        .and(path(SELL))
        .respond_with(sell)
        .mount(&server)
        .await;
    server
}

fn base(server: &MockServer) -> String {
    format!("{}{BASE}", server.uri())
}

async fn register_at(server: &MockServer) -> Reply<Registered> {
    atol(&base(server)).register(&sell(&external_id())).await
}

async fn requests(server: &MockServer, path: &str) -> Vec<Request> {
    let all = server.received_requests().await.expect("requests are recorded");
    all.into_iter().filter(|request| request.url.path() == path).collect()
}

fn class(reply: &Reply<Registered>) -> RetryClass {
    reply.outcome.as_ref().expect_err("a refusal").class.clone()
}

#[tokio::test]
async fn a_receipt_is_sent_as_documented() {
    let server = server(json(200, fixture!("token")), json(200, fixture!("accepted"))).await;
    let with_source = AtolSettings {
        source: Some("lavka-shop".into()),
        ..settings(&format!("{}/", base(&server)))
    };
    let reply = atol_with(&with_source, timeouts())
        .register(&sell(&external_id()))
        .await;
    assert_eq!(
        reply.outcome,
        Ok(Registered::Accepted {
            vendor_uuid: uuid(),
            adopted: Adopted::No
        })
    );
    assert_eq!(reply.exchange.request, format!("POST {SELL}"));
    assert_eq!(reply.exchange.http_status, Some(200));

    let token = requests(&server, &format!("{BASE}/getToken"))
        .await
        .pop()
        .expect("a token was asked for");
    assert_eq!(
        String::from_utf8_lossy(&token.body),
        r#"{"login":"lavka-login","pass":"Zk4!mQ9\"w","source":"lavka-shop"}"#
    );
    let sent = requests(&server, SELL).await.pop().expect("the receipt was sent");
    assert_eq!(sent.body, BODY.as_bytes());
    for (name, value) in [
        ("content-type", "application/json; charset=utf-8"),
        ("token", TOKEN),
        ("user-agent", concat!("kassa/", env!("CARGO_PKG_VERSION"))),
    ] {
        let values: Vec<_> = sent
            .headers
            .get_all(name)
            .iter()
            .map(|value| value.as_bytes())
            .collect();
        assert_eq!(values, [value.as_bytes()], "{name}");
        let of_token: Vec<_> = token.headers.get_all(name).iter().collect();
        assert_eq!(of_token.len(), usize::from(name != "token"), "{name}");
    }
}

#[tokio::test]
async fn each_operation_has_its_path() {
    for (operation, segment) in [
        (Operation::Sell, "sell"),
        (Operation::ResellSell, "sell"),
        (Operation::Refund, "sell_refund"),
        (Operation::ResellRefund, "sell_refund"),
    ] {
        let server = MockServer::start().await;
        Mock::given(path(format!("{BASE}/getToken")))
            .respond_with(json(200, fixture!("token")))
            .mount(&server)
            .await;
        Mock::given(path(format!("{BASE}/{GROUP}/{segment}")))
            .respond_with(json(200, fixture!("accepted")))
            .expect(1)
            .mount(&server)
            .await;
        let call = Call {
            operation,
            external_id: &external_id(),
            wire_body: BODY,
        };
        assert!(
            atol(&base(&server)).register(&call).await.outcome.is_ok(),
            "{operation}"
        );
    }
}

#[tokio::test]
async fn a_known_id_is_adopted_with_the_first_documents_uuid() {
    let server = server(json(200, fixture!("token")), json(400, fixture!("duplicate"))).await;
    let reply = register_at(&server).await;
    assert_eq!(
        reply.outcome,
        Ok(Registered::Accepted {
            vendor_uuid: uuid(),
            adopted: Adopted::Yes
        })
    );
}

#[tokio::test]
async fn a_refused_receipt_is_sent_once_and_keeps_the_answer() {
    let server = server(json(200, fixture!("token")), json(400, fixture!("invalid"))).await;
    let reply = register_at(&server).await;
    assert_eq!(class(&reply), RetryClass::Permanent);
    assert_eq!(reply.exchange.answer.as_deref(), Some(fixture!("invalid")));
    assert_eq!(requests(&server, SELL).await.len(), 1);
}

#[tokio::test]
async fn a_throttled_call_was_not_seen_and_waits_as_asked() {
    let throttled = ResponseTemplate::new(429).insert_header("Retry-After", "17");
    let reply = register_at(&server(json(200, fixture!("token")), throttled).await).await;
    assert_eq!(
        class(&reply),
        RetryClass::Retry {
            seen: Seen::No,
            after: Some(Duration::from_secs(17))
        }
    );
}

#[tokio::test]
async fn an_answer_that_comes_too_late_leaves_a_doubt() {
    let late = json(200, fixture!("accepted")).set_delay(Duration::from_secs(60));
    let server = server(json(200, fixture!("token")), late).await;
    let short = CallTimeouts {
        connect: Duration::from_millis(200),
        call: Duration::from_millis(400),
    };
    let atol = atol_with(&settings(&base(&server)), short);
    let began = Instant::now();
    let reply = atol.register(&sell(&external_id())).await;
    assert_eq!(class(&reply), RetryClass::MAYBE_SEEN);
    assert_eq!(reply.outcome.expect_err("a refusal").code, "timeout");
    assert!(began.elapsed() < atol.longest_call());
    assert_eq!(requests(&server, SELL).await.len(), 1, "nothing is repeated inside");
}

#[tokio::test]
async fn a_web_page_instead_of_an_answer_leaves_a_doubt() {
    let page = ResponseTemplate::new(502).set_body_raw("<html>Bad gateway</html>", "text/html");
    let reply = register_at(&server(json(200, fixture!("token")), page).await).await;
    assert_eq!(class(&reply), RetryClass::MAYBE_SEEN);
    assert_eq!(reply.exchange.answer.as_deref(), Some("<html>Bad gateway</html>"));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let redirect = ResponseTemplate::new(307).insert_header("Location", SELL);
    let server = server(json(200, fixture!("token")), redirect).await;
    assert_eq!(class(&register_at(&server).await), RetryClass::MAYBE_SEEN);
    assert_eq!(requests(&server, SELL).await.len(), 1);
}

#[tokio::test]
async fn an_endless_answer_is_not_read_to_its_end() {
    let endless = ResponseTemplate::new(200).set_body_bytes(vec![b'x'; 3 * 1024 * 1024]);
    let reply = register_at(&server(json(200, fixture!("token")), endless).await).await;
    assert_eq!(class(&reply), RetryClass::MAYBE_SEEN);
    assert_eq!(reply.outcome.expect_err("a refusal").code, "too_long");
    assert!(reply.exchange.answer.expect("the beginning").len() <= LONGEST_ANSWER_KEPT);
}

#[tokio::test]
async fn a_failing_token_call_is_certainly_unseen() {
    for failing in [
        ResponseTemplate::new(503),
        ResponseTemplate::new(200).set_body_string("<html>"),
        json(500, r#"{"error":{"code":50,"type":"system"}}"#),
        json(400, r#"{"error":{"code":4711,"type":"system"}}"#),
    ] {
        let server = server(failing, json(200, fixture!("accepted"))).await;
        let reply = register_at(&server).await;
        assert_eq!(class(&reply), RetryClass::NOT_SEEN);
        assert_eq!(reply.exchange.request, format!("POST {BASE}/getToken"));
        assert!(requests(&server, SELL).await.is_empty());
    }
}

#[tokio::test]
async fn wrong_credentials_halt_the_account() {
    let reply = register_at(&server(json(401, fixture!("token_refused")), json(200, fixture!("accepted"))).await).await;
    assert_eq!(class(&reply), RetryClass::Halt { certain: true });
    assert_eq!(reply.outcome.expect_err("a refusal").code, "12");
}

async fn gated_server() -> (MockServer, Arc<AtomicUsize>) {
    let (issued, valid) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(1)));
    let server = MockServer::start().await;
    Mock::given(path(format!("{BASE}/getToken")))
        .respond_with(Gatekeeper { issued })
        .mount(&server)
        .await;
    Mock::given(method("POST"))
        .respond_with(Taker { valid: valid.clone() })
        .mount(&server)
        .await;
    (server, valid)
}

async fn tokens_asked_for(server: &MockServer) -> usize {
    requests(server, &format!("{BASE}/getToken")).await.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_calls_with_an_expired_token_lead_to_one_new_one() {
    let (server, valid) = gated_server().await;
    let (atol, id) = (atol(&base(&server)), external_id());
    let ten_calls = || async {
        let replies = join_all((0..10).map(|_| async { atol.register(&sell(&id)).await })).await;
        assert!(replies.iter().all(|reply| reply.outcome.is_ok()), "{replies:?}");
    };
    ten_calls().await;
    assert_eq!(
        tokens_asked_for(&server).await,
        1,
        "the first token is got by one caller too"
    );
    valid.store(2, Ordering::SeqCst);
    ten_calls().await;
    assert_eq!(tokens_asked_for(&server).await, 2);
}

#[tokio::test]
async fn a_token_that_is_refused_twice_halts_the_account() {
    let (server, valid) = gated_server().await;
    valid.store(usize::MAX, Ordering::SeqCst);
    let reply = register_at(&server).await;
    assert_eq!(class(&reply), RetryClass::Halt { certain: true });
    assert_eq!(reply.outcome.expect_err("a refusal").code, "11");
    assert_eq!(
        (tokens_asked_for(&server).await, requests(&server, SELL).await.len()),
        (2, 2)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_share_a_failing_token_call_and_the_next_one_tries_again() {
    let slow = ResponseTemplate::new(503).set_delay(Duration::from_millis(300));
    let server = server(slow, json(200, fixture!("accepted"))).await;
    let (atol, id) = (atol(&base(&server)), external_id());
    let replies = join_all((0..10).map(|_| async { atol.register(&sell(&id)).await })).await;
    assert!(replies.iter().all(|reply| class(reply) == RetryClass::NOT_SEEN));
    assert_eq!(tokens_asked_for(&server).await, 1);
    atol.register(&sell(&id)).await;
    assert_eq!(tokens_asked_for(&server).await, 2);
}

#[tokio::test]
async fn accounts_with_the_same_host_and_login_share_a_token() {
    let (server, _valid) = gated_server().await;
    let account = |name: &str, settings: AtolSettings| {
        (
            AccountName::parse(name).expect("an account name"),
            AccountSettings::Atol(settings),
        )
    };
    let accounts = BTreeMap::from([
        account("first", settings(&base(&server))),
        account(
            "second",
            AtolSettings {
                group_code: "lavka_4411".into(),
                ..settings(&base(&server))
            },
        ),
        account(
            "stranger",
            AtolSettings {
                login: "stranger".into(),
                ..settings(&base(&server))
            },
        ),
    ]);
    let registry = Registry::build(&accounts, timeouts()).expect("accounts without faults");
    let id = external_id();
    for name in ["first", "second"] {
        let account = registry
            .get(&AccountName::parse(name).expect("an account name"))
            .expect("configured");
        assert!(account.register(&sell(&id)).await.outcome.is_ok(), "{name}");
    }
    assert_eq!(tokens_asked_for(&server).await, 1);
    let stranger = registry
        .get(&AccountName::parse("stranger").expect("an account name"))
        .expect("configured");
    stranger.register(&sell(&id)).await;
    assert!(
        tokens_asked_for(&server).await > 1,
        "another login has a token of its own"
    );
}

#[tokio::test]
async fn a_report_is_asked_with_the_token_and_read() {
    let server = server(json(200, fixture!("token")), json(500, "")).await;
    Mock::given(method("GET"))
        .and(path(format!("{BASE}/{GROUP}/report/{UUID}")))
        .and(wiremock::matchers::header("Token", TOKEN))
        .respond_with(json(200, fixture!("report_done")))
        .mount(&server)
        .await;
    let atol = atol(&base(&server));
    let reply = atol.follower().expect("ATOL is polled").follow(&uuid()).await;
    assert!(matches!(reply.outcome, Ok(News::Done { .. })), "{reply:?}");
    assert_eq!(reply.exchange.request, format!("GET {BASE}/{GROUP}/report/{UUID}"));
}

#[tokio::test]
async fn a_vendors_uuid_cannot_lead_to_another_path() {
    let server = server(json(200, fixture!("token")), json(500, "")).await;
    let atol = atol(&base(&server));
    let crooked = VendorUuid::parse("../sell?x=1#y").expect("visible ASCII");
    let reply = atol.follower().expect("ATOL is polled").follow(&crooked).await;
    assert_eq!(
        reply.exchange.request,
        format!("GET {BASE}/{GROUP}/report/..%2Fsell%3Fx=1%23y")
    );
    assert!(reply.outcome.is_err(), "404 without a body");
}

#[tokio::test]
async fn a_poll_without_an_answer_leaves_no_doubt() {
    let server = server(json(200, fixture!("token")), json(500, "")).await;
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(200).set_delay(Duration::from_secs(60)))
        .mount(&server)
        .await;
    let short = CallTimeouts {
        connect: Duration::from_millis(200),
        call: Duration::from_millis(400),
    };
    let atol = atol_with(&settings(&base(&server)), short);
    let reply = atol.follower().expect("ATOL is polled").follow(&uuid()).await;
    assert_eq!(reply.outcome.expect_err("not answered").class, RetryClass::NOT_SEEN);
}

#[tokio::test]
async fn neither_secrets_nor_the_buyer_are_kept_as_evidence() {
    let body = format!(
        r#"{{"error":{{"code":32,"type":"system","text":"lavka@example.org, +7 903 111-22-33, {TOKEN}, {PASSWORD_JSON}"}}}}"#
    );
    let server = server(json(200, fixture!("token")), json(400, &body)).await;
    let atol = atol(&base(&server));
    let reply = atol.register(&sell(&external_id())).await;
    let kept = format!("{reply:?} {:?}", settings(&base(&server)));
    for secret in ["lavka@example.org", "111-22-33", TOKEN, "Zk4!mQ9"] {
        assert!(!kept.contains(secret), "{secret} in {kept}");
    }
    let failing = super::calls::server(json(503, format!(r#"{{"token":"{TOKEN}"}}"#)), json(500, "")).await;
    let reply = register_at(&failing).await;
    assert_eq!(reply.exchange.answer.as_deref(), Some(r#"{"token":"***"}"#));
}

const PASSWORD_JSON: &str = r#"Zk4!mQ9\"w"#;
