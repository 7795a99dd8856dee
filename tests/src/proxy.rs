//! A TCP proxy that a test can freeze: connections stay open and no byte passes.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
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
}

/// A proxy in front of one server. Dropping it cuts every connection.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    flow: watch::Sender<Flow>,
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
        let (held_sender, held) = watch::channel(0);
        let mut tasks = JoinSet::new();
        let following = flow.clone();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(&target).await else {
                    continue;
                };
                let (client_read, client_write) = client.into_split();
                let (server_read, server_write) = server.into_split();
                let held = held_sender.clone();
                connections.spawn(pump(
                    client_read,
                    server_write,
                    following.subscribe(),
                    Flow::HoldRequests,
                    held,
                ));
                let held = held_sender.clone();
                connections.spawn(pump(
                    server_read,
                    client_write,
                    following.subscribe(),
                    Flow::HoldAnswers,
                    held,
                ));
            }
        });
        Ok(Self {
            address,
            flow,
            held,
            _tasks: tasks,
        })
    }

    /// Changes what passes, for all connections.
    pub fn set(&self, flow: Flow) {
        self.flow.send_replace(flow);
    }

    /// How many times bytes were kept back so far.
    #[must_use]
    pub fn held(&self) -> u64 {
        *self.held.borrow()
    }
}

async fn pump(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut flow: watch::Receiver<Flow>,
    closed: Flow,
    held: watch::Sender<u64>,
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
