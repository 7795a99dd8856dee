#![doc = include_str!("../README.md")]
#![expect(
    clippy::disallowed_methods,
    reason = "a harness starts processes and reads the environment of the test command"
)]

pub mod browser;
pub mod chaos;
pub mod database;
pub mod fleet;
pub mod listener;
pub mod mail_server;
pub mod own;
pub mod process;
pub mod proxy;
pub mod request;
pub mod shop;
pub mod urls;
pub mod vendor;
pub mod wait;
