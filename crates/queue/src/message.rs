//! What is published.

use std::time::{SystemTime, UNIX_EPOCH};

use lapin::BasicProperties;
use lapin::types::ShortString;
use serde_json::{Map, Value};

use crate::error::PublishError;
use crate::headers::from_json;
use crate::names::{Exchange, Prefix};
use crate::topology::Topology;

/// One message to publish. It is always persistent and carries the time of publishing.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Where to.
    pub exchange: Exchange,
    /// Store, vendor or event key, as [`Exchange`] says. At most 255 bytes.
    pub routing_key: String,
    /// The publisher's name for it. A consumer recognises a repetition by it, and we a returned message.
    /// 1 to 255 bytes; two messages in flight may share one, they then go in different windows.
    pub message_id: String,
    /// `receipt.request.v1`, `transaction.due.v1`, …
    pub message_type: String,
    /// What it is about or answers.
    pub correlation_id: Option<String>,
    /// Own headers, `traceparent` among them. Headers that the broker wrote on an earlier journey (`x-death` and its
    /// family) are left out when publishing.
    pub headers: Map<String, Value>,
    /// The bytes.
    pub body: Vec<u8>,
    /// `application/json` unless said otherwise.
    pub content_type: String,
}

impl Message {
    /// A JSON message without correlation and headers.
    #[must_use]
    pub fn json(
        exchange: Exchange,
        routing_key: impl Into<String>,
        message_id: impl Into<String>,
        message_type: impl Into<String>,
        body: Vec<u8>,
    ) -> Self {
        Self {
            exchange,
            routing_key: routing_key.into(),
            message_id: message_id.into(),
            message_type: message_type.into(),
            correlation_id: None,
            headers: Map::new(),
            body,
            content_type: "application/json".to_owned(),
        }
    }

    /// Ready for the wire, or why it can't be: an unknown exchange would cost the channel, and with it everything
    /// else in the window.
    pub(crate) fn into_wire(self, topology: &Topology) -> Result<Wire, PublishError> {
        if let Exchange::Delay(delay) = self.exchange
            && !topology.has_delay(delay)
        {
            return Err(PublishError::NoSuchDelay(delay));
        }
        if self.message_id.is_empty() {
            return Err(PublishError::Invalid("it has no message_id"));
        }
        let properties = BasicProperties::default()
            .with_delivery_mode(2)
            .with_content_type(short(&self.content_type, "its content type is longer than 255 bytes")?)
            .with_type(short(&self.message_type, "its type is longer than 255 bytes")?)
            .with_message_id(short(&self.message_id, "its message_id is longer than 255 bytes")?);
        let mut properties = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => properties.with_timestamp(since.as_secs()),
            Err(_) => properties,
        };
        if let Some(id) = &self.correlation_id {
            properties = properties.with_correlation_id(short(id, "its correlation_id is longer than 255 bytes")?);
        }
        if !self.headers.is_empty() {
            properties = properties.with_headers(from_json(&self.headers).map_err(PublishError::Invalid)?);
        }
        Ok(Wire {
            exchange: exchange_name(topology.prefix(), &self.exchange)?,
            routing_key: short(&self.routing_key, "its routing key is longer than 255 bytes")?,
            mandatory: self.exchange != Exchange::Events,
            message_id: self.message_id,
            properties,
            body: self.body,
        })
    }
}

/// A message in lapin's terms.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) exchange: ShortString,
    pub(crate) routing_key: ShortString,
    /// Whether the broker is to send it back when no queue takes it. Whether somebody listens to events is the shop's
    /// choice, and each one that nobody wants would come back whole.
    pub(crate) mandatory: bool,
    pub(crate) message_id: String,
    pub(crate) properties: BasicProperties,
    pub(crate) body: Vec<u8>,
}

fn exchange_name(prefix: &Prefix, exchange: &Exchange) -> Result<ShortString, PublishError> {
    short(
        &prefix.exchange(exchange),
        "the name of its exchange is longer than 255 bytes",
    )
}

/// `ShortString::from` panics on long text; what comes from outside must not.
fn short(text: &str, otherwise: &'static str) -> Result<ShortString, PublishError> {
    ShortString::try_new(text).map_err(|_| PublishError::Invalid(otherwise))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn topology() -> Topology {
        Topology::new(&Prefix::default(), &[], &[Duration::from_secs(60)])
    }

    fn message() -> Message {
        Message::json(Exchange::Requests, "main", "id-1", "receipt.request.v1", b"{}".to_vec())
    }

    #[test]
    fn a_message_is_persistent_and_says_what_and_when_it_is() {
        let wire = message().into_wire(&topology()).expect("good");
        assert_eq!(wire.exchange.as_str(), "kassa.requests");
        assert_eq!(*wire.properties.delivery_mode(), Some(2));
        assert!(
            wire.properties
                .timestamp()
                .is_some_and(|seconds| seconds > 1_700_000_000)
        );
        let kind = wire.properties.kind().as_ref().map(ShortString::as_str);
        assert_eq!(kind, Some("receipt.request.v1"));
    }

    #[test]
    fn what_would_cost_the_channel_is_refused_before() {
        let refused = |message: Message| message.into_wire(&topology()).expect_err("refused");
        let long = "x".repeat(256);
        let mut bad = message();
        bad.routing_key.clone_from(&long);
        assert!(matches!(refused(bad), PublishError::Invalid(why) if why.contains("routing key")));
        let mut bad = message();
        bad.correlation_id = Some(long);
        assert!(matches!(refused(bad), PublishError::Invalid(why) if why.contains("correlation_id")));
        let mut bad = message();
        bad.message_id.clear();
        assert!(matches!(refused(bad), PublishError::Invalid(_)));
        let mut bad = message();
        bad.exchange = Exchange::Delay(Duration::from_secs(61));
        assert_eq!(refused(bad), PublishError::NoSuchDelay(Duration::from_secs(61)));
    }
}
