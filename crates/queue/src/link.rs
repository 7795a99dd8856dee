//! One supervised connection.
//!
//! lapin can recover by itself, but what it replays is its own idea of the topology, and its recovery was still being
//! mended in autumn 2026. Here a connection is made anew, with our topology declared first, until the stop.

use std::sync::Arc;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use futures_util::StreamExt;
use lapin::uri::AMQPUri;
use lapin::{Channel, Connection, ConnectionProperties, Event};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::Config;
use crate::error::{ConnectError, chain};
use crate::status::{Board, Status};
use crate::topology::Topology;
use crate::transport;

/// The shortest pause between two tries.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The state of a connection is looked at this often, even when it reports nothing.
const LOOK: Duration = Duration::from_secs(1);
/// How long a clean goodbye may take.
const GOODBYE: Duration = Duration::from_secs(5);

/// A handle to one supervised connection. The connection itself lives in the task that runs [`supervise`].
#[derive(Debug, Clone)]
pub(crate) struct Link {
    state: watch::Receiver<State>,
}

#[derive(Debug, Clone)]
enum State {
    Down,
    Up(Arc<Live>),
    Stopped,
}

/// A connection that is, or just was, up.
#[derive(Debug)]
pub(crate) struct Live {
    connection: Connection,
    limit: Duration,
    board: Arc<Board>,
}

/// What a supervisor needs to know.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) config: Config,
    pub(crate) uri: AMQPUri,
    pub(crate) topology: Arc<Topology>,
    /// Shown in the broker's list of connections.
    pub(crate) purpose: &'static str,
    pub(crate) board: Arc<Board>,
}

impl Link {
    /// The handle, and the loop that somebody has to run.
    pub(crate) fn new(plan: Plan, stop: CancellationToken) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (sender, state) = watch::channel(State::Down);
        let since = Instant::now();
        // At once, and not when the task is first run: until then the board would say that all is well.
        let place = plan.board.place(Status::Reconnecting {
            since,
            error: String::new(),
        });
        (Self { state }, supervise(plan, place, since, sender, stop))
    }

    /// The connection, if there is one right now.
    pub(crate) fn live(&self) -> Option<Arc<Live>> {
        match &*self.state.borrow() {
            State::Up(live) if live.is_up() => Some(live.clone()),
            State::Up(_) | State::Down | State::Stopped => None,
        }
    }

    /// Waits for a connection. `None`: the supervisor has stopped.
    pub(crate) async fn up(&self) -> Option<Arc<Live>> {
        let mut state = self.state.clone();
        loop {
            match &*state.borrow_and_update() {
                State::Up(live) if live.is_up() => return Some(live.clone()),
                State::Stopped => return None,
                State::Up(_) | State::Down => {}
            }
            state.changed().await.ok()?;
        }
    }
}

impl Live {
    /// A new channel. Bounded in time: a broker that hangs is a broker that is gone.
    pub(crate) async fn channel(&self) -> Result<Channel, ConnectError> {
        timeout(self.limit, self.connection.create_channel())
            .await
            .map_err(|_| ConnectError::Timeout(self.limit))?
            .map_err(|error| ConnectError::Channel(Box::new(error)))
    }

    /// Declares the topology and puts what differs on the board.
    pub(crate) async fn declare(&self, topology: &Topology) -> Result<(), ConnectError> {
        let different = timeout(self.limit, topology.declare(self))
            .await
            .map_err(|_| ConnectError::Timeout(self.limit))??;
        self.board.differences(different);
        Ok(())
    }

    pub(crate) fn is_up(&self) -> bool {
        self.connection.status().connected()
    }

    /// What can't be asked in this time gets no answer.
    pub(crate) const fn limit(&self) -> Duration {
        self.limit
    }

    pub(crate) async fn close(&self) {
        let _ = timeout(GOODBYE, self.connection.close(200, "OK".into())).await;
    }
}

/// Closes a channel. Whether that works is nobody's concern: it is gone either way.
pub(crate) async fn say_goodbye(channel: &Channel) {
    let _ = timeout(GOODBYE, channel.close(200, "OK".into())).await;
}

/// Pauses that grow from 0.2 s to `longest`, each with up to as much again by chance, without an end.
pub(crate) fn pauses(longest: Duration) -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(FIRST_PAUSE)
        .with_max_delay(longest.max(FIRST_PAUSE))
        .with_jitter()
        .without_max_times()
        .build()
}

async fn supervise(
    plan: Plan,
    place: usize,
    mut since: Instant,
    sender: watch::Sender<State>,
    stop: CancellationToken,
) {
    let mut error = String::new();
    while !stop.is_cancelled() {
        let Some(live) = connect_at_last(&plan, place, since, &mut error, &stop).await else {
            break;
        };
        info!(purpose = plan.purpose, "connected to the broker");
        sender.send_replace(State::Up(live.clone()));
        plan.board.set(place, Status::Connected);

        error = watch_over(&plan, place, &live.connection, &stop).await;
        sender.send_replace(if stop.is_cancelled() {
            State::Stopped
        } else {
            State::Down
        });
        since = Instant::now();
        if stop.is_cancelled() {
            // Quietly: a consumer that outlived its stop gets its deliveries back to the queue by this.
            live.close().await;
        } else {
            warn!(
                purpose = plan.purpose,
                error, "the connection to the broker is lost; reconnecting"
            );
            plan.board.set(
                place,
                Status::Reconnecting {
                    since,
                    error: error.clone(),
                },
            );
        }
    }
    sender.send_replace(State::Stopped);
    plan.board.set(place, Status::Stopped);
}

async fn connect_at_last(
    plan: &Plan,
    place: usize,
    since: Instant,
    error: &mut String,
    stop: &CancellationToken,
) -> Option<Arc<Live>> {
    let mut pauses = pauses(plan.config.reconnect_pause);
    loop {
        let tried = tokio::select! {
            biased;
            () = stop.cancelled() => return None,
            tried = connect(plan) => tried,
        };
        let failed = match tried {
            Ok(live) => return Some(Arc::new(live)),
            Err(failed) => failed,
        };
        *error = chain(&failed);
        warn!(
            purpose = plan.purpose,
            error, "no connection to the broker; trying again"
        );
        plan.board.set(
            place,
            Status::Reconnecting {
                since,
                error: error.clone(),
            },
        );
        let pause = pauses.next().unwrap_or(plan.config.reconnect_pause);
        tokio::select! {
            biased;
            () = stop.cancelled() => return None,
            () = sleep(pause) => {}
        }
    }
}

async fn connect(plan: &Plan) -> Result<Live, ConnectError> {
    let live = open(&plan.config, &plan.uri, plan.purpose, plan.board.clone()).await?;
    // A restarted broker takes connections about a second before its quorum queues work, and answers declarations with a
    // connection error (541) until then. That is one more failed try.
    live.declare(&plan.topology).await?;
    Ok(live)
}

/// A connection and nothing more.
pub(crate) async fn open(
    config: &Config,
    uri: &AMQPUri,
    purpose: &str,
    board: Arc<Board>,
) -> Result<Live, ConnectError> {
    let limit = config.connect_timeout;
    let name = format!("{} {purpose} (process {})", config.prefix, std::process::id());
    let properties = ConnectionProperties::default()
        .with_connection_name(name.into())
        .with_client_property("product".into(), "kassa".into())
        .with_client_property("version".into(), env!("CARGO_PKG_VERSION").into());
    // Boxed: the future is large, and this runs seldom.
    let connecting = Box::pin(transport::connect(uri.clone(), properties));
    let connection = timeout(limit, connecting)
        .await
        .map_err(|_| ConnectError::Timeout(limit))?
        .map_err(|error| ConnectError::Connect(Box::new(error)))?;
    Ok(Live {
        connection,
        limit,
        board,
    })
}

/// Returns when the connection is no more, or at the stop, with what was heard last.
async fn watch_over(plan: &Plan, place: usize, connection: &Connection, stop: &CancellationToken) -> String {
    let mut events = std::pin::pin!(connection.events_listener());
    let mut look = tokio::time::interval(LOOK);
    let mut heard = String::from("the connection was closed");
    while connection.status().connected() {
        let event = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            event = events.next() => event,
            _ = look.tick() => None,
        };
        match event {
            // Errors of single channels are told here too; the loop's condition knows the difference.
            Some(Event::Error(error)) => heard = chain(&error),
            Some(Event::ConnectionBlocked(reason)) => {
                warn!(
                    purpose = plan.purpose,
                    reason, "the broker blocks publishing until it has memory or disk again"
                );
                let since = Instant::now();
                plan.board.set(place, Status::Blocked { since, reason });
            }
            Some(Event::ConnectionUnblocked) => {
                info!(purpose = plan.purpose, "the broker takes messages again");
                plan.board.set(place, Status::Connected);
            }
            Some(_) | None => {}
        }
    }
    heard
}
