//! The three methods over HTTP (fact sheet, section 1), each with its fault rules around it.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Uri, header};
use axum::response::Response;
use axum::routing::{get, post};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::callback::Callback;
use super::office::{Acceptance, Schedule};
use super::operation::Operation;
use super::order::{Order, subject_of};
use super::{Atol, NAME, answers, codes, rules, schema};
use crate::books::Status;
use crate::fault_board::Subject;
use crate::faults::{AccountState, Action, Callbacks, Point};
use crate::interference::{Answer, Interference, proxy_page};
use crate::shared::lock;

/// No limit is documented; a receipt of a thousand lines has a quarter of this.
const MOST_BODY_BYTES: usize = 4 << 20;

/// The protocol spoken by the client. The groups here speak v4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Version {
    V4,
    V5,
}

/// Everything below `/possystem`.
pub(crate) fn router(atol: Arc<Atol>) -> Router {
    Router::new()
        .route("/possystem/{version}/getToken", get(get_token).post(get_token))
        .route("/possystem/{version}/getToken/", get(get_token).post(get_token))
        .route("/possystem/{version}/{group}/{operation}", post(register))
        .route("/possystem/{version}/{group}/{operation}/", post(register))
        .route("/possystem/{version}/{group}/report/{uuid}", get(report))
        .route("/possystem/{version}/{group}/report/{uuid}/", get(report))
        .fallback(|| async { proxy_page(404, None) })
        .with_state(atol)
}

async fn get_token(State(atol): State<Arc<Atol>>, Path(version): Path<Version>, request: Request) -> Response {
    let rule = atol.shared.take_rule(Point::GetToken, Subject::of(NAME));
    let interference = Interference::new(&atol.shared, Point::GetToken, rule, answers::on_purpose);
    if let Some(response) = interference.before().await {
        return response;
    }
    let (parts, body) = request.into_parts();
    let body = if parts.method == Method::GET {
        Ok(query(&parts.uri))
    } else {
        json_body(&parts, read(body).await)
    };
    let answer = body.map_or_else(
        |code| answers::refused(&atol.shared, code),
        |body| atol.grant_token(version, &body),
    );
    interference.after(answer).await
}

async fn register(
    State(atol): State<Arc<Atol>>,
    Path((version, group, operation)): Path<(Version, String, String)>,
    request: Request,
) -> Response {
    let _under_way = atol.shared.traffic(Point::Register, &group);
    let (parts, body) = request.into_parts();
    // A fault without a matcher acts before a byte of the body is read.
    let mut unread = Some(body);
    let mut bytes = None;
    if atol.shared.asks_for_subject(Point::Register)
        && let Some(body) = unread.take()
    {
        bytes = Some(read(body).await);
    }
    let known: Value = bytes
        .as_ref()
        .and_then(|bytes| serde_json::from_slice(bytes.as_ref()?).ok())
        .unwrap_or(Value::Null);
    let (external_id, marker) = subject_of(&known);
    let subject = Subject {
        vendor: NAME,
        marker,
        external_id,
        group: Some(&group),
    };
    let rule = atol.shared.take_rule(Point::Register, subject);
    let interference = Interference::new(&atol.shared, Point::Register, rule, answers::on_purpose);
    if let Some(response) = interference.before().await {
        return response;
    }
    if let Some(body) = unread {
        bytes = Some(read(body).await);
    }
    let (answer, early) = match atol.register(version, &group, &operation, &parts, bytes.flatten()) {
        Ok(accepted) => accepted,
        Err(refused) => (refused, None),
    };
    if let Some(callback) = early {
        atol.call_back(&callback).await;
    }
    interference.after(answer).await
}

async fn report(
    State(atol): State<Arc<Atol>>,
    Path((version, group, uuid)): Path<(Version, String, String)>,
    request: Request,
) -> Response {
    let _under_way = atol.shared.traffic(Point::Report, &group);
    let rule = atol.take_rule_for_report(&group, &uuid);
    let interference = Interference::new(&atol.shared, Point::Report, rule, answers::on_purpose);
    if let Some(response) = interference.before().await {
        return response;
    }
    let answer = atol
        .authorise(version, &group, request.headers(), request.uri())
        .map_or_else(|refused| refused, |()| atol.report(&group, &uuid));
    interference.after(answer).await
}

impl Atol {
    fn grant_token(&self, version: Version, body: &Value) -> Answer {
        let faults = rules::faults_of_get_token(body);
        if !faults.is_empty() {
            // Captured with code 32, though the documents say 13 (section 1.3). The wording differs from a receipt's.
            let text = format!(
                "Ошибка валидации входящего чека. Ошибочные поля : {}",
                schema::list(&faults)
            );
            return answers::refused_with(&self.shared, 32, &text);
        }
        match self.shared.account_state() {
            AccountState::Open => {}
            AccountState::WrongPassword => return answers::refused(&self.shared, 12),
            AccountState::Blocked => return answers::refused(&self.shared, 14),
        }
        let (login, password) = (
            body["login"].as_str().unwrap_or_default(),
            body["pass"].as_str().unwrap_or_default(),
        );
        let mut office = lock(&self.office);
        let Some(account) = office.tokens.account(login, password) else {
            return answers::refused(&self.shared, 12);
        };
        if version == Version::V5 {
            return answers::refused(&self.shared, 21);
        }
        let (replica, fresh) = {
            let mut random = self.shared.random();
            (random.usize(..self.settings.replicas.max(1)), new_token(&mut random))
        };
        answers::token(&office.tokens.grant(account, replica, fresh, self.settings.token_life))
    }

    /// The checks that come before any look at the request's content: token, account, protocol, group.
    fn authorise(&self, version: Version, group: &str, headers: &HeaderMap, uri: &Uri) -> Result<(), Answer> {
        let in_query = query(uri);
        let token = headers
            .get("Token")
            .and_then(|token| token.to_str().ok())
            .or_else(|| in_query["token"].as_str());
        let checked = lock(&self.office).tokens.check(token, group);
        let checked = match (self.shared.account_state(), checked) {
            (_, Err(code @ (10 | 11))) => Err(code),
            (AccountState::Blocked, _) => Err(14),
            (AccountState::Open | AccountState::WrongPassword, Ok(())) if version == Version::V5 => Err(21),
            (AccountState::Open | AccountState::WrongPassword, checked) => checked,
        };
        checked.map_err(|code| answers::refused(&self.shared, code))
    }

    /// Takes a document, and processes it at once if nothing delays it. The callback is one that must be made before the
    /// answer is sent.
    fn register(
        self: &Arc<Self>,
        version: Version,
        group: &str,
        operation: &str,
        parts: &Parts,
        body: Option<Bytes>,
    ) -> Result<(Answer, Option<Callback>), Answer> {
        let refused = |code| answers::refused(&self.shared, code);
        self.authorise(version, group, &parts.headers, &parts.uri)?;
        let operation = Operation::parse(operation).ok_or_else(|| refused(31))?;
        let body = json_body(parts, body).map_err(refused)?;
        let refused_vat = self.shared.faults().faults().refused_vat.clone();
        let faults = rules::faults_of_document(operation, &body, &refused_vat);
        if !faults.is_empty() {
            if let Some(external_id) = body["external_id"].as_str() {
                lock(&self.office).note_refused(group, external_id);
            }
            let text = format!(
                "Ошибка валидации входного чека. Ошибочные поля : {}",
                schema::list(&faults)
            );
            return Err(answers::refused_with(&self.shared, 32, &text));
        }
        let order = Order::read(operation, &body);
        let external_id = order.external_id.clone();
        let marker = order.marker().map(str::to_owned);
        let subject = Subject {
            vendor: NAME,
            marker: marker.as_deref(),
            external_id: Some(&external_id),
            group: Some(group),
        };

        let callbacks = self.shared.faults().faults().callbacks;
        let registers_work = self.registers_work();
        let uuid = self.shared.new_uuid();
        let mut at_once = false;
        let mut office = lock(&self.office);
        let acceptance = office.accept(group, uuid, order, || {
            let schedule = self.schedule(subject);
            at_once = registers_work && (schedule.delay.is_zero() || callbacks == Callbacks::Early);
            schedule
        });
        match acceptance {
            Acceptance::Taken { uuid } => Err(answers::duplicate(&self.shared, uuid, &external_id, group)),
            Acceptance::New { uuid, index } if at_once => {
                office.process(index, &mut self.shared.random());
                let callback = Callback::of(office.record(index));
                drop(office);
                if callbacks == Callbacks::Early {
                    return Ok((answers::accepted(uuid), callback));
                }
                self.call_back_later(callback.into_iter().collect());
                Ok((answers::accepted(uuid), None))
            }
            Acceptance::New { uuid, .. } => {
                drop(office);
                self.shared.changed.notify_one();
                Ok((answers::accepted(uuid), None))
            }
        }
    }

    fn schedule(&self, subject: Subject<'_>) -> Schedule {
        let (least, most) = match self.shared.faults().faults().processing_ms {
            Some([least, most]) => (
                std::time::Duration::from_millis(least),
                std::time::Duration::from_millis(most),
            ),
            None => self.settings.delay,
        };
        let mut delay = self.shared.delay_between(least, most);
        let mut fate = None;
        if let Some(rule) = self.shared.take_rule(Point::Processing, subject) {
            delay += rule.delay();
            if let Action::Error(error) = &rule.action {
                fate = Some(codes::report_error(&error.kind, error.code, error.text.as_deref()));
            }
        }
        Schedule {
            delay,
            patience: self.settings.queue_timeout,
            fate,
        }
    }

    fn take_rule_for_report(&self, group: &str, uuid: &str) -> Option<crate::faults::Rule> {
        let of_the_group = Subject {
            group: Some(group),
            ..Subject::of(NAME)
        };
        if !self.shared.asks_for_subject(Point::Report) {
            return self.shared.take_rule(Point::Report, of_the_group);
        }
        let office = lock(&self.office);
        let record = uuid.parse().ok().and_then(|uuid| office.by_uuid(uuid));
        let subject = record.map_or(of_the_group, |record| Subject {
            marker: record.order.marker(),
            external_id: Some(&record.order.external_id),
            ..of_the_group
        });
        self.shared.take_rule(Point::Report, subject)
    }

    fn report(&self, group: &str, uuid: &str) -> Answer {
        let office = lock(&self.office);
        let record = uuid.parse::<Uuid>().ok().and_then(|uuid| office.by_uuid(uuid));
        match record.filter(|record| record.group == group) {
            Some(record) if record.status() == Status::Wait => answers::refused(&self.shared, 34),
            Some(record) => answers::report(record),
            None => {
                let text = format!(
                    "Передан некорректный UUID : \"{uuid}\". Необходимо повторить запрос с корректными данными"
                );
                answers::refused_with(&self.shared, 30, &text)
            }
        }
    }
}

/// The body, unless it is larger than we take or breaks off.
async fn read(body: Body) -> Option<Bytes> {
    axum::body::to_bytes(body, MOST_BODY_BYTES).await.ok()
}

/// The body as JSON, or the code of what is wrong with it as an HTTP request.
fn json_body(parts: &Parts, body: Option<Bytes>) -> Result<Value, i64> {
    let content_type = parts
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/json") {
        return Err(41);
    }
    let body = body.ok_or(40)?;
    serde_json::from_slice(&body).map_err(|_| 40)
}

/// The query as a JSON object, so that the same rules serve both forms of a call.
fn query(uri: &Uri) -> Value {
    let pairs = Query::<std::collections::BTreeMap<String, String>>::try_from_uri(uri);
    pairs.map_or_else(|_| json!({}), |Query(pairs)| json!(pairs))
}

/// 128 characters of the base64url alphabet, as captured.
fn new_token(random: &mut fastrand::Rng) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    (0..128).map(|_| char::from(ALPHABET[random.usize(..64)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_of_the_table_can_be_sent_on_purpose() {
        let shared = crate::shared::Shared::new(1);
        for (code, status) in [(10, 401), (14, 403), (34, 200), (41, 415), (50, 500), (777, 400)] {
            let answer = answers::on_purpose(&shared, &crate::faults::ErrorAnswer::new("system", code));
            assert_eq!(answer.status.as_u16(), status, "{code}");
        }
    }
}
