//! One function per endpoint: typed request in, typed answer out, sent once. Nothing here knows what a receipt is.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, RequestBuilder};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use url::Url;

use super::config::AtolSettings;
use super::wire::{self, TokenRequest};
use crate::http::{self, Http, Silence};

/// The type that the documents ask for (v4 document 5.23 §2).
const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

/// One account's endpoints.
pub(super) struct Client {
    http: Http,
    base: Url,
    settings: AtolSettings,
}

/// An answer and what could be read of it.
pub(super) struct Answered<T> {
    pub(super) http: http::Answer,
    /// `None` when the body is not the JSON that is documented.
    pub(super) parsed: Option<T>,
}

impl<T: DeserializeOwned> From<http::Answer> for Answered<T> {
    fn from(http: http::Answer) -> Self {
        // Servers written in .NET may put a byte order mark first, which JSON does not allow.
        let body = http.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&http.body);
        let parsed = serde_json::from_slice(body).ok();
        Self { http, parsed }
    }
}

impl Client {
    pub(super) fn new(http: Http, base: Url, settings: AtolSettings) -> Self {
        Self { http, base, settings }
    }

    /// `POST getToken`. The other form, a GET, would put the password into logs on the way.
    pub(super) async fn get_token(&self, limit: Duration) -> Result<Answered<wire::TokenAnswer>, Silence> {
        let body = TokenRequest {
            login: &self.settings.login,
            pass: self.settings.password.expose_secret(),
            source: self.settings.source.as_deref(),
        };
        let request = self
            .http
            .request(Method::POST, self.token_url())
            // Before the body: `json` adds a type of its own only when there is none.
            .header(CONTENT_TYPE, JSON)
            .json(&body);
        self.http.send(request, limit).await.map(Answered::from)
    }

    /// `POST {group}/{operation}` with the stored bytes.
    pub(super) async fn register(
        &self,
        token: &SecretString,
        operation: &str,
        body: &str,
        limit: Duration,
    ) -> Result<Answered<wire::Answer>, Silence> {
        let request = self
            .http
            .request(Method::POST, self.group_url(&[operation]))
            .header(CONTENT_TYPE, JSON)
            .body(body.to_owned());
        self.http
            .send(with_token(request, token), limit)
            .await
            .map(Answered::from)
    }

    /// `GET {group}/report/{uuid}`.
    pub(super) async fn report(
        &self,
        token: &SecretString,
        uuid: &str,
        limit: Duration,
    ) -> Result<Answered<wire::Answer>, Silence> {
        let request = self.http.request(Method::GET, self.group_url(&["report", uuid]));
        self.http
            .send(with_token(request, token), limit)
            .await
            .map(Answered::from)
    }

    pub(super) fn token_url(&self) -> Url {
        self.url(&["getToken"])
    }

    pub(super) fn group_url(&self, segments: &[&str]) -> Url {
        let mut all = vec![self.settings.group_code.as_str()];
        all.extend_from_slice(segments);
        self.url(&all)
    }

    pub(super) fn password(&self) -> &SecretString {
        &self.settings.password
    }

    /// Each segment is escaped, so that nothing in a setting or in a vendor's uuid leads to another path.
    fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }
}

fn with_token(request: RequestBuilder, token: &SecretString) -> RequestBuilder {
    match HeaderValue::from_str(token.expose_secret()) {
        Ok(mut value) => {
            value.set_sensitive(true);
            request.header("Token", value)
        }
        // Tokens are checked when they arrive; left out, the service answers with its own code for a missing one.
        Err(_) => request,
    }
}
