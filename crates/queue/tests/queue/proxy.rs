//! A TCP proxy that can be cut.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    /// Cancelled and replaced at every cut.
    current: Arc<Mutex<CancellationToken>>,
    end: CancellationToken,
}

impl Proxy {
    pub(crate) async fn start(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let current = Arc::new(Mutex::new(CancellationToken::new()));
        let end = CancellationToken::new();
        let (tokens, ending) = (current.clone(), end.clone());
        let connections = TaskTracker::new();
        connections.clone().spawn(async move {
            while let Some(Ok((mut client, _))) = ending.run_until_cancelled(listener.accept()).await {
                let token = tokens.lock().expect("not poisoned").clone();
                let target = target.clone();
                connections.spawn(async move {
                    let Ok(mut server) = TcpStream::connect(target).await else {
                        return;
                    };
                    token
                        .run_until_cancelled(copy_bidirectional(&mut client, &mut server))
                        .await;
                });
            }
        });
        Self { address, current, end }
    }

    /// Ends all connections; new ones are taken.
    pub(crate) fn cut(&self) {
        let mut current = self.current.lock().expect("not poisoned");
        current.cancel();
        *current = CancellationToken::new();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.end.cancel();
        self.cut();
    }
}
