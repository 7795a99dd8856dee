//! Making the broker have what the plan says, at every connect.
//!
//! What exists with other properties is left as it is and reported: a fleet that works with an old queue is worth more
//! than one that waits for a person.

use std::collections::BTreeMap;

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ExchangeKind};

use super::{BindingPlan, ExchangePlan, QueuePlan, Routing, Topology, names};
use crate::asking::{Asking, Refusal};
use crate::error::ConnectError;
use crate::link::Live;

/// What is different, by name, in the broker's words.
type Differences = BTreeMap<String, String>;

impl Topology {
    /// Declares everything. Idempotent: what exists as planned stays untouched with its messages, and so does what exists
    /// otherwise.
    ///
    /// Exchanges come first and queues after what they dead-letter to: a message that expires while its target is
    /// missing is tried again only after three minutes (measured on 3.10.8).
    pub(crate) async fn declare(&self, live: &Live) -> Result<Differences, ConnectError> {
        let mut asking = Asking::new(live);
        let mut different = Differences::new();
        let mut note = |name: &str, answer: Result<(), Refusal>| {
            if let Err(refusal) = answer {
                different.entry(name.to_owned()).or_insert(refusal.words);
            }
        };
        for exchange in self.exchanges() {
            let declared = exchange.declare(&asking.channel().await?).await;
            note(&exchange.name, asking.heard(declared)?);
        }
        if self.lacks_a_queue(&mut asking).await? {
            names::remember(live, self).await?;
        }
        for queue in self.queues() {
            let declared = queue.declare(&asking.channel().await?).await;
            note(&queue.name, asking.heard(declared)?);
        }
        for binding in self.bindings() {
            let bound = binding.bind(&asking.channel().await?).await;
            note(&binding.queue, asking.heard(bound)?);
        }
        Ok(different)
    }

    async fn lacks_a_queue(&self, asking: &mut Asking<'_>) -> Result<bool, ConnectError> {
        for queue in self.queues() {
            if asking
                .depth(&queue.name)
                .await?
                .is_err_and(|refusal| refusal.is_missing())
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl ExchangePlan {
    pub(crate) async fn declare(&self, channel: &Channel) -> lapin::Result<()> {
        let mut arguments = FieldTable::default();
        if let Some(alternate) = &self.alternate {
            let value = AMQPValue::LongString(alternate.as_str().into());
            arguments.insert("alternate-exchange".into(), value);
        }
        let options = ExchangeDeclareOptions {
            durable: true,
            ..ExchangeDeclareOptions::default()
        };
        channel
            .exchange_declare(self.name.as_str().into(), self.kind.into(), options, arguments)
            .await
    }
}

impl QueuePlan {
    pub(crate) async fn declare(&self, channel: &Channel) -> lapin::Result<()> {
        let options = QueueDeclareOptions::durable();
        let declared = channel
            .queue_declare(self.name.as_str().into(), options, self.arguments())
            .await;
        declared.map(|_| ())
    }
}

impl BindingPlan {
    pub(crate) async fn bind(&self, channel: &Channel) -> lapin::Result<()> {
        channel
            .queue_bind(
                self.queue.as_str().into(),
                self.exchange.as_str().into(),
                self.key.as_str().into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            )
            .await
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
