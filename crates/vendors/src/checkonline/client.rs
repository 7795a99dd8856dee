//! The one endpoint: bytes in, a typed answer out, sent once. Nothing here knows what a receipt is.

use std::time::Duration;

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use url::Url;

use super::credentials::{Credentials, Unusable};
use super::wire;
use crate::http::{self, Silence};
use crate::vendor::Origin;

const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

/// Headers that say where a repeated answer comes from (manual 3.2.0, list of changes); their values are not documented.
const CACHE_HEADERS: [&str; 2] = ["X-From-FCE-Cache", "X-From-Cache"];

/// One account's endpoint.
pub(super) struct Client {
    credentials: Credentials,
    endpoint: Url,
}

/// An answer and what could be read of it.
pub(super) struct Answered {
    pub(super) http: http::Answer,
    /// `None` when the body is not the JSON that is documented.
    pub(super) parsed: Option<wire::Answer>,
}

/// Why there is no answer.
pub(super) enum NoAnswer {
    /// Nothing was sent: we cannot show who we are.
    NotSent(Box<Unusable>),
    /// The call came to nothing.
    Silence(Silence),
}

impl From<http::Answer> for Answered {
    fn from(http: http::Answer) -> Self {
        let parsed = wire::Answer::parse(&http.body);
        Self { http, parsed }
    }
}

impl Answered {
    /// Whether the service, or the register for it, repeats what it answered to an earlier try of the same id.
    pub(super) fn origin(&self) -> Origin {
        let repeated = CACHE_HEADERS.iter().any(|name| self.http.headers.contains_key(*name));
        if repeated { Origin::Memory } else { Origin::Fresh }
    }
}

impl Client {
    pub(super) fn new(credentials: Credentials, base: &Url) -> Self {
        let mut endpoint = base.clone();
        if let Ok(mut path) = endpoint.path_segments_mut() {
            path.pop_if_empty().extend(["fr", "api", "v2", "Complex"]);
        }
        Self { credentials, endpoint }
    }

    pub(super) const fn endpoint(&self) -> &Url {
        &self.endpoint
    }

    pub(super) const fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// `POST Complex` with the stored bytes.
    pub(super) async fn complex(&self, body: &str, limit: Duration) -> Result<Answered, NoAnswer> {
        let http = self.credentials.http().await.map_err(NoAnswer::NotSent)?;
        let request = http
            .request(Method::POST, self.endpoint.clone())
            .header(CONTENT_TYPE, JSON)
            .body(body.to_owned());
        http.send(request, limit)
            .await
            .map(Answered::from)
            .map_err(NoAnswer::Silence)
    }
}
