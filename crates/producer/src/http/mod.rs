//! The HTTP API, version 1: intake, reading and actions, behind keys.
//!
//! Whatever comes gets an answer that `schema/openapi.v1.json` has. Nothing of a request is logged.

mod act;
mod auth;
mod body;
mod contract;
mod if_match;
mod intake;
mod list;
mod openapi;
mod prefer;
mod problem;
mod read;
mod send;
mod view;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::DefaultBodyLimit;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, middleware};
use ledger::Ledger;
use receipt::intake::Directory;
use receipt::request::LONGEST_BODY;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::accept::Producer;
use auth::Keys;
use problem::Problem;

pub use openapi::document as openapi;

/// For the database to answer. Shorter than what a server gives to a whole request, so that the answer is ours.
const DATABASE: Duration = Duration::from_secs(8);

/// What the API is held to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Requests a second that one process takes with one key; five seconds of it may come at once.
    pub key_rate: u32,
    /// Requests with one key that one process answers at once.
    pub key_requests: usize,
    /// The longest time that a request may ask to wait for the outcome.
    pub longest_wait: Duration,
    /// Requests of one process that may wait at once; further ones are answered without waiting.
    pub waiting: usize,
}

/// What every request finds.
struct Api {
    ledger: Ledger,
    directory: Arc<Directory>,
    producer: Producer,
    keys: Keys,
    limits: Limits,
    /// Between two sends of one external id.
    quiet_time: Duration,
    waiting: Semaphore,
    stop: CancellationToken,
}

impl Api {
    /// An answer that needs the database, or that it is away.
    async fn within<T>(&self, answer: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
        tokio::time::timeout(DATABASE, answer)
            .await
            .unwrap_or_else(|_| Err(Problem::outage()))
    }
}

/// The routes under `/v1`, and `/openapi.json`. `quiet_time` is the senders' (`sender.quiet_time`). `stop` ends every wait for an outcome: what was accepted stays accepted.
pub fn router(
    ledger: Ledger,
    directory: Arc<Directory>,
    producer: Producer,
    limits: Limits,
    quiet_time: Duration,
    stop: CancellationToken,
) -> Router {
    let api = Arc::new(Api {
        keys: Keys::new(ledger.clone(), limits),
        waiting: Semaphore::new(limits.waiting.min(Semaphore::MAX_PERMITS)),
        ledger,
        directory,
        producer,
        limits,
        quiet_time,
        stop,
    });
    let behind_keys = Router::new()
        .route("/v1/receipts", post(intake::submit).get(list::list))
        .route("/v1/receipts/{id}", get(read::read))
        .route("/v1/receipts/{id}/cancel", post(act::cancel))
        .route("/v1/receipts/{id}/resolve", post(act::resolve))
        .route("/v1/receipts/{id}/refresh", post(act::refresh))
        .route("/v1/receipts/{id}/resend", post(send::resend))
        .route("/v1/receipts/{id}/resell", post(send::resell))
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&api), auth::admit))
        .with_state(api);
    Router::new()
        .route("/openapi.json", get(description))
        .merge(behind_keys)
        .method_not_allowed_fallback(other_method)
}

async fn description() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], openapi::text()).into_response()
}

async fn other_method() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "Этот адрес не принимает такой метод; принимаемые перечислены в заголовке Allow.",
        "This address does not take the method; the header Allow lists those that it takes.",
    )
}
