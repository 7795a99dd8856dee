//! A running fleet under a seeded schedule of faults, and the comparison of the books at the end.
//!
//! [`run`] starts servers, vendor and fleet of its own, so it disturbs nobody and needs no environment.

mod crew;
mod kind;
mod operator;
mod report;
mod requests;
mod schedule;
mod shop;
mod table;
mod vendor;
mod verdict;
mod world;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::task::JoinSet;

pub use self::kind::{Kind, Pair, Role, VendorFault};
pub use self::report::{Durations, Explained, Report, Results, State, Struck};
pub use self::schedule::{Strike, schedule};
use self::world::World;
use crate::wait;

/// How often a word is said about how far things are.
const TELL_EVERY: Duration = Duration::from_secs(10);
/// For the first receipts to be under way.
const WARM_UP: Duration = Duration::from_secs(10);
/// How often somebody looks after the processes.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// For everything to settle after the last fault.
const PATIENCE: Duration = Duration::from_secs(300);
/// For the shop to hear of everything after it has settled.
const HEARING: Duration = Duration::from_secs(30);

/// Which run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How many receipts the shop wants.
    pub receipts: u32,
    /// For how long it publishes and faults are injected.
    pub seconds: u64,
    /// Decides everything that is left to chance.
    pub seed: u64,
    /// Whether logs and evidence stay even if all is well.
    pub keep: bool,
}

/// What was played, for the verdict.
struct Played {
    began: Instant,
    /// Each fault, and how many receipts were in flight when it struck.
    struck: Vec<(Kind, i64)>,
    /// How often the broker came back with nothing in it.
    emptied: usize,
    settled_in: Duration,
    /// Processes that ended by themselves or did not stop in good order.
    bad_ends: Vec<String>,
}

/// Plays one run and judges it. `tell` is given a line now and then.
///
/// # Errors
/// When the run cannot be played: a server does not start, a program is missing. What the fleet does wrong is in the
/// report.
pub async fn run(settings: &Settings, tell: &(dyn Fn(&str) + Sync)) -> anyhow::Result<Report> {
    let began = Instant::now();
    tell(
        "starting a Postgres cluster, a RabbitMQ node, a simulated vendor, two senders, two pollers and an HTTP listener",
    );
    let world = Arc::new(Box::pin(World::make(settings)).await?);
    let outcome = Box::pin(play(settings, &world, began, tell)).await;
    if settings.keep || !outcome.as_ref().is_ok_and(|report| report.good) {
        world.keep_folders().await;
    }
    outcome.with_context(|| format!("the logs stay in {}", world.fleet.folder.display()))
}

async fn play(
    settings: &Settings,
    world: &Arc<World>,
    began: Instant,
    tell: &(dyn Fn(&str) + Sync),
) -> anyhow::Result<Report> {
    let mut tasks = JoinSet::new();
    tasks.spawn({
        let world = Arc::clone(world);
        async move { world.shop.publish().await }
    });
    tasks.spawn({
        let world = Arc::clone(world);
        async move { world.shop.listen().await }
    });
    tasks.spawn({
        let world = Arc::clone(world);
        async move {
            // A process whose state cannot be told is looked at again.
            loop {
                let _ = world.crew.look_after().await;
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
    });

    let struck = strike_all(settings, world, tell).await?;
    world.heal().await?;
    tell(&format!("all {} faults have struck; everything heals", struck.len()));
    tasks.spawn({
        let world = Arc::clone(world);
        async move { world.operator.watch(&world).await }
    });
    let settled_in = settle(settings, world, tell).await?;
    tasks.shutdown().await;
    let mut bad_ends = world.crew.ends().await;
    bad_ends.extend(world.crew.stop().await);
    let played = Played {
        began,
        struck,
        emptied: schedule(settings.seed, settings.seconds)
            .iter()
            .filter(|strike| strike.loses_all)
            .count(),
        settled_in,
        bad_ends,
    };
    Box::pin(verdict::judge(settings, world, played)).await
}

/// Lets every strike of the schedule happen at its time, and waits until the last is over.
async fn strike_all(
    settings: &Settings,
    world: &Arc<World>,
    tell: &(dyn Fn(&str) + Sync),
) -> anyhow::Result<Vec<(Kind, i64)>> {
    // Faults that strike nobody prove nothing.
    let _ = wait::until("receipts in flight", WARM_UP, async || {
        Ok((world.in_flight().await >= 3).then_some(()))
    })
    .await;
    let began = tokio::time::Instant::now();
    let mut strikes = JoinSet::new();
    let mut struck = Vec::new();
    let mut told = began;
    for strike in schedule(settings.seed, settings.seconds) {
        tokio::time::sleep_until(began + strike.at).await;
        strikes.spawn({
            let world = Arc::clone(world);
            async move {
                let in_flight = Box::pin(world.suffer(&strike)).await;
                in_flight.map(|in_flight| (strike.kind, in_flight))
            }
        });
        while let Some(done) = strikes.try_join_next() {
            struck.push(done??);
        }
        if told.elapsed() >= TELL_EVERY {
            told = tokio::time::Instant::now();
            tell(&progress(world, struck.len()).await);
        }
    }
    tokio::time::sleep_until(began + Duration::from_secs(settings.seconds)).await;
    while let Some(done) = strikes.join_next().await {
        struck.push(done??);
    }
    Ok(struck)
}

async fn progress(world: &World, struck: usize) -> String {
    format!(
        "{struck} faults are over; the shop has heard of {} receipts, {} are in flight",
        world.shop.heard_of(),
        world.in_flight().await
    )
}

/// Waits until every receipt is accepted, none is in flight, and every event is published and heard. What has not
/// settled in time is the verdict's to count.
async fn settle(settings: &Settings, world: &World, tell: &(dyn Fn(&str) + Sync)) -> anyhow::Result<Duration> {
    let began = Instant::now();
    let mut told = Instant::now();
    let all = i64::from(settings.receipts);
    while began.elapsed() < PATIENCE {
        // The servers run again, but their clients may still be coming back.
        let look = Box::pin(look(world)).await.unwrap_or_default();
        if look.accepted >= all && look.open == 0 {
            break;
        }
        if told.elapsed() >= TELL_EVERY {
            told = Instant::now();
            tell(&format!(
                "{} of {all} accepted, {} not final or not told",
                look.accepted, look.open
            ));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let settled_in = began.elapsed();
    let hearing = Instant::now();
    while hearing.elapsed() < HEARING && !has_heard_all(world).await? {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(settled_in)
}

#[derive(Default)]
struct Look {
    accepted: i64,
    /// Receipts that are not final and events that are not published.
    open: i64,
}

async fn look(world: &World) -> anyhow::Result<Look> {
    let rows = table::rows(&world.pool).await?;
    let accepted: HashSet<String> = rows.iter().map(|row| row.marker.clone()).collect();
    let is_final = |state: &str| matches!(state, "done" | "failed" | "unknown" | "cancelled");
    let open = rows.iter().filter(|row| !is_final(&row.state)).count();
    let unpublished = table::count(&world.pool, "SELECT count(*) FROM outbox").await?;
    let look = Look {
        accepted: i64::try_from(accepted.len())?,
        open: i64::try_from(open)? + unpublished,
    };
    // A shop whose queue was lost with the events in it asks somebody, instead of publishing for ever.
    world.shop.knows(&accepted);
    Ok(look)
}

async fn has_heard_all(world: &World) -> anyhow::Result<bool> {
    let seen = world.shop.seen();
    let last = table::events(&world.pool).await?;
    // Older ones may be lost with the shop's queue.
    Ok(last.iter().rev().take(20).all(|event| seen.contains(&event.id)))
}
