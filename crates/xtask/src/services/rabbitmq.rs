//! A private RabbitMQ node with an Erlang port mapper (epmd) of its own.

use std::{
    env,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};

use super::{
    docker,
    place::Place,
    process::{self, clean_environment},
    server::{DATA, Server},
};
use crate::command::{output, tail, wait_until};

/// A fresh node takes 6 s on a quiet machine and 14 s after a crash on a busy one.
const START_LIMIT: Duration = Duration::from_secs(90);

pub(crate) struct RabbitMq {
    programs: PathBuf,
    password: String,
}

impl RabbitMq {
    fn settings(&self, place: &Place, folder: &Path, port: u16) -> Result<()> {
        let config = format!(
            "listeners.tcp.1 = 127.0.0.1:{port}\n\
             default_user = kassa\n\
             default_pass = {}\n\
             disk_free_limit.absolute = 200MB\n\
             vm_memory_high_watermark.absolute = 1GB\n\
             log.file.level = info\n",
            self.password
        );
        place.write(&folder.join("rabbitmq.conf"), &config)?;
        // A message whose delay is over while its target queue is missing is otherwise tried again only after 3 minutes.
        let advanced = "[{rabbit, [{dead_letter_worker_publisher_confirm_timeout, 5000}]}].\n";
        place.write(&folder.join("advanced.config"), advanced)?;
        place.write(&folder.join("enabled_plugins"), "[].\n")?;
        // Shields the node from the settings of the machine's own broker in /etc/rabbitmq.
        place.write(&folder.join("environment"), "")?;
        let cookie = folder.join(".erlang.cookie");
        place.write(&cookie, &super::random()?)?;
        Ok(())
    }

    fn environment(command: &mut Command, folder: &Path, port: u16) {
        command
            .env("HOME", folder)
            .env("LANG", "C.UTF-8")
            .env("RABBITMQ_NODENAME", "kassa@localhost")
            .env("RABBITMQ_DIST_PORT", (port + 1).to_string())
            .env("ERL_EPMD_PORT", (port + 2).to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_MNESIA_BASE", folder.join(DATA))
            .env("RABBITMQ_LOG_BASE", folder.join("logs"))
            .env("RABBITMQ_PID_FILE", folder.join("pid"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", folder.join("enabled_plugins"))
            .env("RABBITMQ_CONFIG_FILE", folder.join("rabbitmq.conf"))
            .env("RABBITMQ_ADVANCED_CONFIG_FILE", folder.join("advanced.config"))
            .env("RABBITMQ_CONF_ENV_FILE", folder.join("environment"))
            .env(
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                "-kernel inet_dist_use_interface {127,0,0,1}",
            );
    }
}

impl Server for RabbitMq {
    const NAME: &'static str = "rabbitmq";
    const VARIABLE: &'static str = "AMQP_URL";
    const PACKAGE: &'static str = "rabbitmq-server";
    const CONTAINER_URL: &'static str = docker::AMQP_URL;
    /// For clients, for the distribution protocol that `rabbitmqctl` speaks, and for epmd.
    const PORTS: u16 = 3;
    const MAIN: &'static str = "beam.smp";
    const GENTLE: &'static str = "TERM";

    fn find(password: &str) -> Option<Self> {
        Some(Self {
            programs: find()?,
            password: password.to_owned(),
        })
    }

    fn url(&self, port: u16) -> String {
        format!("amqp://kassa:{}@127.0.0.1:{port}/%2f", self.password)
    }

    fn answers(&self, port: u16) -> bool {
        greets(port).unwrap_or(false)
    }

    fn start(&self, place: &Place, folder: &Path, port: u16) -> Result<()> {
        place.make(&folder.join(DATA))?;
        place.make(&folder.join("logs"))?;
        self.settings(place, folder, port)?;
        let log = folder.join("log");
        let mut server = place.command(self.programs.join("rabbitmq-server"));
        Self::environment(&mut server, folder, port);
        let mut child = process::start(folder, &log, &server)?;
        let mut answers = false;
        wait_until(START_LIMIT, || {
            answers = self.answers(port);
            answers || process::has_ended(&mut child)
        });
        if !answers {
            bail!("RabbitMQ does not start; {}", tail(&log));
        }
        // The port opens a little before the node says that it is done.
        let mut wait = place.command(self.programs.join("rabbitmqctl"));
        clean_environment(&mut wait, folder);
        Self::environment(&mut wait, folder, port);
        wait.args(["--quiet", "await_startup", "--timeout", "60"])
            .current_dir(folder);
        output(&mut wait, START_LIMIT).context("RabbitMQ answers but does not finish its start")?;
        Ok(())
    }
}

/// Whether the node answers the AMQP 0-9-1 protocol header with `connection.start`: a method frame (1) on channel 0,
/// class 10, method 10.
fn greets(port: u16) -> std::io::Result<bool> {
    let limit = Duration::from_secs(3);
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    stream.write_all(b"AMQP\x00\x00\x09\x01")?;
    let mut frame = [0; 11];
    stream.read_exact(&mut frame)?;
    Ok(matches!(frame, [1, 0, 0, _, _, _, _, 0, 10, 0, 10]))
}

/// The folder with the start scripts themselves. Debian's commands of the same names in `/usr/sbin` change to the
/// account `rabbitmq` and its folder, which is of no use to a private node.
pub(crate) fn find() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    if !env::split_paths(&path).any(|folder| folder.join("erl").exists()) {
        return None;
    }
    [PathBuf::from("/usr/lib/rabbitmq/bin")]
        .into_iter()
        .chain(env::split_paths(&path))
        .filter_map(|folder| folder.join("rabbitmq-server").canonicalize().ok())
        .filter_map(|program| program.parent().map(Path::to_path_buf))
        .find(|folder| {
            ["rabbitmq-env", "rabbitmqctl"]
                .iter()
                .all(|script| folder.join(script).exists())
        })
}
