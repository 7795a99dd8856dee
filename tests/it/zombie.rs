//! Queues that do not come back from a kill of the broker: `reference/platform-facts.md`, section 3, trap 3.
//!
//! A quorum queue whose name is new to the node, and which is declared within half a second before the kill, is there
//! afterwards, can be declared, and takes nothing. A name that the node knew before comes back.

use std::time::Duration;

use anyhow::ensure;
use kassa_tests::own::RabbitMq;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Connection, ConnectionProperties};

/// A queue of pointers, as the topology has it.
pub(crate) struct Doomed {
    pub(crate) name: String,
    /// The exchange for its dead letters.
    pub(crate) dead_letters: String,
    /// In seconds, if it is a delay.
    pub(crate) delay: Option<i64>,
}

impl Doomed {
    fn arguments(&self) -> FieldTable {
        let mut arguments = FieldTable::default();
        for (key, value) in [
            ("x-queue-type", "quorum"),
            ("x-overflow", "reject-publish"),
            ("x-dead-letter-exchange", &self.dead_letters),
            ("x-dead-letter-strategy", "at-least-once"),
        ] {
            arguments.insert(key.into(), AMQPValue::LongString(value.into()));
        }
        let ttl = self.delay.map(|seconds| ("x-message-ttl", seconds * 1_000));
        let numbers = [("x-delivery-limit", 50), ("x-max-length", 1_000_000)];
        for (key, value) in numbers.into_iter().chain(ttl) {
            arguments.insert(key.into(), AMQPValue::LongLongInt(value));
        }
        arguments
    }
}

/// Declares queues on a node that has never had them, and kills it at the moment that makes zombies of them.
pub(crate) async fn make(node: &mut RabbitMq, queues: &[Doomed]) -> anyhow::Result<()> {
    let members = node.members_on_disk()?;
    let connection = Connection::connect(&node.url(), ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    for queue in queues {
        let durable = QueueDeclareOptions::durable();
        channel
            .queue_declare(queue.name.as_str().into(), durable, queue.arguments())
            .await?;
        node.until_on_disk(&queue.name).await?;
    }
    node.kill9_back_to(&members)?;
    node.start_again().await?;
    for queue in queues {
        ensure!(
            is_zombie(node, &queue.name).await?,
            "{} came back from the kill",
            queue.name
        );
    }
    Ok(())
}

/// Whether the queue leaves a message unconfirmed for longer than a healthy one needs to find its leader.
async fn is_zombie(node: &RabbitMq, queue: &str) -> anyhow::Result<bool> {
    let connection = Connection::connect(&node.url(), ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let (options, properties) = (
        BasicPublishOptions::default(),
        BasicProperties::default().with_type("kassa.canary.v1".into()),
    );
    let confirm = channel
        .basic_publish("".into(), queue.into(), options, b"", properties)
        .await?;
    Ok(tokio::time::timeout(Duration::from_secs(6), confirm).await.is_err())
}
