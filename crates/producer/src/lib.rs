#![doc = include_str!("../README.md")]

mod accept;
mod asyncapi;
mod example;
pub mod http;
mod key;
mod schema;

pub use accept::{AcceptError, Accepted, Newness, Producer};
pub use asyncapi::document as asyncapi;
pub use key::{NewKey, NoSuchRight, Right};
