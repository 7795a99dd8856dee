//! A stranger's queue bound to the events of a fleet.

use std::time::Duration;

use anyhow::Context;
use futures_util::StreamExt;
use lapin::options::{BasicConsumeOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Connection, ConnectionProperties, Consumer};
use serde_json::{Map, Value, json};

use crate::urls;

/// One event as it arrived.
#[derive(Debug, Clone)]
pub struct Event {
    /// `{store}.{type}`.
    pub routing_key: String,
    /// The property `message_id`.
    pub message_id: Option<String>,
    /// The property `correlation_id`.
    pub correlation_id: Option<String>,
    /// The property `type`.
    pub message_type: Option<String>,
    /// Every property and header, as the AsyncAPI document names them.
    pub properties: Value,
    /// The property `delivery_mode`: 2 is persistent.
    pub delivery_mode: Option<u8>,
    /// The body as text, for looking for what must not be in it.
    pub text: String,
    /// The body.
    pub body: Value,
}

/// Listens to all events from its making on. Its queue is its own and ends with it.
pub struct Listener {
    _connection: Connection,
    consumer: Consumer,
    /// What has arrived.
    pub events: Vec<Event>,
}

impl Listener {
    /// Binds a queue. A process of the fleet must have declared the exchange before.
    ///
    /// # Errors
    /// When the broker does not take the connection, or has no such exchange.
    pub async fn bind(prefix: &str) -> anyhow::Result<Self> {
        let connection = Connection::connect(&urls::amqp_url()?, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        let options = QueueDeclareOptions {
            exclusive: true,
            auto_delete: true,
            ..QueueDeclareOptions::default()
        };
        let queue = channel.queue_declare("".into(), options, FieldTable::default()).await?;
        let name = queue.name().clone();
        channel
            .queue_bind(
                name.clone(),
                format!("{prefix}.events").into(),
                "#".into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            )
            .await?;
        let options = BasicConsumeOptions {
            no_ack: true,
            ..BasicConsumeOptions::default()
        };
        let consumer = channel
            .basic_consume(name, "".into(), options, FieldTable::default())
            .await?;
        Ok(Self {
            _connection: connection,
            consumer,
            events: Vec::new(),
        })
    }

    /// Listens until `enough` is content with what has arrived.
    ///
    /// # Errors
    /// After `limit`; what has arrived is in the error.
    pub async fn until(&mut self, limit: Duration, enough: impl Fn(&[Event]) -> bool) -> anyhow::Result<()> {
        let deadline = tokio::time::Instant::now() + limit;
        while !enough(&self.events) {
            let next = tokio::time::timeout_at(deadline, self.consumer.next()).await;
            let delivery = next
                .ok()
                .flatten()
                .with_context(|| format!("waited {limit:?} in vain; these events came: {:#?}", self.events))??;
            let text = String::from_utf8(delivery.data).context("an event is not UTF-8")?;
            let property = |value: &Option<lapin::types::ShortString>| value.as_ref().map(ToString::to_string);
            self.events.push(Event {
                routing_key: delivery.routing_key.to_string(),
                message_id: property(delivery.properties.message_id()),
                correlation_id: property(delivery.properties.correlation_id()),
                message_type: property(delivery.properties.kind()),
                properties: properties(&delivery.properties),
                delivery_mode: *delivery.properties.delivery_mode(),
                body: serde_json::from_str(&text)?,
                text,
            });
        }
        Ok(())
    }
}

/// What is there of a message's properties, and its headers beside them.
fn properties(given: &BasicProperties) -> Value {
    let mut all = Map::new();
    let mut text = |name: &str, value: &Option<ShortString>| {
        if let Some(value) = value {
            all.insert(name.to_owned(), json!(value.as_str()));
        }
    };
    text("content_type", given.content_type());
    text("type", given.kind());
    text("message_id", given.message_id());
    text("correlation_id", given.correlation_id());
    text("reply_to", given.reply_to());
    text("expiration", given.expiration());
    text("user_id", given.user_id());
    text("app_id", given.app_id());
    if let Some(timestamp) = given.timestamp() {
        all.insert("timestamp".to_owned(), json!(timestamp));
    }
    for (name, value) in given.headers().iter().flat_map(FieldTable::inner) {
        all.insert(name.to_string(), json!(format!("{value:?}")));
    }
    Value::Object(all)
}
