//! `POST /v1/receipts`.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use receipt::intake::{self, NotAccepted};
use receipt::{StateName, TransactionId};
use serde_json::Value;
use tokio::time::Instant;

use super::auth::Caller;
use super::problem::Problem;
use super::{Api, body, prefer, view};
use crate::accept::{AcceptError, Newness};
use crate::key::Right;

/// Somebody who waits looks after so long, then after twice as long, up to the longest.
const FIRST_LOOK: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Submit a receipt.
///
/// Accepts a receipt once. When the answer is a 2xx the receipt is registered, whatever becomes of any process. Store,
/// operation, document number and part are the key: sending the same again changes nothing and answers 200 with the same
/// id, so a request that got no answer, or a 5xx, is simply sent again. Another content for a document whose receipt has
/// certainly failed is accepted as its correction; for any other document it is a conflict (409).
#[utoipa::path(
    post,
    path = "/v1/receipts",
    operation_id = "submitReceipt",
    tag = "receipts",
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "Not needed, for the document is the key. A key that \
            was used for another document of the store is refused with 422.", min_length = 1, max_length = 255),
        ("Prefer" = Option<String>, Header, description = "`wait=N`: answer when the outcome is known, after N seconds at \
            most. `Preference-Applied` tells for how long kassa was willing to wait.", example = "wait=5"),
    ),
    responses(
        (status = 200, description = "The same was accepted before; nothing has changed.", body = super::contract::Receipt,
            headers(
                ("Location" = String, description = "Path of the receipt."),
                ("ETag" = String, description = "Version of the receipt."),
                ("Preference-Applied" = Option<String>, description = "`wait=N`, if it was waited."))),
        (status = 201, description = "Accepted, and its outcome was known within the wait that was asked for: see `state`.",
            body = super::contract::Receipt,
            headers(
                ("Location" = String, description = "Path of the receipt."),
                ("ETag" = String, description = "Version of the receipt."),
                ("Preference-Applied" = Option<String>, description = "`wait=N`, if it was waited."))),
        (status = 202, description = "Accepted: kassa registers it from here on.", body = super::contract::Receipt,
            headers(
                ("Location" = String, description = "Path of the receipt."),
                ("ETag" = String, description = "Version of the receipt."),
                ("Preference-Applied" = Option<String>, description = "`wait=N`, if it was waited."))),
        (status = 400, description = "The body is not JSON, or a header cannot be read."),
        (status = 409, description = "The document was accepted before with another content, or its number differs from \
            another document's in letter case only."),
        (status = 413, description = "The body is longer than 256 KiB."),
        (status = 415, description = "The body says that it is not JSON."),
        (status = 422, description = "The request breaks the contract, each fault with its JSON pointer and the cure; or \
            the `Idempotency-Key` was used for another document."),
    ),
)]
pub(super) async fn submit(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Arc<Caller>>,
    headers: HeaderMap,
    bytes: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    caller.needs(Right::Submit)?;
    let bytes = body::json_bytes(&headers, bytes)?;
    let key = prefer::idempotency_key(&headers)?;
    let subject = match api.directory.read(&bytes, None, None) {
        Ok(asked) => asked.subject(),
        Err(why) => {
            if let NotAccepted::UnknownStore(store) = &why {
                caller.needs_store(store)?;
            }
            return Err(why.into());
        }
    };
    caller.needs_store(&subject.store)?;
    if let Some(key) = &key {
        let bound = async {
            let bound = api.ledger.bind_idempotency_key(key, &subject).await;
            bound.map_err(|error| Problem::ledger(&error))
        };
        if !api.within(bound).await? {
            return Err(key_reused());
        }
    }
    let accepted = api
        .within(async { api.producer.accept(&bytes).await.map_err(not_accepted) })
        .await?;

    let wait = prefer::wait(&headers, api.limits.longest_wait);
    let waited = match wait {
        Some(wait) => api.outcome(accepted.id, wait).await,
        None => None,
    };
    let row = api
        .within(async {
            let row = api.ledger.transaction(accepted.id).await;
            row.map_err(|error| Problem::ledger(&error))
        })
        .await?
        .ok_or_else(Problem::mistake)?;
    let is_settled = row.state.parse().is_ok_and(is_settled);
    let status = match accepted.newness {
        Newness::Known => StatusCode::OK,
        Newness::New if waited.is_some() && is_settled => StatusCode::CREATED,
        Newness::New => StatusCode::ACCEPTED,
    };
    let mut more: Vec<(HeaderName, HeaderValue)> = Vec::new();
    more.extend(header_value(header::LOCATION, format!("/v1/receipts/{}", accepted.id)));
    if let Some(wait) = waited {
        let applied = format!("wait={}", wait.as_secs());
        more.extend(header_value(HeaderName::from_static("preference-applied"), applied));
    }
    Ok(view::answer(status, &row, view::receipt(&row), more))
}

fn header_value(name: HeaderName, value: String) -> Option<(HeaderName, HeaderValue)> {
    HeaderValue::try_from(value).ok().map(|value| (name, value))
}

impl Api {
    /// Waits until nothing more happens by itself, or the time is over. Returns for how long it was willing to wait;
    /// `None` when too many wait already.
    async fn outcome(&self, id: TransactionId, wait: Duration) -> Option<Duration> {
        let _place = self.waiting.try_acquire().ok()?;
        let deadline = Instant::now() + wait;
        let mut pause = FIRST_LOOK;
        let looking = async {
            loop {
                tokio::time::sleep(pause).await;
                match self.ledger.state_of(id).await {
                    Ok(Some(state)) if !is_settled(state) => {}
                    // Nothing to wait for any more, or nobody to ask: the answer says what is known.
                    Ok(_) | Err(_) => return,
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        };
        tokio::select! {
            () = looking => {}
            () = tokio::time::sleep_until(deadline) => {}
            () = self.stop.cancelled() => {}
        }
        Some(wait)
    }
}

/// Whether nothing more happens to it by itself.
const fn is_settled(state: StateName) -> bool {
    match state {
        StateName::Held | StateName::Done | StateName::Unknown | StateName::Failed | StateName::Cancelled => true,
        StateName::Queued | StateName::Sending | StateName::Waiting | StateName::Retrying => false,
    }
}

fn key_reused() -> Problem {
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "key_reused",
        "Этот Idempotency-Key уже использован для другого документа. Возьмите новый ключ или не указывайте его: ключом \
         служит сам документ.",
        "This Idempotency-Key was used for another document. Take a new one, or leave it out: the document is the key.",
    )
}

fn not_accepted(why: AcceptError) -> Problem {
    match why {
        AcceptError::NotAccepted(why) => why.into(),
        AcceptError::Conflict { id, state } => {
            Problem::of(StatusCode::CONFLICT, "conflict", &intake::conflict(id, state))
                .with("transaction_id", id)
                .with("state", state)
        }
        AcceptError::KeyTaken => Problem::of(StatusCode::CONFLICT, "key_taken", &intake::key_taken()),
        AcceptError::Ledger(error) => Problem::ledger(&error),
    }
}

impl Problem {
    /// A problem document of the intake, with a status.
    fn of(status: StatusCode, code: &'static str, document: &Value) -> Self {
        let text = |name: &str| document[name].as_str().unwrap_or_default().to_owned();
        Self::new(status, code, text("detail_ru"), text("detail"))
    }
}
