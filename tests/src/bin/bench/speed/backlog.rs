//! A backlog, as after a night without senders: whether the last of it goes as quickly as the first.

use std::time::Duration;

use anyhow::{Context, ensure};
use serde::Serialize;

use super::broker::messages;
use super::contender::Rows;
use super::fleet::Empty;
use super::options::Settings;
use super::world::World;

/// Pieces of the backlog whose rates are told.
const PIECES: usize = 10;

/// One backlog.
#[derive(Debug, Serialize)]
pub(crate) struct Backlog {
    pub(crate) receipts: u64,
    pub(crate) seconds: f64,
    pub(crate) per_second: f64,
    /// The rate of each tenth of it.
    pub(crate) tenths_per_second: Vec<f64>,
    /// The last three tenths by the first three after the very first, which opens connections.
    pub(crate) flatness: f64,
}

pub(crate) async fn measure(world: &World, settings: &Settings) -> anyhow::Result<Backlog> {
    let receipts = settings.backlog;
    let fleet = Empty::fleet(world).await?;
    fleet
        .publisher
        .publish(&fleet.to, messages(Rows::Kassa, &fleet.to, 1, receipts))
        .await?;
    fleet.store.checkpoint().await?;
    let mut sender = fleet.kassa.start("sender", &[])?;
    let limit = Duration::from_secs(60 + receipts / 100);
    kassa_tests::wait::until("the last receipt", limit, || async {
        Ok((world.vendor.count().await?.distinct >= receipts).then_some(()))
    })
    .await
    .with_context(|| sender.log())?;
    kassa_tests::wait::until("the last record", Duration::from_secs(60), || async {
        Ok((fleet.store.finished("done").await? >= receipts).then_some(()))
    })
    .await?;
    sender.stop(Duration::from_secs(30)).await?;
    let arrivals = world.vendor.arrivals().await?;
    fleet.store.check_rows(receipts).await?;
    fleet.store.remove().await?;
    ensure!(
        arrivals.iter().all(|arrival| arrival.times == 1),
        "a receipt came twice"
    );

    let at = |index: usize| Duration::from_micros(arrivals.get(index).map_or(0, |arrival| arrival.at_micros));
    let last = arrivals.len().saturating_sub(1);
    let rate = |from: usize, to: usize| {
        #[expect(clippy::cast_precision_loss, reason = "numbers of one run")]
        let receipts = (to - from) as f64;
        receipts / (at(to) - at(from)).as_secs_f64()
    };
    let piece = |number: usize| last * number / PIECES;
    Ok(Backlog {
        receipts,
        seconds: (at(last) - at(0)).as_secs_f64(),
        per_second: rate(0, last),
        tenths_per_second: (0..PIECES)
            .map(|number| rate(piece(number), piece(number + 1)))
            .collect(),
        flatness: rate(piece(7), last) / rate(piece(1), piece(4)),
    })
}
