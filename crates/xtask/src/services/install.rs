//! Getting the programs when they are missing and we may.

use std::{
    fs,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use super::place::{home, is_root};
use crate::{
    command::{run, tail},
    progress::{say, timed},
};

/// Whether this is a Debian-like machine whose packages we may install.
pub(crate) fn is_possible() -> bool {
    is_root().unwrap_or(false) && Path::new("/usr/bin/apt-get").exists() && cfg!(target_os = "linux")
}

/// Installs Debian packages without letting them start the machine's own servers.
pub(crate) fn packages(names: &[&str]) -> Result<()> {
    let log = home().join("apt.log");
    let _policy = NoServerStarts::declare()?;
    say(
        "apt",
        format_args!(
            "installing {} (Debian packages); the log is {}",
            names.join(", "),
            log.display()
        ),
    );
    timed("apt", "package lists updated", || apt(&log, &["update"]))?;
    let install = [&["install", "-y", "--no-install-recommends"], names].concat();
    timed("apt", "installed", || apt(&log, &install))
}

fn apt(log: &Path, arguments: &[&str]) -> Result<()> {
    let output = fs::OpenOptions::new().create(true).append(true).open(log)?;
    let mut apt = Command::new("apt-get");
    // Another apt may be at work, as on a machine that has just been started.
    apt.args(["-o", "DPkg::Lock::Timeout=120"]).args(arguments);
    apt.env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(std::process::Stdio::null());
    apt.stdout(output.try_clone()?).stderr(output);
    if !run(&mut apt)?.success() {
        bail!("apt-get {} failed; {}", arguments.join(" "), tail(log));
    }
    Ok(())
}

/// Debian's way to say that an installation starts no server: a script that answers 101 (forbidden). One that is
/// already there is respected, and ours is removed afterwards.
struct NoServerStarts {
    ours: Option<PathBuf>,
}

impl NoServerStarts {
    fn declare() -> Result<Self> {
        use std::io::{ErrorKind, Write as _};
        let policy = PathBuf::from("/usr/sbin/policy-rc.d");
        let mut open = fs::OpenOptions::new();
        match open.write(true).create_new(true).mode(0o755).open(&policy) {
            Ok(mut file) => {
                file.write_all(b"#!/bin/sh\nexit 101\n")?;
                Ok(Self { ours: Some(policy) })
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Self { ours: None }),
            Err(error) => Err(error).with_context(|| format!("{} cannot be written", policy.display())),
        }
    }
}

impl Drop for NoServerStarts {
    fn drop(&mut self) {
        if let Some(policy) = &self.ours {
            fs::remove_file(policy).ok();
        }
    }
}
