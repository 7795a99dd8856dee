//! One store's endpoint, parsed once.

use std::net::IpAddr;

use receipt::WebhookSettings;
use url::{Host, Url};

use crate::config::Config;
use crate::resolve::Allowed;
use crate::signature::Signer;

/// Where to post, and what to sign with.
#[derive(Debug, Clone)]
pub struct Endpoint {
    pub(crate) url: Url,
    pub(crate) signer: Signer,
}

impl Endpoint {
    /// The endpoint of settings without a fault; `None` when [`Config::faults`] would name one.
    #[must_use]
    pub fn of(settings: &WebhookSettings) -> Option<Self> {
        Some(Self {
            url: Url::parse(&settings.url).ok()?,
            signer: Signer::of(&settings.secrets).ok()?,
        })
    }

    /// The host and port, which may be shown; path and query may hold a secret.
    #[must_use]
    pub fn host(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        self.url
            .port()
            .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }
}

/// The address, when the URL has one instead of a name. No resolver is asked about it.
pub(crate) fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Domain(_) => None,
        Host::Ipv4(address) => Some(IpAddr::V4(address)),
        Host::Ipv6(address) => Some(IpAddr::V6(address)),
    }
}

/// Everything that cannot work, one sentence each, beginning with the key.
pub(crate) fn faults(settings: &WebhookSettings, config: &Config) -> Vec<String> {
    let mut faults = Vec::new();
    match Url::parse(&settings.url) {
        Err(error) => faults.push(format!("url: is not an address: {error}")),
        Ok(url) => faults.extend(url_faults(&url, config)),
    }
    if settings.secrets.is_empty() {
        faults.push(
            "secrets: must name at least one; make one with: echo \"whsec_$(openssl rand -base64 32)\"".to_owned(),
        );
    }
    if let Err(bad) = Signer::of(&settings.secrets) {
        faults.extend(bad.into_iter().map(|(place, why)| format!("secrets[{place}]: {why}")));
    }
    faults
}

fn url_faults(url: &Url, config: &Config) -> Vec<String> {
    let mut faults = Vec::new();
    match url.scheme() {
        "https" => {}
        "http" if config.allow_http => {}
        "http" => faults.push("url: must be https (webhooks.allow_http is for tests)".to_owned()),
        other => faults.push(format!("url: must be https and not {other}")),
    }
    if url.host().is_none() {
        faults.push("url: must name a host".to_owned());
    }
    if let Some(address) = literal(url)
        && !Allowed::new(&config.allow_networks).permits(address)
    {
        faults.push(format!(
            "url: {address} is not a public address; name its network in webhooks.allow_networks if it is meant"
        ));
    }
    faults
}
