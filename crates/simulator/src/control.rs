//! The control API: reading the books and setting faults, in the process and over HTTP.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};

use crate::atol::Atol;
use crate::books::Books;
use crate::checkonline::CheckOnline;
use crate::fault_board::{FaultsInForce, InvalidFaults};
use crate::faults::Faults;
use crate::shared::Shared;

/// The hand on the simulator. Clones move the same one.
#[derive(Clone, Debug)]
pub struct Control {
    shared: Arc<Shared>,
    atol: Arc<Atol>,
    checkonline: Arc<CheckOnline>,
}

impl Control {
    pub(crate) fn new(shared: Arc<Shared>, atol: Arc<Atol>, checkonline: Arc<CheckOnline>) -> Control {
        Control {
            shared,
            atol,
            checkonline,
        }
    }

    /// The books as they are now.
    pub fn books(&self) -> Books {
        let (mut documents, mut refused) = (self.atol.documents(), self.atol.refused());
        documents.extend(self.checkonline.documents());
        for (external_id, requests) in self.checkonline.refused() {
            *refused.entry(external_id).or_default() += requests;
        }
        Books {
            documents,
            refused,
            answers: self.shared.answers(),
            traffic: self.shared.traffic_so_far(),
        }
    }

    /// The books with only those documents whose first line's name contains `marker`.
    pub fn books_of(&self, marker: &str) -> Books {
        let mut books = self.books();
        books
            .documents
            .retain(|document| document.marker.as_deref().is_some_and(|found| found.contains(marker)));
        books
    }

    /// Forgets all documents and counters. Their external ids are free again, so this belongs between two experiments.
    /// Tokens, faults and the registers' numbering stay.
    pub fn reset_books(&self) {
        self.atol.forget_documents();
        self.checkonline.forget_documents();
        self.shared.forget_answers();
    }

    /// Puts these faults in force in place of all others.
    ///
    /// # Errors
    ///
    /// If they make no sense; then nothing changes.
    pub fn set_faults(&self, faults: Faults) -> Result<(), InvalidFaults> {
        self.shared.faults().set(faults)?;
        self.shared.changed.notify_one();
        Ok(())
    }

    /// The faults in force and how often each rule has acted.
    pub fn faults(&self) -> FaultsInForce {
        self.shared.faults().in_force()
    }

    /// Makes the vendor healthy.
    pub fn clear_faults(&self) {
        self.set_faults(Faults::default()).expect("the healthy state is valid");
    }

    /// Ends the life of every token given out so far: the next call with one gets error 11.
    pub fn expire_tokens(&self) {
        self.atol.expire_tokens();
    }

    /// Registers a document that was reported as failed: the answer was wrong, or the register came back and printed what
    /// the service had given up. No document of the vendor says that this happens, or that it cannot; clients that send
    /// the receipt again under another id rely on it not happening. Its reports say `done` from now on.
    ///
    /// Returns whether there was such a document and the register took it.
    pub fn register_after_all(&self, external_id: &str) -> bool {
        self.atol.register_after_all(external_id)
    }

    /// Closes the shift of every register, so that receipt numbers begin again.
    pub fn close_shifts(&self) {
        self.atol.close_shifts();
        self.checkonline.close_shifts();
    }

    /// Makes CheckOnline's registers forget what they answered, as an hour does. The service's own memory stays.
    pub fn forget_in_devices(&self) {
        self.checkonline.forget_in_devices();
    }
}

#[derive(Deserialize)]
struct BooksQuery {
    marker: Option<String>,
}

/// Everything below `/control`.
pub(crate) fn router(control: Control) -> Router {
    Router::new()
        .route("/control/books", get(show_books).delete(reset_books))
        .route("/control/faults", get(show_faults).put(set_faults).delete(clear_faults))
        .route("/control/tokens/expire", post(expire_tokens))
        .route("/control/shifts/close", post(close_shifts))
        .route("/control/devices/forget", post(forget_in_devices))
        .route("/control/documents/register", post(register_after_all))
        .with_state(control)
}

async fn show_books(State(control): State<Control>, Query(query): Query<BooksQuery>) -> Response {
    json(&match query.marker {
        Some(marker) => control.books_of(&marker),
        None => control.books(),
    })
}

async fn reset_books(State(control): State<Control>) -> StatusCode {
    control.reset_books();
    StatusCode::NO_CONTENT
}

async fn show_faults(State(control): State<Control>) -> Response {
    json(&control.faults())
}

/// Takes the body whatever its content type, so that `curl -T` needs no header.
async fn set_faults(State(control): State<Control>, body: Bytes) -> Result<Response, (StatusCode, String)> {
    let refuse = |why: String| (StatusCode::BAD_REQUEST, format!("{why}\n"));
    let faults: Faults = serde_json::from_slice(&body).map_err(|error| refuse(error.to_string()))?;
    control.set_faults(faults).map_err(|error| refuse(error.to_string()))?;
    tracing::info!(rules = control.faults().faults.rules.len(), "faults set");
    Ok(json(&control.faults()))
}

async fn clear_faults(State(control): State<Control>) -> StatusCode {
    control.clear_faults();
    tracing::info!("faults cleared");
    StatusCode::NO_CONTENT
}

async fn expire_tokens(State(control): State<Control>) -> StatusCode {
    control.expire_tokens();
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct OneDocument {
    external_id: String,
}

async fn register_after_all(State(control): State<Control>, Query(document): Query<OneDocument>) -> StatusCode {
    if control.register_after_all(&document.external_id) {
        StatusCode::NO_CONTENT
    } else {
        StatusCode::NOT_FOUND
    }
}

async fn close_shifts(State(control): State<Control>) -> StatusCode {
    control.close_shifts();
    StatusCode::NO_CONTENT
}

async fn forget_in_devices(State(control): State<Control>) -> StatusCode {
    control.forget_in_devices();
    StatusCode::NO_CONTENT
}

fn json(value: &impl Serialize) -> Response {
    let body = serde_json::to_vec_pretty(value).expect("books and faults have nothing that JSON lacks");
    let mut response = Response::new(Body::from(body));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
