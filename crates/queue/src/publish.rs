//! Confirmed publishing in closed windows.
//!
//! AMQP gives a returned (unroutable) message no number, and lapin hands it to whichever confirmation completes next:
//! with messages always in flight some unroutable ones look confirmed and some good ones returned (measured: 19 of 400).
//! So a window is published whole, all its confirmations are awaited, and returns are matched by `message_id` before
//! anybody is told anything. Meanwhile the next window gathers.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use lapin::Channel;
use lapin::options::ConfirmSelectOptions;
use receipt::VendorName;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::config::Config;
use crate::error::{PublishError, chain};
use crate::link::{Link, say_goodbye};
use crate::message::Message;
use crate::names::{Exchange, Queue};
use crate::status::Board;
use crate::topology::Topology;
use crate::window::{self, Closed};

type Outcome = Result<(), PublishError>;

/// Publishes with confirmations, and all but events with `mandatory`. Clones share a channel and its windows.
#[derive(Debug, Clone)]
pub struct Publisher {
    jobs: mpsc::Sender<Job>,
    topology: Arc<Topology>,
    board: Arc<Board>,
}

#[derive(Debug)]
struct Job {
    message: Message,
    reply: oneshot::Sender<Outcome>,
}

impl Publisher {
    pub(crate) fn new(
        config: &Config,
        topology: Arc<Topology>,
        link: Link,
        board: Arc<Board>,
        stop: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let window = usize::from(config.window.get());
        let (jobs, queue) = mpsc::channel(window);
        let windows = Windows {
            link,
            topology: topology.clone(),
            window,
            limit: config.confirm_timeout,
            channel: None,
            suspicious: false,
        };
        let publisher = Self { jobs, topology, board };
        (publisher, windows.run(queue, stop))
    }

    /// Whether this pointer would go to a queue that is known to take none. Its window would wait out the confirm timeout
    /// and keep all pointers behind it waiting.
    pub(crate) fn would_wait(&self, pointer: &Message) -> bool {
        let prefix = self.topology.prefix();
        let vendor = |queue: fn(VendorName) -> Queue| {
            let vendor = VendorName::parse(&pointer.routing_key).ok()?;
            Some(prefix.queue(&queue(vendor)))
        };
        let queue = match &pointer.exchange {
            Exchange::Send => vendor(Queue::Send),
            Exchange::Retry => vendor(Queue::Retry),
            Exchange::Delay(delay) => Some(prefix.delay(*delay)),
            Exchange::Requests | Exchange::Events | Exchange::Dead | Exchange::Names => None,
        };
        queue.is_some_and(|queue| self.board.is_sick(&queue))
    }

    /// Publishes each message and says, in the same order, what became of it. `Ok`: the broker has stored it in a
    /// queue; an event in every queue that is bound to it, which may be none. Any error: it is not known to be there;
    /// repeating is right for all but [`PublishError::Invalid`] and [`PublishError::NoSuchDelay`].
    ///
    /// Fails at once without a connection, and takes at most the confirm timeout for each window before it otherwise.
    /// Dropping the future does not take anything back.
    pub async fn publish(&self, messages: Vec<Message>) -> Vec<Result<(), PublishError>> {
        let mut replies = Vec::with_capacity(messages.len());
        for message in messages {
            let (reply, answer) = oneshot::channel();
            // A task that has gone drops its jobs, and the answer below says so.
            let _ = self.jobs.send(Job { message, reply }).await;
            replies.push(answer);
        }
        let mut outcomes = Vec::with_capacity(replies.len());
        for answer in replies {
            outcomes.push(answer.await.unwrap_or(Err(PublishError::Disconnected)));
        }
        outcomes
    }

    /// [`Publisher::publish`] for one message.
    ///
    /// # Errors
    /// [`PublishError`]: the message is not known to be at the broker.
    pub async fn publish_one(&self, message: Message) -> Result<(), PublishError> {
        let mut outcomes = self.publish(vec![message]).await;
        outcomes.pop().unwrap_or(Err(PublishError::Disconnected))
    }
}

/// The task behind a publisher.
struct Windows {
    link: Link,
    topology: Arc<Topology>,
    window: usize,
    limit: Duration,
    channel: Option<Channel>,
    /// The last channel failed, perhaps because an exchange is missing: declare before the next one is used.
    suspicious: bool,
}

impl Windows {
    async fn run(mut self, mut queue: mpsc::Receiver<Job>, stop: CancellationToken) {
        let mut jobs = Vec::new();
        loop {
            let received = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                received = queue.recv_many(&mut jobs, self.window) => received,
            };
            if received == 0 {
                break;
            }
            while !jobs.is_empty() {
                self.one_window(&mut jobs).await;
            }
        }
        if let Some(channel) = self.channel.take() {
            say_goodbye(&channel).await;
        }
    }

    /// Takes the jobs up to the first `message_id` that repeats: returns are matched by it.
    async fn one_window(&mut self, jobs: &mut Vec<Job>) {
        let mut ids = HashSet::new();
        let end = jobs.iter().position(|job| !ids.insert(job.message.message_id.clone()));
        let mut replies = Vec::new();
        let mut wires = Vec::new();
        for Job { message, reply } in jobs.drain(..end.unwrap_or(jobs.len())) {
            match message.into_wire(&self.topology) {
                Ok(wire) => {
                    replies.push(reply);
                    wires.push(wire);
                }
                Err(error) => answer(reply, Err(error)),
            }
        }
        if wires.is_empty() {
            return;
        }
        let Some(channel) = self.channel().await else {
            replies
                .into_iter()
                .for_each(|reply| answer(reply, Err(PublishError::Disconnected)));
            return;
        };
        let Closed { outcomes, complete } = window::publish(&channel, &wires, self.limit).await;
        let messages = wires.len();
        for (reply, outcome) in replies.into_iter().zip(outcomes) {
            answer(reply, outcome);
        }
        if !complete {
            // A confirmation that comes late, or never, would be counted against the next window.
            warn!(messages, "a window was not confirmed whole; its channel is replaced");
            self.channel = None;
            self.suspicious = true;
            say_goodbye(&channel).await;
        }
    }

    /// The channel in use, or a new one. `None`: there is no connection now.
    async fn channel(&mut self) -> Option<Channel> {
        if let Some(channel) = self.channel.take_if(|channel| !channel.status().connected()) {
            debug!(channel = channel.id(), "the channel is gone");
        }
        if self.channel.is_none() {
            let live = self.link.live()?;
            if self.suspicious {
                if let Err(error) = live.declare(&self.topology).await {
                    warn!(error = chain(&error), "the topology could not be declared again");
                    return None;
                }
                self.suspicious = false;
            }
            let channel = live.channel().await.ok()?;
            timeout(self.limit, channel.confirm_select(ConfirmSelectOptions::default()))
                .await
                .ok()?
                .ok()?;
            self.channel = Some(channel);
        }
        self.channel.clone()
    }
}

fn answer(reply: oneshot::Sender<Outcome>, outcome: Outcome) {
    // Nobody may be waiting any more, which is their right.
    let _ = reply.send(outcome);
}
