//! The crate against a real RabbitMQ.

mod consuming;
mod harness;
mod outages;
mod proxy;
mod publishing;
mod strangers;
mod topology;
mod traps;
