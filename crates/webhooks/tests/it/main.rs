//! Webhooks against real TLS servers and a real Postgres (`DATABASE_URL`).

mod addresses;
mod client;
mod delivering;
mod harness;
mod receiver;
#[path = "../../../ledger/tests/it/sample.rs"]
#[expect(dead_code, reason = "the ledger's own tests use more of it")]
mod sample;
#[path = "../../../ledger/tests/it/scratch.rs"]
mod scratch;
mod settings;
