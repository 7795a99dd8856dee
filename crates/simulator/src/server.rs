//! The listener. It differs from a plain web server in one thing: an answer marked [`Cut`] is never written, the
//! connection is closed instead.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long requests in progress may take to end once the server is told to stop.
const DRAIN: Duration = Duration::from_secs(2);

/// Marks an answer in whose place the connection is closed without a byte.
#[derive(Clone, Copy, Debug)]
struct Cut;

/// The answer that is none.
pub(crate) fn cut() -> Response {
    let mut response = Response::new(Body::empty());
    response.extensions_mut().insert(Cut);
    response
}

/// Serves until `stop`, then lets requests in progress end for a moment and closes every connection.
pub(crate) async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let serve_one = |stream, stop| connection(stream, router.clone(), stop);
    serve_with(listener, serve_one, stop).await;
}

/// The same with a way of one's own to serve a connection.
pub(crate) async fn serve_with<F, Fut>(listener: TcpListener, serve_one: F, stop: CancellationToken)
where
    F: Fn(TcpStream, CancellationToken) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    // Only slower answers would follow from a failure here.
                    let _ = stream.set_nodelay(true);
                    connections.spawn(serve_one(stream, stop.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
        }
    }
    drop(listener);
    let drained = tokio::time::timeout(DRAIN, async { while connections.join_next().await.is_some() {} }).await;
    if drained.is_err() {
        connections.shutdown().await;
    }
}

/// Serves one connection, encrypted or not.
pub(crate) async fn connection<S>(stream: S, router: Router, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let router = TowerToHyperService::new(router);
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let answer = router.call(request);
        async move {
            match answer.await {
                // An error from the service is what makes hyper close the connection without writing anything.
                Ok(response) if response.extensions().get::<Cut>().is_some() => {
                    Err(std::io::Error::from(std::io::ErrorKind::ConnectionAborted))
                }
                Ok(response) => Ok(response),
                Err(never) => match never {},
            }
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}
