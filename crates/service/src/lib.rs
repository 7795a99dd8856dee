#![doc = include_str!("../README.md")]
#![cfg_attr(
    test,
    expect(clippy::unwrap_used, reason = "a test that can't go on should say where")
)]

pub mod config;
pub mod error;
pub mod health;
pub mod http;
pub mod limiter;
pub mod metrics;
pub mod pace;
pub mod stop;
pub mod supervise;
pub mod telemetry;

/// The commented default settings of this crate: sections `[log]` ([`telemetry::Telemetry`]) and `[health]`
/// ([`health::HealthConfig`]).
pub const DEFAULTS: &str = include_str!("defaults.toml");
