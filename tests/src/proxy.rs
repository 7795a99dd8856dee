//! A TCP proxy that a test can freeze: connections stay open and no byte passes.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Which bytes pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// All of them.
    Open,
    /// Those of the client are kept back; the server's pass.
    HoldRequests,
    /// Those of the clients that are connected by now are kept back; new connections pass.
    HoldPresent {
        /// Connections with a lower number are the present ones; [`Proxy::hold_present`] knows it.
        below: u64,
    },
    /// Those of the server are kept back; the client's pass.
    HoldAnswers,
    /// All of them, late and few at a time.
    Slow {
        /// How long each piece is on its way.
        delay_ms: u64,
        /// How many get through.
        bytes_per_second: u32,
    },
    /// None: connections are cut, and new ones are closed as soon as they are made.
    Down,
}

impl Flow {
    fn holds(self, direction: Direction, connection: u64) -> bool {
        match self {
            Self::Open | Self::Slow { .. } | Self::Down => false,
            Self::HoldRequests => direction == Direction::Requests,
            Self::HoldPresent { below } => direction == Direction::Requests && connection < below,
            Self::HoldAnswers => direction == Direction::Answers,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Requests,
    Answers,
}

/// A proxy in front of one server. Dropping it cuts every connection.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    flow: watch::Sender<Flow>,
    cuts: watch::Sender<u64>,
    held: watch::Receiver<u64>,
    connections: watch::Receiver<u64>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    /// Listens on a free port and forwards to `target` (`host:port`).
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn start(target: String) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (flow, _) = watch::channel(Flow::Open);
        let (cuts, _) = watch::channel(0);
        let (held_sender, held) = watch::channel(0);
        let (counter, counted) = watch::channel(0);
        let mut tasks = JoinSet::new();
        let (following, cutting) = (flow.clone(), cuts.clone());
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                while connections.try_join_next().is_some() {}
                if *following.borrow() == Flow::Down {
                    continue;
                }
                let Ok(server) = TcpStream::connect(&target).await else {
                    continue;
                };
                let (flow, held) = (following.subscribe(), held_sender.clone());
                let connection = *counter.borrow();
                counter.send_replace(connection + 1);
                let mut cuts = cutting.subscribe();
                connections.spawn(async move {
                    tokio::select! {
                        // First, because a cut is followed by an open flow at once, through which what was kept back
                        // would slip.
                        biased;
                        _ = cuts.changed() => {}
                        () = pass(client, server, connection, flow, held) => {}
                    }
                });
            }
        });
        Ok(Self {
            address,
            flow,
            cuts,
            held,
            connections: counted,
            _tasks: tasks,
        })
    }

    /// Changes what passes, for all connections.
    pub fn set(&self, flow: Flow) {
        self.flow.send_replace(flow);
        if flow == Flow::Down {
            self.cuts.send_modify(|cuts| *cuts += 1);
        }
    }

    /// Keeps back what the clients write that are connected by now; new connections pass.
    pub fn hold_present(&self) {
        let below = *self.connections.borrow();
        self.set(Flow::HoldPresent { below });
    }

    /// Cuts every connection; what was kept back never arrives. New connections pass.
    pub fn cut(&self) {
        self.set(Flow::Down);
        self.set(Flow::Open);
    }

    /// How many times bytes were kept back so far.
    #[must_use]
    pub fn held(&self) -> u64 {
        *self.held.borrow()
    }
}

/// Both directions, until both have ended.
async fn pass(
    client: TcpStream,
    server: TcpStream,
    connection: u64,
    flow: watch::Receiver<Flow>,
    held: watch::Sender<u64>,
) {
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    let requests = |flow: Flow| flow.holds(Direction::Requests, connection);
    let answers = |flow: Flow| flow.holds(Direction::Answers, connection);
    tokio::join!(
        async {
            let (mut to, delayed) = pump(client_read, server_write, flow.clone(), requests, &held).await;
            if delayed {
                // The client may have died meanwhile. What it wrote arrives all the same, and is not taken back by a
                // goodbye that overtakes its handling.
                std::future::pending::<()>().await;
            }
            let _ = to.shutdown().await;
        },
        async {
            let (mut to, _) = pump(server_read, client_write, flow.clone(), answers, &held).await;
            let _ = to.shutdown().await;
        },
    );
}

/// Writes as slowly as the flow says at each moment.
async fn write(to: &mut OwnedWriteHalf, mut bytes: &[u8], flow: &watch::Receiver<Flow>) -> std::io::Result<()> {
    const PIECES_PER_SECOND: u32 = 10;
    let slowness = || match *flow.borrow() {
        Flow::Slow {
            delay_ms,
            bytes_per_second,
        } => Some((Duration::from_millis(delay_ms), bytes_per_second / PIECES_PER_SECOND)),
        Flow::Open | Flow::HoldRequests | Flow::HoldPresent { .. } | Flow::HoldAnswers | Flow::Down => None,
    };
    if let Some((delay, _)) = slowness() {
        tokio::time::sleep(delay).await;
    }
    while let Some((_, piece)) = slowness() {
        let piece = usize::try_from(piece).unwrap_or(usize::MAX).clamp(1, bytes.len());
        let (now, later) = bytes.split_at(piece);
        to.write_all(now).await?;
        bytes = later;
        if bytes.is_empty() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_secs(1) / PIECES_PER_SECOND).await;
    }
    to.write_all(bytes).await
}

/// One direction to its end. Says whether anything was kept back on the way.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut flow: watch::Receiver<Flow>,
    is_held: impl Fn(Flow) -> bool,
    held: &watch::Sender<u64>,
) -> (OwnedWriteHalf, bool) {
    let mut buffer = vec![0; 16 * 1024];
    let mut delayed = false;
    while let Ok(count) = from.read(&mut buffer).await {
        if count == 0 {
            break;
        }
        if is_held(*flow.borrow()) {
            delayed = true;
            held.send_modify(|count| *count += 1);
        }
        let passes = flow.wait_for(|flow| !is_held(*flow)).await.is_ok();
        if !passes || write(&mut to, &buffer[..count], &flow).await.is_err() {
            break;
        }
    }
    (to, delayed)
}
