//! A TCP proxy that a test can freeze: connections stay open and no byte passes.

use std::net::SocketAddr;

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
    /// Those of the server are kept back; the client's pass.
    HoldAnswers,
    /// None: connections are cut, and new ones are closed as soon as they are made.
    Down,
}

/// A proxy in front of one server. Dropping it cuts every connection.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    flow: watch::Sender<Flow>,
    cuts: watch::Sender<u64>,
    held: watch::Receiver<u64>,
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
                let mut cuts = cutting.subscribe();
                connections.spawn(async move {
                    tokio::select! {
                        () = pass(client, server, flow, held) => {}
                        _ = cuts.changed() => {}
                    }
                });
            }
        });
        Ok(Self {
            address,
            flow,
            cuts,
            held,
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

/// Both directions, until one of them ends with an error or both have ended.
async fn pass(client: TcpStream, server: TcpStream, flow: watch::Receiver<Flow>, held: watch::Sender<u64>) {
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    tokio::join!(
        pump(client_read, server_write, flow.clone(), Flow::HoldRequests, &held),
        pump(server_read, client_write, flow, Flow::HoldAnswers, &held),
    );
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut flow: watch::Receiver<Flow>,
    closed: Flow,
    held: &watch::Sender<u64>,
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(count) = from.read(&mut buffer).await {
        if count == 0 {
            break;
        }
        if *flow.borrow() == closed {
            held.send_modify(|count| *count += 1);
        }
        if flow.wait_for(|flow| *flow != closed).await.is_err() || to.write_all(&buffer[..count]).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}
