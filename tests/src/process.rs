//! Processes of ours, which end with the test at the latest.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// A process of ours. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    /// For messages.
    pub name: String,
    log: PathBuf,
    child: Child,
}

impl Process {
    /// Starts `program`; its log goes to `folder/<name>.log`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(name: &str, program: &Path, arguments: &[&str], folder: &Path) -> anyhow::Result<Self> {
        Self::start_with(name, program, arguments, folder, &[])
    }

    /// The same, with variables of its environment.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_with(
        name: &str,
        program: &Path,
        arguments: &[&str],
        folder: &Path,
        environment: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let child = Command::new(program)
            .args(arguments)
            .envs(environment.iter().copied())
            // The URLs are in the configuration file; those of the test command would win over them.
            .env_remove("DATABASE_URL")
            .env_remove("AMQP_URL")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log)?)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} cannot be started", program.display()))?;
        Ok(Self {
            name: name.to_owned(),
            log,
            child,
        })
    }

    /// The first line on its standard output.
    ///
    /// # Errors
    /// When it ends without one; the log is in the error.
    pub async fn first_line(&mut self) -> anyhow::Result<String> {
        let stdout = self.child.stdout.take().context("the first line was taken before")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).await?;
        ensure!(!line.is_empty(), "{} ended without a word:\n{}", self.name, self.log());
        Ok(line)
    }

    /// What it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its id, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// SIGKILL: no chance to finish anything.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.child.start_kill()?;
        self.child.wait().await?;
        Ok(())
    }

    /// SIGTERM, and waits for the end. Returns whether the exit code was 0.
    ///
    /// # Errors
    /// When it has not ended within `limit`.
    pub async fn stop(&mut self, limit: Duration) -> anyhow::Result<bool> {
        if self.pid().is_none() {
            return Ok(true);
        }
        self.signal("TERM").await?;
        let ended = tokio::time::timeout(limit, self.child.wait()).await;
        let status =
            ended.with_context(|| format!("{} has not stopped within {limit:?}:\n{}", self.name, self.log()))??;
        Ok(status.success())
    }

    /// Sends a signal: `STOP` freezes it, `CONT` lets it go on.
    ///
    /// # Errors
    /// When it has ended.
    pub async fn signal(&self, signal: &str) -> anyhow::Result<()> {
        let pid = self.pid().with_context(|| format!("{} has ended", self.name))?;
        // Through the shell's kill: this package forbids unsafe code, and one signal is worth no dependency.
        let sent = Command::new("kill")
            .args(["-s", signal, &pid.to_string()])
            .status()
            .await?;
        ensure!(sent.success(), "{} did not get the signal {signal}", self.name);
        Ok(())
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn runs(&mut self) -> anyhow::Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Leaves it running after us.
    pub fn leave(mut self) {
        // A child that is never reaped by us is inherited by init.
        self.child.stdout.take();
        std::mem::forget(self);
    }
}
