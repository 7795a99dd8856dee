#![doc = include_str!("../README.md")]

pub mod vendor;

pub use vendor::{Adopted, Call, Exchange, Follower, LONGEST_ANSWER_KEPT, News, Registered, Rendering, Reply, Vendor};
