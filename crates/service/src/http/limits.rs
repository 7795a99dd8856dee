//! What every request of a server is held to.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::Response;
use tokio::sync::Semaphore;

use super::{Limits, problem, problem_for_now};

#[derive(Clone)]
struct Held {
    places: Arc<Semaphore>,
    time: Duration,
}

/// The router behind the limits on requests at once and on the time of one.
pub(super) fn around(router: Router, limits: Limits) -> Router {
    let held = Held {
        places: Arc::new(Semaphore::new(limits.requests.min(Semaphore::MAX_PERMITS))),
        time: limits.request,
    };
    router.layer(middleware::from_fn_with_state(held, hold))
}

async fn hold(State(held): State<Held>, request: Request, next: Next) -> Response {
    let Ok(_place) = held.places.try_acquire() else {
        return problem_for_now(StatusCode::SERVICE_UNAVAILABLE, 1);
    };
    tokio::time::timeout(held.time, next.run(request))
        .await
        .unwrap_or_else(|_| problem(StatusCode::REQUEST_TIMEOUT))
}
