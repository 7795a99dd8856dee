use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

struct Fixture {
    supervisor: Supervisor,
    health: Health,
    stop: CancellationToken,
}

fn a_supervisor() -> Fixture {
    let (health, stop) = (Health::default(), CancellationToken::new());
    Fixture {
        supervisor: Supervisor::new(health.clone(), stop.clone()),
        health,
        stop,
    }
}

/// Counts the starts of a loop and cancels `stop` at the given one.
fn counted(stop: &CancellationToken, last: u32) -> (Arc<AtomicU32>, impl Fn() + Clone + use<>) {
    let starts = Arc::new(AtomicU32::new(0));
    let (counter, stop) = (starts.clone(), stop.clone());
    let count = move || {
        if counter.fetch_add(1, Ordering::SeqCst) + 1 == last {
            stop.cancel();
        }
    };
    (starts, count)
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_panics_is_started_again() {
    let Fixture {
        mut supervisor,
        health,
        stop,
    } = a_supervisor();
    let (starts, count) = counted(&stop, 3);
    supervisor.spawn("poll", move || {
        let count = count.clone();
        async move {
            count();
            panic!("receipt {} has no lines", 7)
        }
    });
    supervisor.join(Duration::from_secs(1)).await.unwrap();
    assert_eq!(starts.load(Ordering::SeqCst), 3);
    assert_eq!(health.loops()[0].detail, "panicked: receipt 7 has no lines");
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_panics_before_it_begins_is_started_again() {
    let Fixture {
        mut supervisor, stop, ..
    } = a_supervisor();
    let (starts, count) = counted(&stop, 2);
    supervisor.spawn("poll", move || -> std::future::Ready<anyhow::Result<()>> {
        count();
        panic!("no configuration")
    });
    supervisor.join(Duration::from_secs(1)).await.unwrap();
    assert_eq!(starts.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_fails_is_told_with_its_chain_and_delays_grow_up_to_thirty_seconds() {
    let Fixture {
        mut supervisor,
        health,
        stop,
    } = a_supervisor();
    let (starts, count) = counted(&stop, 20);
    let begun = Instant::now();
    supervisor.spawn("relay", move || {
        let count = count.clone();
        async move {
            count();
            Err(anyhow::anyhow!("connection refused").context("the broker is away"))
        }
    });
    supervisor.join(Duration::from_secs(1)).await.unwrap();
    assert_eq!(starts.load(Ordering::SeqCst), 20);
    // 0.5 + 1 + 2 + 4 + 8, then 14 times 15 seconds; with jitter up to twice that.
    let waited = begun.elapsed();
    assert!(
        waited >= Duration::from_millis(225_500) && waited <= Duration::from_millis(451_000),
        "{waited:?}"
    );
    assert_eq!(health.loops()[0].detail, "the broker is away: connection refused");
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_ends_without_a_stop_is_started_again() {
    let Fixture {
        mut supervisor, stop, ..
    } = a_supervisor();
    let (starts, count) = counted(&stop, 2);
    supervisor.spawn("poll", move || {
        count();
        std::future::ready(Ok(()))
    });
    supervisor.join(Duration::from_secs(1)).await.unwrap();
    assert_eq!(starts.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_keeps_failing_is_dead_until_it_has_run_for_a_minute() {
    let Fixture {
        mut supervisor,
        health,
        stop,
    } = a_supervisor();
    let broken = CancellationToken::new();
    let (mended, until) = (broken.clone(), stop.clone());
    supervisor.spawn("poll", move || {
        let (mended, until) = (mended.clone(), until.clone());
        async move {
            anyhow::ensure!(mended.is_cancelled(), "no database");
            until.cancelled().await;
            Ok(())
        }
    });
    assert!(health.loops()[0].alive);
    sleep(Duration::from_secs(31)).await;
    assert!(!health.loops()[0].alive);
    broken.cancel();
    sleep(Duration::from_secs(30)).await;
    assert!(!health.loops()[0].alive, "it runs, but for less than a minute");
    sleep(Duration::from_secs(60)).await;
    assert!(health.loops()[0].alive);
    stop.cancel();
    supervisor.join(Duration::from_secs(1)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_steady_run_makes_earlier_failures_history() {
    let Fixture {
        mut supervisor,
        health,
        stop,
    } = a_supervisor();
    let (starts, count) = counted(&stop, 9);
    supervisor.spawn("poll", move || {
        let count = count.clone();
        async move {
            count();
            sleep(STEADY).await;
            anyhow::bail!("the connection was closed")
        }
    });
    supervisor.join(STEADY * 2).await.unwrap();
    assert_eq!(starts.load(Ordering::SeqCst), 9);
    let report = &health.loops()[0];
    assert!(report.alive && report.failures == 1, "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stop_lets_loops_finish_what_they_hold() {
    let Fixture {
        mut supervisor, stop, ..
    } = a_supervisor();
    let finished = CancellationToken::new();
    let (done, until) = (finished.clone(), stop.clone());
    supervisor.spawn("send", move || {
        let (done, until) = (done.clone(), until.clone());
        async move {
            until.cancelled().await;
            sleep(Duration::from_secs(20)).await;
            done.cancel();
            Ok(())
        }
    });
    stop.cancel();
    supervisor.join(Duration::from_secs(30)).await.unwrap();
    assert!(finished.is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_no_longer_than_its_limit_and_names_who_is_left() {
    let Fixture {
        mut supervisor, stop, ..
    } = a_supervisor();
    let until = stop.clone();
    supervisor.spawn("send", move || {
        let until = until.clone();
        async move {
            until.cancelled().await;
            Ok(())
        }
    });
    supervisor.spawn("relay", std::future::pending::<anyhow::Result<()>>);
    supervisor.spawn("poll", std::future::pending::<anyhow::Result<()>>);
    let begun = Instant::now();
    stop.cancel();
    let unfinished = supervisor.join(Duration::from_secs(30)).await.unwrap_err();
    assert_eq!(begun.elapsed(), Duration::from_secs(30));
    assert_eq!(unfinished.names, ["poll", "relay"]);
    assert_eq!(unfinished.to_string(), "not finished 30s after the stop: poll, relay");
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_waits_for_its_next_start_does_not_hold_up_the_stop() {
    let Fixture {
        mut supervisor, stop, ..
    } = a_supervisor();
    supervisor.spawn("poll", || std::future::ready(Err(anyhow::anyhow!("no database"))));
    sleep(Duration::from_secs(40)).await;
    let begun = Instant::now();
    stop.cancel();
    supervisor.join(Duration::from_secs(60)).await.unwrap();
    assert_eq!(begun.elapsed(), Duration::ZERO);
}
