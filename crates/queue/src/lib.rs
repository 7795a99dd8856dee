#![doc = include_str!("../README.md")]

mod admin;
mod asking;
mod broker;
mod canary;
mod config;
mod consume;
mod delivery;
mod error;
mod headers;
mod link;
mod message;
mod names;
pub mod pointer;
mod pointers;
mod publish;
mod screen;
mod settle;
mod status;
pub mod topology;
mod transport;
mod window;

pub use admin::{Admin, Condition, Deed, Finding, Outcome, Part, Repair};
pub use broker::Broker;
pub use config::Config;
pub use consume::{Disposition, Handler};
pub use delivery::Delivery;
pub use error::{ConfigError, MalformedPointer, PublishError, TopologyError};
pub use message::Message;
pub use names::{Exchange, Prefix, Queue};
pub use pointer::Pointer;
pub use pointers::Pointers;
pub use publish::Publisher;
pub use status::{Ailment, Problem, Status};
pub use topology::Topology;
