//! The broker as the rest of kassa sees it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::canary::{Canaries, Used};
use crate::config::Config;
use crate::consume::{Consumer, Handler, Source};
use crate::error::ConfigError;
use crate::link::{Link, Plan};
use crate::names::Queue;
use crate::publish::Publisher;
use crate::status::{Board, Problem, Status};
use crate::topology::Topology;

/// A supervised session with RabbitMQ. Cheap to clone; all clones share it.
///
/// It has two connections, because a broker that is short of memory or disk stops reading from connections that
/// publish, and acknowledgements must get through to make room. The second one is made when something is consumed.
/// Both are made anew after a loss, with growing pauses, until the stop.
#[derive(Debug, Clone)]
pub struct Broker(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: Config,
    uri: lapin::uri::AMQPUri,
    topology: Arc<Topology>,
    publishing: Link,
    consuming: OnceLock<Link>,
    board: Arc<Board>,
    used: Arc<Used>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Broker {
    /// Begins to connect, and returns at once: a broker that is away now is no reason not to start. Must be called
    /// inside a tokio runtime.
    ///
    /// `stop` ends the connections, so cancel it last: after consumers, publishers and [`crate::Pointers`] have
    /// drained. Then [`Broker::stopped`] waits for the goodbye.
    ///
    /// # Errors
    /// [`ConfigError`] if the address or the heartbeat can't be used; waiting would not help then.
    pub fn start(config: Config, topology: Topology, stop: CancellationToken) -> Result<Self, ConfigError> {
        let uri = config.uri()?;
        let board = Arc::new(Board::new());
        let topology = Arc::new(topology);
        let tasks = TaskTracker::new();
        tasks.close();
        let plan = Plan {
            config: config.clone(),
            uri: uri.clone(),
            topology: topology.clone(),
            purpose: "publishing",
            board: board.clone(),
        };
        let (publishing, supervisor) = Link::new(plan, stop.clone());
        tasks.spawn(supervisor);
        Ok(Self(Arc::new(Inner {
            config,
            uri,
            topology,
            publishing,
            consuming: OnceLock::new(),
            board,
            used: Arc::default(),
            stop,
            tasks,
        })))
    }

    /// How the broker is, now and at every change.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.0.board.watch()
    }

    /// What is wrong with single queues and exchanges while the connection is up, now and at every change: those that the
    /// configuration wants otherwise, and, once [`Broker::send_canaries`] runs, those that are sick.
    #[must_use]
    pub fn problems(&self) -> watch::Receiver<Vec<Problem>> {
        self.0.board.problems()
    }

    /// Sends a canary through each queue that this session consumes, and through the delays that lead to them: at once,
    /// after each new connection, and every `canary_interval`; until `stop`. A queue that does not confirm it within the
    /// confirm timeout is told by [`Broker::problems`]. Consumers of ours acknowledge canaries without a word.
    pub async fn send_canaries(&self, stop: CancellationToken) {
        let inner = &self.0;
        let canaries = Canaries {
            topology: inner.topology.clone(),
            link: inner.publishing.clone(),
            board: inner.board.clone(),
            used: inner.used.clone(),
            interval: inner.config.canary_interval,
            limit: inner.config.confirm_timeout,
        };
        canaries.run(&stop).await;
    }

    /// Waits until messages can be published. False: the stop came first.
    pub async fn connected(&self) -> bool {
        self.0.publishing.up().await.is_some()
    }

    /// Waits for the tasks of this session to end after its stop: connections, and publishers whose handles are gone.
    pub async fn stopped(&self) {
        self.0.tasks.wait().await;
    }

    /// What the session declares at every connect.
    #[must_use]
    pub fn topology(&self) -> &Topology {
        &self.0.topology
    }

    /// A new publisher with a channel and windows of its own: what one of them waits for does not hold the others.
    /// Clone it to share windows.
    #[must_use]
    pub fn publisher(&self) -> Publisher {
        let inner = &self.0;
        let (publisher, work) = Publisher::new(
            &inner.config,
            inner.topology.clone(),
            inner.publishing.clone(),
            inner.board.clone(),
            inner.stop.clone(),
        );
        inner.tasks.spawn(work);
        publisher
    }

    /// Consumes `queue` until `stop`, over every loss of the connection and of the queue, and returns when the work in
    /// flight has drained.
    ///
    /// At most `prefetch` deliveries are handled at the same time, each in a task of its own; there is no other limit.
    /// At the stop nothing more is taken; what is being handled may finish within `drain` and is settled; what then
    /// still runs is dropped where it stands, and goes back to the queue.
    ///
    /// Keep `prefetch` times the time of the slowest handling far below the broker's consumer timeout (30 minutes).
    pub async fn consume(
        &self,
        queue: Queue,
        prefetch: u16,
        handler: Arc<dyn Handler>,
        stop: CancellationToken,
        drain: Duration,
    ) {
        let inner = &self.0;
        let name = inner.topology.prefix().queue(&queue);
        inner.used.consumed(&inner.topology, &name);
        let source = Source {
            link: self.consuming().clone(),
            topology: inner.topology.clone(),
            config: inner.config.clone(),
            uri: inner.uri.clone(),
            board: inner.board.clone(),
            queue: name,
        };
        Consumer::new(source, prefetch, handler, drain).run(&stop).await;
    }

    fn consuming(&self) -> &Link {
        self.0.consuming.get_or_init(|| {
            let inner = &self.0;
            let plan = Plan {
                config: inner.config.clone(),
                uri: inner.uri.clone(),
                topology: inner.topology.clone(),
                purpose: "consuming",
                board: inner.board.clone(),
            };
            let (link, supervisor) = Link::new(plan, inner.stop.clone());
            inner.tasks.spawn(supervisor);
            link
        })
    }
}
