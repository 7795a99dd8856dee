//! What can go wrong between us and the broker, one enum for each thing that somebody reacts to.

use std::time::Duration;

/// The configuration can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The URL is not an AMQP address.
    #[error("the broker's url is not of the form amqp://user:password@host:5672/vhost or amqps://…")]
    Url,
    /// The heartbeat does not fit the protocol.
    #[error("a heartbeat of {seconds} s is not possible: 1 to 3600 whole seconds are")]
    Heartbeat {
        /// What was asked for.
        seconds: u64,
    },
    /// The prefix can't stand in names.
    #[error("{given:?} is not a prefix: 1 to 64 characters of A-Z, a-z, 0-9, '.', '_' and '-'")]
    Prefix {
        /// What was given, cut to 80 characters.
        given: String,
    },
}

/// The broker could not be asked, or did not do what it was told.
#[derive(Debug, thiserror::Error)]
pub enum TopologyError {
    /// The address or the heartbeat can't be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// There is no connection, or it was lost on the way. Whatever was done stays done; repeating is right.
    #[error("the broker can't be reached: {0}")]
    Unreachable(String),
}

impl From<ConnectError> for TopologyError {
    fn from(error: ConnectError) -> Self {
        Self::Unreachable(chain(&error))
    }
}

/// One try to get a working session failed. The supervisor repeats for ever; this is for logs and health.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("could not connect to the broker")]
    Connect(#[source] Box<lapin::Error>),
    #[error("the broker did not answer within {0:?}")]
    Timeout(Duration),
    #[error("could not open a channel")]
    Channel(#[source] Box<lapin::Error>),
    #[error("the broker did not take a message that was to be moved; it stays where it was")]
    NotTaken,
    #[error("the connection was lost")]
    Lost,
    #[error("the connection was lost over a question")]
    Asked(#[source] Box<lapin::Error>),
}

/// A message is not known to be safe at the broker. Whoever still needs it publishes it again: every consumer of
/// ours takes repetitions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// There is no connection (or the process stops). The message has not left.
    #[error("not connected to the broker")]
    Disconnected,
    /// The message may have arrived, but the broker did not say so in time or the connection broke first.
    #[error("the broker did not confirm the message")]
    Unconfirmed,
    /// The broker refused it: a queue is full, or could not store it.
    #[error("the broker refused the message: a queue is full or can't store it now")]
    Rejected,
    /// No queue takes this routing key.
    #[error("no queue takes the message: {code} {text}")]
    Returned {
        /// AMQP reply code, usually 312.
        code: u16,
        /// The broker's words, usually `NO_ROUTE`.
        text: String,
    },
    /// The message can't be put on the wire as it is. It was not sent, and never can be.
    #[error("the message can't be sent: {0}")]
    Invalid(&'static str),
    /// The topology has no queue for this delay. The message was not sent.
    #[error("there is no delay queue of {} s in the topology", .0.as_secs())]
    NoSuchDelay(Duration),
}

/// A delivery that should be a pointer and is not.
#[derive(Debug, thiserror::Error)]
pub enum MalformedPointer {
    /// The message type is not one we know.
    #[error("the message type is {found:?} and not {expected:?}")]
    Type {
        /// What the message says, cut to 80 characters.
        found: String,
        /// What this version reads.
        expected: &'static str,
    },
    /// The type is right and the body is not.
    #[error("the body is not a pointer")]
    Body(#[source] serde_json::Error),
}

/// The error and its causes in one line, for a status or a log.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        // lapin repeats its source inside its own Display; said once is enough.
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = error.source();
    }
    text
}
