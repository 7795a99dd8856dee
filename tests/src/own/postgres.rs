//! A Postgres cluster of one's own.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use sqlx::{Connection, Executor, PgConnection};
use tokio::time::timeout;

use super::home::{Home, free_port, signal};
use crate::wait;

/// Recovery after a crash on a busy machine included.
const LIMIT: Duration = Duration::from_secs(60);

const TRY: Duration = Duration::from_secs(5);

/// A cluster with the database `kassa` and the durability that production has. Dropping it ends it and its data.
#[derive(Debug)]
pub struct Postgres {
    home: Home,
    programs: PathBuf,
    port: u16,
}

impl Postgres {
    /// Makes an empty cluster and waits until it serves.
    ///
    /// # Errors
    /// When the programs are missing, or it does not start; its log is in the error.
    pub async fn start() -> anyhow::Result<Self> {
        let home = Home::make("postgres")?;
        let programs = programs().context("Postgres is not installed: `apt-get install postgresql`")?;
        home.write("password", &home.password)?;
        let mut initdb = home.command(programs.join("initdb"));
        // Not `scram-sha-256`: its client side costs a debug build a tenth of a second for every connection.
        initdb.args(["--username=kassa", "--auth=password", "--encoding=UTF8", "--no-sync"]);
        initdb.args(["--locale=C.UTF-8", "--pwfile=password", "--pgdata=data"]);
        home.run(&mut initdb)?;
        let mut server = Self {
            home,
            programs,
            port: free_port()?,
        };
        server.start_again().await?;
        PgConnection::connect(&server.url_of("postgres"))
            .await?
            .execute("CREATE DATABASE kassa")
            .await?;
        Ok(server)
    }

    /// The URL of the database `kassa`, with a user who may make more.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of("kassa")
    }

    /// `host:port`, for a proxy.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Its first process, from which all others descend, while it runs.
    pub fn pid(&mut self) -> Option<u32> {
        self.home.main()
    }

    /// What it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        self.home.log()
    }

    /// What `pg_ctl stop --mode=immediate` does: every process ends at once, nothing is written, the next start
    /// recovers. Returns when it has ended.
    ///
    /// # Errors
    /// When it does not run or does not end.
    pub async fn immediate_stop(&mut self) -> anyhow::Result<()> {
        let postmaster = self.home.main().context("Postgres does not run")?;
        signal(postmaster, "QUIT")?;
        wait::until("the end of Postgres", LIMIT, || {
            std::future::ready(Ok((!self.home.runs()).then_some(())))
        })
        .await?;
        self.home.kill()
    }

    /// SIGKILL to every process of the cluster.
    ///
    /// # Errors
    /// When they do not end.
    pub fn kill9(&mut self) -> anyhow::Result<()> {
        self.home.kill()
    }

    /// Starts it after a stop with the data it had, and waits until it serves.
    ///
    /// # Errors
    /// When it does not; its log is in the error.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        self.home.kill()?;
        // Its number may be a living stranger's by now, which Postgres would take for itself.
        let _ = std::fs::remove_file(self.home.path("data/postmaster.pid"));
        let mut server = self.home.command(self.programs.join("postgres"));
        server.args(["-D", "data"]);
        for setting in [
            &format!("port={}", self.port),
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "max_connections=200",
            // The crash tests count on what the acknowledged commit promises.
            "fsync=on",
            "synchronous_commit=on",
            "timezone=UTC",
        ] {
            server.args(["-c", setting]);
        }
        self.home.start(&mut server)?;
        let url = self.url_of("postgres");
        let serves = wait::until("Postgres", LIMIT, || {
            let runs = self.home.runs();
            let url = &url;
            async move {
                ensure!(runs, "Postgres has ended");
                Ok(timeout(TRY, PgConnection::connect(url)).await.ok().and_then(Result::ok))
            }
        })
        .await;
        serves.with_context(|| self.log())?;
        Ok(())
    }

    fn url_of(&self, database: &str) -> String {
        format!("postgres://kassa:{}@{}/{database}", self.home.password, self.address())
    }
}

/// The folder of the newest installed version.
fn programs() -> Option<PathBuf> {
    let debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> = debian
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    found.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    found
        .into_iter()
        .rev()
        .map(|(_, folder)| folder)
        .chain(std::env::split_paths(&path))
        .find(|folder| {
            ["initdb", "postgres"]
                .iter()
                .all(|program| folder.join(program).exists())
        })
}
