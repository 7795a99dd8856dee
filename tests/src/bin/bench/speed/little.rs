//! Throughput at a slow vendor: by Little's law no more than slots by latency, and hardly less.

use std::time::Duration;

use anyhow::Context;
use serde::Serialize;

use super::broker::messages;
use super::contender::Rows;
use super::fleet::Empty;
use super::options::Settings;
use super::world::World;

const LATENCY_MS: u64 = 300;

/// kassa's default, and many.
const SLOTS: [u64; 2] = [128, 512];

/// One number of slots.
#[derive(Debug, Serialize)]
pub(crate) struct Little {
    pub(crate) slots: u64,
    pub(crate) latency_ms: u64,
    /// Slots by latency.
    pub(crate) limit: f64,
    pub(crate) per_second: f64,
    /// Of the limit.
    pub(crate) part: f64,
}

pub(crate) async fn measure(world: &World, settings: &Settings) -> anyhow::Result<Vec<Little>> {
    world.vendor.set_latency(LATENCY_MS).await?;
    let mut measured = Vec::new();
    for slots in SLOTS {
        let one = with_slots(world, settings, slots).await?;
        eprintln!("bench: {slots} slots at {LATENCY_MS} ms: {:.0}/s", one.per_second);
        measured.push(one);
    }
    world.vendor.set_latency(0).await?;
    Ok(measured)
}

async fn with_slots(world: &World, settings: &Settings, slots: u64) -> anyhow::Result<Little> {
    let receipts = slots * settings.seconds * 1000 / LATENCY_MS;
    let fleet = Empty::fleet(world).await?;
    fleet
        .publisher
        .publish(&fleet.to, messages(Rows::Kassa, &fleet.to, 1, receipts))
        .await?;
    let slots_text = slots.to_string();
    let environment = [("KASSA_SENDER__SLOTS", slots_text.as_str())];
    let mut sender = fleet.kassa.start_ready("sender", &environment).await?;
    let limit = Duration::from_secs(60 + 5 * settings.seconds);
    kassa_tests::wait::until("the last receipt", limit, || async {
        Ok((world.vendor.count().await?.distinct >= receipts).then_some(()))
    })
    .await
    .with_context(|| sender.log())?;
    sender.stop(Duration::from_secs(30)).await?;
    let arrivals = world.vendor.arrivals().await?;
    fleet.store.remove().await?;
    // Between the beginning, when connections are made, and the end, when slots stay empty.
    let (first, last) = (arrivals.len() / 5, arrivals.len() * 9 / 10);
    let between = |index: usize| arrivals.get(index).map_or(0, |arrival| arrival.at_micros);
    let seconds = Duration::from_micros(between(last) - between(first)).as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "numbers of one run")]
    let (limit, per_second) = (
        slots as f64 * 1000.0 / LATENCY_MS as f64,
        (last - first) as f64 / seconds,
    );
    Ok(Little {
        slots,
        latency_ms: LATENCY_MS,
        limit,
        per_second,
        part: per_second / limit,
    })
}
