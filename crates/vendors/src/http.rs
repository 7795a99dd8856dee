//! The one HTTP client of the crate.
//!
//! Beside the usual limits it answers the question that decides about money: *could the vendor have seen the request?*
//! Whatever is not certainly unsent counts as seen. The answer comes from error types and never from their texts.
//!
//! HTTP/1.1 only. A connection carries one request at a time, so a connection that breaks puts one receipt in doubt
//! and not all that shared it; and a request is either taken from a connection untouched or was begun on it.
//! Nothing is repeated here, with one exception inside hyper that is safe: a request that was handed to a kept
//! connection which turns out to be closed *before its first byte was written* comes back whole and goes out on another
//! connection. `a_kept_connection_that_breaks_under_a_request_is_not_used_for_a_second_copy` holds that.

mod silence;

use std::time::Duration;

use jiff::Timestamp;
use receipt::policy::LONGEST_RETRY_AFTER;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Certificate, Identity, Method, RequestBuilder, redirect, retry};
use serde::{Deserialize, Serialize};
use url::Url;

pub(crate) use silence::{Effect, How, Silence, TRANSPORT};

/// The longest answer that is read. A vendor's answers have a few hundred bytes.
const LONGEST_ANSWER: usize = 1024 * 1024;

/// An idle connection is dropped after this time, well before servers do it (60 to 75 seconds are usual), because a
/// connection that the server closes just as we write costs a doubt.
const LONGEST_IDLE: Duration = Duration::from_secs(15);

/// Time limits of one call to a vendor, for all accounts whose section has none of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CallTimeouts {
    /// For DNS, TCP and TLS together. What fails here was certainly not sent. Default 5 seconds.
    #[serde(with = "humantime_serde")]
    pub connect: Duration,
    /// For one question to a vendor with everything that belongs to it: token, connection, a repetition with a fresh
    /// token, the last byte of the answer. Default 30 seconds.
    #[serde(with = "humantime_serde")]
    pub call: Duration,
}

impl Default for CallTimeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            call: Duration::from_secs(30),
        }
    }
}

impl CallTimeouts {
    /// Everything that cannot work, one sentence each, naming the key.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.connect.is_zero() {
            faults.push("connect: must be longer than nothing".to_owned());
        }
        if self.call <= self.connect {
            // Else the whole call could run out while connecting, and what was never sent would count as seen.
            faults.push("call: must be longer than connect".to_owned());
        }
        faults
    }
}

/// The client. Cloning shares the connections.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    client: reqwest::Client,
}

/// The client could not be built.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client cannot be built")]
pub struct UnusableHttp(#[source] reqwest::Error);

/// An answer that was read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// `Retry-After`, at most as long as the retry policy honours.
    pub(crate) retry_after: Option<Duration>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// What a client of one account's own has beyond the usual.
pub(crate) struct Credentials {
    /// Our certificate and its key.
    pub(crate) identity: Identity,
    /// Roots to check the service's certificate against, beside the usual ones.
    pub(crate) roots: Vec<Certificate>,
}

impl Http {
    /// Builds the client. Certificates are checked against the system's roots, where an operator can add one of their
    /// own, and against Mozilla's, which are built in: a container image without certificates works as well.
    pub(crate) fn build(timeouts: &CallTimeouts) -> Result<Self, UnusableHttp> {
        Self::finish(Self::builder(timeouts))
    }

    /// The same for a service that wants to see a certificate of ours.
    pub(crate) fn build_with(timeouts: &CallTimeouts, credentials: Credentials) -> Result<Self, UnusableHttp> {
        let Credentials { identity, roots } = credentials;
        Self::finish(Self::builder(timeouts).identity(identity).tls_certs_merge(roots))
    }

    fn builder(timeouts: &CallTimeouts) -> reqwest::ClientBuilder {
        // Refused when the process installed a provider already, which is then the one to use.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS
            .iter()
            .filter_map(|der| Certificate::from_der(der).ok());
        reqwest::Client::builder()
            .user_agent(concat!("kassa/", env!("CARGO_PKG_VERSION")))
            .tls_certs_merge(roots)
            .connect_timeout(timeouts.connect)
            .timeout(timeouts.call)
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .referer(false)
            .no_proxy()
            .http1_only()
            .pool_idle_timeout(LONGEST_IDLE)
    }

    fn finish(builder: reqwest::ClientBuilder) -> Result<Self, UnusableHttp> {
        builder.build().map(|client| Self { client }).map_err(UnusableHttp)
    }

    /// Begins a request.
    pub(crate) fn request(&self, method: Method, url: Url) -> RequestBuilder {
        self.client.request(method, url)
    }

    /// Sends it, once, and reads the answer.
    pub(crate) async fn send(&self, request: RequestBuilder, limit: Duration) -> Result<Answer, Silence> {
        let mut response = request
            .timeout(limit)
            .send()
            .await
            .map_err(|error| Silence::before_the_answer(&error))?;
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let retry_after = retry_after(&headers, Timestamp::now());
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(None) => {
                    return Ok(Answer {
                        status,
                        retry_after,
                        headers,
                        body,
                    });
                }
                Ok(Some(chunk)) if body.len() + chunk.len() > LONGEST_ANSWER => {
                    return Err(Silence {
                        how: How::TooLong,
                        http_status: Some(status),
                        partial: body,
                    });
                }
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Err(error) => {
                    let how = if error.is_timeout() { How::Timeout } else { How::Cut };
                    return Err(Silence {
                        how,
                        http_status: Some(status),
                        partial: body,
                    });
                }
            }
        }
    }
}

/// `Retry-After` in seconds or as a date (RFC 9110 §10.2.3); `None` when it is absent, unreadable or past.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if text.bytes().all(|byte| byte.is_ascii_digit()) {
        Duration::from_secs(text.parse().ok()?)
    } else {
        let until = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
        Duration::try_from(until.duration_since(now)).ok()?
    };
    Some(wait.min(LONGEST_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date_and_is_bounded() {
        let now: Timestamp = "2026-02-14T08:00:00Z".parse().expect("a time");
        let read = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, value.parse().expect("a header value"));
            retry_after(&headers, now)
        };
        assert_eq!(read("120"), Some(Duration::from_secs(120)));
        assert_eq!(read("Sat, 14 Feb 2026 08:00:30 GMT"), Some(Duration::from_secs(30)));
        assert_eq!(read("Sat, 14 Feb 2026 07:00:30 GMT"), None, "past");
        assert_eq!(read("86400"), Some(LONGEST_RETRY_AFTER));
        for unreadable in ["", "soon", "-5", "1.5", "99999999999999999999999"] {
            assert_eq!(read(unreadable), None, "{unreadable}");
        }
    }

    #[test]
    fn a_call_must_be_allowed_more_time_than_connecting() {
        assert!(CallTimeouts::default().faults().is_empty());
        let same = CallTimeouts {
            connect: Duration::from_secs(5),
            call: Duration::from_secs(5),
        };
        assert_eq!(same.faults(), ["call: must be longer than connect"]);
    }
}
