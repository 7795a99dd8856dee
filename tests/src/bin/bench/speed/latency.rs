//! How long a receipt takes from publishing to the vendor while there is enough of everything: with kassa, and with the
//! batched floor at the same rate, which shows what of it is the machine's.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::ensure;
use serde::Serialize;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::broker::{Publisher, To, messages};
use super::contender::Rows;
use super::database::Store;
use super::fleet::Empty;
use super::floor::{self, Mode};
use super::options::Settings;
use super::pauses::Watch;
use super::report::Spread;
use super::vendor::micros_now;
use super::world::World;

/// How often what is due is published: so often that nothing comes in bursts.
const TICK: Duration = Duration::from_millis(2);

/// The first seconds open connections.
const WARMING: Duration = Duration::from_secs(2);

/// What a starting process may take.
const STARTING: Duration = Duration::from_secs(30);

/// What a stopping process may take.
const STOPPING: Duration = Duration::from_secs(30);

/// kassa and the floor in turn, as often as there are rounds.
#[derive(Debug, Serialize)]
pub(crate) struct Latency {
    /// Receipts a second that were asked for.
    pub(crate) rate: f64,
    pub(crate) kassa: Vec<Run>,
    pub(crate) floor: Vec<Run>,
}

/// Milliseconds from before a message is published until the vendor has read its request. What the vendor then takes is
/// its own time.
#[derive(Debug, Serialize)]
pub(crate) struct Run {
    #[serde(flatten)]
    pub(crate) all: Percentiles,
    /// Of the receipts during which the machine was not held up from outside, where that can be known.
    pub(crate) undisturbed: Option<Percentiles>,
}

/// Of so many receipts.
#[derive(Debug, Serialize)]
pub(crate) struct Percentiles {
    pub(crate) counted: u64,
    pub(crate) p50_ms: f64,
    pub(crate) p90_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) most_ms: f64,
}

impl Percentiles {
    fn of(mut micros: Vec<u64>) -> anyhow::Result<Self> {
        micros.sort_unstable();
        Ok(Self {
            counted: u64::try_from(micros.len())?,
            p50_ms: percentile(&micros, 50),
            p90_ms: percentile(&micros, 90),
            p99_ms: percentile(&micros, 99),
            most_ms: percentile(&micros, 100),
        })
    }
}

impl Run {
    pub(crate) fn all(&self) -> Option<&Percentiles> {
        Some(&self.all)
    }

    pub(crate) fn undisturbed(&self) -> Option<&Percentiles> {
        self.undisturbed.as_ref()
    }
}

/// The middle p99 of these receipts of some runs. `None` when there were none, or nobody could know.
pub(crate) fn middle_p99(runs: &[Run], these: fn(&Run) -> Option<&Percentiles>) -> Option<f64> {
    let counted = runs.iter().filter_map(these).filter(|these| these.counted > 0);
    let values: Vec<f64> = counted.map(|these| these.p99_ms).collect();
    (!values.is_empty()).then(|| Spread::of(values).median)
}

pub(crate) async fn measure(world: &World, settings: &Settings, rate: f64) -> anyhow::Result<Latency> {
    let mut latency = Latency {
        rate,
        kassa: Vec::new(),
        floor: Vec::new(),
    };
    for round in 1..=settings.rounds {
        latency.kassa.push(of_kassa(world, settings, rate).await?);
        latency.floor.push(of_the_floor(world, settings, rate).await?);
        for (who, runs) in [("kassa", &latency.kassa), ("floor, batched", &latency.floor)] {
            let p99 = runs.last().map_or(f64::NAN, |run| run.all.p99_ms);
            eprintln!("bench: round {round}, {who} at {rate:.0}/s: p99 {p99:.1} ms");
        }
    }
    Ok(latency)
}

async fn of_kassa(world: &World, settings: &Settings, rate: f64) -> anyhow::Result<Run> {
    let fleet = Empty::fleet(world).await?;
    let mut sender = fleet.kassa.start_ready("sender", &[]).await?;
    let run = publish(world, &fleet.publisher, &fleet.to, settings, rate).await?;
    sender.stop(STOPPING).await?;
    fleet.store.remove().await?;
    Ok(run)
}

async fn of_the_floor(world: &World, settings: &Settings, rate: f64) -> anyhow::Result<Run> {
    world.vendor.forget().await?;
    let store = Store::create(&world.database_url, Rows::Kassa).await?;
    let publisher = Publisher::connect(&world.amqp_url).await?;
    publisher.fresh_queue().await?;
    let mut worker = floor::start(world, store.url(), Rows::Kassa, Mode::Batched)?;
    let consumes = kassa_tests::wait::until("the floor consumes", STARTING, async || {
        Ok(publisher.is_consumed().await?.then_some(()))
    });
    consumes.await?;
    let run = publish(world, &publisher, &To::Work, settings, rate).await?;
    worker.stop(STOPPING).await?;
    store.remove().await?;
    Ok(run)
}

/// Publishes evenly, and looks into the vendor's books.
async fn publish(world: &World, publisher: &Publisher, to: &To, settings: &Settings, rate: f64) -> anyhow::Result<Run> {
    let watch = Watch::start(&world.folder)?;
    let lasting = WARMING + Duration::from_secs(settings.seconds);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a few thousand a second for a few seconds"
    )]
    let due = |elapsed: Duration| (rate * elapsed.as_secs_f64()) as u64;
    let all = due(lasting).max(1);
    let mut messages = messages(Rows::Kassa, to, 1, all);
    let mut published = HashMap::new();
    let mut confirms = Vec::new();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let began = Instant::now();
    let mut sent = 0;
    while sent < all {
        ticks.tick().await;
        while sent < due(began.elapsed()).min(all)
            && let Some(message) = messages.next()
        {
            let id = format!("invoice_main_{}", message.number);
            published.insert(id, (began.elapsed(), micros_now()));
            confirms.push(publisher.send(to, message).await?);
            sent += 1;
        }
    }
    for confirm in confirms {
        confirm.await?;
    }
    let arrived = kassa_tests::wait::until("the last receipt", Duration::from_secs(60), || async {
        Ok((world.vendor.count().await?.distinct >= all).then_some(()))
    });
    arrived.await?;
    let pauses = watch.end().await?;

    let (mut latencies, mut undisturbed) = (Vec::new(), Vec::new());
    for arrival in world.vendor.arrivals().await? {
        ensure!(arrival.times == 1, "{} came {} times", arrival.id, arrival.times);
        if let Some((since_beginning, at)) = published.get(&arrival.id)
            && *since_beginning >= WARMING
        {
            let latency = arrival.at_micros.saturating_sub(*at);
            latencies.push(latency);
            if let Some(pauses) = &pauses
                && !pauses.disturbed(*at)
            {
                undisturbed.push(latency);
            }
        }
    }
    ensure!(!latencies.is_empty(), "the vendor knows none of the receipts");
    Ok(Run {
        all: Percentiles::of(latencies)?,
        undisturbed: pauses.map(|_| Percentiles::of(undisturbed)).transpose()?,
    })
}

/// Of sorted microseconds, in milliseconds.
fn percentile(sorted: &[u64], percent: usize) -> f64 {
    let index = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    let micros = sorted.get(index).copied().unwrap_or_default();
    Duration::from_micros(micros).as_secs_f64() * 1000.0
}
