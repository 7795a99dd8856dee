//! `cargo xtask test`: everything that a change must pass, quickest first.

use std::{
    num::NonZero,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use crate::{
    clients,
    command::run,
    disk,
    progress::human,
    services::{self, Urls},
    sqlx,
    workspace::{cargo, with_services},
};

/// Tests that start private servers because they kill them. Where both servers run in containers, or elsewhere, their
/// programs may be missing.
const OWN_SERVERS: [&str; 5] = [
    "own::",
    "killed_broker::",
    "zombie",
    "a_broker_restored_from_nothing",
    "every_receipt_is_registered_once_whatever_strikes_the_fleet",
];

/// Runs all checks, or, when there are words to choose tests by, only the tests whose names contain one of them.
pub(crate) fn test(words: &[&str]) -> Result<()> {
    let mut report = Report::default();
    let result = if words.is_empty() {
        all(&mut report)
    } else {
        chosen(&mut report, words)
    };
    report.print();
    result
}

fn all(report: &mut Report) -> Result<()> {
    report.step("format", || {
        cargo_step(cargo().args(["fmt", "--all", "--", "--check"]), "run `cargo fmt --all`")
    })?;
    let urls = report.step("services", services::up)?;
    report.step("clippy", || {
        let mut clippy = cargo();
        clippy.args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]);
        cargo_step(&mut clippy, "see the warnings above")
    })?;
    report.step("sqlx", || sqlx::check(&urls))?;
    tests(report, &urls, &[])?;
    report.step("docs", || {
        let mut doc = cargo();
        doc.args(["doc", "--workspace", "--no-deps", "--document-private-items"])
            .env("RUSTDOCFLAGS", "-D warnings");
        cargo_step(&mut doc, "see the warnings above")
    })
}

fn chosen(report: &mut Report, words: &[&str]) -> Result<()> {
    let urls = report.step("services", services::up)?;
    tests(report, &urls, words)
}

fn tests(report: &mut Report, urls: &Urls, words: &[&str]) -> Result<()> {
    report.step("fetch", || {
        // Also what only other platforms build: the licences of all are checked.
        cargo_step(cargo().args(["fetch", "--locked"]), "the crates must be fetched once")
    })?;
    // The tests start our executables, and `cargo test` alone builds only those of packages that have tests of their
    // own. Building them together with the tests makes the features of the dependencies the same for both.
    report.step("build", || {
        cargo_step(
            cargo().args(["build", "--workspace", "--all-targets"]),
            "see the errors above",
        )
    })?;
    report.step("clients", clients::up)?;
    report.step("disk", disk::ensure_room)?;
    let own_servers = services::programs();
    report.step("tests", || {
        let mut test = cargo();
        with_services(&mut test, urls)?;
        // One run tells of everything that is wrong.
        test.args(["test", "--workspace", "--no-fail-fast", "--"]).args(words);
        // The long tests wait for processes and timers nearly all of their time.
        let threads = 3 * std::thread::available_parallelism().map_or(2, NonZero::get);
        test.env("RUST_TEST_THREADS", threads.to_string());
        if let Err(missing) = &own_servers {
            eprintln!("left out: tests that kill servers of their own ({missing:#})");
            OWN_SERVERS.iter().for_each(|tests| {
                test.args(["--skip", tests]);
            });
        }
        cargo_step(&mut test, "see the failures above")
    })
}

fn cargo_step(command: &mut Command, cure: &str) -> Result<()> {
    // Offline for every step: with a URL in the environment sqlx's macros would otherwise go to that database.
    ensure!(run(command.env("SQLX_OFFLINE", "true"))?.success(), "{cure}");
    Ok(())
}

/// What was done and how long it took.
#[derive(Default)]
struct Report {
    steps: Vec<(&'static str, Duration, bool)>,
}

impl Report {
    fn step<T>(&mut self, name: &'static str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        eprintln!("\n── {name}");
        let started = Instant::now();
        let result = work();
        self.steps.push((name, started.elapsed(), result.is_ok()));
        result.map_err(|error| error.context(format!("step `{name}` failed")))
    }

    fn print(&self) {
        eprintln!();
        for (name, duration, passed) in &self.steps {
            eprintln!(
                "{:>6}  {name:<10} {:>12}",
                if *passed { "ok" } else { "FAILED" },
                human(*duration)
            );
        }
    }
}
