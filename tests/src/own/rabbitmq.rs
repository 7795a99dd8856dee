//! A `RabbitMQ` node of one's own, with an Erlang port mapper (epmd) of its own.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use lapin::{Connection, ConnectionProperties};
use tokio::time::timeout;
use uuid::Uuid;

use super::home::{Home, free_port};
use crate::wait;

/// A fresh node takes 6 s on a quiet machine and 14 s after a crash on a busy one.
const LIMIT: Duration = Duration::from_secs(120);

const TRY: Duration = Duration::from_secs(5);

/// A node with one user. Dropping it ends it and its data.
#[derive(Debug)]
pub struct RabbitMq {
    home: Home,
    programs: PathBuf,
    /// For clients, for the distribution protocol, and for epmd.
    ports: [u16; 3],
}

/// Which members of quorum queues a node had written down.
#[derive(Debug)]
pub struct Members(Vec<(PathBuf, Vec<u8>)>);

impl RabbitMq {
    /// Makes an empty node and waits until it serves.
    ///
    /// # Errors
    /// When the programs are missing, or it does not start; its log is in the error.
    pub async fn start() -> anyhow::Result<Self> {
        let home = Home::make("rabbitmq")?;
        let mut node = Self {
            home,
            programs: programs().context("RabbitMQ is not installed: `apt-get install rabbitmq-server`")?,
            ports: [free_port()?, free_port()?, free_port()?],
        };
        node.write_settings()?;
        node.start_again().await?;
        Ok(node)
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("amqp://kassa:{}@{}/%2f", self.home.password, self.address())
    }

    /// `host:port`, for a proxy.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.ports[0])
    }

    /// Its first process, from which all others but its port mapper descend, while it runs.
    pub fn pid(&mut self) -> Option<u32> {
        self.home.main()
    }

    /// What it has said and logged, since the beginning.
    #[must_use]
    pub fn log(&self) -> String {
        let logged = std::fs::read_to_string(self.home.path("logs/kassa@localhost.log")).unwrap_or_default();
        self.home.log() + &logged
    }

    /// SIGKILL to every process of the node, its epmd included.
    ///
    /// # Errors
    /// When they do not end.
    pub fn kill9(&mut self) -> anyhow::Result<()> {
        self.home.kill()
    }

    /// Starts it after a kill with the data it had, and waits until it serves.
    ///
    /// # Errors
    /// When it does not; its log is in the error.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        self.home.kill()?;
        for folder in ["data", "logs"] {
            self.home.make_folder(folder)?;
        }
        let mut server = self.home.command(self.programs.join("rabbitmq-server"));
        self.environment(&mut server);
        self.home.start(&mut server)?;
        let url = self.url();
        // The port opens a little before the virtual host serves; then it closes the connection again.
        let serves = wait::until("RabbitMQ", LIMIT, || {
            let runs = self.home.runs();
            let url = &url;
            async move {
                ensure!(runs, "RabbitMQ has ended");
                // A connection that a starting node closes in the middle of its greeting may never be given up by lapin.
                Ok(timeout(TRY, opens(url)).await.ok().and_then(Result::ok))
            }
        })
        .await;
        serves.with_context(|| self.log())
    }

    /// Waits until it has written down that a queue exists. It says so up to some seconds before it does so, and a kill
    /// in between loses the queue with all its confirmed messages.
    ///
    /// # Errors
    /// When that does not happen.
    pub async fn until_on_disk(&self, queue: &str) -> anyhow::Result<()> {
        let folder = self.home.path("data/kassa@localhost");
        let is_written = || {
            // The newest facts stand in a log, the older ones in a file of their table.
            let files = std::fs::read_dir(&folder).into_iter().flatten().flatten();
            let mut texts = files.filter_map(|file| std::fs::read(file.path()).ok());
            let found = texts.any(|text| text.windows(queue.len()).any(|bytes| bytes == queue.as_bytes()));
            std::future::ready(Ok(found.then_some(())))
        };
        wait::until("the queue is on disk", LIMIT, is_written).await
    }

    /// What the node has on disk about the members of its quorum queues, for [`RabbitMq::kill9_back_to`].
    ///
    /// # Errors
    /// When that can't be read.
    pub fn members_on_disk(&self) -> anyhow::Result<Members> {
        let read = |name: &str| {
            let path = self
                .home
                .path(&format!("data/kassa@localhost/quorum/kassa@localhost/{name}"));
            let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
            Ok((path, bytes))
        };
        Ok(Members(
            ["names.dets", "meta.dets"]
                .map(read)
                .into_iter()
                .collect::<anyhow::Result<_>>()?,
        ))
    }

    /// SIGKILL at a moment at which the queues that were declared since are written down, and their members are not:
    /// the node writes those down half a second later than it says so. They come back as zombies.
    ///
    /// # Errors
    /// When the processes do not end, or the files can't be written.
    pub fn kill9_back_to(&mut self, members: &Members) -> anyhow::Result<()> {
        self.home.kill()?;
        for (path, bytes) in &members.0 {
            // Written in place: the file belongs to the node's user.
            std::fs::write(path, bytes).with_context(|| path.display().to_string())?;
        }
        Ok(())
    }

    /// Starts it with nothing in it, as if it had been restored from an empty backup.
    ///
    /// # Errors
    /// When it does not start; its log is in the error.
    pub async fn wipe(&mut self) -> anyhow::Result<()> {
        self.home.kill()?;
        std::fs::remove_dir_all(self.home.path("data"))?;
        self.start_again().await
    }

    fn write_settings(&self) -> anyhow::Result<()> {
        let config = format!(
            "listeners.tcp.1 = {}\n\
             default_user = kassa\n\
             default_pass = {}\n\
             disk_free_limit.absolute = 200MB\n\
             vm_memory_high_watermark.absolute = 1GB\n\
             log.file.level = info\n",
            self.address(),
            self.home.password
        );
        self.home.write("rabbitmq.conf", &config)?;
        self.home.write("enabled_plugins", "[].\n")?;
        // Shields the node from the settings of the machine's own broker in /etc/rabbitmq.
        self.home.write("environment", "")?;
        self.home.write("advanced.config", "[].\n")?;
        self.home.write(".erlang.cookie", &Uuid::new_v4().simple().to_string())
    }

    fn environment(&self, command: &mut Command) {
        let [_, distribution, epmd] = self.ports;
        let path = |name: &str| self.home.path(name);
        command
            .env("RABBITMQ_NODENAME", "kassa@localhost")
            .env("RABBITMQ_DIST_PORT", distribution.to_string())
            .env("ERL_EPMD_PORT", epmd.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_MNESIA_BASE", path("data"))
            .env("RABBITMQ_LOG_BASE", path("logs"))
            .env("RABBITMQ_PID_FILE", path("pid"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", path("enabled_plugins"))
            .env("RABBITMQ_CONFIG_FILE", path("rabbitmq.conf"))
            .env("RABBITMQ_ADVANCED_CONFIG_FILE", path("advanced.config"))
            .env("RABBITMQ_CONF_ENV_FILE", path("environment"))
            // The script becomes the node instead of waiting for it, so that the node is our own child.
            .env("RABBITMQ_ALLOW_INPUT", "true")
            .env(
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                "-noinput -kernel inet_dist_use_interface {127,0,0,1}",
            );
    }
}

async fn opens(url: &str) -> lapin::Result<()> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let _channel = connection.create_channel().await?;
    Ok(())
}

/// The folder with the start scripts themselves. Debian's commands of the same names in `/usr/sbin` change to the
/// account `rabbitmq` and its folder.
fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    [PathBuf::from("/usr/lib/rabbitmq/bin")]
        .into_iter()
        .chain(std::env::split_paths(&path))
        .filter_map(|folder| folder.join("rabbitmq-server").canonicalize().ok())
        .filter_map(|program| program.parent().map(std::path::Path::to_path_buf))
        .find(|folder| folder.join("rabbitmq-env").exists())
}
