//! A fleet's topology under a prefix of its own, and eyes on it that do not go through the crate.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::FutureExt;
use lapin::options::{ExchangeDeleteOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties};
use queue::{Broker, Config, Delivery, Disposition, Exchange, Handler, Message, Prefix, Queue, Topology};
use receipt::VendorName;
use secrecy::SecretString;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// For everything that should take a moment only; generous, because the machine may be busy.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

#[expect(clippy::disallowed_methods, reason = "tests have no configuration")]
pub(crate) fn amqp_url() -> String {
    std::env::var("AMQP_URL")
        .expect("AMQP_URL must name a RabbitMQ for these tests; `cargo xtask services up` starts one")
}

pub(crate) fn vendor() -> VendorName {
    VendorName::parse("first").expect("a good name")
}

pub(crate) struct Fleet {
    pub(crate) config: Config,
    pub(crate) topology: Topology,
    pub(crate) broker: Broker,
    pub(crate) stop: CancellationToken,
    pub(crate) admin: Connection,
}

/// Runs a test with its own names at the broker, and removes them whatever happens.
pub(crate) async fn with_fleet(test: impl AsyncFnOnce(&Fleet)) {
    with_fleet_at(&amqp_url(), test).await;
}

pub(crate) async fn with_fleet_at(url: &str, test: impl AsyncFnOnce(&Fleet)) {
    let mut config = Config::new(SecretString::from(url.to_owned()));
    config.prefix = Prefix::parse(&format!("test-{}", uuid::Uuid::now_v7())).expect("a good prefix");
    config.reconnect_pause = Duration::from_secs(1);
    let topology = Topology::new(
        &config.prefix,
        &[vendor()],
        &[Duration::from_secs(1), Duration::from_secs(600)],
    );
    let stop = CancellationToken::new();
    let admin = Connection::connect(&amqp_url(), ConnectionProperties::default())
        .await
        .expect("the broker answers");
    let broker = Broker::start(config.clone(), topology.clone(), stop.clone()).expect("a good address");
    let fleet = Fleet {
        config,
        topology,
        broker,
        stop,
        admin,
    };
    assert!(
        tokio::time::timeout(LIMIT, fleet.broker.connected())
            .await
            .expect("connects in time")
    );
    let result = AssertUnwindSafe(test(&fleet)).catch_unwind().await;
    fleet.remove().await;
    if let Err(panic) = result {
        std::panic::resume_unwind(panic);
    }
}

impl Fleet {
    async fn remove(self) {
        self.stop.cancel();
        tokio::time::timeout(LIMIT, self.broker.stopped())
            .await
            .expect("the broker's tasks end");
        // A fresh connection: the test may have lost the other one.
        let admin = Connection::connect(&amqp_url(), ConnectionProperties::default())
            .await
            .expect("the broker answers");
        remove(&admin, &self.topology).await;
    }

    pub(crate) fn queue_name(&self, queue: &Queue) -> String {
        self.config.prefix.queue(queue)
    }

    /// Messages in the queue that are ready to be delivered.
    pub(crate) async fn ready(&self, queue: &Queue) -> u32 {
        let channel = self.admin.create_channel().await.expect("a channel");
        let options = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::durable()
        };
        let declared = channel
            .queue_declare(self.queue_name(queue).into(), options, FieldTable::default())
            .await;
        declared.expect("the queue exists").message_count()
    }

    pub(crate) async fn until_ready(&self, queue: &Queue, messages: u32) {
        until("the queue has so many messages", async || {
            self.ready(queue).await == messages
        })
        .await;
    }

    /// Starts to consume in the background.
    pub(crate) fn consume(&self, queue: Queue, prefetch: u16, recorder: &Arc<Recorder>) -> Consuming {
        let stop = CancellationToken::new();
        let (broker, handler, token) = (self.broker.clone(), recorder.clone(), stop.clone());
        let drain = recorder.drain;
        #[expect(clippy::disallowed_methods, reason = "the handle is joined by `Consuming::end`")]
        let task = tokio::spawn(async move { broker.consume(queue, prefetch, handler, token, drain).await });
        Consuming { stop, task }
    }

    pub(crate) async fn publish(&self, messages: Vec<Message>) {
        let outcomes = self.broker.publisher().publish(messages).await;
        assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    }
}

/// Deletes what the topology has at the broker.
pub(crate) async fn remove(admin: &Connection, topology: &Topology) {
    let channel = admin.create_channel().await.expect("a channel");
    for queue in topology.queues() {
        let deleted = channel
            .queue_delete(queue.name.as_str().into(), QueueDeleteOptions::default())
            .await;
        deleted.expect("deleting is idempotent");
    }
    for exchange in topology.exchanges() {
        let deleted = channel
            .exchange_delete(exchange.name.as_str().into(), ExchangeDeleteOptions::default())
            .await;
        deleted.expect("deleting is idempotent");
    }
}

pub(crate) struct Consuming {
    pub(crate) stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Consuming {
    pub(crate) async fn end(self) {
        self.stop.cancel();
        tokio::time::timeout(LIMIT, self.task)
            .await
            .expect("ends in time")
            .expect("does not panic");
    }
}

pub(crate) fn requests(count: usize) -> Vec<Message> {
    (0..count).map(request).collect()
}

pub(crate) fn request(number: usize) -> Message {
    Message::json(
        Exchange::Requests,
        "main",
        number.to_string(),
        "receipt.request.v1",
        b"{}".to_vec(),
    )
}

/// Waits for a condition, with a limit.
pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !condition().await {
        assert!(began.elapsed() < LIMIT, "waited too long until {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What the handler does with a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    Done,
    Leave,
    Panic,
    /// Done, once the gate lets it pass.
    Wait,
}

/// A handler that remembers.
pub(crate) struct Recorder {
    act: Box<dyn Fn(&Delivery) -> Act + Send + Sync>,
    pub(crate) gate: Semaphore,
    pub(crate) drain: Duration,
    begun: Mutex<Vec<Delivery>>,
    ended: Mutex<Vec<Delivery>>,
}

impl Recorder {
    pub(crate) fn new(act: impl Fn(&Delivery) -> Act + Send + Sync + 'static) -> Arc<Self> {
        Self::with_drain(LIMIT, act)
    }

    pub(crate) fn with_drain(drain: Duration, act: impl Fn(&Delivery) -> Act + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            act: Box::new(act),
            gate: Semaphore::new(0),
            drain,
            begun: Mutex::default(),
            ended: Mutex::default(),
        })
    }

    pub(crate) fn begun(&self) -> Vec<Delivery> {
        self.begun.lock().expect("not poisoned").clone()
    }

    pub(crate) fn ended(&self) -> Vec<Delivery> {
        self.ended.lock().expect("not poisoned").clone()
    }

    pub(crate) async fn until_begun(&self, count: usize) {
        until("so many deliveries have begun", async || {
            self.begun.lock().expect("not poisoned").len() >= count
        })
        .await;
    }

    pub(crate) async fn until_ended(&self, count: usize) {
        until("so many deliveries have ended", async || {
            self.ended.lock().expect("not poisoned").len() >= count
        })
        .await;
    }
}

#[async_trait]
impl Handler for Recorder {
    async fn handle(&self, delivery: Delivery) -> Disposition {
        self.begun.lock().expect("not poisoned").push(delivery.clone());
        let disposition = match (self.act)(&delivery) {
            Act::Done => Disposition::Done,
            Act::Leave => Disposition::Leave,
            Act::Panic => panic!("a handler that can't"),
            Act::Wait => {
                self.gate.acquire().await.expect("never closed").forget();
                Disposition::Done
            }
        };
        self.ended.lock().expect("not poisoned").push(delivery);
        disposition
    }
}
