//! Servers of the harness's own, for faults that no other test must feel: a Postgres cluster that is stopped at once, a
//! `RabbitMQ` node that is killed or loses everything. They listen on free ports of 127.0.0.1, keep their data below
//! `target/own`, do not run as root, and end when they are dropped.
//!
//! What a harness that was killed itself has left running is ended by the next one.

mod home;
mod postgres;
mod rabbitmq;

pub use postgres::Postgres;
pub use rabbitmq::{Members, RabbitMq};
