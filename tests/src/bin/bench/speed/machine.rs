//! The machine: without it a figure says nothing.

use std::fs;
use std::process::Command;

use serde::Serialize;
use sqlx::{Connection as _, PgConnection};

/// What the figures were measured on.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Machine {
    cpu: String,
    cores: usize,
    memory_gib: u64,
    kernel: String,
    postgres: String,
    rabbitmq: String,
    python: Option<String>,
    /// How the measured executables were built.
    profile: String,
}

impl Machine {
    /// `rabbitmq` is what the broker says of itself.
    pub(crate) async fn look(database_url: &str, rabbitmq: String) -> anyhow::Result<Self> {
        let mut connection = PgConnection::connect(database_url).await?;
        let postgres = sqlx::query_scalar("SHOW server_version")
            .fetch_one(&mut connection)
            .await?;
        let cpuinfo = fs::read_to_string("/proc/cpuinfo")?;
        let meminfo = fs::read_to_string("/proc/meminfo")?;
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let kilobytes = field(&meminfo, "MemTotal").and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
        let output = Command::new("python3").arg("--version").output().ok();
        let own = std::env::current_exe()?;
        let profile = own.parent().and_then(|folder| folder.file_name());
        Ok(Self {
            cpu: field(&cpuinfo, "model name").unwrap_or_default(),
            cores: std::thread::available_parallelism()?.get(),
            memory_gib: kilobytes.unwrap_or(0) / (1024 * 1024),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            postgres,
            rabbitmq,
            python: output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()),
            profile: profile.unwrap_or_default().to_string_lossy().into_owned(),
        })
    }

    /// In one line.
    pub(crate) fn words(&self) -> String {
        format!(
            "{}, {} cores, {} GiB, Linux {}, Postgres {}, RabbitMQ {}, {}, profile {}",
            self.cpu,
            self.cores,
            self.memory_gib,
            self.kernel,
            self.postgres,
            self.rabbitmq,
            self.python.as_deref().unwrap_or("no Python"),
            self.profile,
        )
    }
}
