//! The simulator as a process of its own.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use simulator::{Account, CheckOnlineFiles, Simulator};
use tokio::signal::unix::{SignalKind, signal};

/// Simulated fiscal vendors: ATOL Online v4 and CheckOnline with books of their own and faults on demand.
#[derive(Debug, Parser)]
#[command(name = "kassa-simulator", version)]
struct Arguments {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// How long a document waits for a register: `200ms..800ms`, or one duration; `0s` answers at once, for benchmarks
    #[arg(long, default_value = "1s..4500ms", value_parser = span)]
    atol_delay: (Duration, Duration),
    /// Start CheckOnline too, and write the certificates of its clients into this folder
    #[arg(long)]
    checkonline_certs: Option<PathBuf>,
    /// How long a register of CheckOnline works on a receipt
    #[arg(long, default_value = "300ms..1500ms", value_parser = span)]
    checkonline_delay: (Duration, Duration),
    /// Group code
    #[arg(long, default_value_t = Account::default().group)]
    group: String,
    /// Login for a token
    #[arg(long, default_value_t = Account::default().login)]
    login: String,
    /// Password for a token
    #[arg(long, default_value_t = Account::default().password)]
    pass: String,
    /// The seller's INN in the registers
    #[arg(long, default_value_t = Account::default().inn)]
    inn: String,
    /// Life of a token
    #[arg(long, default_value = "24h", value_parser = duration)]
    token_life: Duration,
    /// How long a document may wait for a register before it fails
    #[arg(long, default_value = "300s", value_parser = duration)]
    queue_timeout: Duration,
    /// Registers of the group
    #[arg(long, default_value_t = 2)]
    registers: usize,
    /// Makes everything drawn by chance repeatable
    #[arg(long)]
    seed: Option<u64>,
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration: jiff::SignedDuration = text.trim().parse().map_err(|error: jiff::Error| error.to_string())?;
    duration
        .try_into()
        .map_err(|_| "a duration cannot be negative".to_owned())
}

fn span(text: &str) -> Result<(Duration, Duration), String> {
    let (least, most) = text.split_once("..").unwrap_or((text, text));
    let (least, most) = (duration(least)?, duration(most)?);
    if least <= most {
        Ok((least, most))
    } else {
        Err("the first duration must not be longer than the second".to_owned())
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let filter = tracing_subscriber::EnvFilter::builder()
        .with_default_directive(tracing::level_filters::LevelFilter::INFO.into())
        .from_env_lossy();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();

    // Before the address is printed, so that whoever reads it can rely on a graceful end.
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;

    let (least, most) = arguments.atol_delay;
    let mut builder = Simulator::builder()
        .listen(arguments.listen)
        .account(Account {
            group: arguments.group,
            login: arguments.login,
            password: arguments.pass,
            inn: arguments.inn,
        })
        .delay(least, most)
        .token_life(arguments.token_life)
        .queue_timeout(arguments.queue_timeout)
        .registers(arguments.registers);
    if let Some(seed) = arguments.seed {
        builder = builder.seed(seed);
    }
    if let Some(folder) = arguments.checkonline_certs {
        let (least, most) = arguments.checkonline_delay;
        builder = builder
            .checkonline(CheckOnlineFiles::in_folder(folder))
            .checkonline_delay(least, most);
    }
    let simulator = builder.start().await?;
    announce(&simulator).context("cannot print the address")?;

    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    simulator.stop().await;
    Ok(())
}

/// One line of JSON, flushed: programs wait for it on a pipe.
fn announce(simulator: &Simulator) -> std::io::Result<()> {
    let line = serde_json::json!({
        "url": simulator.url(),
        "atol": simulator.atol_url(),
        "checkonline": simulator.checkonline_url(),
        "certificates": simulator.checkonline_files().map(CheckOnlineFiles::folder),
        "control": format!("{}/control", simulator.url()),
    });
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }

    #[test]
    fn spans_are_read_with_units() {
        let ms = Duration::from_millis;
        assert_eq!(span("200ms..800ms"), Ok((ms(200), ms(800))));
        assert_eq!(span("0s"), Ok((ms(0), ms(0))));
        assert_eq!(span("1s..1.5s"), Ok((ms(1000), ms(1500))));
        for nonsense in ["", "5", "2s..1s", "-1s", "fast"] {
            assert!(span(nonsense).is_err(), "{nonsense}");
        }
    }
}
