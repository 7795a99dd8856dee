//! The ledger against a real Postgres. Every test has a database of its own on the server of `DATABASE_URL`.

mod accept;
mod claim;
mod constraints;
mod crowd;
mod dead_letters;
mod due;
mod events;
mod late;
mod look;
mod lost_answers;
mod outage;
mod plans;
mod polls;
mod record;
mod replay;
mod resolve;
mod revise;
mod sample;
mod scratch;
mod show;
mod silence;
