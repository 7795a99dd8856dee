#![doc = include_str!("../README.md")]

mod ask;
mod config;
mod decide;
mod drain;
mod places;
mod poller;
mod relay;

pub use config::Config;
pub use decide::{Decided, decide};
pub use poller::Poller;
