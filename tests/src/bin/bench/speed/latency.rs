//! How long a receipt takes from publishing to the vendor while there is enough of everything.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::ensure;
use serde::Serialize;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::broker::messages;
use super::contender::Rows;
use super::fleet::Empty;
use super::options::Settings;
use super::pauses::Watch;
use super::vendor::micros_now;
use super::world::World;

/// How often what is due is published: so often that nothing comes in bursts.
const TICK: Duration = Duration::from_millis(2);

/// The first seconds open connections.
const WARMING: Duration = Duration::from_secs(2);

/// Milliseconds from before a message is published until the vendor has read its request. What the vendor then takes is
/// its own time.
#[derive(Debug, Serialize)]
pub(crate) struct Latency {
    /// Receipts a second that were asked for.
    pub(crate) rate: f64,
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

pub(crate) async fn measure(world: &World, settings: &Settings, rate: f64) -> anyhow::Result<Latency> {
    let fleet = Empty::fleet(world).await?;
    let mut sender = fleet.kassa.start_ready("sender", &[]).await?;
    let watch = Watch::start(&world.folder)?;
    let lasting = WARMING + Duration::from_secs(settings.seconds);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a few thousand a second for a few seconds"
    )]
    let due = |elapsed: Duration| (rate * elapsed.as_secs_f64()) as u64;
    let all = due(lasting).max(1);
    let mut messages = messages(Rows::Kassa, &fleet.to, 1, all);
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
            confirms.push(fleet.publisher.send(&fleet.to, message).await?);
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
    sender.stop(Duration::from_secs(30)).await?;

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
    fleet.store.remove().await?;
    Ok(Latency {
        rate,
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
