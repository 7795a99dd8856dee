//! The ledger against a real Postgres. Every test has a database of its own on the server of `DATABASE_URL`.

mod accept;
mod callbacks;
mod claim;
mod constraints;
mod contract;
mod crowd;
mod dead_letters;
mod due;
mod events;
mod horizon;
mod late;
mod look;
mod lost_answers;
mod outage;
mod overdue;
mod plans;
mod polls;
mod record;
mod retired;
mod sample;
mod scratch;
mod show;
mod silence;
mod webhooks;
