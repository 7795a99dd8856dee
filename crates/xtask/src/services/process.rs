//! Which running processes are ours.
//!
//! Process numbers are used again, and number files go stale, so nothing is believed but `/proc`: every server is
//! started with a variable in its environment that names its own folder, and only what carries it is ever signalled.

use std::{
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::command::{self, wait_until};

const MARK: &str = "KASSA_SERVICE_FOLDER";

/// The number of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pid(u32);

impl std::fmt::Display for Pid {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}

impl Pid {
    /// The name of the program, as the kernel keeps it (at most 15 bytes).
    pub(crate) fn program(self) -> String {
        fs::read_to_string(format!("/proc/{self}/comm"))
            .unwrap_or_default()
            .trim()
            .to_owned()
    }

    fn parent(self) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{self}/status")).ok()?;
        status
            .lines()
            .find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok())
            .map(Self)
    }

    fn belongs_to(self, folder: &Path) -> bool {
        let environment = fs::read(format!("/proc/{self}/environ")).unwrap_or_default();
        let mark = [MARK.as_bytes(), b"=", folder.as_os_str().as_bytes()].concat();
        if environment.split(|byte| *byte == 0).any(|entry| entry == mark) {
            return true;
        }
        // Postgres writes its process titles over the environment of its children, but all of them stay in the data
        // folder. The shell of a person may stand there as well, hence the name.
        let place = fs::read_link(format!("/proc/{self}/cwd")).unwrap_or_default();
        // A folder that was removed under a running server (`cargo clean`) gets this suffix from the kernel.
        let place = PathBuf::from(place.to_string_lossy().trim_end_matches(" (deleted)"));
        self.program() == "postgres" && place.starts_with(folder)
    }
}

/// All processes that were started for this folder, oldest number first.
pub(crate) fn of(folder: &Path) -> Vec<Pid> {
    let mut pids: Vec<Pid> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok().map(Pid))
        .filter(|pid| pid.belongs_to(folder))
        .collect();
    pids.sort_by_key(|pid| pid.0);
    pids
}

/// The server itself: the processes of the folder that run `program` and were not started by such a process.
pub(crate) fn main_of(folder: &Path, program: &str) -> Vec<Pid> {
    let mut candidates = of(folder);
    candidates.retain(|pid| pid.program() == program);
    let all = candidates.clone();
    candidates.retain(|pid| pid.parent().is_none_or(|parent| !all.contains(&parent)));
    candidates
}

/// Starts a server that outlives us: own session, no terminal, output to `log`, an environment that holds only what is
/// given, and enough file descriptors. The child is for asking whether it has ended.
pub(crate) fn start(folder: &Path, log: &Path, server: &Command) -> Result<Child> {
    // Unlimited descriptors are as bad as few: the Erlang machine makes a table of that size.
    const DESCRIPTORS: &str = r#"limit=$(ulimit -Hn); [ "$limit" != unlimited ] && [ "$limit" -le 65536 ] || limit=65536
ulimit -Sn "$limit"; exec "$@""#;
    let output = fs::File::create(log).with_context(|| format!("{} cannot be written", log.display()))?;
    let mut command = Command::new("setsid");
    command
        .args(["sh", "-c", DESCRIPTORS, "sh"])
        .arg(server.get_program())
        .args(server.get_args());
    clean_environment(&mut command, folder);
    for (name, value) in server.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    command
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output);
    command.spawn().context("setsid (package util-linux) cannot be started")
}

/// Whether a started server is gone already.
pub(crate) fn has_ended(child: &mut Child) -> bool {
    !matches!(child.try_wait(), Ok(None))
}

/// Leaves nothing of the caller's settings (`PGOPTIONS`, `RABBITMQ_…`, `ERL_…`) that could bend a server of ours.
pub(crate) fn clean_environment(command: &mut Command, folder: &Path) {
    command
        .env_clear()
        .env("LANG", "C.UTF-8")
        .env("HOME", folder)
        .env(MARK, folder);
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
}

/// Stops what belongs to the folder. `gentle` is the signal by which `main` ends in good order; after its time is over
/// all that is left is killed.
pub(crate) fn stop(folder: &Path, main: &str, gentle: &str, limit: Duration) -> Result<()> {
    for pid in main_of(folder, main) {
        signal(pid, gentle, folder)?;
    }
    wait_until(limit, || main_of(folder, main).is_empty());
    // In the middle of an `exec` a process has no environment to be known by, so one look is not enough.
    let mut empty_looks = 0;
    let ended = wait_until(Duration::from_secs(10), || {
        let left = of(folder);
        empty_looks = if left.is_empty() { empty_looks + 1 } else { 0 };
        left.iter().try_for_each(|pid| signal(*pid, "KILL", folder)).is_ok() && empty_looks == 3
    });
    if !ended {
        bail!("processes of {} do not end: {:?}", folder.display(), of(folder));
    }
    Ok(())
}

fn signal(pid: Pid, name: &str, folder: &Path) -> Result<()> {
    // Looked at again directly before: the number may belong to somebody else by now.
    if pid.belongs_to(folder) {
        let mut kill = Command::new("sh");
        kill.args(["-c", r#"kill -s "$1" "$2""#, "sh", name])
            .arg(pid.to_string());
        command::run(kill.stderr(Stdio::null()))?;
    }
    Ok(())
}
