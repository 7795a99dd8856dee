//! Making the broker have what the plan says.

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ErrorKind, ExchangeKind};

use super::{Routing, Topology};
use crate::error::TopologyError;

impl Topology {
    /// Declares everything. Idempotent: what exists as planned stays untouched with its messages. An error closes the
    /// channel (AMQP's rule), so it must be used for nothing else afterwards.
    ///
    /// Exchanges come first and queues after what they dead-letter to: a message that expires while its target is
    /// missing is tried again only after three minutes (measured on 3.10.8).
    pub(crate) async fn apply(&self, channel: &Channel) -> Result<(), TopologyError> {
        for exchange in self.exchanges() {
            let mut arguments = FieldTable::default();
            if let Some(alternate) = &exchange.alternate {
                let value = AMQPValue::LongString(alternate.as_str().into());
                arguments.insert("alternate-exchange".into(), value);
            }
            let options = ExchangeDeclareOptions {
                durable: true,
                ..ExchangeDeclareOptions::default()
            };
            channel
                .exchange_declare(exchange.name.as_str().into(), exchange.kind.into(), options, arguments)
                .await
                .map_err(|source| refused("exchange", &exchange.name, source))?;
        }
        for queue in self.queues() {
            channel
                .queue_declare(
                    queue.name.as_str().into(),
                    QueueDeclareOptions::durable(),
                    queue.arguments(),
                )
                .await
                .map_err(|source| refused("queue", &queue.name, source))?;
        }
        for binding in self.bindings() {
            channel
                .queue_bind(
                    binding.queue.as_str().into(),
                    binding.exchange.as_str().into(),
                    binding.key.as_str().into(),
                    QueueBindOptions::default(),
                    FieldTable::default(),
                )
                .await
                .map_err(|source| refused("binding", &binding.queue, source))?;
        }
        Ok(())
    }
}

fn refused(what: &'static str, name: &str, source: lapin::Error) -> TopologyError {
    if let ErrorKind::ProtocolError(error) = source.kind()
        && matches!(error.kind(), AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED))
    {
        return TopologyError::Mismatch {
            what,
            name: name.to_owned(),
            reason: error.get_message().to_string(),
        };
    }
    TopologyError::Declare {
        what,
        name: name.to_owned(),
        source: Box::new(source),
    }
}

impl From<Routing> for ExchangeKind {
    fn from(routing: Routing) -> Self {
        match routing {
            Routing::Topic => ExchangeKind::Topic,
            Routing::Direct => ExchangeKind::Direct,
            Routing::Fanout => ExchangeKind::Fanout,
        }
    }
}
