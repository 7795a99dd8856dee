use axum::http::StatusCode;
use axum::routing::{get, post};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::*;

const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
/// For everything that must come.
const LIMIT: Duration = Duration::from_secs(20);

const LIMITS: Limits = Limits {
    connections: 8,
    requests: 4,
    head: LIMIT,
    request: LIMIT,
    drain: LIMIT,
};

struct Served {
    server: Server,
    stop: CancellationToken,
    running: JoinHandle<()>,
    /// Lets the answers of `/slow` out.
    go: Arc<Notify>,
    /// Told when `/slow` was reached.
    reached: Arc<Semaphore>,
}

#[expect(clippy::disallowed_methods, reason = "the test joins it")]
async fn served(limits: Limits) -> Served {
    let (go, reached) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
    let (waiting, reaching) = (Arc::clone(&go), Arc::clone(&reached));
    let slow = move || {
        let (go, reached) = (Arc::clone(&waiting), Arc::clone(&reaching));
        async move {
            reached.add_permits(1);
            go.notified().await;
            "slow"
        }
    };
    let panics = || async {
        assert!(std::hint::black_box(false), "a test panics on purpose");
    };
    let router = Router::new()
        .route("/quick", get(async || "quick"))
        .route("/echo", post(async |body: String| body))
        .route("/slow", get(slow))
        .route("/panic", get(panics));
    let server = Server::bind(ANY_PORT, router, limits).await.unwrap();
    let stop = CancellationToken::new();
    let running = tokio::spawn({
        let (server, stop) = (server.clone(), stop.clone());
        async move { server.run(&stop).await }
    });
    Served {
        server,
        stop,
        running,
        go,
        reached,
    }
}

impl Served {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.server.address()).await.unwrap()
    }

    /// Writes a head as it is.
    async fn send(&self, text: &str) -> TcpStream {
        let mut stream = self.connect().await;
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    async fn get(&self, path: &str) -> (u16, String) {
        answer(self.send(&request(path)).await).await
    }
}

fn request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
}

/// Status and the rest of what comes until the connection is closed; 0 if nothing comes.
async fn answer(mut stream: TcpStream) -> (u16, String) {
    let mut text = String::new();
    let read = tokio::time::timeout(LIMIT, stream.read_to_string(&mut text));
    let _ = read.await.expect("the connection is closed in time");
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or(0), text)
}

#[tokio::test]
async fn a_path_that_nobody_serves_is_a_problem_document() {
    let served = served(LIMITS).await;
    let (status, text) = served.get("/nothing").await;
    assert_eq!(status, 404);
    assert!(text.contains("content-type: application/problem+json"), "{text}");
    assert!(
        text.ends_with(r#"{"type":"about:blank","title":"Not Found","status":404}"#),
        "{text}"
    );
}

#[tokio::test]
async fn a_client_that_takes_its_time_with_a_head_is_closed() {
    let served = served(Limits {
        head: Duration::from_millis(200),
        ..LIMITS
    })
    .await;
    for head in ["", "GET /quick HTTP/1.1\r\nHost: te"] {
        answer(served.send(head).await).await;
    }
    // An idle connection that was used before is one, too.
    let mut stream = served.send("GET /quick HTTP/1.1\r\nHost: test\r\n\r\n").await;
    let mut text = String::new();
    let read = tokio::time::timeout(LIMIT, stream.read_to_string(&mut text));
    read.await.expect("closed").unwrap();
    assert!(text.ends_with("quick"), "{text}");
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let served = served(LIMITS).await;
    let long = format!(
        "GET /quick HTTP/1.1\r\nHost: test\r\nX-Long: {}\r\n\r\n",
        "x".repeat(64 * 1024)
    );
    let many = format!(
        "GET /quick HTTP/1.1\r\nHost: test\r\n{}\r\n",
        "X-Many: x\r\n".repeat(100)
    );
    assert_eq!(answer(served.send(&many).await).await.0, 431);
    let mut stream = served.connect().await;
    // The server may close before it has read all of it, which resets what is written and its answer.
    let _ = stream.write_all(long.as_bytes()).await;
    let (status, _) = answer(stream).await;
    assert!(matches!(status, 431 | 0), "{status}");
    assert_eq!(served.get("/quick").await.0, 200);
}

#[tokio::test]
async fn a_request_beyond_the_places_is_sent_away_at_once() {
    let served = served(Limits { requests: 1, ..LIMITS }).await;
    let held = served.send(&request("/slow")).await;
    served.reached.acquire().await.unwrap().forget();
    let (status, text) = served.get("/quick").await;
    assert_eq!(status, 503);
    assert!(text.contains("retry-after: 1"), "{text}");
    served.go.notify_one();
    assert_eq!(answer(held).await.0, 200);
    assert_eq!(served.get("/quick").await.0, 200);
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_given_up() {
    let served = served(Limits {
        request: Duration::from_millis(200),
        ..LIMITS
    })
    .await;
    assert_eq!(served.get("/slow").await.0, 408);
    // A body that never comes whole takes too long as well.
    let head = "POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\nonly so much";
    assert_eq!(answer(served.send(head).await).await.0, 408);
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_their_turn() {
    let served = served(Limits {
        connections: 2,
        ..LIMITS
    })
    .await;
    let (first, second) = (
        served.send(&request("/slow")).await,
        served.send(&request("/slow")).await,
    );
    served.reached.acquire_many(2).await.unwrap().forget();
    let third = served.send(&request("/slow")).await;
    assert_eq!(served.server.connections.available_permits(), 0);
    served.go.notify_one();
    served.reached.acquire().await.unwrap().forget();
    // The second one is kept for whoever is not waiting yet.
    served.go.notify_one();
    served.go.notify_one();
    for stream in [first, second, third] {
        assert_eq!(answer(stream).await.0, 200);
    }
}

#[tokio::test]
async fn a_stop_lets_answers_under_way_end_and_takes_nothing_new() {
    let served = served(LIMITS).await;
    let held = served.send(&request("/slow")).await;
    let idle = served.connect().await;
    served.reached.acquire().await.unwrap().forget();
    served.stop.cancel();
    answer(idle).await;
    assert!(!served.running.is_finished());
    served.go.notify_one();
    let (status, text) = answer(held).await;
    assert_eq!(status, 200);
    assert!(text.ends_with("slow"), "{text}");
    tokio::time::timeout(LIMIT, served.running).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_stop_does_not_wait_longer_than_the_drain() {
    let served = served(Limits {
        drain: Duration::from_millis(200),
        ..LIMITS
    })
    .await;
    let held = served.send(&request("/slow")).await;
    served.reached.acquire().await.unwrap().forget();
    served.stop.cancel();
    tokio::time::timeout(LIMIT, served.running).await.unwrap().unwrap();
    assert_eq!(answer(held).await.0, 0);
}

#[tokio::test]
async fn a_panic_ends_its_own_connection_only() {
    let served = served(LIMITS).await;
    assert_eq!(served.get("/panic").await.0, 0);
    assert_eq!(served.get("/quick").await.0, 200);
}

#[tokio::test]
async fn an_address_in_use_is_an_error_that_names_it_and_the_cure() {
    let served = served(LIMITS).await;
    let address = served.server.address();
    let error = Server::bind(address, Router::new(), LIMITS).await.unwrap_err();
    let told = crate::error::chain(&error);
    assert!(
        told.contains(&address.to_string()) && told.contains("KASSA_HTTP__LISTEN"),
        "{told}"
    );
}

#[test]
fn a_problem_says_no_more_than_its_status() {
    let response = problem_for_now(StatusCode::SERVICE_UNAVAILABLE, 5);
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()[header::RETRY_AFTER], "5");
}
