//! Cross-process tests: real executables, a real Postgres, a real `RabbitMQ`, and the simulated vendor's books.

mod callbacks;
mod chaos;
mod layers;
mod main_job;
mod migrations;
mod outages;
mod own;
mod restarts;
mod strangers;
mod wide;
mod world;
