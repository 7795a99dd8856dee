//! The topology as data: which exchanges, queues and bindings there are, and why each has its arguments.

mod declare;
pub(crate) mod names;

use std::collections::BTreeSet;
use std::time::Duration;

use lapin::types::{AMQPValue, FieldTable};
use receipt::VendorName;

use crate::names::{Exchange, Prefix, Queue, whole_seconds};

/// How often a message may be handed out unsettled before the broker dead-letters it. Explicit, because brokers differ:
/// none before 4.0, 20 since. Generous, because the count of a message also grows when a neighbour kills its consumer.
pub const DELIVERY_LIMIT: i64 = 50;

/// For the last queue, behind which there is none: there the broker would throw away what exceeds the limit. Zero means
/// something else and a negative one is refused by 3.10, so "never" is the largest number that every version takes.
const NEVER: i64 = 2_147_483_647;

/// The most pointers a queue keeps. Pointers can be rebuilt from the table, so a full queue refuses more instead of
/// filling the broker's disk. Requests and dead letters have no such guard: there a refusal would lose the only copy
/// of a shop that does not look at confirms, and the broker's own disk alarm stops publishers first.
const MOST_POINTERS: i64 = 1_000_000;

/// The longest delay that a queue can have: the broker keeps milliseconds in 32 bits and refuses to declare more. Longer
/// waits stand in the table only.
const LONGEST_DELAY: Duration = Duration::from_secs(4_294_967);

/// How many notes the queue of names keeps. One is written whenever something is declared that was missing, and
/// `kassa topology apply` makes one of all.
const MOST_NOTES: i64 = 1_000;

/// What should exist at the broker. A value: making one asks nobody.
#[derive(Debug, Clone, PartialEq)]
pub struct Topology {
    prefix: Prefix,
    delays: BTreeSet<Duration>,
    exchanges: Vec<ExchangePlan>,
    queues: Vec<QueuePlan>,
    bindings: Vec<BindingPlan>,
}

/// One durable exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExchangePlan {
    /// Full name.
    pub name: String,
    /// How it routes.
    pub kind: Routing,
    /// Where a message goes that no binding takes.
    pub alternate: Option<String>,
}

/// How an exchange routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Routing {
    /// By pattern of the routing key.
    Topic,
    /// By equal routing key.
    Direct,
    /// To every queue.
    Fanout,
}

/// What is in a queue, and so what its loss would cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// Requests that may not be accepted yet: nothing else knows of them.
    Requests,
    /// Pointers: the table wakes their receipts without them.
    Pointers,
    /// The names of queues that were declared once.
    Names,
}

/// One durable quorum queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuePlan {
    /// Full name.
    pub name: String,
    /// What is in it.
    pub holds: Holds,
    /// Where dead letters go, keeping their routing key.
    pub dead_letters: Option<String>,
    /// How long a message stays before it is dead-lettered; `None`: until it is consumed.
    pub message_ttl: Option<Duration>,
    /// Unsettled hand-outs before it is dead-lettered.
    pub delivery_limit: i64,
    /// Above this many messages, publishing is refused.
    pub max_length: Option<i64>,
}

/// A queue takes from an exchange what matches the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindingPlan {
    /// Full name of the queue.
    pub queue: String,
    /// Full name of the exchange.
    pub exchange: String,
    /// The routing key or pattern; empty at a fanout exchange.
    pub key: String,
}

impl Topology {
    /// The topology of a fleet: design section 6. Repeated vendors and delays count once; delays are rounded up to
    /// whole seconds. Without `delays` (`delays = "table"`) there are no delay queues.
    #[must_use]
    pub fn new(prefix: &Prefix, vendors: &[VendorName], delays: &[Duration]) -> Self {
        let vendors: BTreeSet<&VendorName> = vendors.iter().collect();
        let mut topology = Self {
            prefix: prefix.clone(),
            delays: delays
                .iter()
                .copied()
                .map(whole_seconds)
                .filter(|delay| *delay <= LONGEST_DELAY)
                .collect(),
            exchanges: Vec::new(),
            queues: Vec::new(),
            bindings: Vec::new(),
        };

        let dead = topology.exchange(&Exchange::Dead, Routing::Fanout);
        let requests = topology.exchange(&Exchange::Requests, Routing::Topic);
        let send = topology.exchange(&Exchange::Send, Routing::Direct);
        let retry = topology.exchange(&Exchange::Retry, Routing::Direct);
        topology.exchange(&Exchange::Events, Routing::Topic);
        for exchange in &mut topology.exchanges {
            if exchange.name == requests {
                exchange.alternate = Some(dead.clone());
            }
        }

        let names = topology.exchange(&Exchange::Names, Routing::Fanout);
        let mut notes = plan(names.clone(), None);
        (notes.holds, notes.delivery_limit, notes.max_length) = (Holds::Names, NEVER, Some(MOST_NOTES));
        topology.queue(notes, &names, "");
        let mut last = plan(prefix.queue(&Queue::Dead), None);
        last.delivery_limit = NEVER;
        topology.queue(last, &dead, "");
        topology.queue(plan(prefix.queue(&Queue::Intake), Some(&dead)), &requests, "#");
        for vendor in vendors {
            let key = vendor.as_str();
            let first = prefix.queue(&Queue::Send(vendor.clone()));
            topology.queue(pointers(first, &dead), &send, key);
            let again = prefix.queue(&Queue::Retry(vendor.clone()));
            topology.queue(pointers(again, &dead), &retry, key);
        }
        for delay in topology.delays.clone() {
            let exchange = topology.exchange(&Exchange::Delay(delay), Routing::Fanout);
            let mut queue = pointers(prefix.delay(delay), &retry);
            queue.message_ttl = Some(delay);
            topology.queue(queue, &exchange, "");
        }
        topology
    }

    /// What all names begin with.
    #[must_use]
    pub fn prefix(&self) -> &Prefix {
        &self.prefix
    }

    /// The exchanges, in the order in which they are declared.
    #[must_use]
    pub fn exchanges(&self) -> &[ExchangePlan] {
        &self.exchanges
    }

    /// The queues, in the order in which they are declared: each after what it dead-letters to.
    #[must_use]
    pub fn queues(&self) -> &[QueuePlan] {
        &self.queues
    }

    /// The bindings.
    #[must_use]
    pub fn bindings(&self) -> &[BindingPlan] {
        &self.bindings
    }

    /// Whether there is a queue for this delay. A wait without one stands in the table only.
    #[must_use]
    pub fn has_delay(&self, delay: Duration) -> bool {
        self.delays.contains(&whole_seconds(delay))
    }

    /// How a message of our own reaches this queue, and no other one of the fleet. `None` for the queue of names, and
    /// for a delay that leads nowhere because there is no vendor.
    pub(crate) fn way_to(&self, queue: &str) -> Option<(Exchange, String)> {
        let prefix = &self.prefix;
        let vendors = || {
            let keys = self
                .bindings
                .iter()
                .filter(|binding| binding.exchange == prefix.exchange(&Exchange::Send));
            keys.map(|binding| binding.key.clone())
        };
        if queue == prefix.queue(&Queue::Intake) {
            return Some((Exchange::Requests, CANARY_KEY.to_owned()));
        }
        if queue == prefix.queue(&Queue::Dead) {
            return Some((Exchange::Dead, CANARY_KEY.to_owned()));
        }
        if let Some(delay) = self.delay_of(queue) {
            return vendors().next().map(|vendor| (Exchange::Delay(delay), vendor));
        }
        vendors().find_map(|key| {
            let vendor = VendorName::parse(&key).ok()?;
            if queue == prefix.queue(&Queue::Send(vendor.clone())) {
                Some((Exchange::Send, key))
            } else if queue == prefix.queue(&Queue::Retry(vendor)) {
                Some((Exchange::Retry, key))
            } else {
                None
            }
        })
    }

    /// How long this queue delays, if it is a delay of this topology.
    pub(crate) fn delay_of(&self, queue: &str) -> Option<Duration> {
        self.delays
            .iter()
            .copied()
            .find(|delay| self.prefix.delay(*delay) == queue)
    }

    /// The delays that lead to this queue.
    pub(crate) fn delays_to(&self, queue: &str) -> impl Iterator<Item = &str> {
        let is_fed_by = move |exchange: &Option<String>| {
            let mut bindings = self.bindings.iter();
            bindings.any(|binding| binding.queue == queue && Some(&binding.exchange) == exchange.as_ref())
        };
        let delays = self.queues.iter().filter(|plan| plan.message_ttl.is_some());
        delays
            .filter(move |plan| is_fed_by(&plan.dead_letters))
            .map(|plan| plan.name.as_str())
    }

    fn exchange(&mut self, exchange: &Exchange, kind: Routing) -> String {
        let name = self.prefix.exchange(exchange);
        self.exchanges.push(ExchangePlan {
            name: name.clone(),
            kind,
            alternate: None,
        });
        name
    }

    fn queue(&mut self, queue: QueuePlan, exchange: &str, key: &str) {
        self.bindings.push(BindingPlan {
            queue: queue.name.clone(),
            exchange: exchange.to_owned(),
            key: key.to_owned(),
        });
        self.queues.push(queue);
    }
}

/// The routing key of a canary where any key will do. No store can have it.
const CANARY_KEY: &str = "kassa.canary";

fn plan(name: String, dead_letters: Option<&str>) -> QueuePlan {
    QueuePlan {
        name,
        holds: Holds::Requests,
        dead_letters: dead_letters.map(str::to_owned),
        message_ttl: None,
        delivery_limit: DELIVERY_LIMIT,
        max_length: None,
    }
}

fn pointers(name: String, dead_letters: &str) -> QueuePlan {
    QueuePlan {
        holds: Holds::Pointers,
        max_length: Some(MOST_POINTERS),
        ..plan(name, Some(dead_letters))
    }
}

impl QueuePlan {
    /// The arguments of `queue.declare`.
    pub(crate) fn arguments(&self) -> FieldTable {
        let mut table = FieldTable::default();
        let mut text = |key: &str, value: &str| {
            table.insert(key.into(), AMQPValue::LongString(value.into()));
        };
        text("x-queue-type", "quorum");
        // Without reject-publish the broker takes at-least-once for at-most-once, with only a line in its log:
        // measured on 3.10.8, a message whose target was missing was gone.
        text("x-overflow", "reject-publish");
        if let Some(exchange) = &self.dead_letters {
            text("x-dead-letter-exchange", exchange);
            text("x-dead-letter-strategy", "at-least-once");
            // No x-dead-letter-routing-key: the original key is the vendor or the store, and is needed.
        }
        let mut number = |key: &str, value: i64| {
            table.insert(key.into(), AMQPValue::LongLongInt(value));
        };
        number("x-delivery-limit", self.delivery_limit);
        if let Some(most) = self.max_length {
            number("x-max-length", most);
        }
        if let Some(ttl) = self.message_ttl {
            number("x-message-ttl", i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX));
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topology() -> Topology {
        let vendors = ["second", "first", "first"].map(|name| VendorName::parse(name).expect("good"));
        Topology::new(
            &Prefix::default(),
            &vendors,
            &[Duration::from_secs(300), Duration::from_secs(60)],
        )
    }

    #[test]
    fn the_names_are_those_of_the_design() {
        let topology = topology();
        let exchanges: Vec<_> = topology
            .exchanges()
            .iter()
            .map(|exchange| exchange.name.as_str())
            .collect();
        assert_eq!(
            exchanges,
            [
                "kassa.dead",
                "kassa.requests",
                "kassa.send",
                "kassa.retry",
                "kassa.events",
                "kassa.topology",
                "kassa.delay.60s",
                "kassa.delay.300s"
            ]
        );
        let queues: Vec<_> = topology.queues().iter().map(|queue| queue.name.as_str()).collect();
        assert_eq!(
            queues,
            [
                "kassa.topology",
                "kassa.dead",
                "kassa.intake",
                "kassa.send.first",
                "kassa.retry.first",
                "kassa.send.second",
                "kassa.retry.second",
                "kassa.delay.60s",
                "kassa.delay.300s"
            ]
        );
    }

    #[test]
    fn every_queue_is_quorum_refuses_when_full_and_never_deletes_itself() {
        for queue in topology().queues() {
            let arguments = queue.arguments();
            let text = |key: &str| {
                let value = arguments.inner().get(key).and_then(AMQPValue::as_long_string);
                value.map(ToString::to_string)
            };
            assert_eq!(text("x-queue-type").as_deref(), Some("quorum"), "{}", queue.name);
            assert_eq!(text("x-overflow").as_deref(), Some("reject-publish"), "{}", queue.name);
            assert!(arguments.contains_key("x-delivery-limit"), "{}", queue.name);
            for never in ["x-expires", "x-dead-letter-routing-key", "x-queue-mode"] {
                assert!(!arguments.contains_key(never), "{}: {never}", queue.name);
            }
            let strategy = text("x-dead-letter-strategy");
            match queue.name.as_str() {
                "kassa.dead" | "kassa.topology" => assert_eq!((strategy, queue.delivery_limit), (None, NEVER)),
                _ => assert_eq!(strategy.as_deref(), Some("at-least-once"), "{}", queue.name),
            }
        }
    }

    #[test]
    fn a_delay_leads_back_to_retry_and_everything_else_to_dead() {
        for queue in topology().queues() {
            let expected = match (queue.name.as_str(), queue.message_ttl) {
                ("kassa.dead" | "kassa.topology", None) => None,
                (_, Some(_)) => Some("kassa.retry"),
                (_, None) => Some("kassa.dead"),
            };
            assert_eq!(queue.dead_letters.as_deref(), expected, "{}", queue.name);
        }
    }

    #[test]
    fn without_delays_there_are_no_delay_queues() {
        let topology = Topology::new(&Prefix::default(), &[], &[]);
        assert_eq!(topology.queues().len(), 3);
        assert!(!topology.has_delay(Duration::from_secs(60)));
    }

    #[test]
    fn a_delay_that_no_queue_can_have_is_left_to_the_table() {
        let longest = LONGEST_DELAY + Duration::from_secs(1);
        let topology = Topology::new(&Prefix::default(), &[], &[LONGEST_DELAY, longest]);
        assert!(topology.has_delay(LONGEST_DELAY) && !topology.has_delay(longest));
    }

    #[test]
    fn a_dead_letter_target_that_is_missing_is_retried_only_every_three_minutes_so_targets_come_first() {
        let topology = topology();
        // All exchanges are declared and bound before the first queue that dead-letters, but for the order of queues: a
        // message may only expire into an exchange whose queue is there.
        let place = |name: &str| topology.queues().iter().position(|queue| queue.name == name);
        for (index, queue) in topology.queues().iter().enumerate() {
            let Some(exchange) = &queue.dead_letters else { continue };
            for target in topology
                .bindings()
                .iter()
                .filter(|binding| binding.exchange == *exchange)
            {
                assert!(
                    place(&target.queue) < Some(index),
                    "{} before {}",
                    target.queue,
                    queue.name
                );
            }
        }
    }

    #[test]
    fn every_queue_but_that_of_names_has_a_way_for_a_canary() {
        let topology = topology();
        for queue in topology.queues() {
            let way = topology.way_to(&queue.name);
            match queue.name.as_str() {
                "kassa.topology" => assert_eq!(way, None),
                "kassa.delay.60s" => {
                    assert_eq!(
                        way,
                        Some((Exchange::Delay(Duration::from_secs(60)), "first".to_owned()))
                    );
                }
                "kassa.retry.second" => assert_eq!(way, Some((Exchange::Retry, "second".to_owned()))),
                name => assert!(way.is_some(), "{name}"),
            }
        }
    }
}
