//! A message through each queue, to see whether it takes one.
//!
//! A quorum queue can be there, be declared and bound, and take nothing: its processes did not survive a crash of the
//! broker (`kill -9` within seconds of its declaration). Only a confirm that does not come tells.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use lapin::options::ConfirmSelectOptions;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use uuid::Uuid;

use crate::error::{PublishError, chain};
use crate::link::{Link, Live, say_goodbye};
use crate::message::Message;
use crate::status::Board;
use crate::topology::Topology;
use crate::window::{self, Closed};

/// The message type of a canary.
pub(crate) const CANARY_TYPE: &str = "kassa.canary.v1";
/// How often it is looked whether a canary is due.
const LOOK: Duration = Duration::from_millis(500);

/// What became of a canary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Well,
    /// No confirm in time.
    Silent,
    /// Full, or unable to store.
    Refuses,
    /// Its exchange, its binding or itself is not there.
    Unreached,
    /// No connection, or one that was lost meanwhile.
    Unknown,
}

/// Sends a canary through a queue, on a channel of its own: to a sick queue the broker keeps the whole channel waiting for
/// a minute, with the confirms of all others on it. `None` where there is no way for one.
pub(crate) async fn probe(live: &Live, topology: &Topology, queue: &str, limit: Duration) -> Option<Verdict> {
    let (exchange, key) = topology.way_to(queue)?;
    let id = Uuid::now_v7().to_string();
    let canary = Message::json(exchange, key, id, CANARY_TYPE, Vec::new());
    let wire = canary.into_wire(topology).ok()?;
    let Ok(channel) = live.channel().await else {
        return Some(Verdict::Unknown);
    };
    let confirming = channel.confirm_select(ConfirmSelectOptions::default());
    if !matches!(timeout(live.limit(), confirming).await, Ok(Ok(()))) {
        return Some(Verdict::Unknown);
    }
    let Closed { outcomes, complete } = window::publish(&channel, &[wire], limit).await;
    let verdict = match outcomes.first() {
        Some(Ok(())) => Verdict::Well,
        Some(Err(PublishError::Rejected)) => Verdict::Refuses,
        Some(Err(PublishError::Returned { .. })) => Verdict::Unreached,
        Some(Err(_)) | None if !live.is_up() => Verdict::Unknown,
        // Publishing to an exchange that is not there ends the channel, and nothing else.
        Some(Err(_)) | None if !channel.status().connected() => Verdict::Unreached,
        Some(Err(_)) | None => Verdict::Silent,
    };
    if complete {
        say_goodbye(&channel).await;
    }
    Some(verdict)
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
                last = Some(live.clone());
            }
            let now = Instant::now();
            let mut queues = self.used.all();
            queues.retain(|queue| due.get(queue).is_none_or(|at| *at <= now));
            if queues.is_empty() {
                continue;
            }
            let Some(()) = stop.run_until_cancelled(self.round(&live, &queues)).await else {
                return;
            };
            for queue in queues {
                // A delay keeps a canary for its whole time: one at once is enough there.
                let rest = self.topology.delay_of(&queue).unwrap_or_default().max(self.interval);
                due.insert(queue, Instant::now() + rest);
            }
        }
    }

    async fn round(&self, live: &Live, queues: &[String]) {
        if self.board.has_differences() {
            // Somebody may have repaired it since.
            self.declare(live).await;
        }
        let probes = queues.iter().map(|queue| async move {
            let verdict = probe(live, &self.topology, queue, self.limit).await;
            (queue, verdict)
        });
        for (queue, verdict) in join_all(probes).await {
            match verdict {
                Some(Verdict::Well) => self.board.answered(queue, None),
                Some(Verdict::Silent) if self.board.is_blocked() => {}
                Some(Verdict::Silent) => {
                    let seen = format!("it has not confirmed a message within {:?}", self.limit);
                    self.board.answered(queue, Some(seen));
                }
                Some(Verdict::Refuses) => {
                    let seen = "it refuses messages: it is full, or can't store them now".to_owned();
                    self.board.answered(queue, Some(seen));
                }
                Some(Verdict::Unreached) => {
                    // Deleted under us. Nobody consumes from a delay, so nobody else would notice.
                    warn!(queue, "a queue has gone, or what leads to it; declaring it again");
                    self.declare(live).await;
                }
                Some(Verdict::Unknown) | None => debug!(queue, "no canary could be sent"),
            }
        }
    }

    async fn declare(&self, live: &Live) {
        if let Err(error) = live.declare(&self.topology).await {
            debug!(error = chain(&error), "the topology could not be declared again");
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
