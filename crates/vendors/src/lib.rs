#![doc = include_str!("../README.md")]

mod atol;
mod checkonline;
mod http;
mod lenient;
mod mask;
mod non_fatal;
pub mod registry;
pub mod vendor;

pub use atol::AtolSettings;
pub use checkonline::CheckOnlineSettings;
pub use http::{CallTimeouts, UnusableHttp};
pub use non_fatal::non_fatal_faults;
pub use registry::{AccountIdentity, AccountSettings, KnownCode, Registry, RegistryError};
pub use vendor::{
    Adopted, Call, Caller, Exchange, Follower, LONGEST_ANSWER_KEPT, Named, News, Origin, Registered, Rendering, Reply,
    Vendor,
};
