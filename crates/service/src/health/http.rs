//! The probes over HTTP.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use axum::extract::State as Shared;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{CheckReport, Health, LoopReport, State};
use crate::metrics::Metrics;

/// The probes can't be served.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for health probes; {}", cure(source))]
pub struct HealthError {
    address: SocketAddr,
    source: io::Error,
}

fn cure(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::AddrInUse => "end what uses this port or set `health.listen` (KASSA_HEALTH__LISTEN) to another one",
        ErrorKind::PermissionDenied => "set `health.listen` (KASSA_HEALTH__LISTEN) to a port above 1023",
        ErrorKind::AddrNotAvailable => "set `health.listen` (KASSA_HEALTH__LISTEN) to an address of this machine",
        _ => "check `health.listen` (KASSA_HEALTH__LISTEN)",
    }
}

/// The listener of the probes; dropped, it stops answering. Keep it until the process ends: while work is being
/// finished after a stop, `/healthz` goes on saying that the process lives.
#[derive(Debug)]
pub struct Listening {
    address: SocketAddr,
    /// Dropped, it ends its task.
    _server: JoinSet<io::Result<()>>,
}

impl Listening {
    /// The bound address, with the real port where port 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Answers the probes and `/metrics` on `listen`. From the moment `stop` is cancelled `/readyz` is 503, so that no new work is routed here.
///
/// # Errors
/// When the address can't be bound; the message names the address and the cure.
pub async fn serve(
    listen: SocketAddr,
    health: Health,
    metrics: Option<Metrics>,
    stop: CancellationToken,
) -> Result<Listening, HealthError> {
    let failed = |source| HealthError {
        address: listen,
        source,
    };
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let mut server = JoinSet::new();
    server.spawn(axum::serve(listener, router(health, metrics, stop)).into_future());
    Ok(Listening {
        address,
        _server: server,
    })
}

/// `/healthz`, `/readyz` and `/metrics`. Nothing is logged.
fn router(health: Health, metrics: Option<Metrics>, stop: CancellationToken) -> Router {
    let mut router = Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(Probed { health, stop });
    if let Some(metrics) = metrics {
        router = router.route("/metrics", get(move || async move { told(&metrics) }));
    }
    router
}

fn told(metrics: &Metrics) -> impl IntoResponse + use<> {
    let format = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (format, metrics.render())
}

#[derive(Clone)]
struct Probed {
    health: Health,
    stop: CancellationToken,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Fail,
    Stopping,
}

impl Verdict {
    fn status(&self) -> StatusCode {
        match self {
            Verdict::Ok => StatusCode::OK,
            Verdict::Fail | Verdict::Stopping => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

#[derive(Serialize)]
struct Liveness {
    status: Verdict,
    /// Names of the loops that keep failing.
    dead: Vec<String>,
    loops: Vec<LoopReport>,
}

#[derive(Serialize)]
struct Readiness {
    status: Verdict,
    checks: Vec<CheckReport>,
}

async fn healthz(Shared(probed): Shared<Probed>) -> impl IntoResponse {
    let loops = probed.health.loops();
    let dead: Vec<_> = loops
        .iter()
        .filter(|report| !report.alive)
        .map(|report| report.name.clone())
        .collect();
    let status = if dead.is_empty() { Verdict::Ok } else { Verdict::Fail };
    answer(status.status(), Liveness { status, dead, loops })
}

async fn readyz(Shared(probed): Shared<Probed>) -> impl IntoResponse {
    let checks = probed.health.checks();
    let ready = checks.iter().all(|check| match check.state {
        State::Ok | State::Warn => true,
        State::Fail => false,
    });
    let status = if probed.stop.is_cancelled() {
        Verdict::Stopping
    } else if ready {
        Verdict::Ok
    } else {
        Verdict::Fail
    };
    answer(status.status(), Readiness { status, checks })
}

fn answer(status: StatusCode, body: impl Serialize) -> impl IntoResponse {
    (status, [(header::CACHE_CONTROL, "no-store")], Json(body))
}
