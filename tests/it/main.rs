//! Cross-process tests: real executables, a real Postgres, a real `RabbitMQ`, and the simulated vendor's books.

mod doubles;
mod layers;
mod main_job;
mod migrations;
mod outages;
mod restarts;
mod strangers;
mod weaknesses;
mod wide;
mod world;
