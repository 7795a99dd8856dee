//! Cross-process tests: real executables, a real Postgres, a real `RabbitMQ`, and the simulated vendor's books.

mod callbacks;
mod checkonline;
mod events;
mod layers;
mod main_job;
mod migrations;
mod outages;
mod own;
#[path = "../../crates/webhooks/tests/it/receiver.rs"]
#[expect(dead_code, reason = "the tests of webhooks use more of it")]
mod receiver;
mod restarts;
mod strangers;
mod webhooks;
mod wide;
mod world;
