#![doc = include_str!("../README.md")]

mod ask;
pub mod callbacks;
mod config;
mod decide;
mod drain;
mod measure;
mod places;
mod poller;
mod relay;
mod replay;

pub use config::Config;
pub use decide::{Decided, decide};
pub use poller::Poller;
