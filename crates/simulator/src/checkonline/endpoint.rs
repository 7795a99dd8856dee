//! `POST /fr/api/v2/Complex`, with its fault rules around it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::post;
use axum::{Extension, Router};
use bytes::Bytes;

use super::codes::{CloudError, Refused};
use super::office::{Entrance, Failure, Fate, Key, key};
use super::order::Order;
use super::tls::Peer;
use super::{CheckOnline, NAME, answers};
use crate::fault_board::Subject;
use crate::faults::{Action, Certificates, Point, Registers, When};
use crate::interference::{Answer, Interference, page, proxy_page};
use crate::shared::lock;

/// No limit is documented.
const MOST_BODY_BYTES: usize = 4 << 20;

/// The only path of the cloud that customers use.
pub(super) fn router(checkonline: Arc<CheckOnline>) -> Router {
    Router::new()
        .route("/fr/api/v2/Complex", post(complex))
        .fallback(|| async { proxy_page(404, None) })
        .with_state(checkonline)
}

async fn complex(
    State(checkonline): State<Arc<CheckOnline>>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Response {
    let group = match peer {
        // A connection outlives its certificate; the next request over it does not.
        Peer::Enterprise(group) if checkonline.shared.faults().faults().certificates != Certificates::Revoked => group,
        Peer::Enterprise(_) | Peer::Refused => return nginx("400 The SSL certificate error"),
        Peer::Nobody => return nginx("400 No required SSL certificate was sent"),
    };
    let bytes = axum::body::to_bytes(request.into_body(), MOST_BODY_BYTES).await.ok();
    let order = match &bytes {
        Some(bytes) => Order::read(bytes).map_err(|words| CloudError::of(2).saying(words)),
        None => Err(CloudError::of(1)),
    };
    let subject = Subject {
        vendor: NAME,
        marker: order.as_ref().ok().and_then(Order::marker),
        external_id: order.as_ref().ok().and_then(|order| order.requestid.as_deref()),
        group: Some(group),
    };
    let rule = checkonline.shared.take_rule(Point::Register, subject);
    let interference = Interference::new(&checkonline.shared, Point::Register, rule, answers::on_purpose);
    if let Some(response) = interference.before().await {
        return response;
    }
    let answer = match order {
        Ok(order) => checkonline.register(group, order).await,
        Err(error) => answers::cloud(&error),
    };
    interference.after(answer).await
}

impl CheckOnline {
    async fn register(self: &Arc<Self>, group_of_certificate: &str, order: Order) -> Answer {
        let refused = |code| answers::cloud(&CloudError::of(code));
        let Some(request_id) = order.requestid.clone().filter(|id| !id.is_empty()) else {
            return refused(17);
        };
        match order.device.as_deref() {
            None | Some("") => return refused(3),
            Some("auto") => {}
            Some(_) => return refused(8),
        }
        // A certificate speaks for one enterprise here, so no other has a device for it.
        if !order.group.is_empty() && order.group != group_of_certificate {
            return refused(5);
        }
        let key = key(group_of_certificate, &order, &request_id);
        match lock(&self.office).enter(&key, &order) {
            Entrance::Answered(answer) => return answer,
            Entrance::Admitted => {}
        }
        // What a register has begun it ends, whether or not somebody still listens.
        let work = self.works.spawn(Arc::clone(self).work(key, order));
        work.await.unwrap_or_else(|_| answers::cloud(&CloudError::of(6)))
    }

    async fn work(self: Arc<Self>, key: Key, order: Order) -> Answer {
        let subject = Subject {
            vendor: NAME,
            marker: order.marker(),
            external_id: Some(&key.1),
            group: Some(&key.0),
        };
        let registers = self.shared.faults().faults().registers;
        let (delay, fate) = match registers {
            Registers::On => self.plan(subject),
            Registers::Off => (Duration::ZERO, Some(Fate::Before(Failure::Cloud(CloudError::of(5))))),
        };
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let mut office = lock(&self.office);
        office.work(
            &key,
            &order,
            fate.as_ref(),
            self.settings.registers,
            &mut self.shared.random(),
        )
    }

    /// How long the register takes, and what goes wrong at it.
    fn plan(&self, subject: Subject<'_>) -> (Duration, Option<Fate>) {
        let (least, most) = match self.shared.faults().faults().processing_ms {
            Some([least, most]) => (Duration::from_millis(least), Duration::from_millis(most)),
            None => self.settings.delay,
        };
        let usual = self.shared.delay_between(least, most);
        let Some(rule) = self.shared.take_rule(Point::Processing, subject) else {
            return (usual, None);
        };
        let failure = match &rule.action {
            Action::Error(error) if error.kind == "device" => Failure::Device(Refused {
                code: error.code,
                messages: error.text.iter().cloned().collect(),
            }),
            Action::Error(error) => Failure::Cloud(match &error.text {
                Some(text) => CloudError::of(error.code).saying(text.clone()),
                None => CloudError::of(error.code),
            }),
            Action::Nothing | Action::Cut | Action::Status { .. } | Action::Garbage(_) => {
                return (usual + rule.delay(), None);
            }
        };
        let fate = match rule.when {
            When::Before => Fate::Before(failure),
            When::After => Fate::After(failure),
        };
        (usual + rule.delay(), Some(fate))
    }
}

/// What a web server says to a client whose certificate it does not like (section 1).
fn nginx(title: &str) -> Response {
    let mut response = Response::new(Body::from(Bytes::from(page(title))));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    let html = HeaderValue::from_static("text/html");
    response.headers_mut().insert(header::CONTENT_TYPE, html);
    response
}
