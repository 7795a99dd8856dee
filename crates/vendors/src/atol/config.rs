//! `[accounts.<name>]` with `vendor = "atol"`.

use secrecy::SecretString;
use serde::{Deserialize, Serialize, Serializer};
use url::{Host, Url};

use crate::registry::AccountIdentity;

/// What ATOL Online knows about an account.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AtolSettings {
    /// The API's address up to the protocol version: `https://online.atol.ru/possystem/v4`. Other hosts speak the same
    /// protocol. `http` is taken only for names and addresses of a private network, where a simulator stands.
    pub url: String,
    /// Login of the integration, 1 to 100 characters without blanks (v4 document 5.23 §4).
    pub login: String,
    /// Its password, at most 100 characters.
    #[serde(serialize_with = "hidden")]
    pub password: SecretString,
    /// Code of the group of registers.
    pub group_code: String,
    /// Name of the integrator, if ATOL gave one: up to 100 of `A-Z a-z 0-9 _ - @ .` (since v4 document 5.11).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

fn hidden<S: Serializer>(_: &SecretString, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str("***")
}

impl AtolSettings {
    pub(crate) fn identity(&self) -> AccountIdentity {
        let host = match self.base() {
            Ok(url) => match (url.host_str().unwrap_or_default(), url.port()) {
                (host, Some(port)) => format!("{host}:{port}"),
                (host, None) => host.to_owned(),
            },
            Err(_) => self.url.clone(),
        };
        AccountIdentity {
            vendor: super::name(),
            host,
            group: self.group_code.clone(),
            login: self.login.clone(),
        }
    }

    pub(crate) fn faults(&self) -> Vec<String> {
        use secrecy::ExposeSecret;
        let mut faults: Vec<String> = self.base().err().into_iter().collect();
        if !has_length(&self.login, 100) || self.login.contains(char::is_whitespace) {
            faults.push("login: must have 1 to 100 characters and no blanks".to_owned());
        }
        if !has_length(self.password.expose_secret(), 100) {
            faults.push("password: must have 1 to 100 characters".to_owned());
        }
        if !has_length(&self.group_code, 128) || !self.group_code.bytes().all(|byte| byte.is_ascii_graphic()) {
            faults.push("group_code: must have 1 to 128 visible ASCII characters".to_owned());
        }
        let is_source = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'@' | b'.');
        if self
            .source
            .as_ref()
            .is_some_and(|source| !has_length(source, 100) || !source.bytes().all(is_source))
        {
            faults.push("source: must have 1 to 100 characters of A-Z, a-z, 0-9, _, -, @ and .".to_owned());
        }
        faults
    }

    /// The address, parsed; or the fault in it.
    pub(super) fn base(&self) -> Result<Url, String> {
        let url = Url::parse(&self.url).map_err(|error| format!("url: is not a URL ({error})"))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err("url: must begin with https:// and a host".to_owned());
        }
        if url.scheme() == "http" && !is_private(&url) {
            return Err("url: http would send the password in the clear; use https".to_owned());
        }
        if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
            return Err("url: must have no user, no query and no fragment".to_owned());
        }
        Ok(url)
    }
}

fn has_length(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.chars().count())
}

/// Whether the host can only be on this machine or in a private network.
fn is_private(url: &Url) -> bool {
    match url.host() {
        // A name without a dot is a neighbour: `localhost`, a service of the same compose file.
        Some(Host::Domain(name)) => !name.contains('.'),
        Some(Host::Ipv4(address)) => address.is_loopback() || address.is_private(),
        Some(Host::Ipv6(address)) => address.is_loopback() || address.is_unique_local(),
        None => false,
    }
}
