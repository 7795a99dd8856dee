//! Cross-process tests: real executables, a real Postgres, a real `RabbitMQ`, and the simulated vendor's books.

mod gates;
mod layers;
mod limits;
mod main_job;
mod migrations;
mod outages;
mod restarts;
mod strangers;
mod wide;
mod world;
