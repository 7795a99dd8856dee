//! Running other programs with a limit on how long they may take.

use std::{
    fs,
    io::Read,
    path::Path,
    process::{Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

/// Calls `condition` until it is true; false when the limit passes first.
#[expect(
    clippy::disallowed_methods,
    reason = "there is no runtime here that could be blocked"
)]
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

/// What a program printed. An exit code other than 0 is an error that carries what it printed on standard error.
pub(crate) fn output(command: &mut Command, limit: Duration) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("{name} cannot be started"))?;
    let told = collect(child.stdout.take());
    let complained = collect(child.stderr.take());
    let mut status = None;
    if !wait_until(limit, || {
        status = child.try_wait().unwrap_or_default();
        status.is_some()
    }) {
        child.kill().ok();
        child.wait().ok();
        bail!("{name} did not finish within {} s", limit.as_secs());
    }
    match status {
        Some(status) if status.success() => Ok(told.join().unwrap_or_default()),
        _ => bail!("{name} failed: {}", complained.join().unwrap_or_default().trim()),
    }
}

/// Reads beside the wait, because a program stops when its pipe is full.
fn collect(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            pipe.read_to_end(&mut bytes).ok();
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
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
    format!(
        "the end of {}:\n{}",
        log.display(),
        lines[lines.len().saturating_sub(LINES)..].join("\n")
    )
}
