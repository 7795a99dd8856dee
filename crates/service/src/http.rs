//! The HTTP server of a role: one listener, and limits on everything that a stranger can make it hold.
//!
//! It speaks HTTP/1.1 without TLS and stands behind a proxy that has the certificate. Nothing of a request is logged:
//! paths and headers hold secrets.

mod connection;
mod limits;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long the loop rests when the system has no more connections to give.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// What one server holds at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once; further ones wait in the system's queue.
    pub connections: usize,
    /// Requests that are being answered at once; further ones get 503 at once.
    pub requests: usize,
    /// The time for a request's head, and for an idle connection.
    pub head: Duration,
    /// The time for everything from the head to the answer; then 408.
    pub request: Duration,
    /// The time that answers under way have after the stop.
    pub drain: Duration,
}

/// The address can't be listened on.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot listen on {address} for HTTP; set `http.listen` (KASSA_HTTP__LISTEN) to a free address of this machine"
)]
pub struct HttpError {
    address: SocketAddr,
    source: io::Error,
}

/// A bound listener and what it serves. Cheap to clone; [`Server::run`] of any clone may be called again after it ended.
#[derive(Debug, Clone)]
pub struct Server {
    listener: Arc<TcpListener>,
    address: SocketAddr,
    router: Router,
    limits: Limits,
    connections: Arc<Semaphore>,
}

impl Server {
    /// Listens from now on; connections wait until [`Server::run`] takes them.
    ///
    /// # Errors
    /// When the address can't be bound; the message names the address and the cure.
    pub async fn bind(listen: SocketAddr, router: Router, limits: Limits) -> Result<Self, HttpError> {
        let failed = |source| HttpError {
            address: listen,
            source,
        };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        Ok(Self {
            address: listener.local_addr().map_err(failed)?,
            listener: Arc::new(listener),
            router: limits::around(router.fallback(not_found), limits),
            limits,
            connections: Arc::new(Semaphore::new(limits.connections.min(Semaphore::MAX_PERMITS))),
        })
    }

    /// The bound address, with the real port where port 0 was asked for.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`, then lets answers under way end within the drain and closes every connection.
    pub async fn run(&self, stop: &CancellationToken) {
        let mut open = JoinSet::new();
        while let Some(accepted) = stop.run_until_cancelled(self.accept(&mut open)).await {
            match accepted {
                Ok((stream, place)) => {
                    let served = connection::serve(stream, self.router.clone(), self.limits.head, stop.clone());
                    open.spawn(async move {
                        served.await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "no connection can be accepted");
                    stop.run_until_cancelled(tokio::time::sleep(EXHAUSTED)).await;
                }
            }
        }
        let drained = tokio::time::timeout(self.limits.drain, async { while open.join_next().await.is_some() {} });
        if drained.await.is_err() {
            tracing::warn!(
                "{} connections had no answer at the end of the drain and are closed",
                open.len()
            );
            open.shutdown().await;
        }
    }

    /// The next connection, once there is a place for it.
    async fn accept(
        &self,
        open: &mut JoinSet<()>,
    ) -> io::Result<(tokio::net::TcpStream, tokio::sync::OwnedSemaphorePermit)> {
        while open.try_join_next().is_some() {}
        let place = Arc::clone(&self.connections)
            .acquire_owned()
            .await
            .map_err(io::Error::other)?;
        let (stream, _) = self.listener.accept().await?;
        Ok((stream, place))
    }
}

/// An error as RFC 9457 has it, without a word that the status does not say.
#[must_use]
pub fn problem(status: StatusCode) -> Response {
    let title = status.canonical_reason().unwrap_or("Error");
    let body = format!(
        r#"{{"type":"about:blank","title":"{title}","status":{}}}"#,
        status.as_u16()
    );
    let headers = [
        (header::CONTENT_TYPE, "application/problem+json"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (status, headers, body).into_response()
}

/// The same for an error that passes: the client should come again after some seconds.
#[must_use]
pub fn problem_for_now(status: StatusCode, seconds: u32) -> Response {
    let mut response = problem(status);
    response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    response
}

async fn not_found() -> Response {
    problem(StatusCode::NOT_FOUND)
}
