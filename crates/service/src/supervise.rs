//! Loops that outlive their errors.

use std::any::Any;
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use futures_util::FutureExt;
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::health::{Health, STEADY};

const FIRST_DELAY: Duration = Duration::from_millis(500);
/// With jitter a delay is up to twice its base, so none is longer than 30 seconds.
const LONGEST_BASE: Duration = Duration::from_secs(15);

/// Owns the loops of a process and starts them again when they end.
///
/// Dropped, it ends them all where they stand; [`Supervisor::join`] is the orderly way.
pub struct Supervisor {
    loops: JoinSet<()>,
    names: HashMap<Id, String>,
    health: Health,
    stop: CancellationToken,
}

/// The stop's time limit passed while loops were still at work. What they held is left to the next process.
#[derive(Debug, thiserror::Error)]
#[error("not finished {limit:?} after the stop: {}", names.join(", "))]
pub struct Unfinished {
    /// The loops that were cut off, by name.
    pub names: Vec<String>,
    limit: Duration,
}

impl Supervisor {
    /// Loops run until `stop` is cancelled and show in `health`.
    pub fn new(health: Health, stop: CancellationToken) -> Supervisor {
        Supervisor {
            loops: JoinSet::new(),
            names: HashMap::new(),
            health,
            stop,
        }
    }

    /// Starts a loop. `make` is called for every start and gives a future that runs until the stop and then ends by
    /// itself, having finished what it held; nothing else tells it to end.
    ///
    /// A future that ends before the stop, with an error, a panic or without either, is logged once and made anew after a
    /// delay, from half a second up to 30 seconds with jitter. A run of a minute starts the delays over.
    pub fn spawn<F, R>(&mut self, name: impl Into<String>, make: F)
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let name = name.into();
        self.health.loop_started(&name);
        let task = run(name.clone(), make, self.health.clone(), self.stop.clone());
        self.names.insert(self.loops.spawn(task).id(), name);
    }

    /// Waits for the stop, then at most `limit` for the loops to finish. Without loops it returns at the stop.
    ///
    /// # Errors
    /// Names the loops that were cut off at the limit.
    pub async fn join(mut self, limit: Duration) -> Result<(), Unfinished> {
        self.stop.cancelled().await;
        let finished = timeout(limit, async {
            while let Some(ended) = self.loops.join_next_with_id().await {
                let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
                self.names.remove(&id);
            }
        });
        match finished.await {
            Ok(()) => Ok(()),
            Err(_) => {
                self.loops.abort_all();
                let mut names: Vec<_> = self.names.into_values().collect();
                names.sort();
                Err(Unfinished { names, limit })
            }
        }
    }
}

enum End {
    Finished,
    Failed(anyhow::Error),
    Panicked(String),
}

async fn run<F, R>(name: String, make: F, health: Health, stop: CancellationToken)
where
    F: Fn() -> R + Send + Sync + 'static,
    R: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let mut delays = delays();
    loop {
        health.loop_started(&name);
        let started = Instant::now();
        // What a panic may leave broken is inside the future, which is thrown away.
        let end = match AssertUnwindSafe(async { make().await }).catch_unwind().await {
            Ok(Ok(())) => End::Finished,
            Ok(Err(error)) => End::Failed(error),
            Err(panic) => End::Panicked(message(panic.as_ref())),
        };
        let stopping = stop.is_cancelled();
        if started.elapsed() >= STEADY {
            delays = self::delays();
        }
        let delay = delays.next().unwrap_or(LONGEST_BASE);
        let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        let detail = match end {
            End::Finished if stopping => return,
            End::Finished => {
                tracing::warn!(loop.name = name, delay_ms, "loop {name} ended without a stop; it is started again");
                "ended without a stop".to_owned()
            }
            End::Failed(error) => {
                let error = format!("{error:#}");
                tracing::warn!(loop.name = name, delay_ms, stopping, "loop {name} failed: {error}");
                error
            }
            // The panic hook has written its `error` line, with the place.
            End::Panicked(message) => {
                tracing::warn!(loop.name = name, delay_ms, stopping, "loop {name} panicked: {message}");
                format!("panicked: {message}")
            }
        };
        health.loop_failed(&name, &detail);
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = sleep(delay) => {}
        }
    }
}

fn delays() -> impl Iterator<Item = Duration> {
    // Without the standard library, as it is built here, backon would start every process with the same seed.
    let seed = RandomState::new().build_hasher().finish();
    ExponentialBuilder::new()
        .with_min_delay(FIRST_DELAY)
        .with_max_delay(LONGEST_BASE)
        .without_max_times()
        .with_jitter()
        .with_jitter_seed(seed)
        .build()
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").to_owned()
}

#[cfg(test)]
mod tests;
