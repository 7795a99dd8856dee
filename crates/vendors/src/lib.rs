#![doc = include_str!("../README.md")]

mod atol;
mod checkonline;
mod http;
mod lenient;
mod mask;
pub mod registry;
pub mod vendor;

pub use atol::AtolSettings;
pub use checkonline::CheckOnlineSettings;
pub use http::{CallTimeouts, UnusableHttp};
pub use registry::{AccountIdentity, AccountSettings, KnownCode, Registry, RegistryError};
pub use vendor::{Adopted, Call, Exchange, Follower, LONGEST_ANSWER_KEPT, News, Registered, Rendering, Reply, Vendor};
