//! Where the broker is, and how long we wait for it.

use std::num::NonZeroU16;
use std::time::Duration;

use lapin::uri::AMQPUri;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::error::ConfigError;
use crate::names::Prefix;

/// The largest frame unless the URL says otherwise: the broker's own default. Not less, because a message's headers have to
/// fit into one frame, and one that does not would end the connection each time it is delivered. Where the broker's own
/// was raised, the URL has to name it too.
const FRAME_MAX: u32 = 128 * 1024;

/// The `[broker]` section of the configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `amqp://user:password@host:5672/vhost`, or `amqps://` for TLS. The virtual host `/` is written `%2f`; an empty
    /// one (`amqp://host/`) is taken for `/` too, because no broker has a virtual host without a name.
    pub url: SecretString,
    /// What all names at the broker begin with, so that several fleets, and tests, share one broker. `kassa` if absent.
    #[serde(default)]
    pub prefix: Prefix,
    /// After twice this without a sign of life from the broker the connection counts as lost. Whole seconds,
    /// 1 to 3600; 20 s if absent. A `heartbeat` parameter in the URL wins.
    #[serde(default = "default_heartbeat", with = "humantime_serde")]
    pub heartbeat: Duration,
    /// The limit for one try to connect and open a session, and for declaring the topology. 10 s if absent.
    #[serde(default = "default_connect_timeout", with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// The longest pause between two tries to reconnect. 30 s if absent. Tries never end.
    #[serde(default = "default_reconnect_pause", with = "humantime_serde")]
    pub reconnect_pause: Duration,
    /// How long a published window may wait for its confirms before the missing ones are reported as unconfirmed.
    /// 10 s if absent.
    #[serde(default = "default_confirm_timeout", with = "humantime_serde")]
    pub confirm_timeout: Duration,
    /// How often a canary goes through each queue that a role uses. 1 min if absent.
    #[serde(default = "default_canary_interval", with = "humantime_serde")]
    pub canary_interval: Duration,
    /// How many messages are published before their confirms are awaited. 256 if absent.
    #[serde(default = "default_window")]
    pub window: NonZeroU16,
}

impl Config {
    /// Everything at its default for the broker at `url`.
    #[must_use]
    pub fn new(url: SecretString) -> Self {
        Self {
            url,
            prefix: Prefix::default(),
            heartbeat: default_heartbeat(),
            connect_timeout: default_connect_timeout(),
            reconnect_pause: default_reconnect_pause(),
            confirm_timeout: default_confirm_timeout(),
            canary_interval: default_canary_interval(),
            window: default_window(),
        }
    }

    /// The parsed address with our limits in it.
    ///
    /// # Errors
    /// [`ConfigError`], which never quotes the URL: it holds the password.
    pub(crate) fn uri(&self) -> Result<AMQPUri, ConfigError> {
        let mut uri: AMQPUri = self.url.expose_secret().parse().map_err(|_| ConfigError::Url)?;
        if uri.vhost.is_empty() {
            "/".clone_into(&mut uri.vhost);
        }
        if uri.query.heartbeat.is_none() {
            let seconds = self.heartbeat.as_secs();
            match u16::try_from(seconds) {
                Ok(seconds @ 1..=3600) => uri.query.heartbeat = Some(seconds),
                _ => return Err(ConfigError::Heartbeat { seconds }),
            }
        }
        if uri.query.connection_timeout.is_none() {
            uri.query.connection_timeout = u64::try_from(self.connect_timeout.as_millis()).ok();
        }
        // The client keeps room for 32 frames in each direction. Asked for this at once, it takes zeroed pages that cost
        // nothing until they are used; else it begins small, grows when the broker has named the same number, and touches
        // them all. A broker without a limit would make it ask for 128 GiB.
        if uri.query.frame_max.is_none_or(|most| most == 0) {
            uri.query.frame_max = Some(FRAME_MAX);
        }
        Ok(uri)
    }
}

fn default_heartbeat() -> Duration {
    Duration::from_secs(20)
}

fn default_connect_timeout() -> Duration {
    Duration::from_secs(10)
}

fn default_reconnect_pause() -> Duration {
    Duration::from_secs(30)
}

fn default_confirm_timeout() -> Duration {
    Duration::from_secs(10)
}

fn default_canary_interval() -> Duration {
    Duration::from_secs(60)
}

fn default_window() -> NonZeroU16 {
    NonZeroU16::MIN.saturating_add(255)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(json: &str) -> Result<Config, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn an_address_is_enough_and_the_rest_has_defaults() {
        let config = config(r#"{"url": "amqp://shop:secret@broker.example:5673/"}"#).expect("enough");
        assert_eq!(config.prefix.as_str(), "kassa");
        let uri = config.uri().expect("good address");
        assert_eq!((uri.vhost.as_str(), uri.query.heartbeat), ("/", Some(20)));
        assert!(!format!("{config:?}").contains("secret"));
    }

    #[test]
    fn the_largest_frame_is_the_brokers_default_unless_the_address_names_one() {
        let asked = |address: &str| {
            let config = config(&format!(r#"{{"url": "{address}"}}"#)).expect("good");
            config.uri().expect("good address").query.frame_max
        };
        assert_eq!(asked("amqp://localhost"), Some(128 * 1024));
        assert_eq!(asked("amqp://localhost?frame_max=1048576"), Some(1024 * 1024));
        assert_eq!(
            asked("amqp://localhost?frame_max=0"),
            Some(128 * 1024),
            "no limit is none to keep room for"
        );
    }

    #[test]
    fn a_misspelt_key_is_refused() {
        let error = config(r#"{"url": "amqp://localhost", "prefx": "a"}"#).expect_err("misspelt");
        assert!(error.to_string().contains("prefx"), "{error}");
    }

    #[test]
    fn a_bad_address_is_refused_without_quoting_it() {
        let error = config(r#"{"url": "http://shop:secret@x"}"#)
            .expect("any text is a url here")
            .uri()
            .expect_err("not amqp");
        assert!(!error.to_string().contains("secret"), "{error}");
    }

    #[test]
    fn durations_are_written_with_units() {
        let config =
            config(r#"{"url": "amqp://localhost", "heartbeat": "5s", "reconnect_pause": "1m"}"#).expect("good");
        assert_eq!(config.uri().expect("good").query.heartbeat, Some(5));
        assert_eq!(config.reconnect_pause, Duration::from_secs(60));
    }
}
