#![doc = include_str!("../README.md")]

mod attempt;
mod bury;
mod config;
mod decide;
mod intake;
mod pointer;
mod predecessor;
mod sender;
mod slots;
mod sweep;

pub use config::{Config, Delays};
pub use decide::{Decided, Sent, decide, forgotten};
pub use sender::Sender;
