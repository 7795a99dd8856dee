//! A message through each queue, to see whether it takes one.
//!
//! A quorum queue can be there, be declared and bound, and take nothing: its processes did not survive a crash of the
//! broker (`kill -9` within seconds of its declaration). Only a confirm that does not come tells.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use uuid::Uuid;

use crate::error::{PublishError, chain};
use crate::link::{Link, Live};
use crate::message::Message;
use crate::publish::Publisher;
use crate::status::Board;
use crate::topology::Topology;

/// The message type of a canary.
pub(crate) const CANARY_TYPE: &str = "kassa.canary.v1";
/// How often it is looked whether a canary is due.
const LOOK: Duration = Duration::from_millis(500);

/// A canary for this queue; `None` where none can go.
pub(crate) fn canary(topology: &Topology, queue: &str) -> Option<Message> {
    let (exchange, key) = topology.way_to(queue)?;
    let id = Uuid::now_v7().to_string();
    Some(Message::json(exchange, key, id, CANARY_TYPE, Vec::new()))
}

/// Whether a message is a canary. One with a body is not: whatever somebody wants to tell us reaches a handler.
pub(crate) fn is_canary(message_type: Option<&str>, body: &[u8]) -> bool {
    message_type == Some(CANARY_TYPE) && body.is_empty()
}

/// Which queues a session uses.
#[derive(Debug, Default)]
pub(crate) struct Used(Mutex<BTreeSet<String>>);

impl Used {
    /// This queue is consumed from. Whoever follows pointers also sends them into the delays that lead to it.
    pub(crate) fn consumed(&self, topology: &Topology, queue: &str) {
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        used.insert(queue.to_owned());
        used.extend(topology.delays_to(queue).map(str::to_owned));
    }

    fn all(&self) -> Vec<String> {
        let used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        used.iter().cloned().collect()
    }
}

/// Sends the canaries of one session.
pub(crate) struct Canaries {
    pub(crate) topology: Arc<Topology>,
    pub(crate) link: Link,
    pub(crate) board: Arc<Board>,
    pub(crate) used: Arc<Used>,
    /// With windows of its own: waiting for a sick queue holds nobody else.
    pub(crate) publisher: Publisher,
    pub(crate) interval: Duration,
    pub(crate) limit: Duration,
}

impl Canaries {
    pub(crate) async fn run(self, stop: &CancellationToken) {
        let mut due: BTreeMap<String, Instant> = BTreeMap::new();
        let mut last: Option<Arc<Live>> = None;
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(look.tick()).await.is_some() {
            let Some(live) = self.link.live().filter(|_| !self.board.is_blocked()) else {
                continue;
            };
            if !last.as_ref().is_some_and(|last| Arc::ptr_eq(last, &live)) {
                // A broker that was away may have come back with a sick queue.
                due.clear();
                last = Some(live);
            }
            let now = Instant::now();
            let mut queues = self.used.all();
            queues.retain(|queue| due.get(queue).is_none_or(|at| *at <= now));
            if queues.is_empty() {
                continue;
            }
            let Some(()) = stop.run_until_cancelled(self.round(&queues)).await else {
                return;
            };
            for queue in queues {
                // A delay keeps a canary for its whole time: one at once is enough there.
                let rest = self.topology.delay_of(&queue).unwrap_or_default().max(self.interval);
                due.insert(queue, Instant::now() + rest);
            }
        }
    }

    async fn declare(&self) {
        if let Some(live) = self.link.live()
            && let Err(error) = live.declare(&self.topology).await
        {
            debug!(error = chain(&error), "the topology could not be declared again");
        }
    }

    async fn round(&self, queues: &[String]) {
        if self.board.has_differences() {
            // Somebody may have repaired it since.
            self.declare().await;
        }
        let outcomes = self.send(queues).await;
        for (queue, outcome) in queues.iter().zip(outcomes) {
            let outcome = match outcome {
                // In a window that broke off this may be a neighbour's fault.
                Some(Err(PublishError::Unconfirmed)) => {
                    let mut again = self.send(std::slice::from_ref(queue)).await;
                    again.pop().flatten()
                }
                other => other,
            };
            self.note(queue, outcome).await;
        }
    }

    /// What became of a canary to each; `None` where there is no way.
    async fn send(&self, queues: &[String]) -> Vec<Option<Result<(), PublishError>>> {
        let canaries: Vec<Option<Message>> = queues.iter().map(|queue| canary(&self.topology, queue)).collect();
        let has_way: Vec<bool> = canaries.iter().map(Option::is_some).collect();
        let outcomes = self.publisher.publish(canaries.into_iter().flatten().collect()).await;
        let mut outcomes = outcomes.into_iter();
        has_way
            .into_iter()
            .map(|has_way| if has_way { outcomes.next() } else { None })
            .collect()
    }

    async fn note(&self, queue: &str, outcome: Option<Result<(), PublishError>>) {
        match outcome {
            Some(Ok(())) => self.board.answered(queue, None),
            // A lost or blocked connection says nothing about the queue.
            Some(Err(PublishError::Unconfirmed)) if self.link.live().is_some() && !self.board.is_blocked() => {
                let seen = format!("it has not confirmed a message within {:?}", self.limit);
                self.board.answered(queue, Some(seen));
            }
            Some(Err(PublishError::Rejected)) => {
                let seen = "it refuses messages: it is full, or can't store them now".to_owned();
                self.board.answered(queue, Some(seen));
            }
            Some(Err(PublishError::Returned { .. })) => {
                // Deleted under us. Nobody consumes from a delay, so nobody else would notice.
                warn!(queue, "a queue has gone, or lost its binding; declaring it again");
                self.declare().await;
            }
            Some(Err(error)) => debug!(queue, error = chain(&error), "a canary was not sent"),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_with_a_body_is_no_canary_whatever_it_says() {
        assert!(is_canary(Some(CANARY_TYPE), b""));
        assert!(!is_canary(Some(CANARY_TYPE), b"{}"));
        assert!(!is_canary(Some("receipt.request.v1"), b"") && !is_canary(None, b""));
    }
}
