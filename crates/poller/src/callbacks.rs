//! Callbacks of vendors: `POST /callbacks/{vendor}/{store}/{secret}`.
//!
//! What a callback says is never believed: its body is searched for an id, and what that names is asked about with our
//! own credentials, soon. So a forged callback costs one question at most, and every answer but those about the address
//! and the load is the same 200: nobody learns which ids there are.

mod addresses;
mod strangers;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{DefaultBodyLimit, FromRequest, Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use ledger::{Hint, Ledger, LedgerError, Outage};
use receipt::intake::Directory;
use service::http::{problem, problem_for_now};
use service::metrics;
use vendors::{Named, Registry};

use addresses::Addresses;
use strangers::Strangers;

/// The form of [`receipt::callback::path`].
const ROUTE: &str = "/callbacks/{vendor}/{store}/{secret}";
/// A report has about one kilobyte.
const LONGEST_BODY: usize = 64 * 1024;
/// For the body to arrive.
const READING: Duration = Duration::from_secs(5);
/// For the database to take the hint. How long a vendor waits is documented nowhere; five seconds are common.
const WRITING: Duration = Duration::from_secs(3);
/// When a vendor that comes too often or meets an outage may come again, in seconds.
const COME_AGAIN: u32 = 5;

/// The routes of callbacks: for every store of `directory` that has callback secrets, and every vendor of `registry`
/// that calls. `rate` is how many a second one process takes for one store.
pub fn router(ledger: Ledger, directory: &Directory, registry: &Registry, rate: u32) -> Router {
    let callbacks = Callbacks {
        ledger,
        addresses: Addresses::of(directory, registry, rate),
        strangers: Strangers::default(),
        outage: Mutex::new(Outage::of("callbacks")),
    };
    Router::new()
        .route(ROUTE, post(called).fallback(other_method))
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .with_state(Arc::new(callbacks))
}

struct Callbacks {
    ledger: Ledger,
    addresses: Addresses,
    strangers: Strangers,
    outage: Mutex<Outage>,
}

async fn called(
    State(callbacks): State<Arc<Callbacks>>,
    path: Result<Path<(String, String, String)>, PathRejection>,
    request: Request,
) -> Response {
    // A path that is no text is as wrong as a wrong secret.
    let address = path
        .ok()
        .and_then(|Path((vendor, store, secret))| callbacks.addresses.find(&vendor, &store, &secret));
    let Some(address) = address else {
        callbacks.strangers.one_more();
        metrics::callback("unknown", "refused");
        return problem(StatusCode::NOT_FOUND);
    };
    if !address.pace.allows() {
        metrics::callback(address.vendor.as_str(), "later");
        return problem_for_now(StatusCode::TOO_MANY_REQUESTS, COME_AGAIN);
    }
    let body = match tokio::time::timeout(READING, Bytes::from_request(request, &())).await {
        Ok(Ok(body)) => body,
        Ok(Err(rejection)) => return problem(rejection.status()),
        Err(_) => return problem(StatusCode::REQUEST_TIMEOUT),
    };
    let Named {
        vendor_uuid,
        external_id,
    } = address.named(&body);
    if vendor_uuid.is_none() && external_id.is_none() {
        return StatusCode::OK.into_response();
    }
    let hint = Hint {
        store: address.store.clone(),
        vendor: address.vendor.clone(),
        vendor_uuid,
        external_id,
    };
    tracing::debug!(store = %hint.store, vendor.name = %hint.vendor, "a callback came");
    let answer = match tokio::time::timeout(WRITING, callbacks.ledger.hint(hint)).await {
        Ok(taken) => callbacks.answer(taken),
        Err(_) => problem_for_now(StatusCode::SERVICE_UNAVAILABLE, COME_AGAIN),
    };
    let outcome = if answer.status().is_success() { "taken" } else { "later" };
    metrics::callback(address.vendor.as_str(), outcome);
    answer
}

/// A redirect on the way turns a POST into a GET, which has no body.
async fn other_method() -> Response {
    problem(StatusCode::METHOD_NOT_ALLOWED)
}

impl Callbacks {
    fn answer(&self, taken: Result<(), LedgerError>) -> Response {
        let mut outage = self.outage.lock().unwrap_or_else(PoisonError::into_inner);
        match outage.over(taken) {
            Ok(Some(())) => StatusCode::OK.into_response(),
            Ok(None) => problem_for_now(StatusCode::SERVICE_UNAVAILABLE, COME_AGAIN),
            Err(error) => {
                let error = service::error::chain(&error);
                tracing::error!(
                    error,
                    "a callback cannot be taken; its receipt is asked about at its usual time"
                );
                problem_for_now(StatusCode::SERVICE_UNAVAILABLE, COME_AGAIN)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use receipt::{CallbackSecret, StoreCode, VendorName};

    use super::*;

    #[test]
    fn the_route_has_the_form_of_the_address_in_requests() {
        let (vendor, store) = (
            VendorName::parse("acme").expect("a name"),
            StoreCode::parse("main").expect("a code"),
        );
        let path = receipt::callback::path(&vendor, &store, &CallbackSecret::from("secret"));
        let route = ROUTE
            .replace("{vendor}", "acme")
            .replace("{store}", "main")
            .replace("{secret}", "secret");
        assert_eq!(path, route);
    }
}
