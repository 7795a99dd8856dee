//! One connection.

use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// The longest head of a request, in bytes; a longer one gets 431.
const LONGEST_HEAD: usize = 16 * 1024;
/// Lines in a head.
const MOST_HEADERS: usize = 64;

/// Serves requests until the client goes, is too slow with a head, or `stop`.
pub(super) async fn serve(stream: TcpStream, router: Router, head: Duration, stop: CancellationToken) {
    // Only a slower answer would follow from a failure here.
    let _ = stream.set_nodelay(true);
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(head)
        .max_buf_size(LONGEST_HEAD)
        .max_headers(MOST_HEADERS);
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "a connection ended");
    }
}
