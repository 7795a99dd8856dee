//! What a handler is given.

use lapin::types::{AMQPValue, ShortString};
use serde_json::{Map, Value, json};

use crate::headers::{storable, to_json};

/// One message as it arrived. Nothing in it is trusted: a stranger may have written any field.
///
/// All text but the body is free of U+0000 (it is shown as `␀`), so that Postgres can store it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Delivery {
    /// The bytes, whatever they are.
    pub body: Vec<u8>,
    /// Where it was published, or from where it was dead-lettered.
    pub exchange: String,
    /// With this routing key.
    pub routing_key: String,
    /// The publisher's name for the message.
    pub message_id: Option<String>,
    /// `receipt.request.v1` and the like: AMQP's `type`.
    pub message_type: Option<String>,
    /// `application/json` and the like.
    pub content_type: Option<String>,
    /// What the message is about or answers.
    pub correlation_id: Option<String>,
    /// Which program published it.
    pub app_id: Option<String>,
    /// When the publisher says it was made: seconds since 1970, by the publisher's clock and good will.
    pub timestamp: Option<u64>,
    /// Whether it may have been handed out before.
    pub redelivered: bool,
    /// How often it was handed out and came back unsettled (`x-delivery-count` of a quorum queue; 0 at first).
    pub delivery_count: u64,
    /// All headers; bytes that are no text are `{"$bytes": "…hex…"}`.
    pub headers: Map<String, Value>,
    /// The W3C trace context, if there is one and it has the right form.
    pub traceparent: Option<String>,
}

impl Delivery {
    /// Everything but the body, for a record of the message.
    #[must_use]
    pub fn properties(&self) -> Value {
        json!({
            "headers": self.headers,
            "type": self.message_type,
            "content_type": self.content_type,
            "correlation_id": self.correlation_id,
            "app_id": self.app_id,
            "timestamp": self.timestamp,
            "redelivered": self.redelivered,
            "delivery_count": self.delivery_count,
        })
    }
}

impl From<lapin::message::Delivery> for Delivery {
    fn from(delivery: lapin::message::Delivery) -> Self {
        let properties = delivery.properties;
        let text = |value: &Option<ShortString>| value.as_ref().map(|text| storable(text.as_str()));
        let table = properties.headers().as_ref();
        let delivery_count = table
            .and_then(|table| table.inner().get("x-delivery-count"))
            .and_then(count);
        let headers = table.map(to_json).unwrap_or_default();
        let traceparent = headers
            .get("traceparent")
            .and_then(Value::as_str)
            .filter(|text| is_traceparent(text));
        Self {
            exchange: storable(delivery.exchange.as_str()),
            routing_key: storable(delivery.routing_key.as_str()),
            message_id: text(properties.message_id()),
            message_type: text(properties.kind()),
            content_type: text(properties.content_type()),
            correlation_id: text(properties.correlation_id()),
            app_id: text(properties.app_id()),
            timestamp: *properties.timestamp(),
            redelivered: delivery.redelivered,
            delivery_count: delivery_count.unwrap_or(0),
            traceparent: traceparent.map(str::to_owned),
            headers,
            body: delivery.data,
        }
    }
}

fn count(value: &AMQPValue) -> Option<u64> {
    let count = match value {
        AMQPValue::ShortShortInt(count) => i64::from(*count),
        AMQPValue::ShortShortUInt(count) => i64::from(*count),
        AMQPValue::ShortInt(count) => i64::from(*count),
        AMQPValue::ShortUInt(count) => i64::from(*count),
        AMQPValue::LongInt(count) => i64::from(*count),
        AMQPValue::LongUInt(count) => i64::from(*count),
        AMQPValue::LongLongInt(count) => *count,
        _ => return None,
    };
    u64::try_from(count).ok()
}

/// `version-trace id-parent id-flags` of W3C Trace Context: 2, 32, 16 and 2 lower-case hexadecimal digits.
fn is_traceparent(text: &str) -> bool {
    let hex = |part: &str| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let parts: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    lengths == [2, 32, 16, 2] && parts.iter().all(|part| hex(part))
}

#[cfg(test)]
mod tests {
    use lapin::BasicProperties;
    use lapin::types::FieldTable;

    use super::*;

    fn delivered(properties: BasicProperties) -> Delivery {
        let mut delivery =
            lapin::message::Delivery::mock(1, "requests".into(), "a\0b".into(), false, b"\0\xff".to_vec());
        delivery.properties = properties;
        Delivery::from(delivery)
    }

    #[test]
    fn a_bare_message_is_a_delivery_too() {
        let delivery = delivered(BasicProperties::default());
        assert_eq!(delivery.body, b"\0\xff");
        assert_eq!(delivery.routing_key, "a\u{2400}b");
        assert_eq!((delivery.message_id, delivery.delivery_count), (None, 0));
    }

    #[test]
    fn a_trace_context_is_believed_only_if_it_has_the_right_form() {
        let with = |text: &str| {
            let mut table = FieldTable::default();
            table.insert("traceparent".into(), AMQPValue::LongString(text.into()));
            table.insert("x-delivery-count".into(), AMQPValue::LongLongInt(3));
            delivered(BasicProperties::default().with_headers(table))
        };
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(with(good).traceparent.as_deref(), Some(good));
        assert_eq!(with(good).delivery_count, 3);
        for bad in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "x; drop",
            &good.to_uppercase(),
        ] {
            assert_eq!(with(bad).traceparent, None, "{bad}");
        }
    }
}
