//! From an endpoint's name to the addresses that are connected to.
//!
//! Looking up, judging and connecting use one answer of the DNS: the client connects to exactly the addresses that were
//! judged here and never asks again. A name that answers with a public address when it is judged and with a private one
//! when it is used (DNS rebinding) is not asked a second time.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::address::{Network, is_public};

/// A look-up under way.
pub type Looking = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// Who answers for names.
pub trait Lookup: Send + Sync + 'static {
    /// The addresses of a name.
    fn lookup(&self, host: String) -> Looking;
}

/// The system's resolver.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(&self, host: String) -> Looking {
        Box::pin(async move {
            let addresses = tokio::net::lookup_host((host, 0)).await?;
            Ok(addresses.map(|address| address.ip()).collect())
        })
    }
}

/// A name without an address that may be posted to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{host} has no public address")]
pub(crate) struct NotAllowed {
    host: String,
}

/// Which addresses may be posted to.
#[derive(Debug, Clone)]
pub(crate) struct Allowed {
    networks: Vec<Network>,
}

impl Allowed {
    pub(crate) fn new(networks: &[Network]) -> Self {
        Self {
            networks: networks.to_vec(),
        }
    }

    pub(crate) fn permits(&self, address: IpAddr) -> bool {
        is_public(address) || self.networks.iter().any(|network| network.contains(address))
    }
}

/// Gives the client only addresses that may be posted to.
pub(crate) struct Judge {
    pub(crate) lookup: Arc<dyn Lookup>,
    pub(crate) allowed: Allowed,
}

impl Resolve for Judge {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        let looking = self.lookup.lookup(host.clone());
        let allowed = self.allowed.clone();
        Box::pin(async move {
            let found = looking.await?;
            if found.is_empty() {
                return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address").into());
            }
            // An answer that mixes public and private addresses is used for what is public in it.
            let permitted: Vec<SocketAddr> = found
                .into_iter()
                .filter(|address| allowed.permits(*address))
                .map(|address| SocketAddr::new(address, 0))
                .collect();
            if permitted.is_empty() {
                return Err(NotAllowed { host }.into());
            }
            Ok(Box::new(permitted.into_iter()) as Addrs)
        })
    }
}
