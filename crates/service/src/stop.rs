//! Ending a process: asked once, everything finishes what it has begun; asked twice, it ends now.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

const SIGINT: Signal = Signal {
    name: "SIGINT",
    exit_code: 130,
};
const SIGTERM: Signal = Signal {
    name: "SIGTERM",
    exit_code: 143,
};

#[derive(Clone, Copy)]
struct Signal {
    name: &'static str,
    /// 128 and the signal's number, as a shell reports it.
    exit_code: i32,
}

/// A token that is cancelled at the first SIGTERM or SIGINT. The second one ends the process at once, with code 143 or 130.
///
/// Signals are caught from the return of this function on. Call it once, in a tokio runtime; the token is handed on as a
/// parameter.
///
/// # Errors
/// When the system refuses the signal handlers.
#[expect(
    clippy::disallowed_methods,
    reason = "the listener lives as long as the process and holds no work"
)]
pub fn signals() -> io::Result<CancellationToken> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let stop = CancellationToken::new();
    let told = stop.clone();
    tokio::spawn(async move {
        loop {
            let Signal { name, exit_code } = tokio::select! {
                _ = interrupt.recv() => SIGINT,
                _ = terminate.recv() => SIGTERM,
            };
            if told.is_cancelled() {
                tracing::warn!("{name} again: ending at once, unfinished work is left to the next process");
                std::process::exit(exit_code);
            }
            tracing::info!("{name}: stopping when the work in hand is done; a second signal ends at once");
            told.cancel();
        }
    });
    Ok(stop)
}
