//! One request: signed, bounded, checked, and never sent on.

use std::time::Duration;

use tokio::net::TcpListener;
use webhooks::{Client, Config, Endpoint, Heard, Silence};

use crate::harness::{CaFile, NEXT_SECRET, Names, SECRET, client, config, endpoint, settings};
use crate::receiver::{Authority, Receiver, Reply};

const BODY: &[u8] = r#"{"type":"receipt.done","text":{"ru":"Чек пробит."}}"#.as_bytes();

fn answered(status: u16) -> Heard {
    Heard::Answer {
        status,
        retry_after: None,
    }
}

async fn post(client: &Client, endpoint: &Endpoint) -> Heard {
    client.post(endpoint, "019ab1f0-7c2e-7d53", BODY.to_vec()).await
}

#[tokio::test]
async fn the_reference_library_verifies_what_is_sent() {
    let authority = Authority::new();
    let ca = CaFile::of(&authority);
    let receiver = Receiver::start(&authority, |_, _| Reply::Status(204)).await;
    let heard = post(&client(&config(&ca)), &endpoint(&receiver.url("shop.test"))).await;
    assert_eq!(heard, answered(204));
    let seen = receiver.seen().remove(0);
    assert!(seen.is_signed_with(SECRET));
    assert!(!seen.is_signed_with(NEXT_SECRET));
    assert_eq!((seen.id(), &seen.body[..]), ("019ab1f0-7c2e-7d53", BODY));
    assert_eq!(seen.path, "/kassa");
    assert_eq!(seen.headers["content-type"], "application/json");
    assert!(
        seen.headers["user-agent"]
            .to_str()
            .expect("a text")
            .starts_with("kassa/")
    );
}

#[tokio::test]
async fn while_a_secret_is_changed_the_old_and_the_new_receiver_both_verify() {
    let authority = Authority::new();
    let ca = CaFile::of(&authority);
    let receiver = Receiver::start(&authority, |_, _| Reply::Status(200)).await;
    let both = Endpoint::of(&settings(&receiver.url("shop.test"), &[SECRET, NEXT_SECRET])).expect("an endpoint");
    post(&client(&config(&ca)), &both).await;
    let seen = receiver.seen().remove(0);
    assert!(seen.is_signed_with(SECRET) && seen.is_signed_with(NEXT_SECRET));
    assert!(!seen.is_signed_with("whsec_c29tZWJvZHkgZWxzZSdzIHNlY3JldCBrZXkhIQ=="));
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let authority = Authority::new();
    let ca = CaFile::of(&authority);
    let elsewhere = Receiver::start(&authority, |_, _| Reply::Status(200)).await;
    for status in [301, 302, 303, 307, 308] {
        let target = elsewhere.url("shop.test");
        let receiver = Receiver::start(&authority, move |_, _| Reply::With(status, "location", target.clone())).await;
        let heard = post(&client(&config(&ca)), &endpoint(&receiver.url("shop.test"))).await;
        assert_eq!(heard, answered(status));
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn a_wish_to_wait_is_heard() {
    let authority = Authority::new();
    let ca = CaFile::of(&authority);
    let receiver = Receiver::start(&authority, |_, _| Reply::With(429, "retry-after", "120".to_owned())).await;
    let heard = post(&client(&config(&ca)), &endpoint(&receiver.url("shop.test"))).await;
    let expected = Heard::Answer {
        status: 429,
        retry_after: Some(Duration::from_secs(120)),
    };
    assert_eq!(heard, expected);
}

#[tokio::test]
async fn an_endpoint_that_does_not_answer_is_not_waited_for_without_end() {
    let authority = Authority::new();
    let ca = CaFile::of(&authority);
    let receiver = Receiver::start(&authority, |_, _| Reply::Nothing).await;
    let impatient = Config {
        call: Duration::from_millis(500),
        ..config(&ca)
    };
    let heard = post(&client(&impatient), &endpoint(&receiver.url("shop.test"))).await;
    assert_eq!(heard, Heard::Silence(Silence::Timeout));
    assert_eq!(receiver.seen().len(), 1);
}

#[tokio::test]
async fn an_answer_without_end_is_cut_and_its_status_counts() {
    let authority = Authority::new();
    let ca = CaFile::of(&authority);
    let receiver = Receiver::start(&authority, |_, _| Reply::Endless).await;
    let endless = endpoint(&receiver.url("shop.test"));
    let heard = post(&client(&config(&ca)), &endless).await;
    assert_eq!(heard, answered(200));
}

#[tokio::test]
async fn a_certificate_of_nobody_we_trust_is_refused() {
    let authority = Authority::new();
    let other = CaFile::of(&Authority::new());
    let receiver = Receiver::start(&authority, |_, _| Reply::Status(200)).await;
    let heard = post(&client(&config(&other)), &endpoint(&receiver.url("shop.test"))).await;
    assert_eq!(heard, Heard::Silence(Silence::Certificate));
    assert!(receiver.seen().is_empty(), "nothing was sent");
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let authority = Authority::new();
    let ca = CaFile::of(&authority);
    let receiver = Receiver::start(&authority, |_, _| Reply::Status(200)).await;
    let heard = post(&client(&config(&ca)), &endpoint(&receiver.url("another.test"))).await;
    assert_eq!(heard, Heard::Silence(Silence::Certificate));
    assert!(receiver.seen().is_empty(), "nothing was sent");
}

#[tokio::test]
async fn a_server_without_tls_is_sent_nothing() {
    let authority = Authority::new();
    let ca = CaFile::of(&authority);
    let plain = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!(
        "https://shop.test:{}/kassa",
        plain.local_addr().expect("an address").port()
    );
    let answering = async {
        use tokio::io::AsyncWriteExt;
        let (mut stream, _) = plain.accept().await.expect("a connection");
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            .await
            .expect("written");
        stream
    };
    let client = client(&config(&ca));
    let endpoint = endpoint(&url);
    let (heard, _open) = tokio::join!(post(&client, &endpoint), answering);
    assert_eq!(heard, Heard::Silence(Silence::Tls));
}

#[tokio::test]
async fn nobody_listening_is_told_from_no_such_name() {
    let authority = Authority::new();
    let ca = CaFile::of(&authority);
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!(
        "https://shop.test:{}/kassa",
        closed.local_addr().expect("an address").port()
    );
    drop(closed);
    let heard = post(&client(&config(&ca)), &endpoint(&url)).await;
    assert_eq!(heard, Heard::Silence(Silence::Connect));

    let nameless = Client::with_lookup(&config(&ca), Names::answering(&[&[]]).0).expect("a client");
    assert_eq!(post(&nameless, &endpoint(&url)).await, Heard::Silence(Silence::Dns));
}
