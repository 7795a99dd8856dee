//! The one HTTP client of the crate: one request, signed, to an address that was judged, and its status.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Certificate, redirect, retry};

use crate::config::Config;
use crate::endpoint::{Endpoint, literal};
use crate::resolve::{Allowed, Judge, Lookup, SystemLookup};
use crate::silence::Silence;

/// So much of an answer is read, so that the connection can be kept. Nothing in it is looked at or stored.
const LONGEST_ANSWER: usize = 64 * 1024;
/// Kept connections go to an address that was judged when they were made, and not for long.
const LONGEST_IDLE: Duration = Duration::from_secs(15);
/// The longest wish of an endpoint that is granted.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(86_400);

/// What an endpoint said to one try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// It answered.
    Answer {
        /// The HTTP status.
        status: u16,
        /// `Retry-After`, at most a day.
        retry_after: Option<Duration>,
    },
    /// It did not.
    Silence(Silence),
}

/// The client cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// The file cannot be read.
    #[error("{} cannot be read", path.display())]
    CaFile {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file holds no certificate.
    #[error("{} holds no certificate in PEM", path.display())]
    NoCertificate {
        /// Which.
        path: PathBuf,
    },
    /// The library refuses.
    #[error("the HTTP client cannot be built")]
    Http(#[source] reqwest::Error),
}

/// Posts events. Cloning shares the connections.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    allowed: Allowed,
}

impl Client {
    /// Builds the client. Certificates are always checked: against the system's roots, Mozilla's, which are built in, and
    /// those of `ca_file`. Proxies of the environment are not used, for they would connect in our place, unjudged.
    ///
    /// # Errors
    /// [`Unusable`] when `ca_file` is not one.
    pub fn build(config: &Config) -> Result<Self, Unusable> {
        Self::with_lookup(config, Arc::new(SystemLookup))
    }

    /// The same with another resolver.
    ///
    /// # Errors
    /// [`Unusable`] when `ca_file` is not one.
    pub fn with_lookup(config: &Config, lookup: Arc<dyn Lookup>) -> Result<Self, Unusable> {
        // Refused when the process installed a provider already, which is then the one to use.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut roots: Vec<Certificate> = webpki_root_certs::TLS_SERVER_ROOT_CERTS
            .iter()
            .filter_map(|der| Certificate::from_der(der).ok())
            .collect();
        roots.extend(own_roots(config)?);
        let allowed = Allowed::new(&config.allow_networks);
        let judge = Judge {
            lookup,
            allowed: allowed.clone(),
        };
        let http = reqwest::Client::builder()
            .user_agent(concat!("kassa/", env!("CARGO_PKG_VERSION")))
            .tls_certs_merge(roots)
            .https_only(!config.allow_http)
            .dns_resolver(Arc::new(judge))
            .connect_timeout(config.connect)
            .timeout(config.call)
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .referer(false)
            .no_proxy()
            .http1_only()
            .pool_idle_timeout(LONGEST_IDLE)
            .build()
            .map_err(Unusable::Http)?;
        Ok(Self { http, allowed })
    }

    /// Posts once. `id` is the event's: a receiver knows a repetition by it.
    pub async fn post(&self, endpoint: &Endpoint, id: &str, body: Vec<u8>) -> Heard {
        if literal(&endpoint.url).is_some_and(|address| !self.allowed.permits(address)) {
            return Heard::Silence(Silence::Address);
        }
        // This process' clock: receivers compare it with theirs.
        let timestamp = Timestamp::now().as_second();
        let request = self
            .http
            .post(endpoint.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", endpoint.signer.sign(id, timestamp, &body))
            .body(body);
        let mut response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Heard::Silence(Silence::of(&error)),
        };
        let heard = Heard::Answer {
            status: response.status().as_u16(),
            retry_after: retry_after(response.headers(), Timestamp::now()),
        };
        // The status is the answer, whatever becomes of the body; a body without end ends with the connection.
        let mut read = 0;
        while let Ok(Some(chunk)) = response.chunk().await {
            read += chunk.len();
            if read > LONGEST_ANSWER {
                break;
            }
        }
        heard
    }
}

fn own_roots(config: &Config) -> Result<Vec<Certificate>, Unusable> {
    let Some(path) = &config.ca_file else {
        return Ok(Vec::new());
    };
    let pem = std::fs::read(path).map_err(|source| Unusable::CaFile {
        path: path.clone(),
        source,
    })?;
    match Certificate::from_pem_bundle(&pem) {
        Ok(roots) if !roots.is_empty() => Ok(roots),
        Ok(_) | Err(_) => Err(Unusable::NoCertificate { path: path.clone() }),
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
        assert_eq!(read("99999999"), Some(LONGEST_RETRY_AFTER));
        for unreadable in ["", "soon", "-5", "1.5", "99999999999999999999999"] {
            assert_eq!(read(unreadable), None, "{unreadable}");
        }
    }
}
