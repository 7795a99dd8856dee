//! Carrying out a fault rule on one request.

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;

use crate::faults::{Action, ErrorAnswer, Garbage, Point, Rule, When};
use crate::server;
use crate::shared::Shared;

/// How a vendor writes an error that a rule asks for.
pub(crate) type WriteError = fn(&Shared, &ErrorAnswer) -> Answer;

/// What goes back to the client, and the name under which it is counted.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
    /// What the counters call it, beside the call and the status: `done`, `system:33` …
    pub(crate) label: String,
    /// Headers beside the content type.
    pub(crate) headers: Vec<(&'static str, String)>,
}

/// The rule chosen for one request, if any.
#[derive(Debug)]
pub(crate) struct Interference<'a> {
    shared: &'a Shared,
    point: Point,
    rule: Option<Rule>,
    write_error: WriteError,
}

impl<'a> Interference<'a> {
    pub(crate) fn new(shared: &'a Shared, point: Point, rule: Option<Rule>, write_error: WriteError) -> Self {
        Interference {
            shared,
            point,
            rule,
            write_error,
        }
    }

    /// Acts before the request is carried out. An answer here means that it must not be.
    pub(crate) async fn before(&self) -> Option<Response> {
        match &self.rule {
            Some(rule) if rule.when == When::Before => self.act(rule, None).await.ok(),
            Some(_) | None => None,
        }
    }

    /// Acts on the answer of a request that was carried out, and counts what goes out.
    pub(crate) async fn after(&self, answer: Answer) -> Response {
        match &self.rule {
            Some(rule) if rule.when == When::After => match self.act(rule, Some(&answer)).await {
                Ok(spoiled) => spoiled,
                Err(Untouched) => self.send(answer),
            },
            Some(_) | None => self.send(answer),
        }
    }

    fn send(&self, answer: Answer) -> Response {
        self.shared.count(format!(
            "{} {} {}",
            self.point.as_str(),
            answer.status.as_u16(),
            answer.label
        ));
        written(answer)
    }

    async fn act(&self, rule: &Rule, answer: Option<&Answer>) -> Result<Response, Untouched> {
        if rule.delay_ms > 0 {
            tokio::time::sleep(rule.delay()).await;
        }
        let (kind, response) = match &rule.action {
            Action::Nothing => return Err(Untouched),
            Action::Cut => ("cut".to_owned(), server::cut()),
            Action::Status { code, retry_after } => (code.to_string(), proxy_page(*code, *retry_after)),
            Action::Error(error) => {
                let answer = (self.write_error)(self.shared, error);
                (answer.label.clone(), written(answer))
            }
            Action::Garbage(garbage) => (format!("garbage {}", garbage.as_str()), nonsense(*garbage, answer)),
        };
        self.shared.count(format!("{} fault {kind}", self.point.as_str()));
        Ok(response)
    }
}

/// The rule lets the request or its answer pass.
struct Untouched;

fn written(answer: Answer) -> Response {
    let mut response = json(answer.status, answer.body);
    for (name, value) in answer.headers {
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn json(status: StatusCode, body: Bytes) -> Response {
    respond(status, "application/json; charset=utf-8", body)
}

fn respond(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

pub(crate) fn page(title: &str) -> String {
    format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body><center><h1>{title}</h1></center></body>\r\n</html>\r\n"
    )
}

/// The page a proxy in front of the vendor answers with.
pub(crate) fn proxy_page(code: u16, retry_after: Option<u64>) -> Response {
    let status = StatusCode::from_u16(code).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut response = respond(status, "text/html", page(&status.to_string()));
    if let Some(seconds) = retry_after {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn nonsense(garbage: Garbage, answer: Option<&Answer>) -> Response {
    const EXAMPLE: &[u8] = br#"{"uuid": "6a0d3f3c-91b5-4d6e-b0f8-0c8d2f7a4e15", "status": "wait"}"#;
    let whole = answer.map_or(Bytes::from_static(EXAMPLE), |answer| answer.body.clone());
    match garbage {
        Garbage::Html => respond(StatusCode::OK, "text/html", page("Maintenance")),
        Garbage::Truncated => json(StatusCode::OK, whole.slice(..whole.len() / 2)),
        Garbage::InvalidUtf8 => {
            let mut broken = whole.to_vec();
            let middle = broken.len() / 2;
            broken.splice(middle..middle, [0xC3, 0x28, 0xFF]);
            json(StatusCode::OK, broken.into())
        }
        Garbage::Empty => json(StatusCode::OK, Bytes::new()),
    }
}
