#![doc = include_str!("../README.md")]

mod accept;

pub use accept::{AcceptError, Accepted, Newness, Producer};
