//! Tries that got no answer: in which way.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use crate::resolve::NotAllowed;

/// In which way no answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// The name's address is not a public one, or the address that was configured is not.
    Address,
    /// The name has no address.
    Dns,
    /// No connection: refused, unreachable, reset.
    Connect,
    /// No connection in time.
    ConnectTimeout,
    /// The TLS handshake failed.
    Tls,
    /// The endpoint's certificate was not accepted.
    Certificate,
    /// No answer in time.
    Timeout,
    /// The connection broke before an answer came.
    Cut,
    /// The request itself is impossible.
    Impossible,
}

impl Silence {
    pub(crate) fn of(error: &reqwest::Error) -> Self {
        if find::<NotAllowed>(error).is_some() {
            return Self::Address;
        }
        if error.is_builder() {
            return Self::Impossible;
        }
        if !error.is_connect() {
            return if error.is_timeout() { Self::Timeout } else { Self::Cut };
        }
        if error.is_dns() {
            return Self::Dns;
        }
        match find::<rustls::Error>(error) {
            Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => Self::Certificate,
            Some(_) => Self::Tls,
            None if error.is_timeout() => Self::ConnectTimeout,
            None => Self::Connect,
        }
    }

    /// The word in the table and in messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Address => "address_not_public",
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::ConnectTimeout => "connect_timeout",
            Self::Tls => "tls",
            Self::Certificate => "certificate",
            Self::Timeout => "timeout",
            Self::Cut => "cut",
            Self::Impossible => "impossible",
        }
    }
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The error of a type inside, if there is one. Some travel inside `io::Error`, whose `source` skips what it wraps.
fn find<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}
