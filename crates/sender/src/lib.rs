#![doc = include_str!("../README.md")]

mod attempt;
mod breaker;
mod bury;
mod config;
mod decide;
mod gate;
mod intake;
mod pointer;
mod predecessor;
mod probe;
mod sender;
mod slots;
mod sweep;

pub use config::{Config, Delays};
pub use decide::{Decided, Sent, decide, forgotten};
pub use sender::Sender;
