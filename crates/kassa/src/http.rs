//! `kassa run http`: what the outside reaches over HTTP, behind one listener.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ledger::Ledger;
use producer::Producer;
use queue::Pointers;
use receipt::StoreCode;
use receipt::intake::Directory;
use serde::Deserialize;
use service::http::{HttpError, Limits, Server};
use service::supervise::Supervisor;
use tokio_util::sync::CancellationToken;
use url::{Host, Url};
use vendors::Registry;

/// For accepting a receipt and reading it back, beside the wait for its outcome.
const BESIDE_A_WAIT: Duration = Duration::from_secs(2);

/// Section `[http]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HttpConfig {
    /// Where HTTP is answered; port 0 takes any free port.
    pub(crate) listen: SocketAddr,
    /// Where vendors and shops reach the listener, up to the paths: `https://receipts.shop.example`.
    #[serde(default)]
    pub(crate) public_url: Option<String>,
    /// Whether a public address may be `http://`, on this machine alone.
    pub(crate) plain_on_loopback: bool,
    /// Connections at once.
    pub(crate) connections: usize,
    /// Requests that are being answered at once.
    pub(crate) requests: usize,
    /// For the head of a request, and how long a connection may be idle.
    #[serde(with = "service::config::duration")]
    pub(crate) head_timeout: Duration,
    /// For a whole request.
    #[serde(with = "service::config::duration")]
    pub(crate) request_timeout: Duration,
    /// Callbacks a second that one process takes for one store.
    pub(crate) callback_rate: u32,
    /// Requests a second that one process takes with one key of the API.
    pub(crate) key_rate: u32,
    /// Requests with one key that one process answers at once.
    pub(crate) key_requests: usize,
    /// The longest time that a request may ask to wait for a receipt's outcome.
    #[serde(with = "service::config::duration")]
    pub(crate) longest_wait: Duration,
    /// Requests that may wait so at once.
    pub(crate) waiting: usize,
    /// How long a stopping process waits for answers under way.
    #[serde(with = "service::config::duration")]
    pub(crate) drain: Duration,
}

impl HttpConfig {
    /// Everything in this section that cannot work, one sentence each, naming the key.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (key, count) in [
            ("connections", self.connections),
            ("requests", self.requests),
            (
                "callback_rate",
                usize::try_from(self.callback_rate).unwrap_or(usize::MAX),
            ),
            ("key_rate", usize::try_from(self.key_rate).unwrap_or(usize::MAX)),
            ("key_requests", self.key_requests),
        ] {
            if count == 0 {
                faults.push(format!("http.{key}: must be at least 1"));
            }
        }
        for (key, time) in [
            ("head_timeout", self.head_timeout),
            ("request_timeout", self.request_timeout),
        ] {
            if time.is_zero() {
                faults.push(format!("http.{key}: must be above 0"));
            }
        }
        // A wait needs some time before and after it.
        if self.longest_wait + BESIDE_A_WAIT > self.request_timeout {
            faults.push(format!(
                "http.longest_wait: must be at least {BESIDE_A_WAIT:?} below http.request_timeout"
            ));
        }
        faults.extend(
            self.public_url
                .as_deref()
                .and_then(|url| self.public_url_fault(url))
                .map(|fault| format!("http.public_url: {fault}")),
        );
        faults
    }

    /// Why an address cannot be given to the outside, in words that follow its key.
    pub(crate) fn public_url_fault(&self, text: &str) -> Option<String> {
        let Ok(url) = Url::parse(text) else {
            return Some("is not a URL; https://receipts.shop.example is one".to_owned());
        };
        let is_plain_base = !text.contains(char::is_whitespace)
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
            && !url.cannot_be_a_base();
        if !is_plain_base {
            return Some("must have no blanks, no user, no query and no fragment".to_owned());
        }
        match url.scheme() {
            "https" => None,
            "http" if self.plain_on_loopback && is_loopback(&url) => None,
            "http" => Some(
                "must begin with https://, for the address holds a secret; http is for this machine alone, with \
                 http.plain_on_loopback = true"
                    .to_owned(),
            ),
            _ => Some("must begin with https://".to_owned()),
        }
    }

    const fn api_limits(&self) -> producer::http::Limits {
        producer::http::Limits {
            key_rate: self.key_rate,
            key_requests: self.key_requests,
            longest_wait: self.longest_wait,
            waiting: self.waiting,
        }
    }

    const fn limits(&self) -> Limits {
        Limits {
            connections: self.connections,
            requests: self.requests,
            head: self.head_timeout,
            request: self.request_timeout,
            drain: self.drain,
        }
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Everything about the addresses of callbacks that cannot work, one sentence each, beginning with the key. `directory`
/// has the stores with their public addresses.
pub(crate) fn callback_faults(
    config: &HttpConfig,
    directory: &Directory,
    own: &BTreeMap<StoreCode, receipt::StoreSettings>,
    registry: &Registry,
) -> Vec<String> {
    let mut faults = Vec::new();
    for (code, store) in own {
        let fault = store.public_url.as_deref().and_then(|url| config.public_url_fault(url));
        faults.extend(fault.map(|fault| format!("stores.{code}.public_url: {fault}")));
    }
    for (code, store) in &directory.stores {
        let vendor = registry.get(&store.account);
        let fault = vendor.as_deref().and_then(|vendor| {
            let url = directory.callback_url(code, vendor.name())?;
            vendor.caller()?.address_fault(&url)
        });
        faults.extend(fault.map(|fault| format!("stores.{code}.public_url: the address of its callbacks {fault}")));
    }
    faults
}

/// Listens, so that an address that is taken ends the process before it has claimed anything.
///
/// # Errors
/// When the address cannot be bound.
pub(crate) async fn bind(
    config: &HttpConfig,
    ledger: &Ledger,
    directory: &Arc<Directory>,
    registry: &Registry,
    pointers: &Pointers,
    quiet_time: Duration,
    stop: &CancellationToken,
) -> Result<Server, HttpError> {
    let producer = Producer::new(ledger.clone(), Arc::clone(directory), pointers.clone());
    let api = producer::http::router(
        ledger.clone(),
        Arc::clone(directory),
        producer,
        config.api_limits(),
        quiet_time,
        stop.clone(),
    );
    let callbacks = poller::callbacks::router(ledger.clone(), directory, registry, config.callback_rate);
    let router = api.merge(callbacks);
    let server = Server::bind(config.listen, router, config.limits()).await?;
    tracing::info!(address = %server.address(), "listening for HTTP");
    Ok(server)
}

/// The loop that answers.
pub(crate) fn spawn(supervisor: &mut Supervisor, server: &Server, stop: &CancellationToken) {
    let (server, stop) = (server.clone(), stop.clone());
    supervisor.spawn("http", move || {
        let (server, stop) = (server.clone(), stop.clone());
        async move {
            server.run(&stop).await;
            Ok(())
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(plain_on_loopback: bool) -> HttpConfig {
        HttpConfig {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            public_url: None,
            plain_on_loopback,
            connections: 1,
            requests: 1,
            head_timeout: Duration::from_secs(1),
            request_timeout: Duration::from_secs(2),
            callback_rate: 1,
            key_rate: 1,
            key_requests: 1,
            longest_wait: Duration::ZERO,
            waiting: 0,
            drain: Duration::ZERO,
        }
    }

    #[test]
    fn only_https_may_carry_a_secret_and_http_only_where_it_was_allowed_and_stays_here() {
        for good in ["https://receipts.shop.example", "https://shop.example:8443/kassa/"] {
            assert_eq!(config(false).public_url_fault(good), None, "{good}");
        }
        for local in ["http://127.0.0.1:8080", "http://localhost/kassa", "http://[::1]:80"] {
            assert_eq!(config(true).public_url_fault(local), None, "{local}");
            assert!(config(false).public_url_fault(local).is_some(), "{local}");
        }
        for bad in [
            "receipts.shop.example",
            "http://receipts.shop.example",
            "http://10.0.0.1",
            "ftp://shop.example",
            "https://user:pw@shop.example",
            "https://shop.example/?a=b",
            "https://shop.example/#x",
            "mailto:shop@shop.example",
        ] {
            assert!(config(true).public_url_fault(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn every_number_that_would_stop_everything_is_a_fault() {
        let mut config = config(false);
        assert!(config.faults().is_empty());
        (config.connections, config.requests, config.callback_rate) = (0, 0, 0);
        (config.key_rate, config.key_requests) = (0, 0);
        (config.head_timeout, config.request_timeout) = (Duration::ZERO, Duration::ZERO);
        config.public_url = Some("http://shop.example".to_owned());
        assert_eq!(config.faults().len(), 9, "{:?}", config.faults());
    }
}
