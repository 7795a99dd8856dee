//! A shop that publishes with a stock AMQP client and knows nothing of our crates.

use anyhow::Context;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use uuid::Uuid;

use crate::urls;

/// A connection of a shop.
pub struct Shop {
    _connection: Connection,
    channel: Channel,
    exchange: String,
}

impl Shop {
    /// Connects to the test server's broker.
    ///
    /// # Errors
    /// When the broker does not take the connection.
    pub async fn connect(prefix: &str) -> anyhow::Result<Self> {
        Self::connect_at(&urls::amqp_url()?, prefix).await
    }

    /// Connects to another broker.
    ///
    /// # Errors
    /// When the broker does not take the connection.
    pub async fn connect_at(url: &str, prefix: &str) -> anyhow::Result<Self> {
        let connection = Connection::connect(url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(Self {
            _connection: connection,
            channel,
            exchange: format!("{prefix}.requests"),
        })
    }

    /// Its channel, for what a test asks the broker itself.
    #[must_use]
    pub const fn channel(&self) -> &Channel {
        &self.channel
    }

    /// Publishes one message and waits for the broker's confirm.
    ///
    /// # Errors
    /// When the broker does not take it.
    pub async fn publish(&self, store: &str, body: &[u8]) -> anyhow::Result<()> {
        let properties = BasicProperties::default()
            .with_delivery_mode(2)
            .with_content_type("application/json".into())
            .with_type("receipt.request.v1".into())
            .with_message_id(Uuid::new_v4().to_string().into());
        self.publish_as(store, body, properties).await
    }

    /// The same with properties of one's own.
    ///
    /// # Errors
    /// When the broker does not take it.
    pub async fn publish_as(&self, store: &str, body: &[u8], properties: BasicProperties) -> anyhow::Result<()> {
        let options = BasicPublishOptions {
            mandatory: true,
            ..BasicPublishOptions::default()
        };
        let confirm = self
            .channel
            .basic_publish(self.exchange.as_str().into(), store.into(), options, body, properties)
            .await?
            .await?;
        match confirm {
            Confirmation::Ack(None) => Ok(()),
            other => Err(anyhow::anyhow!("{other:?}")).context("the broker did not take the message"),
        }
    }
}

/// Seconds of the delays that the configuration of [`crate::fleet`] asks for.
const DELAYS: [&str; 3] = ["1", "2", "5"];

/// Deletes every queue of a fleet with this prefix, whatever is in it.
///
/// # Errors
/// When the broker does not take the connection.
pub async fn delete_queues(url: &str, prefix: &str) -> anyhow::Result<()> {
    use lapin::options::QueueDeleteOptions;

    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let mut queues = ["topology", "intake", "dead"].map(ToOwned::to_owned).to_vec();
    queues.extend(
        vendors::registry::VENDORS
            .iter()
            .flat_map(|vendor| [format!("send.{vendor}"), format!("retry.{vendor}")]),
    );
    let delays = DELAYS.map(|seconds| format!("delay.{seconds}s"));
    let channel = connection.create_channel().await?;
    for queue in queues.iter().chain(&delays) {
        channel
            .queue_delete(format!("{prefix}.{queue}").into(), QueueDeleteOptions::default())
            .await?;
    }
    Ok(())
}

/// Deletes what a fleet with this prefix has declared, in the order that strands nothing.
///
/// # Errors
/// When the broker does not take the connection.
pub async fn delete_topology(prefix: &str) -> anyhow::Result<()> {
    delete_topology_at(&urls::amqp_url()?, prefix).await
}

/// The same at another broker.
///
/// # Errors
/// When the broker does not take the connection.
pub async fn delete_topology_at(url: &str, prefix: &str) -> anyhow::Result<()> {
    use lapin::options::ExchangeDeleteOptions;

    delete_queues(url, prefix).await?;
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let delays = DELAYS.map(|seconds| format!("delay.{seconds}s"));
    let exchanges = ["topology", "requests", "send", "retry", "events", "dead"].map(ToOwned::to_owned);
    let channel = connection.create_channel().await?;
    for exchange in exchanges.iter().chain(&delays) {
        channel
            .exchange_delete(format!("{prefix}.{exchange}").into(), ExchangeDeleteOptions::default())
            .await?;
    }
    Ok(())
}
