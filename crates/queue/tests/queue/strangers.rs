//! Messages that our own client library could not publish, and must not be harmed by.

use lapin::uri::AMQPUri;
use queue::{Exchange, Queue};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Act, Recorder, amqp_url, request, with_fleet};

/// As much of AMQP 0-9-1 as it takes to publish bytes of one's own choice.
struct Raw(TcpStream);

fn short(bytes: &[u8]) -> Vec<u8> {
    [&[u8::try_from(bytes.len()).expect("short")], bytes].concat()
}

fn long(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("short");
    [&length.to_be_bytes(), bytes].concat()
}

impl Raw {
    async fn connect() -> Self {
        let uri: AMQPUri = amqp_url().parse().expect("a good address");
        let user = uri.authority.userinfo;
        let socket = TcpStream::connect((uri.authority.host, uri.authority.port))
            .await
            .expect("the broker answers");
        let mut raw = Self(socket);
        raw.0.write_all(b"AMQP\0\0\x09\x01").await.expect("sent");
        raw.receive().await;
        let secret = format!("\0{}\0{}", user.username, user.password);
        let parts = [
            &[0, 10, 0, 11, 0, 0, 0, 0][..],
            &short(b"PLAIN"),
            &long(secret.as_bytes()),
            &short(b"en_US"),
        ];
        raw.send(1, 0, &parts.concat()).await;
        raw.receive().await;
        // 2047 channels, frames of 128 KiB, no heartbeat.
        raw.send(1, 0, &[0, 10, 0, 31, 0x07, 0xff, 0, 2, 0, 0, 0, 0]).await;
        raw.send(
            1,
            0,
            &[&[0, 10, 0, 40][..], &short(uri.vhost.as_bytes()), &[0, 0]].concat(),
        )
        .await;
        raw.receive().await;
        raw.send(1, 1, &[0, 20, 0, 10, 0]).await;
        raw.receive().await;
        raw
    }

    /// Publishes `{}`. `flags` says which properties follow.
    async fn publish(&mut self, exchange: &str, key: &[u8], flags: u16, properties: &[u8]) {
        let method = [
            &[0, 60, 0, 40, 0, 0][..],
            &short(exchange.as_bytes()),
            &short(key),
            &[0],
        ]
        .concat();
        self.send(1, 1, &method).await;
        let header = [
            &[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2][..],
            &flags.to_be_bytes(),
            properties,
        ]
        .concat();
        self.send(2, 1, &header).await;
        self.send(3, 1, b"{}").await;
    }

    /// Closes the channel and waits for the answer: all that was published is at the broker then.
    async fn close(mut self) {
        self.send(1, 1, &[0, 20, 0, 40, 0, 200, 0, 0, 0, 0, 0]).await;
        assert_eq!(self.receive().await, [0, 20, 0, 41], "channel.close-ok");
    }

    async fn send(&mut self, kind: u8, channel: u8, payload: &[u8]) {
        let frame = [&[kind, 0, channel], long(payload).as_slice(), &[0xce]].concat();
        self.0.write_all(&frame).await.expect("sent");
    }

    async fn receive(&mut self) -> Vec<u8> {
        let mut start = [0; 7];
        self.0.read_exact(&mut start).await.expect("a frame");
        let size = u32::from_be_bytes([start[3], start[4], start[5], start[6]]) as usize;
        let mut payload = vec![0; size + 1];
        self.0.read_exact(&mut payload).await.expect("a whole frame");
        payload.truncate(size);
        payload
    }
}

const HEADERS: u16 = 1 << 13;
const MESSAGE_ID: u16 = 1 << 7;

/// Without the screen each of these ends the connection or, the last one, the process.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_client_library_can_not_read_is_delivered_all_the_same() {
    with_fleet(async |fleet| {
        let exchange = fleet.config.prefix.exchange(&Exchange::Requests);
        let mut raw = Raw::connect().await;
        raw.publish(&exchange, b"main", MESSAGE_ID, &short(b"\xff1")).await;
        raw.publish(&exchange, b"\xff2", 0, &[]).await;
        let table = [short(b"\xff3"), b"S".to_vec(), long(b"\xff")].concat();
        raw.publish(&exchange, b"main", HEADERS, &long(&table)).await;
        let deep = (0..5_000).fold(b"V".to_vec(), |value, _| [b"A", long(&value).as_slice()].concat());
        raw.publish(&exchange, b"main", HEADERS, &long(&[short(b"deep"), deep].concat()))
            .await;
        raw.close().await;
        fleet.publish(vec![request(5)]).await;

        let recorder = Recorder::new(|_| Act::Done);
        let consuming = fleet.consume(Queue::Intake, 10, &recorder);
        recorder.until_ended(5).await;
        consuming.end().await;
        fleet.until_ready(&Queue::Intake, 0).await;

        let all = recorder.ended();
        let times = |what: &dyn Fn(&queue::Delivery) -> bool| all.iter().filter(|delivery| what(delivery)).count();
        assert_eq!(all.len(), 5, "the connection held: nothing was delivered twice");
        assert_eq!(times(&|delivery| delivery.message_id.as_deref() == Some("?1")), 1);
        assert_eq!(times(&|delivery| delivery.routing_key == "?2"), 1);
        assert_eq!(
            times(&|delivery| delivery.headers.get("?3").is_some_and(Value::is_object)),
            1
        );
        assert_eq!(times(&|delivery| delivery.headers.contains_key("deep")), 1);
        assert_eq!(times(&|delivery| delivery.message_id.as_deref() == Some("5")), 1);
    })
    .await;
}
