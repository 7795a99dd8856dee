use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::*;

const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

struct Probed {
    health: Health,
    stop: CancellationToken,
    listening: Listening,
}

async fn a_process() -> Probed {
    let (health, stop) = (Health::default(), CancellationToken::new());
    let listening = serve(ANY_PORT, health.clone(), None, stop.clone()).await.unwrap();
    Probed {
        health,
        stop,
        listening,
    }
}

impl Probed {
    async fn get(&self, path: &str) -> (u16, Value) {
        let mut stream = TcpStream::connect(self.listening.address()).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        assert!(head.contains("cache-control: no-store"), "{head}");
        (status, serde_json::from_str(body).unwrap())
    }
}

#[tokio::test]
async fn a_process_is_ready_when_every_check_is_ok_or_warns() {
    let process = a_process().await;
    let database = process.health.check("database");
    let broker = process.health.check("broker");
    let (status, body) = process.get("/readyz").await;
    assert_eq!((status, &body["status"]), (503, &Value::from("fail")));
    assert_eq!(body["checks"][0]["name"], "broker");
    assert_eq!(body["checks"][0]["detail"], "not checked yet");

    database.ok();
    assert_eq!(process.get("/readyz").await.0, 503);

    broker.warn("queue kassa.send.v is sick");
    let (status, body) = process.get("/readyz").await;
    assert_eq!((status, &body["status"]), (200, &Value::from("ok")));
    assert_eq!(body["checks"][0]["state"], "warn");
    assert_eq!(body["checks"][0]["detail"], "queue kassa.send.v is sick");
    assert_eq!(body["checks"][1]["detail"], "");

    database.fail("connection refused");
    let (status, body) = process.get("/readyz").await;
    assert_eq!((status, &body["checks"][1]["state"]), (503, &Value::from("fail")));
}

#[tokio::test]
async fn a_stopping_process_is_not_ready_and_still_alive() {
    let process = a_process().await;
    process.health.check("database").ok();
    assert_eq!(process.get("/readyz").await.0, 200);
    process.stop.cancel();
    let (status, body) = process.get("/readyz").await;
    assert_eq!((status, &body["status"]), (503, &Value::from("stopping")));
    assert_eq!(process.get("/healthz").await.0, 200);
}

#[tokio::test]
async fn a_loop_that_keeps_failing_is_named_by_healthz() {
    let process = a_process().await;
    process.health.loop_started("poll");
    process.health.loop_started("relay");
    assert_eq!(process.get("/healthz").await.0, 200);
    for _ in 0..DEAD_AFTER {
        process.health.loop_started("poll");
        process.health.loop_failed("poll", "no database");
    }
    let (status, body) = process.get("/healthz").await;
    assert_eq!((status, &body["dead"]), (503, &Value::from(vec!["poll"])));
    assert_eq!(body["loops"][0]["detail"], "no database");
    assert_eq!(body["loops"][1]["alive"], true);
}

#[test]
fn since_is_when_the_state_changed_not_when_it_was_last_told() {
    let health = Health::default();
    let check = health.check("database");
    check.fail("connection refused");
    let since = health.checks()[0].since;
    check.fail("password refused");
    assert_eq!(health.checks()[0].since, since);
    assert_eq!(health.checks()[0].detail, "password refused");
    check.ok();
    assert!(health.checks()[0].since >= since);
}

#[test]
fn the_same_name_is_the_same_check() {
    let health = Health::default();
    health.check("database").ok();
    assert_eq!(health.check("database").name, "database");
    assert_eq!(health.checks().len(), 1);
    assert_eq!(health.checks()[0].state, State::Ok);
}

#[tokio::test]
async fn an_address_in_use_is_an_error_that_names_it_and_the_cure() {
    let process = a_process().await;
    let address = process.listening.address();
    let error = serve(address, Health::default(), None, CancellationToken::new())
        .await
        .unwrap_err();
    let told = crate::error::chain(&error);
    assert!(
        told.starts_with(&format!(
            "cannot listen on {address} for health probes; end what uses this port"
        )),
        "{told}"
    );
    assert!(
        told.contains("KASSA_HEALTH__LISTEN") && told.contains("in use"),
        "{told}"
    );
}
