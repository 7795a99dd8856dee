//! A broker that is killed: what it confirmed is there afterwards, at every stage of a message's way (design, sections 5
//! and 6). Straight against the crate `queue`, with a node of the test's own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::ensure;
use async_trait::async_trait;
use kassa_tests::own::RabbitMq;
use kassa_tests::wait;
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties};
use queue::pointer::POINTER_TYPE;
use queue::{
    Admin, Ailment, Broker, Condition, Config, Deed, Delivery, Disposition, Exchange, Handler, Message, Queue, Repair,
    Topology,
};
use receipt::VendorName;
use secrecy::SecretString;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::world::LIMIT;
use crate::zombie::{self, Doomed};

/// A quorum queue that is killed within seconds of its declaration does not come back, so whatever must survive is older.
const SETTLED: Duration = Duration::from_secs(8);
/// Long enough to be waiting still when the broker is back.
const LONG: Duration = Duration::from_secs(30);

fn vendor() -> VendorName {
    VendorName::parse("first").expect("a good name")
}

fn config(node: &RabbitMq) -> Config {
    let mut config = Config::new(SecretString::from(node.url()));
    config.reconnect_pause = Duration::from_secs(1);
    config.confirm_timeout = Duration::from_secs(3);
    config.canary_interval = Duration::from_secs(1);
    config
}

fn topology(config: &Config) -> Topology {
    Topology::new(&config.prefix, &[vendor()], &[SETTLED, LONG])
}

fn pointer(exchange: Exchange, id: String) -> Message {
    Message::json(exchange, vendor().as_str(), id, POINTER_TYPE, b"{}".to_vec())
}

fn request(exchange: Exchange, id: String) -> Message {
    Message::json(exchange, "main", id, "receipt.request.v1", b"{}".to_vec())
}

/// A session with a node, and what it was handed, by queue and message.
struct Session {
    broker: Broker,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    seen: Arc<Mutex<BTreeMap<(Stage, String), u32>>>,
}

/// The queues that are consumed, in an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Intake,
    Send,
    Retry,
    Dead,
}

struct Note {
    queue: Stage,
    seen: Arc<Mutex<BTreeMap<(Stage, String), u32>>>,
}

#[async_trait]
impl Handler for Note {
    async fn handle(&self, delivery: Delivery) -> Disposition {
        let id = delivery.message_id.unwrap_or_default();
        *self
            .seen
            .lock()
            .expect("not poisoned")
            .entry((self.queue, id))
            .or_default() += 1;
        Disposition::Done
    }
}

impl Session {
    async fn start(node: &RabbitMq) -> anyhow::Result<Self> {
        let (config, stop) = (config(node), CancellationToken::new());
        let broker = Broker::start(config.clone(), topology(&config), stop.clone())?;
        let session = Self {
            broker,
            stop,
            tasks: JoinSet::new(),
            seen: Arc::default(),
        };
        session.until_connected().await?;
        Ok(session)
    }

    async fn until_connected(&self) -> anyhow::Result<()> {
        ensure!(tokio::time::timeout(LIMIT, self.broker.connected()).await?);
        Ok(())
    }

    async fn publish(&self, messages: Vec<Message>) -> anyhow::Result<()> {
        let outcomes = self.broker.publisher().publish(messages).await;
        ensure!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
        Ok(())
    }

    fn consume(&mut self, queue: Stage) {
        let name = match queue {
            Stage::Intake => Queue::Intake,
            Stage::Send => Queue::Send(vendor()),
            Stage::Retry => Queue::Retry(vendor()),
            Stage::Dead => Queue::Dead,
        };
        let (broker, stop, seen) = (self.broker.clone(), self.stop.clone(), self.seen.clone());
        let handler = Arc::new(Note { queue, seen });
        self.tasks
            .spawn(async move { broker.consume(name, 100, handler, stop, LIMIT).await });
    }

    fn send_canaries(&mut self) {
        let (broker, stop) = (self.broker.clone(), self.stop.clone());
        self.tasks.spawn(async move { broker.send_canaries(stop).await });
    }

    fn times(&self, queue: Stage, id: &str) -> u32 {
        let seen = self.seen.lock().expect("not poisoned");
        seen.get(&(queue, id.to_owned())).copied().unwrap_or(0)
    }

    /// Waits until all messages of these names have come by the queue.
    async fn until_all(&self, queue: Stage, kind: &str, count: usize) -> anyhow::Result<()> {
        let what = format!("{count} messages {kind} in {queue:?}");
        wait::until(&what, LIMIT, async || {
            let all = (0..count).all(|number| self.times(queue, &format!("{kind}-{number}")) > 0);
            Ok(all.then_some(()))
        })
        .await
    }

    async fn end(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.tasks.join_all().await;
        tokio::time::timeout(LIMIT, self.broker.stopped()).await?;
        Ok(())
    }
}

fn many(kind: &str, count: usize, message: impl Fn(String) -> Message) -> Vec<Message> {
    (0..count).map(|number| message(format!("{kind}-{number}"))).collect()
}

/// Asks the broker itself.
async fn depth(connection: &Connection, queue: &str) -> anyhow::Result<u32> {
    let channel = connection.create_channel().await?;
    let options = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::default()
    };
    let queue = channel
        .queue_declare(queue.into(), options, FieldTable::default())
        .await?;
    Ok(queue.message_count())
}

async fn until_deep(connection: &Connection, queue: &str, at_least: u32) -> anyhow::Result<()> {
    wait::until(&format!("{at_least} messages in {queue}"), LIMIT, async || {
        Ok((depth(connection, queue).await? >= at_least).then_some(()))
    })
    .await
}

#[tokio::test]
async fn messages_survive_a_kill_of_the_broker_at_every_stage() -> anyhow::Result<()> {
    const COUNT: usize = 100;
    let mut node = RabbitMq::start().await?;
    let mut session = Session::start(&node).await?;
    session
        .publish(many("moved", COUNT, |id| pointer(Exchange::Delay(SETTLED), id)))
        .await?;
    session
        .publish(many("waiting", COUNT, |id| pointer(Exchange::Delay(LONG), id)))
        .await?;
    session
        .publish(many("asked", COUNT, |id| request(Exchange::Requests, id)))
        .await?;
    session
        .publish(many("sent", COUNT, |id| pointer(Exchange::Send, id)))
        .await?;
    session
        .publish(many("dead", COUNT, |id| request(Exchange::Dead, id)))
        .await?;
    let eyes = Connection::connect(&node.url(), ConnectionProperties::default()).await?;
    until_deep(&eyes, "kassa.retry.first", 100).await?;

    node.kill9()?;
    node.start_again().await?;
    for queue in [Stage::Intake, Stage::Send, Stage::Retry, Stage::Dead] {
        session.consume(queue);
    }
    session.until_all(Stage::Intake, "asked", COUNT).await?;
    session.until_all(Stage::Send, "sent", COUNT).await?;
    session.until_all(Stage::Retry, "moved", COUNT).await?;
    session.until_all(Stage::Retry, "waiting", COUNT).await?;
    session.until_all(Stage::Dead, "dead", COUNT).await?;
    session.end().await
}

/// At-most-once dead-lettering loses some of them here (162 of 5,000, measured on 3.10.8); at-least-once moves a few twice.
#[tokio::test]
async fn a_kill_in_the_middle_of_dead_lettering_loses_no_delayed_message() -> anyhow::Result<()> {
    const COUNT: usize = 5_000;
    let mut node = RabbitMq::start().await?;
    let mut session = Session::start(&node).await?;
    let eyes = Connection::connect(&node.url(), ConnectionProperties::default()).await?;
    session
        .publish(many("moved", COUNT, |id| pointer(Exchange::Delay(SETTLED), id)))
        .await?;
    until_deep(&eyes, "kassa.retry.first", 1).await?;
    node.kill9()?;
    node.start_again().await?;
    session.consume(Stage::Retry);
    session.until_all(Stage::Retry, "moved", COUNT).await?;
    session.end().await
}

/// The zombie of `reference/platform-facts.md`, section 3, trap 3: made by killing the broker right after the declaration.
#[tokio::test]
async fn a_queue_that_comes_back_from_a_kill_as_a_zombie_is_noticed_harms_no_other_and_is_replaced()
-> anyhow::Result<()> {
    let mut node = RabbitMq::start().await?;
    let name = "kassa.send.first";
    let config = config(&node);
    let admin = Admin::new(config.clone(), topology(&config))?;
    let doomed = Doomed {
        name: name.to_owned(),
        dead_letters: "kassa.dead".to_owned(),
        delay: None,
    };
    zombie::make(&mut node, &[doomed]).await?;
    let mut session = Session::start(&node).await?;
    let problems = session.broker.problems();
    session.send_canaries();
    for queue in [Stage::Intake, Stage::Send, Stage::Retry] {
        session.consume(queue);
    }
    wait::until("the queue is told to be sick", LIMIT, async || {
        let told = problems.borrow().clone();
        let is_sick = |told: &queue::Problem| told.name == name && matches!(told.ailment, Ailment::Sick(_));
        Ok(told.iter().any(is_sick).then_some(()))
    })
    .await?;

    // The others go on, over the minute after which the broker ends a connection that consumes from the sick one.
    let broken = std::time::Instant::now();
    let mut round = 0;
    while broken.elapsed() < Duration::from_secs(75) {
        session
            .publish(vec![request(Exchange::Requests, format!("asked{round}-0"))])
            .await?;
        session.until_all(Stage::Intake, &format!("asked{round}"), 1).await?;
        let delayed = pointer(Exchange::Delay(SETTLED), format!("delayed{round}-0"));
        session.publish(vec![delayed]).await?;
        session.until_all(Stage::Retry, &format!("delayed{round}"), 1).await?;
        round += 1;
    }
    let told = problems.borrow().clone();
    assert!(told.iter().all(|told| told.name == name), "{told:?}");

    let findings = admin.verify().await?;
    let sick: Vec<_> = findings
        .iter()
        .filter(|found| found.condition == Condition::Sick)
        .collect();
    assert!(sick.len() == 1 && sick[0].name == name, "{findings:?}");
    let kept = admin.apply(&Repair::default()).await?;
    assert_eq!(
        kept.iter().map(|kept| kept.deed).collect::<Vec<_>>(),
        [Deed::Keep],
        "{kept:?}"
    );
    let recreate = Repair {
        recreate: true,
        ..Repair::default()
    };
    let done = admin.apply(&recreate).await?;
    assert!(done.iter().all(|done| done.done && done.name == name), "{done:?}");

    wait::until("all is well again", LIMIT, async || {
        Ok(problems.borrow().is_empty().then_some(()))
    })
    .await?;
    session
        .publish(vec![pointer(Exchange::Send, "sent-0".to_owned())])
        .await?;
    session.until_all(Stage::Send, "sent", 1).await?;
    session.end().await
}
