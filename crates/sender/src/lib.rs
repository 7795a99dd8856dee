#![doc = include_str!("../README.md")]

mod attempt;
mod bury;
mod config;
mod decide;
mod intake;
mod pointer;
mod sender;
mod slots;
mod sweep;

pub use config::{Config, Delays};
pub use decide::{Decided, decide};
pub use sender::Sender;
