//! Reports and alerts by mail: from receipts at a vendor to a real mail server, read by a parser and shown by a browser
//! that are not ours.

mod alerts;
mod commands;
mod doubts;
mod figures;
mod office;
mod schedule;
