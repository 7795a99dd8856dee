#![doc = include_str!("../README.md")]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool for people"
)]

mod clients;
mod command;
mod disk;
mod play;
mod progress;
mod services;
mod sqlx;
mod test;
mod workspace;

use std::{env, process::ExitCode};

use anyhow::{Result, bail};

const HELP: &str = "\
cargo xtask <command>

  demo [--keep] [--output json] [--receipts N]
                                  watch the fleet register receipts at a simulated vendor
                                  while things go wrong; ends with the books compared
  chaos [--receipts N] [--seconds S] [--seed K] [--output json]
                                  kill, freeze, cut and deceive a running fleet; ends with
                                  the books compared, exit code 5 when they differ
  test [WORD…]                    all checks and tests; with words, only the tests whose
                                  names contain one of them

  bench [--only PART,…] [--quick] [--output json]
                                  receipts a second, their cost, and how they compare with
                                  a hand-written loop, Celery and asyncio; exit code 5 when
                                  an aim is missed; `bench --help` lists the parts
  bench --rows N [--output json]  what the ledger's statements read beside N finished
                                  receipts, compared with 60,000

  services up                     start Postgres and RabbitMQ for development, or find
                                  them healthy; prints their URLs for `eval`
  services down                   stop them; their data stays
  services status                 show what runs and where

  sqlx prepare                    renew .sqlx after a change of a query or a migration
  sqlx check                      tell whether that was forgotten

DATABASE_URL and AMQP_URL, when set, name servers to use instead of private ones.
The private ones live in target/services.
";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match dispatch(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: &[&str]) -> Result<()> {
    match arguments {
        ["demo", arguments @ ..] => match play::play("demo", arguments)? {},
        ["bench", arguments @ ..] if counts_blocks(arguments) => match play::play("bench", arguments)? {},
        ["bench", arguments @ ..] => match play::measure("bench", arguments)? {},
        ["chaos", arguments @ ..] => match play::play_with_own_servers("chaos", arguments)? {},
        ["test", words @ ..] => test::test(words),
        ["services", "up"] => {
            let urls = services::up()?;
            println!(
                "export DATABASE_URL='{}'\nexport AMQP_URL='{}'",
                urls.database_url, urls.amqp_url
            );
            Ok(())
        }
        ["services", "down"] => services::down(),
        ["services", "status"] => services::status(),
        ["sqlx", "prepare"] => sqlx::prepare(&services::up()?),
        ["sqlx", "check"] => sqlx::check(&services::up()?),
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(())
        }
        unknown => bail!("`{}` is no command; `cargo xtask help` lists them", unknown.join(" ")),
    }
}

/// Blocks that are read are the same in every build, so they are not worth the long one.
fn counts_blocks(arguments: &[&str]) -> bool {
    arguments
        .iter()
        .any(|argument| *argument == "--rows" || argument.starts_with("--rows="))
}
