//! Running other programs with a limit on how long they may take.

use std::{
    fs,
    io::Read as _,
    path::Path,
    process::{Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

/// Calls `condition` until it is true; false when the limit passes first.
pub(crate) fn wait_until(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    loop {
        if condition() {
            return true;
        }
        if started.elapsed() >= limit {
            return false;
        }
        thread::sleep(Duration::from_millis(30));
    }
}

/// What a short program printed. An exit code other than 0 is an error that carries what it printed on standard error.
///
/// For programs that print little: what does not fit into a pipe would block them until the limit.
pub(crate) fn output(command: &mut Command, limit: Duration) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("{name} cannot be started"))?;
    let mut status = None;
    if !wait_until(limit, || {
        status = child.try_wait().unwrap_or_default();
        status.is_some()
    }) {
        child.kill().ok();
        child.wait().ok();
        bail!("{name} did not finish within {} s", limit.as_secs());
    }
    let mut out = String::new();
    let mut err = String::new();
    if let Some(mut pipe) = child.stdout.take() {
        pipe.read_to_string(&mut out).ok();
    }
    if let Some(mut pipe) = child.stderr.take() {
        pipe.read_to_string(&mut err).ok();
    }
    match status {
        Some(status) if status.success() => Ok(out),
        _ => bail!("{name} failed: {}", err.trim()),
    }
}

/// Whether the program starts and says that all is well.
pub(crate) fn succeeds(command: &mut Command, limit: Duration) -> bool {
    output(command, limit).is_ok()
}

/// Runs a program that talks to the terminal itself.
pub(crate) fn run(command: &mut Command) -> Result<ExitStatus> {
    let name = command.get_program().to_string_lossy().into_owned();
    command.status().with_context(|| format!("{name} cannot be started"))
}

/// The last lines of a log, for an error message.
pub(crate) fn tail(log: &Path) -> String {
    const LINES: usize = 12;
    let bytes = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    format!("the end of {}:\n{}", log.display(), lines[lines.len().saturating_sub(LINES)..].join("\n"))
}
