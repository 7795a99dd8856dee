//! The one executable: roles for machines, commands for people.

mod accounts;
mod cli;
mod commands;
mod config;
mod exit;
mod http;
mod output;
mod run;

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;

// Batches are large buffers that live for a moment, and the system's allocator, which merges its free lists when one ends,
// was a quarter of a sender's profile. This one takes three megabytes more.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    // One TLS provider for every library in the process; a second install would only say that there is one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return exit::report(&anyhow::Error::new(error).context("the runtime could not be started")),
    };
    match runtime.block_on(cli::execute(cli)) {
        Ok(code) => code,
        Err(error) => exit::report(&error),
    }
}
