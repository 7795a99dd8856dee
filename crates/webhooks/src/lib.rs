#![doc = include_str!("../README.md")]

mod address;
mod client;
mod config;
mod decide;
mod dispatcher;
mod endpoint;
mod resolve;
mod signature;
mod silence;

pub use address::{Network, is_public};
pub use client::{Client, Heard, Unusable};
pub use config::Config;
pub use decide::decide;
pub use dispatcher::{Dispatcher, bind};
pub use endpoint::Endpoint;
pub use resolve::{Looking, Lookup, SystemLookup};
pub use signature::{BadSecret, Signer};
pub use silence::Silence;
