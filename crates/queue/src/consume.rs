//! The consume-and-settle loop: the only place that acknowledges.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::{FutureExt, StreamExt};
use lapin::ErrorKind;
use lapin::options::{BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicQosOptions, BasicRejectOptions};
use lapin::protocol::{AMQPErrorKind, AMQPHardError};
use lapin::types::{FieldTable, ShortString};
use lapin::uri::AMQPUri;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::canary::is_canary;
use crate::config::Config;
use crate::delivery::Delivery;
use crate::error::{ConnectError, chain};
use crate::link::{self, Link, Live, pauses, say_goodbye};
use crate::settle::{Ack, Unsettled};
use crate::status::Board;
use crate::topology::Topology;

/// A delivery whose handler panicked goes back after this, so that it can't spin.
const AFTER_PANIC: Duration = Duration::from_secs(1);
/// A session that lasted this long was a good one, and the next pause is short again.
const GOOD_SESSION: Duration = Duration::from_secs(60);

/// What a handler says about a delivery. It can't touch the channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// Everything about it is stored: acknowledge it.
    Done,
    /// Don't settle it: it goes back to the queue when this consumer's channel closes. Until then it occupies one place of
    /// the prefetch, so this is for a consumer that is about to stop.
    Leave,
}

/// What is done with deliveries.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Handles one delivery. Called for many at the same time, up to the prefetch. The same delivery may come again:
    /// after a crash, a lost connection, or an acknowledgement that was lost on its way.
    ///
    /// A panic costs this delivery only: it is logged and goes back to the queue after a second. The broker's delivery
    /// limit ends the repetition, in the queue of dead letters.
    async fn handle(&self, delivery: Delivery) -> Disposition;
}

/// What is consumed, and how to get there.
pub(crate) struct Source {
    pub(crate) link: Link,
    pub(crate) topology: Arc<Topology>,
    pub(crate) config: Config,
    pub(crate) uri: AMQPUri,
    pub(crate) board: Arc<Board>,
    pub(crate) queue: String,
}

/// One call of `Broker::consume`.
pub(crate) struct Consumer {
    source: Source,
    prefetch: u16,
    handler: Arc<dyn Handler>,
    drain: Duration,
    in_flight: JoinSet<Finished>,
    /// Which channel a task's delivery came by; an older one's can't be settled any more.
    session: u64,
    /// The last try to consume got no answer. To such a question RabbitMQ 3.10 answers after a minute by ending the
    /// connection, so the next tries have one of their own, and the other queues are left in peace.
    suspect: bool,
}

struct Finished {
    session: u64,
    tag: u64,
    end: End,
}

enum End {
    Disposed(Disposition),
    Panicked,
}

/// Why a session ended before the stop.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("no session with the broker")]
    Session(#[from] ConnectError),
    #[error("could not consume")]
    Consume(#[source] lapin::Error),
    #[error("no answer within {0:?}")]
    Silence(Duration),
    #[error("the broker did not answer in time")]
    Timeout(#[from] tokio::time::error::Elapsed),
    #[error("the channel is lost")]
    Channel(#[source] lapin::Error),
    #[error("the broker cancelled the consumer: the queue is gone, or moves")]
    Cancelled,
    #[error("a delivery could not be settled")]
    Settle(#[source] lapin::Error),
}

impl Lost {
    /// The broker has not answered for this queue, or has ended the connection over it.
    fn is_silence(&self) -> bool {
        match self {
            Self::Silence(_) => true,
            Self::Consume(error) => {
                let ErrorKind::ProtocolError(said) = error.kind() else {
                    return false;
                };
                matches!(said.kind(), AMQPErrorKind::Hard(AMQPHardError::INTERNALERROR))
            }
            Self::Session(_) | Self::Timeout(_) | Self::Channel(_) | Self::Cancelled | Self::Settle(_) => false,
        }
    }
}

impl Consumer {
    pub(crate) fn new(source: Source, prefetch: u16, handler: Arc<dyn Handler>, drain: Duration) -> Self {
        Self {
            source,
            // Zero would mean "without limit" to the broker.
            prefetch: prefetch.max(1),
            handler,
            drain,
            in_flight: JoinSet::new(),
            session: 0,
            suspect: false,
        }
    }

    pub(crate) async fn run(mut self, stop: &CancellationToken) {
        let longest = self.source.config.reconnect_pause;
        let mut again = pauses(longest);
        loop {
            let live = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                live = self.source.link.up() => match live {
                    Some(live) => live,
                    None => break,
                },
            };
            let began = Instant::now();
            self.session += 1;
            let opened = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                opened = self.open(live) => opened,
            };
            let ended = match opened {
                Ok((settling, deliveries)) => {
                    self.suspect = false;
                    self.source.board.read(&self.source.queue, None);
                    self.session(settling, deliveries, stop).await
                }
                Err(lost) => {
                    self.suspect = lost.is_silence();
                    let seen = self
                        .suspect
                        .then(|| format!("it can't be consumed from: {}", chain(&lost)));
                    self.source.board.read(&self.source.queue, seen);
                    Err(lost)
                }
            };
            let Err(lost) = ended else { return };
            warn!(
                queue = self.source.queue,
                error = chain(&lost),
                "consuming was interrupted; trying again"
            );
            if began.elapsed() > GOOD_SESSION {
                again = pauses(longest);
            }
            let pause = again.next().unwrap_or(longest);
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = sleep(pause) => {}
            }
        }
        // Without a channel nothing can be settled, but a vendor's answer that is on its way must still be recorded.
        let deadline = tokio::time::Instant::now() + self.drain;
        while let Ok(Some(joined)) = timeout_at(deadline, self.in_flight.join_next()).await {
            self.unwrap_joined(joined);
        }
        self.in_flight.shutdown().await;
    }

    /// A channel with the consumer on it. Safe to drop half-way: a channel closes with its last handle.
    async fn open(&self, shared: Arc<Live>) -> Result<(Settling, lapin::Consumer), Lost> {
        let Source {
            topology,
            config,
            uri,
            board,
            queue,
            ..
        } = &self.source;
        let limit = config.connect_timeout;
        let live = if self.suspect || board.is_sick(queue) {
            Arc::new(link::open(config, uri, "consuming what is sick", board.clone()).await?)
        } else {
            shared
        };
        if self.session > 1 {
            // The queue may have been deleted under us.
            live.declare(topology).await?;
        }
        let channel = live.channel().await?;
        let qos = BasicQosOptions { global: false };
        timeout(limit, channel.basic_qos(self.prefetch, qos))
            .await?
            .map_err(Lost::Consume)?;
        let consuming = channel.basic_consume(
            queue.as_str().into(),
            "".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        );
        let deliveries = timeout(limit, consuming)
            .await
            .map_err(|_| Lost::Silence(limit))?
            .map_err(Lost::Consume)?;
        info!(queue, prefetch = self.prefetch, "consuming");
        let settling = Settling {
            _live: live,
            channel,
            unsettled: Unsettled::new(self.prefetch),
            limit,
        };
        Ok((settling, deliveries))
    }

    /// One channel, to its end. `Ok`: the stop came, and everything has drained.
    async fn session(
        &mut self,
        mut settling: Settling,
        mut deliveries: lapin::Consumer,
        stop: &CancellationToken,
    ) -> Result<(), Lost> {
        loop {
            let due = settling.unsettled.due();
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(joined) = self.in_flight.join_next(), if !self.in_flight.is_empty() => {
                    self.note(joined, &mut settling).await?;
                    while let Some(joined) = self.in_flight.try_join_next() {
                        self.note(joined, &mut settling).await?;
                    }
                    let acks = settling.unsettled.acks(Instant::now());
                    settling.send(acks).await?;
                }
                // The prefetch bounds the deliveries of one channel; after a reconnect tasks of the last one still run.
                delivery = deliveries.next(), if self.in_flight.len() < usize::from(self.prefetch) => match delivery {
                    Some(Ok(delivery)) => {
                        settling.unsettled.delivered(delivery.delivery_tag);
                        let message_type = delivery.properties.kind().as_ref().map(ShortString::as_str);
                        if is_canary(message_type, &delivery.data) {
                            settling.unsettled.finished(delivery.delivery_tag, Instant::now());
                        } else {
                            self.begin(delivery, stop);
                        }
                    }
                    Some(Err(error)) => return Err(Lost::Channel(error)),
                    None => return Err(Lost::Cancelled),
                },
                () = until(due) => {
                    let acks = settling.unsettled.acks(Instant::now());
                    settling.send(acks).await?;
                }
            }
        }

        debug!(queue = self.source.queue, in_flight = self.in_flight.len(), "draining");
        let tag = deliveries.tag();
        // What was prefetched and not begun goes back with the channel.
        let cancelling = settling.channel.basic_cancel(tag, BasicCancelOptions::default());
        let _ = timeout(settling.limit, cancelling).await;
        self.drain(&mut settling).await;
        say_goodbye(&settling.channel).await;
        Ok(())
    }

    fn begin(&mut self, delivery: lapin::message::Delivery, stop: &CancellationToken) {
        let (session, tag) = (self.session, delivery.delivery_tag);
        let (handler, stop, queue) = (self.handler.clone(), stop.clone(), self.source.queue.clone());
        self.in_flight.spawn(async move {
            let delivery = Delivery::from(delivery);
            let (message_id, delivery_count) = (delivery.message_id.clone(), delivery.delivery_count);
            // Nothing of the delivery is used after a panic, and a handler has to keep its own state sound anyway: its other
            // calls run on.
            let end = match AssertUnwindSafe(handler.handle(delivery)).catch_unwind().await {
                Ok(disposition) => End::Disposed(disposition),
                Err(panic) => {
                    let panic = words(&*panic);
                    error!(
                        queue,
                        message_id, delivery_count, panic, "the handling of a message panicked"
                    );
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = sleep(AFTER_PANIC) => {}
                    }
                    End::Panicked
                }
            };
            Finished { session, tag, end }
        });
    }

    async fn note(&self, joined: Result<Finished, JoinError>, settling: &mut Settling) -> Result<(), Lost> {
        let Some(finished) = self.unwrap_joined(joined) else {
            return Ok(());
        };
        if finished.session != self.session {
            return Ok(());
        }
        match finished.end {
            End::Disposed(Disposition::Done) => settling.unsettled.finished(finished.tag, Instant::now()),
            End::Disposed(Disposition::Leave) => settling.unsettled.left(finished.tag),
            // Left unsettled it would occupy its place of the prefetch until the next restart, and enough of them would
            // stop the queue. Given back, it is counted by the broker, whose limit sends it to the dead letters in the
            // end.
            End::Panicked => settling.give_back(finished.tag).await?,
        }
        Ok(())
    }

    /// Waits for the tasks in flight, settling as they finish. Once settling fails there is no more of it: the broker will
    /// deliver again.
    async fn drain(&mut self, settling: &mut Settling) {
        let deadline = tokio::time::Instant::now() + self.drain;
        let mut settles = true;
        while let Ok(Some(joined)) = timeout_at(deadline, self.in_flight.join_next()).await {
            if settles {
                let noted = self.note(joined, settling).await;
                let acks = settling.unsettled.all_acks();
                settles = noted.is_ok() && settling.send(acks).await.is_ok();
            }
        }
        if !self.in_flight.is_empty() {
            let left = self.in_flight.len();
            warn!(
                queue = self.source.queue,
                left, "some messages were still being handled at the end of the drain time"
            );
        }
        self.in_flight.shutdown().await;
        if settles {
            let acks = settling.unsettled.all_acks();
            let _ = settling.send(acks).await;
        }
    }

    fn unwrap_joined(&self, joined: Result<Finished, JoinError>) -> Option<Finished> {
        joined
            .inspect_err(
                |error| error!(queue = self.source.queue, %error, "the task of a message ended without a word"),
            )
            .ok()
    }
}

/// The channel's settling side.
struct Settling {
    /// A connection ends with its last handle.
    _live: Arc<Live>,
    channel: lapin::Channel,
    unsettled: Unsettled,
    limit: Duration,
}

impl Settling {
    async fn send(&self, acks: Vec<Ack>) -> Result<(), Lost> {
        for Ack { tag, multiple } in acks {
            let acking = self.channel.basic_ack(tag, BasicAckOptions { multiple });
            timeout(self.limit, acking).await?.map_err(Lost::Settle)?;
        }
        Ok(())
    }

    async fn give_back(&mut self, tag: u64) -> Result<(), Lost> {
        self.unsettled.forget(tag);
        let rejecting = self.channel.basic_reject(tag, BasicRejectOptions { requeue: true });
        timeout(self.limit, rejecting).await?.map_err(Lost::Settle)
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

fn words(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no words)")
}
