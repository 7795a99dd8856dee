//! Cross-process tests: real executables, a real Postgres, a real `RabbitMQ`, and the simulated vendor's books.

mod asyncapi;
mod bench;
mod broker;
mod callbacks;
mod chaos;
mod checkonline;
mod checkonline_gates;
mod doubles;
mod events;
mod gates;
mod http;
mod http_fuzz;
mod killed_broker;
mod layers;
mod letters;
mod limits;
mod main_job;
mod metrics;
mod migrations;
mod outages;
mod own;
#[path = "../../crates/webhooks/tests/it/receiver.rs"]
#[expect(dead_code, reason = "the tests of webhooks use more of it")]
mod receiver;
mod repetitions;
mod report;
mod reporter;
mod resell;
mod restarts;
mod strangers;
mod weaknesses;
mod webhooks;
mod wide;
mod world;
mod zombie;
