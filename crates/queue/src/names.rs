//! What things are called at the broker. The one place where names are made.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use receipt::VendorName;
use serde::{Deserialize, Serialize};

use crate::error::ConfigError;

/// What all names at the broker begin with.
///
/// The bound on its length keeps every name that we make below AMQP's 255 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Prefix(String);

impl Prefix {
    /// Accepts 1 to 64 characters of A-Z, a-z, 0-9, `.`, `_` and `-`.
    ///
    /// # Errors
    /// [`ConfigError::Prefix`] that names the rule.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        // The broker keeps `amq.` for itself.
        if (1..=64).contains(&text.len()) && text.bytes().all(allowed) && !text.starts_with("amq.") {
            Ok(Self(text.to_owned()))
        } else {
            Err(ConfigError::Prefix {
                given: text.chars().take(80).collect(),
            })
        }
    }

    /// The text as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The full name of an exchange.
    #[must_use]
    pub fn exchange(&self, exchange: &Exchange) -> String {
        match exchange {
            Exchange::Requests => format!("{self}.requests"),
            Exchange::Send => format!("{self}.send"),
            Exchange::Retry => format!("{self}.retry"),
            Exchange::Delay(delay) => self.delay(*delay),
            Exchange::Events => format!("{self}.events"),
            Exchange::Dead => format!("{self}.dead"),
            Exchange::Names => format!("{self}.topology"),
        }
    }

    /// The full name of a queue that is consumed from.
    #[must_use]
    pub fn queue(&self, queue: &Queue) -> String {
        match queue {
            Queue::Intake => format!("{self}.intake"),
            Queue::Send(vendor) => format!("{self}.send.{vendor}"),
            Queue::Retry(vendor) => format!("{self}.retry.{vendor}"),
            Queue::Dead => format!("{self}.dead"),
        }
    }

    /// The name shared by the exchange and the queue of one delay.
    pub(crate) fn delay(&self, delay: Duration) -> String {
        format!("{self}.delay.{}s", whole_seconds(delay).as_secs())
    }
}

impl Default for Prefix {
    fn default() -> Self {
        Self("kassa".to_owned())
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Prefix {
    type Err = ConfigError;
    fn from_str(text: &str) -> Result<Self, ConfigError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Prefix {
    type Error = ConfigError;
    fn try_from(text: String) -> Result<Self, ConfigError> {
        Self::parse(&text)
    }
}

impl From<Prefix> for String {
    fn from(prefix: Prefix) -> String {
        prefix.0
    }
}

/// Where a message can be published.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Exchange {
    /// Receipt requests of shops. Routing key: the store's code.
    Requests,
    /// First pointers to a vendor's sender. Routing key: the vendor.
    Send,
    /// Pointers whose wait is over. Routing key: the vendor. The delay queues publish here; we rarely do.
    Retry,
    /// Waits, then goes on to [`Exchange::Retry`] with the routing key it came with: the vendor. Only the delays of the
    /// topology exist; parts of a second are rounded up.
    Delay(Duration),
    /// What happened, for whoever wants to know. Routing key: `{store}.{type}`.
    Events,
    /// What nobody could take.
    Dead,
    /// Notes of what was declared, for `kassa topology`.
    Names,
}

/// What can be consumed from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Queue {
    /// All requests of all shops.
    Intake,
    /// First pointers for one vendor.
    Send(VendorName),
    /// Pointers whose wait is over, for one vendor.
    Retry(VendorName),
    /// What the broker dead-lettered.
    Dead,
}

/// Delays are whole seconds, at least one, so that their names are.
pub(crate) fn whole_seconds(delay: Duration) -> Duration {
    let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
    Duration::from_secs(seconds.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_begin_with_the_prefix_and_say_what_they_are() {
        let prefix = Prefix::parse("shop-7").expect("good");
        let vendor = VendorName::parse("first").expect("good");
        assert_eq!(prefix.exchange(&Exchange::Requests), "shop-7.requests");
        assert_eq!(
            prefix.exchange(&Exchange::Delay(Duration::from_millis(59_001))),
            "shop-7.delay.60s"
        );
        assert_eq!(prefix.queue(&Queue::Send(vendor.clone())), "shop-7.send.first");
        assert_eq!(prefix.queue(&Queue::Retry(vendor)), "shop-7.retry.first");
        assert_eq!(prefix.queue(&Queue::Dead), "shop-7.dead");
    }

    #[test]
    fn a_prefix_that_would_not_fit_a_name_is_refused() {
        for bad in ["", "amq.mine", "a b", "касса", &"x".repeat(65)] {
            assert!(Prefix::parse(bad).is_err(), "{bad:?}");
        }
    }
}
