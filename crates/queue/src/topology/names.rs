//! Which queues were ever declared.
//!
//! AMQP can't list queues, so a delay that has left the configuration would be forgotten with it. The broker itself
//! keeps the list, in a queue that nobody consumes: whoever finds that something is missing leaves a note of all its
//! names before it declares them. So the list lives exactly as long as what it names, without the management plugin and
//! without a broker in the database. A list that is lost costs a queue that stays; it empties itself all the same.

use std::collections::BTreeSet;
use std::time::Duration;

use lapin::Channel;
use lapin::options::{BasicAckOptions, BasicGetOptions, ConfirmSelectOptions};
use tokio::time::timeout;
use tracing::warn;
use uuid::Uuid;

use super::{Holds, Topology};
use crate::asking::Asking;
use crate::error::{ConnectError, chain};
use crate::link::{Live, say_goodbye};
use crate::message::Message;
use crate::names::{Exchange, Prefix};
use crate::window;

/// The message type of a note.
const NOTE_TYPE: &str = "kassa.names.v1";
/// A sick queue of names must not keep a fleet from connecting.
const PATIENCE: Duration = Duration::from_secs(3);

/// A queue of pointers that may be no longer wanted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Removable {
    pub(crate) queue: String,
    /// The exchange that leads to it. That of a delay is its own and goes with it.
    pub(crate) exchange: String,
    pub(crate) key: String,
    pub(crate) is_delay: bool,
}

impl Removable {
    /// Only names of our own making: a list at the broker is not to be trusted with `kassa.intake`.
    fn of(prefix: &Prefix, queue: &str) -> Option<Self> {
        let rest = queue.strip_prefix(prefix.as_str())?.strip_prefix('.')?;
        let (exchange, key, is_delay) = match rest.split_once('.')? {
            ("delay", interval) => {
                interval.strip_suffix('s')?.parse::<u64>().ok()?;
                (queue.to_owned(), String::new(), true)
            }
            ("send", vendor) => (prefix.exchange(&Exchange::Send), vendor.to_owned(), false),
            ("retry", vendor) => (prefix.exchange(&Exchange::Retry), vendor.to_owned(), false),
            _ => return None,
        };
        Some(Self {
            queue: queue.to_owned(),
            exchange,
            key,
            is_delay,
        })
    }
}

/// The queues of a topology that may be removed one day.
pub(crate) fn of(topology: &Topology) -> BTreeSet<String> {
    let pointers = topology.queues().iter().filter(|queue| queue.holds == Holds::Pointers);
    pointers.map(|queue| queue.name.clone()).collect()
}

/// Leaves a note of the topology's names. Without a confirm it goes on without one.
pub(super) async fn remember(live: &Live, topology: &Topology) -> Result<(), ConnectError> {
    let names = of(topology);
    if names.is_empty() {
        return Ok(());
    }
    let Some(plan) = topology.queues().iter().find(|queue| queue.holds == Holds::Names) else {
        return Ok(());
    };
    let mut asking = Asking::new(live);
    let declared = plan.declare(&asking.channel().await?).await;
    // A difference is reported by whoever declares the whole.
    let _ = asking.heard(declared)?;
    for binding in topology.bindings().iter().filter(|binding| binding.queue == plan.name) {
        let bound = binding.bind(&asking.channel().await?).await;
        let _ = asking.heard(bound)?;
    }
    let channel = asking.channel().await?;
    if !write(&channel, topology, &names).await {
        warn!(
            queue = plan.name,
            "the names of the queues could not be noted; one that is no longer wanted may be overlooked later"
        );
    }
    say_goodbye(&channel).await;
    Ok(())
}

/// The notes, held until the channel closes.
pub(crate) struct Notes {
    channel: Channel,
    newest: Option<u64>,
    names: BTreeSet<String>,
}

impl Notes {
    /// Reads all notes. Takes a connection of its own: over a sick queue the broker ends it.
    ///
    /// # Errors
    /// Why they can't be read, for a person.
    pub(crate) async fn read(live: &Live, topology: &Topology) -> Result<Self, String> {
        let reading = timeout(live.limit(), Self::read_all(live, topology)).await;
        match reading {
            Ok(read) => read.map_err(|error| chain(&error)),
            Err(_) => Err(format!("no answer within {:?}", live.limit())),
        }
    }

    async fn read_all(live: &Live, topology: &Topology) -> Result<Self, ConnectError> {
        let queue = topology.prefix().exchange(&Exchange::Names);
        let channel = live.channel().await?;
        let mut notes = Self {
            channel,
            newest: None,
            names: BTreeSet::new(),
        };
        loop {
            let options = BasicGetOptions::default();
            let got = notes.channel.basic_get(queue.as_str().into(), options).await;
            let Some(message) = got.map_err(|error| ConnectError::Asked(Box::new(error)))? else {
                return Ok(notes);
            };
            notes.newest = Some(message.delivery.delivery_tag);
            let names: Vec<String> = serde_json::from_slice(&message.delivery.data).unwrap_or_default();
            notes.names.extend(names);
        }
    }

    /// What was declared once and is no part of the topology.
    pub(crate) fn unwanted(&self, topology: &Topology) -> Vec<Removable> {
        let wanted = of(topology);
        let names = self.names.difference(&wanted);
        names
            .filter_map(|name| Removable::of(topology.prefix(), name))
            .collect()
    }

    /// Replaces all notes by one.
    pub(crate) async fn replace(self, live: &Live, topology: &Topology, names: &BTreeSet<String>) {
        let Ok(channel) = live.channel().await else { return };
        // First the new one, then the old ones: dying in between leaves too many.
        if write(&channel, topology, names).await
            && let Some(newest) = self.newest
        {
            let _ = self.channel.basic_ack(newest, BasicAckOptions { multiple: true }).await;
        }
        say_goodbye(&channel).await;
        say_goodbye(&self.channel).await;
    }
}

/// Whether the note is stored.
async fn write(channel: &Channel, topology: &Topology, names: &BTreeSet<String>) -> bool {
    let body = serde_json::to_vec(names).unwrap_or_default();
    let note = Message::json(Exchange::Names, "", Uuid::now_v7().to_string(), NOTE_TYPE, body);
    let Ok(wire) = note.into_wire(topology) else {
        return false;
    };
    let confirming = channel.confirm_select(ConfirmSelectOptions::default());
    if !matches!(timeout(PATIENCE, confirming).await, Ok(Ok(()))) {
        return false;
    }
    let closed = window::publish(channel, &[wire], PATIENCE).await;
    closed.outcomes.iter().all(Result::is_ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_at_the_broker_can_name_no_queue_that_holds_requests() {
        let prefix = Prefix::parse("kassa").expect("good");
        for never in [
            "kassa.intake",
            "kassa.dead",
            "kassa.topology",
            "kassa.delay.intake",
            "kassa.delay.s",
            "other.delay.5s",
            "kassa.dead.letters",
            "",
        ] {
            assert_eq!(Removable::of(&prefix, never), None, "{never}");
        }
        let delay = Removable::of(&prefix, "kassa.delay.77s").expect("a delay");
        assert!(delay.is_delay && delay.exchange == "kassa.delay.77s");
        let gone = Removable::of(&prefix, "kassa.retry.gone").expect("a vendor's");
        assert_eq!((gone.exchange.as_str(), gone.key.as_str()), ("kassa.retry", "gone"));
    }
}
