//! Questions to which "no" is an ordinary answer.
//!
//! AMQP says no by closing the channel, so each no costs one; the connection goes on.

use lapin::options::QueueDeclareOptions;
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::FieldTable;
use lapin::{Channel, ErrorKind};

use crate::error::ConnectError;
use crate::link::Live;

/// The broker's no.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) kind: AMQPSoftError,
    /// In the broker's words.
    pub(crate) words: String,
}

impl Refusal {
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self.kind, AMQPSoftError::NOTFOUND)
    }
}

/// A channel at a time, replaced when an answer was no.
pub(crate) struct Asking<'a> {
    live: &'a Live,
    channel: Option<Channel>,
}

/// What a passive declaration tells of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Depth {
    /// Ready to be delivered; what a consumer holds is not counted.
    pub(crate) messages: u32,
    pub(crate) consumers: u32,
}

impl<'a> Asking<'a> {
    pub(crate) fn new(live: &'a Live) -> Self {
        Self { live, channel: None }
    }

    /// A channel to ask on. Give its answer to [`Asking::heard`] before the next question.
    pub(crate) async fn channel(&mut self) -> Result<Channel, ConnectError> {
        if let Some(channel) = &self.channel {
            return Ok(channel.clone());
        }
        let channel = self.live.channel().await?;
        Ok(self.channel.insert(channel).clone())
    }

    /// Tells a no from a lost connection.
    pub(crate) fn heard<T>(&mut self, answer: lapin::Result<T>) -> Result<Result<T, Refusal>, ConnectError> {
        let error = match answer {
            Ok(yes) => return Ok(Ok(yes)),
            Err(error) => error,
        };
        self.channel = None;
        if let ErrorKind::ProtocolError(said) = error.kind()
            && let AMQPErrorKind::Soft(kind) = said.kind()
        {
            let words = said.get_message().to_string();
            return Ok(Err(Refusal {
                kind: kind.clone(),
                words,
            }));
        }
        Err(ConnectError::Asked(Box::new(error)))
    }

    /// How much is in a queue, whatever its arguments are.
    pub(crate) async fn depth(&mut self, queue: &str) -> Result<Result<Depth, Refusal>, ConnectError> {
        let channel = self.channel().await?;
        let options = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::durable()
        };
        let declared = channel
            .queue_declare(queue.into(), options, FieldTable::default())
            .await;
        let depth = self.heard(declared)?.map(|queue| Depth {
            messages: queue.message_count(),
            consumers: queue.consumer_count(),
        });
        Ok(depth)
    }
}
