//! What a polite test server cannot do: refuse, hang up, and stop in the middle.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use receipt::{RetryClass, Seen};
use reqwest::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::*;
use crate::vendor::{Registered, Reply, Vendor};

/// What the server does after it has read a registration to its last byte.
#[derive(Clone, Copy)]
enum Then {
    HangUp,
    Write(&'static str),
}

/// What the server does with a connection whose token request it has answered.
#[derive(Clone, Copy, PartialEq)]
enum AfterToken {
    Keep,
    Close,
}

/// A server that answers for the token politely and does as told with registrations, which it counts.
struct Server {
    url: String,
    registrations: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
    _serving: JoinSet<()>,
}

impl Server {
    async fn start(after_token: AfterToken, then: Then) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/possystem/v4", listener.local_addr().expect("an address"));
        let (registrations, connections) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut serving = JoinSet::new();
        let (counted, opened) = (registrations.clone(), connections.clone());
        serving.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                opened.fetch_add(1, Ordering::SeqCst);
                open.spawn(serve(stream, after_token, then, counted.clone()));
            }
        });
        Self {
            url,
            registrations,
            connections,
            _serving: serving,
        }
    }

    async fn register(&self) -> Reply<Registered> {
        atol(&self.url).register(&sell(&external_id())).await
    }

    fn registrations(&self) -> usize {
        self.registrations.load(Ordering::SeqCst)
    }
}

async fn serve(mut stream: TcpStream, after_token: AfterToken, then: Then, registrations: Arc<AtomicUsize>) {
    while let Some(head) = read_request(&mut stream).await {
        if head.contains("/getToken") {
            let token = fixture!("token");
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{token}", token.len());
            let _ = stream.write_all(answer.as_bytes()).await;
            if after_token == AfterToken::Close {
                return;
            }
            continue;
        }
        registrations.fetch_add(1, Ordering::SeqCst);
        match then {
            Then::HangUp => return,
            Then::Write(bytes) => {
                let _ = stream.write_all(bytes.as_bytes()).await;
                return;
            }
        }
    }
}

/// Reads one request with its body; `None` at the end of the connection.
async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let length = head
                .lines()
                .filter_map(|line| line.split_once(": "))
                .find_map(|(name, value)| {
                    name.eq_ignore_ascii_case("content-length")
                        .then(|| value.parse().ok())?
                })
                .unwrap_or(0);
            if bytes.len() >= end + 4 + length {
                return Some(head);
            }
        }
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return None,
            Ok(read) => bytes.extend_from_slice(&chunk[..read]),
        }
    }
}

#[tokio::test]
async fn a_connection_cut_after_sending_leaves_a_doubt() {
    let server = Server::start(AfterToken::Keep, Then::HangUp).await;
    let reply = server.register().await;
    let refusal = reply.outcome.expect_err("no answer");
    assert_eq!((refusal.class, refusal.code.as_str()), (RetryClass::MAYBE_SEEN, "cut"));
    assert_eq!((reply.exchange.http_status, reply.exchange.answer), (None, None));
}

/// The token went over the connection that the registration is then written to. A second copy on another connection
/// would be a second receipt, were it not for the id.
#[tokio::test]
async fn a_kept_connection_that_breaks_under_a_request_is_not_used_for_a_second_copy() {
    let server = Server::start(AfterToken::Keep, Then::HangUp).await;
    assert!(server.register().await.outcome.is_err());
    assert_eq!(
        server.connections.load(Ordering::SeqCst),
        1,
        "the registration went over the kept connection"
    );
    assert_eq!(server.registrations(), 1);
}

#[tokio::test]
async fn a_kept_connection_that_closes_before_the_request_costs_at_most_a_doubt() {
    for _ in 0..50 {
        let accepted = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n\
                        {\"uuid\":\"5f1e6b0a-7c3d-4e2f-9a18-2d4c6b8e0f13\",\"status\":\"wait\",\"x\":\"12\"}";
        let server = Server::start(AfterToken::Close, Then::Write(accepted)).await;
        match server.register().await.outcome {
            Ok(_) => assert_eq!(server.registrations(), 1, "sent once, over a new connection"),
            Err(refusal) => {
                assert_eq!(refusal.class, RetryClass::MAYBE_SEEN, "{refusal:?}");
                assert_eq!(server.registrations(), 0, "nobody repeated it");
            }
        }
    }
}

#[tokio::test]
async fn an_answer_cut_in_the_middle_leaves_a_doubt_and_what_came_is_kept() {
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"uuid\":\"5f1e6b0a";
    let reply = Server::start(AfterToken::Keep, Then::Write(half))
        .await
        .register()
        .await;
    let refusal = reply.outcome.expect_err("half an answer");
    assert_eq!((refusal.class, refusal.code.as_str()), (RetryClass::MAYBE_SEEN, "cut"));
    assert_eq!(
        (reply.exchange.http_status, reply.exchange.answer.as_deref()),
        (Some(200), Some("{\"uuid\":\"5f1e6b0a"))
    );
}

#[tokio::test]
async fn something_that_is_not_http_leaves_a_doubt() {
    let reply = Server::start(AfterToken::Keep, Then::Write("220 mail.example ESMTP\r\n"))
        .await
        .register()
        .await;
    assert_eq!(reply.outcome.expect_err("no answer").class, RetryClass::MAYBE_SEEN);
}

/// A port that nobody listens on.
async fn closed_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    listener.local_addr().expect("an address").to_string()
}

#[tokio::test]
async fn a_refused_connection_was_certainly_not_seen() {
    let reply = atol(&format!("http://{}/possystem/v4", closed_port().await))
        .register(&sell(&external_id()))
        .await;
    let refusal = reply.outcome.expect_err("no connection");
    assert_eq!(
        (refusal.class, refusal.code.as_str()),
        (RetryClass::NOT_SEEN, "connect")
    );
}

/// The same for a registration whose token is still good: the token call is not what makes it unseen.
#[tokio::test]
async fn what_fails_while_connecting_is_told_apart() {
    let http = Http::build(&timeouts()).expect("an HTTP client");
    let send = async |url: &str| {
        let request = http.request(Method::POST, url.parse().expect("a URL")).body(BODY);
        http.send(request, timeouts().call).await.expect_err("no answer").how
    };
    assert_eq!(
        send(&format!("http://{}/", closed_port().await)).await.code(),
        "connect"
    );
    assert_eq!(send("http://no-such-host.invalid/").await.seen(), Seen::No);

    // Accepts and never speaks: the handshake runs out of time.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = silent.local_addr().expect("an address");
    assert_eq!(send(&format!("https://{address}/")).await.code(), "connect_timeout");

    let babbling = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = babbling.local_addr().expect("an address");
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        while let Ok((mut stream, _)) = babbling.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            let _ = stream.read(&mut [0; 1024]).await;
        }
    });
    assert_eq!(send(&format!("https://{address}/")).await.code(), "tls");
}
