//! What the person at the terminal reads while something takes its time. All of it goes to standard error, because
//! standard output belongs to results.

use std::{
    fmt::Display,
    time::{Duration, Instant},
};

/// One line about what is being done.
pub(crate) fn say(who: &str, what: impl Display) {
    eprintln!("{who:>9}  {what}");
}

/// Does the work and tells afterwards what was done and how long it took.
pub(crate) fn timed<T>(who: &str, what: &str, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let started = Instant::now();
    let result = work()?;
    say(who, format_args!("{what} ({})", human(started.elapsed())));
    Ok(result)
}

/// A duration as a person reads it: `340 ms`, `12.3 s`, `4 min 05 s`.
pub(crate) fn human(duration: Duration) -> String {
    match duration.as_secs() {
        0 => format!("{} ms", duration.as_millis()),
        seconds @ 1..60 => format!("{seconds}.{} s", duration.subsec_millis() / 100),
        seconds => format!("{} min {:02} s", seconds / 60, seconds % 60),
    }
}
