//! The `[database]` section.

use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;

/// Where the ledger's Postgres is and how much of it a process may use.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `postgres://user:password@host:port/database`.
    pub url: SecretString,
    /// Connections of one process, half of them for what runs for every receipt; at least two. More than 8 buy
    /// little: writes share commits.
    #[serde(default = "max_connections")]
    pub max_connections: u32,
    /// How long a caller waits for a connection before the database counts as lost.
    #[serde(default = "acquire_timeout", with = "humantime_serde")]
    pub acquire_timeout: Duration,
}

impl Config {
    /// The defaults for a database at `url`.
    #[must_use]
    pub fn at(url: impl Into<String>) -> Self {
        Self {
            url: SecretString::from(url.into()),
            max_connections: max_connections(),
            acquire_timeout: acquire_timeout(),
        }
    }
}

fn max_connections() -> u32 {
    8
}

fn acquire_timeout() -> Duration {
    Duration::from_secs(5)
}
