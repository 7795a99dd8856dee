#![doc = include_str!("../README.md")]

mod accept;
pub mod http;
mod key;

pub use accept::{AcceptError, Accepted, Newness, Producer};
pub use key::{NewKey, NoSuchRight, Right};
