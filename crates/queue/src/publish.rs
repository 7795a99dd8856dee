//! Confirmed publishing in closed windows.
//!
//! AMQP gives a returned (unroutable) message no number, and lapin hands it to whichever confirmation completes next:
//! with messages always in flight some unroutable ones look confirmed and some good ones returned (measured: 19 of 400).
//! So a window is published whole, all its confirmations are awaited, and returns are matched by `message_id` before
//! anybody is told anything. Meanwhile the next window gathers.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{Channel, Confirmation};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::config::Config;
use crate::error::{PublishError, chain};
use crate::link::{Link, say_goodbye};
use crate::message::{Message, Wire};
use crate::topology::Topology;

type Outcome = Result<(), PublishError>;

/// Publishes with confirmations and `mandatory`. Clones share a channel and its windows.
#[derive(Debug, Clone)]
pub struct Publisher {
    jobs: mpsc::Sender<Job>,
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
        stop: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let window = usize::from(config.window.get());
        let (jobs, queue) = mpsc::channel(window);
        let windows = Windows {
            link,
            topology,
            window,
            limit: config.confirm_timeout,
            channel: None,
            suspicious: false,
        };
        (Self { jobs }, windows.run(queue, stop))
    }

    /// Publishes each message and says, in the same order, what became of it. `Ok`: the broker has stored it in a
    /// queue. Any error: it is not known to be there; repeating is right for all but [`PublishError::Invalid`] and
    /// [`PublishError::NoSuchDelay`].
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

/// One message of a window, and what came back for it.
struct Flying {
    message_id: String,
    reply: oneshot::Sender<Outcome>,
    answer: Answer,
}

enum Answer {
    None,
    /// The confirmation, and whether lapin hung a returned message on it (its own or another's).
    Ack {
        carried: bool,
    },
    Nack,
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
        let mut flying = Vec::new();
        let mut wires = Vec::new();
        for Job { message, reply } in jobs.drain(..end.unwrap_or(jobs.len())) {
            match message.into_wire(&self.topology) {
                Ok(wire) => {
                    flying.push(Flying {
                        message_id: wire.message_id.clone(),
                        reply,
                        answer: Answer::None,
                    });
                    wires.push(wire);
                }
                Err(error) => answer(reply, Err(error)),
            }
        }
        if flying.is_empty() {
            return;
        }
        let Some(channel) = self.channel().await else {
            flying
                .into_iter()
                .for_each(|one| answer(one.reply, Err(PublishError::Disconnected)));
            return;
        };
        let returned = confirm_all(&channel, &wires, &mut flying, self.limit).await;
        let complete = flying.iter().all(|one| !matches!(one.answer, Answer::None));
        let messages = flying.len();
        for one in flying {
            let outcome = judge(&one, &returned, complete);
            answer(one.reply, outcome);
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
                if let Err(error) = live.apply(&self.topology).await {
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

/// Publishes the window and waits for its confirmations until all are there, the channel fails, or the limit is over.
/// Fills in the answers and returns what came back unroutable, by `message_id`.
async fn confirm_all(
    channel: &Channel,
    wires: &[Wire],
    flying: &mut [Flying],
    limit: Duration,
) -> HashMap<String, PublishError> {
    let options = BasicPublishOptions {
        mandatory: true,
        ..BasicPublishOptions::default()
    };
    let mut returned = HashMap::new();
    let mut confirming: FuturesUnordered<_> = wires
        .iter()
        .enumerate()
        .map(|(index, wire)| async move {
            let Wire {
                exchange,
                routing_key,
                properties,
                body,
                ..
            } = wire;
            let sent = channel
                .basic_publish(exchange.clone(), routing_key.clone(), options, body, properties.clone())
                .await;
            match sent {
                Ok(confirmation) => (index, confirmation.await),
                Err(error) => (index, Err(error)),
            }
        })
        .collect();
    let deadline = Instant::now() + limit;
    while let Ok(Some((index, confirmation))) = timeout_at(deadline, confirming.next()).await {
        let (answer, message) = match confirmation {
            Ok(Confirmation::Ack(message)) => {
                let carried = message.is_some();
                (Answer::Ack { carried }, message)
            }
            Ok(Confirmation::Nack(message)) => (Answer::Nack, message),
            Ok(Confirmation::NotRequested) => (Answer::None, None),
            Err(error) => {
                debug!(error = chain(&error), "a message was not confirmed");
                (Answer::None, None)
            }
        };
        if let Some(message) = message {
            let id = message
                .delivery
                .properties
                .message_id()
                .as_ref()
                .map(ToString::to_string);
            let error = PublishError::Returned {
                code: message.reply_code,
                text: message.reply_text.to_string(),
            };
            returned.insert(id.unwrap_or_default(), error);
        }
        if let Some(one) = flying.get_mut(index) {
            one.answer = answer;
        }
    }
    returned
}

fn judge(one: &Flying, returned: &HashMap<String, PublishError>, complete: bool) -> Outcome {
    if let Some(error) = returned.get(&one.message_id) {
        return Err(error.clone());
    }
    match one.answer {
        // In a window that broke off, a confirmation that carried another's return may have left its own behind. One
        // that carried none had none waiting: the broker sends a message's return before its confirmation.
        Answer::Ack { carried } if complete || !carried => Ok(()),
        Answer::Ack { .. } | Answer::None => Err(PublishError::Unconfirmed),
        Answer::Nack => Err(PublishError::Rejected),
    }
}

fn answer(reply: oneshot::Sender<Outcome>, outcome: Outcome) {
    // Nobody may be waiting any more, which is their right.
    let _ = reply.send(outcome);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flying(answer: Answer) -> Flying {
        Flying {
            message_id: "own".to_owned(),
            reply: oneshot::channel().0,
            answer,
        }
    }

    fn returned(id: &str) -> HashMap<String, PublishError> {
        let error = PublishError::Returned {
            code: 312,
            text: "NO_ROUTE".to_owned(),
        };
        HashMap::from([(id.to_owned(), error)])
    }

    #[test]
    fn a_return_is_believed_by_its_id_and_not_by_the_confirmation_it_hangs_on() {
        let carried = |carried| flying(Answer::Ack { carried });
        assert_eq!(judge(&carried(true), &returned("other"), true), Ok(()));
        assert!(matches!(
            judge(&carried(false), &returned("own"), true),
            Err(PublishError::Returned { .. })
        ));
    }

    #[test]
    fn in_a_window_that_broke_off_only_an_unburdened_confirmation_counts() {
        let carried = |carried| flying(Answer::Ack { carried });
        assert_eq!(judge(&carried(false), &returned("other"), false), Ok(()));
        assert_eq!(
            judge(&carried(true), &returned("other"), false),
            Err(PublishError::Unconfirmed)
        );
        assert_eq!(
            judge(&flying(Answer::None), &HashMap::new(), false),
            Err(PublishError::Unconfirmed)
        );
        assert_eq!(
            judge(&flying(Answer::Nack), &HashMap::new(), true),
            Err(PublishError::Rejected)
        );
    }
}
