//! What the broker has against what the configuration wants, for `kassa topology`.
//!
//! Everything is asked over AMQP alone: a passive declaration tells that a queue is there and how much is in it, a
//! declaration with our arguments is refused if its own differ, a canary that is not confirmed tells a sick one, and the
//! names of what is no longer wanted stand in the broker's own list ([`crate::topology`]). So it works on any stock
//! broker and with no more rights than the roles have. Bindings can't be asked for; they are made again by every
//! `apply`, as by every role that connects.

mod decide;
mod look;
mod moving;
mod repair;

use std::fmt;
use std::sync::Arc;

use lapin::uri::AMQPUri;
use serde::Serialize;

use crate::config::Config;
use crate::error::{ConnectError, TopologyError};
use crate::link::{self, Live};
use crate::status::Board;
use crate::topology::Topology;

pub use repair::{Deed, Outcome, Repair};

/// Looks at a broker and repairs its topology. Declares nothing by itself.
#[derive(Debug)]
pub struct Admin {
    config: Config,
    uri: AMQPUri,
    topology: Topology,
}

/// An exchange or a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// An exchange.
    Exchange,
    /// A queue.
    Queue,
}

/// How one of them is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// As wanted.
    Good,
    /// Wanted, and not there.
    Missing,
    /// There, with other properties than wanted.
    Different,
    /// There, but it does not confirm a message or can't be read.
    Sick,
    /// There, and it refuses messages: full.
    Full,
    /// There, and no binding leads to it.
    Unbound,
    /// There, and no longer wanted: a removed interval, a vendor that is gone.
    Unwanted,
}

/// One line of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is.
    pub part: Part,
    /// Its full name.
    pub name: String,
    /// How it is.
    pub condition: Condition,
    /// Messages that are ready in a queue; those in a consumer's hands are not counted.
    pub messages: Option<u32>,
    /// How many consumers a queue has.
    pub consumers: Option<u32>,
    /// What was seen, in words; empty when it is as wanted.
    pub detail: String,
}

impl Admin {
    /// Nothing is connected yet.
    ///
    /// # Errors
    /// [`TopologyError::Config`] when the address can't be used.
    pub fn new(config: Config, topology: Topology) -> Result<Self, TopologyError> {
        let uri = config.uri()?;
        Ok(Self { config, uri, topology })
    }

    /// What is there and what is not, all of it. Changes nothing.
    ///
    /// # Errors
    /// [`TopologyError::Unreachable`].
    pub async fn plan(&self) -> Result<Vec<Finding>, TopologyError> {
        let live = self.connect().await?;
        let (seen, _) = self.look(&live).await?;
        live.close().await;
        Ok(seen.into_iter().map(|seen| seen.finding).collect())
    }

    /// The same, and sends a canary through each queue.
    ///
    /// # Errors
    /// [`TopologyError::Unreachable`].
    pub async fn verify(&self) -> Result<Vec<Finding>, TopologyError> {
        let live = self.connect().await?;
        let (mut seen, _) = self.look(&live).await?;
        self.send_canaries(&live, &mut seen).await?;
        live.close().await;
        Ok(seen.into_iter().map(|seen| seen.finding).collect())
    }

    async fn connect(&self) -> Result<Live, ConnectError> {
        // Nobody looks at this board.
        link::open(&self.config, &self.uri, "topology", Arc::new(Board::new())).await
    }
}

impl Part {
    /// The word for it, as in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exchange => "exchange",
            Self::Queue => "queue",
        }
    }
}

impl Condition {
    /// The word for it, as in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Missing => "missing",
            Self::Different => "different",
            Self::Sick => "sick",
            Self::Full => "full",
            Self::Unbound => "unbound",
            Self::Unwanted => "unwanted",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            part, name, condition, ..
        } = self;
        write!(f, "{} {name} is {}", part.name(), condition.name())?;
        if let Some(messages) = self.messages.filter(|messages| *messages > 0) {
            write!(f, ", with {messages} messages")?;
        }
        if self.detail.is_empty() {
            Ok(())
        } else {
            write!(f, ": {}", self.detail)
        }
    }
}
