//! Queues and messages of a run.

use anyhow::{Context, ensure};
use lapin::options::{
    BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions, QueuePurgeOptions,
};
use lapin::types::{AMQPValue, FieldTable, LongString, ShortString};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use serde_json::json;
use uuid::Uuid;

use super::contender::Rows;
use super::kassa::PREFIX;

/// The queue of floor and peers.
pub(crate) const WORK: &str = "bench.work";

/// Messages that are published before their confirms are awaited.
const WINDOW: usize = 500;

impl To {
    /// The exchange of requests of the benchmark's fleet.
    pub(crate) fn kassa(store: &'static str) -> Self {
        Self::Kassa {
            exchange: format!("{PREFIX}.requests"),
            store,
        }
    }

    const fn store(&self) -> &'static str {
        match self {
            Self::Work | Self::Celery => "main",
            Self::Kassa { store, .. } => store,
        }
    }
}

/// A connection for declaring and publishing.
pub(crate) struct Publisher {
    _connection: Connection,
    channel: Channel,
}

/// Where a message goes, and in which wrapping.
#[derive(Debug, Clone)]
pub(crate) enum To {
    /// Into the queue of floor and peers.
    Work,
    /// The same, as a call of Celery's task `receipts.register`.
    Celery,
    /// Into the exchange of requests of kassa's fleet, for this store.
    Kassa { exchange: String, store: &'static str },
}

impl Publisher {
    pub(crate) async fn connect(amqp_url: &str) -> anyhow::Result<Self> {
        let connection = Connection::connect(amqp_url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(Self {
            _connection: connection,
            channel,
        })
    }

    /// Makes the queue of floor and peers anew: a quorum queue, as kassa's are.
    pub(crate) async fn fresh_queue(&self) -> anyhow::Result<()> {
        self.delete_queue().await?;
        let quorum = AMQPValue::LongString(LongString::from("quorum"));
        let arguments = FieldTable::from(
            [(ShortString::from("x-queue-type"), quorum)]
                .into_iter()
                .collect::<std::collections::BTreeMap<_, _>>(),
        );
        let options = QueueDeclareOptions {
            durable: true,
            ..QueueDeclareOptions::default()
        };
        self.channel.queue_declare(WORK.into(), options, arguments).await?;
        Ok(())
    }

    /// Whether somebody consumes the queue of floor and peers.
    pub(crate) async fn is_consumed(&self) -> anyhow::Result<bool> {
        let options = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::default()
        };
        let declared = self.channel.queue_declare(WORK.into(), options, FieldTable::default());
        Ok(declared.await?.consumer_count() > 0)
    }

    pub(crate) async fn delete_queue(&self) -> anyhow::Result<()> {
        self.channel
            .queue_delete(WORK.into(), QueueDeleteOptions::default())
            .await?;
        Ok(())
    }

    pub(crate) async fn purge(&self, queue: &str) -> anyhow::Result<()> {
        self.channel
            .queue_purge(queue.into(), QueuePurgeOptions::default())
            .await
            .with_context(|| queue.to_owned())?;
        Ok(())
    }

    /// Publishes all of them and waits until the broker has them.
    pub(crate) async fn publish(&self, to: &To, messages: impl Iterator<Item = Message>) -> anyhow::Result<()> {
        let mut confirms = Vec::with_capacity(WINDOW);
        for message in messages {
            confirms.push(self.send(to, message).await?);
            if confirms.len() == WINDOW {
                confirmed(confirms.drain(..)).await?;
            }
        }
        confirmed(confirms.drain(..)).await
    }

    /// Publishes one without waiting for its confirm.
    pub(crate) async fn send(
        &self,
        to: &To,
        Message { number, body }: Message,
    ) -> anyhow::Result<lapin::PublisherConfirm> {
        let properties = BasicProperties::default()
            .with_delivery_mode(2)
            .with_content_type("application/json".into());
        let (exchange, key, properties, body) = match to {
            To::Work => ("", WORK, properties, body),
            To::Celery => {
                let (properties, body) = celery(properties, &number, &body)?;
                ("", WORK, properties, body)
            }
            To::Kassa { exchange, store } => {
                let properties = properties
                    .with_type("receipt.request.v1".into())
                    .with_message_id(Uuid::now_v7().to_string().into());
                (exchange.as_str(), *store, properties, body)
            }
        };
        let options = BasicPublishOptions {
            mandatory: true,
            ..BasicPublishOptions::default()
        };
        Ok(self
            .channel
            .basic_publish(exchange.into(), key.into(), options, body.as_bytes(), properties)
            .await?)
    }
}

async fn confirmed(confirms: impl Iterator<Item = lapin::PublisherConfirm>) -> anyhow::Result<()> {
    for confirm in confirms {
        let confirm = confirm.await?;
        ensure!(
            matches!(confirm, Confirmation::Ack(None)),
            "the broker did not take a message: {confirm:?}"
        );
    }
    Ok(())
}

/// One message.
pub(crate) struct Message {
    pub(crate) number: String,
    pub(crate) body: String,
}

/// The messages of a contest, numbered from `first`.
pub(crate) fn messages(rows: Rows, to: &To, first: u64, count: u64) -> impl Iterator<Item = Message> + use<> {
    let store = to.store();
    (first..first + count).map(move |index| {
        let number = format!("N{index:08}");
        let body = match rows {
            Rows::Two => {
                // About 2 KB that nobody can compress.
                let filler: String = (0..58).map(|_| Uuid::new_v4().simple().to_string()).collect();
                json!({ "id": Uuid::now_v7(), "number": number, "order": format!("order {number}"), "filler": filler })
            }
            Rows::Kassa => kassa_tests::request::request(store, "sell", &number, &format!("goods of {number}")),
        };
        Message {
            number,
            body: body.to_string(),
        }
    })
}

/// A call of a task in version 2 of Celery's protocol.
fn celery(properties: BasicProperties, number: &str, body: &str) -> anyhow::Result<(BasicProperties, String)> {
    let text = |text: &str| AMQPValue::LongString(LongString::from(text));
    let headers = [
        ("lang", text("py")),
        ("task", text("receipts.register")),
        ("id", text(number)),
        ("root_id", text(number)),
        ("parent_id", AMQPValue::Void),
        ("group", AMQPValue::Void),
        ("argsrepr", text("()")),
        ("kwargsrepr", text("{}")),
        ("origin", text("bench")),
        ("retries", AMQPValue::LongInt(0)),
        ("ignore_result", AMQPValue::Boolean(true)),
    ];
    let headers: std::collections::BTreeMap<ShortString, AMQPValue> = headers
        .into_iter()
        .map(|(name, value)| (ShortString::from(name), value))
        .collect();
    let properties = properties
        .with_content_encoding("utf-8".into())
        .with_correlation_id(number.into())
        .with_headers(FieldTable::from(headers));
    // The message itself is an object, and comes to the task as its one argument.
    let embed = json!({ "callbacks": null, "errbacks": null, "chain": null, "chord": null });
    serde_json::from_str::<serde::de::IgnoredAny>(body)?;
    Ok((properties, format!("[[{body}], {{}}, {embed}]")))
}
