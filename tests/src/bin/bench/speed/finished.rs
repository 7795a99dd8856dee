//! kassa's throughput once more, in a database full of finished receipts.

use std::time::Instant;

use serde::Serialize;

use super::contender::{Rows, Who};
use super::database::Store;
use super::options::Settings;
use super::report::Spread;
use super::run::{self, Measured, Stage};
use super::world::World;
use crate::seed;

/// The same beside nothing and beside many rows, in turns.
#[derive(Debug, Serialize)]
pub(crate) struct Finished {
    pub(crate) rows: i64,
    pub(crate) seeding_seconds: f64,
    pub(crate) database_bytes: i64,
    pub(crate) alone: Spread,
    pub(crate) beside: Spread,
    /// The median of `beside` by `alone` of each round.
    pub(crate) ratio: f64,
    pub(crate) runs: Vec<Measured>,
}

pub(crate) async fn measure(world: &mut World, settings: &Settings) -> anyhow::Result<Finished> {
    let store = Store::create(&world.database_url, Rows::Kassa).await?;
    let began = Instant::now();
    seed::finished(&store.pool, settings.finished).await?;
    let seeding_seconds = began.elapsed().as_secs_f64();
    let mut runs = Vec::new();
    let mut ratios = Vec::new();
    for round in 1..=settings.rounds {
        let alone = run::run(world, round, Who::Kassa, Rows::Kassa, settings.receipts).await?;
        let stage = Stage {
            world,
            store: &store,
            who: Who::Kassa,
            rows: Rows::Kassa,
            first: 1 + u64::from(round) * settings.receipts,
            receipts: settings.receipts,
        };
        let beside = stage.run(round).await?;
        eprintln!(
            "bench: round {round}, kassa alone {:.0}/s, beside {} rows {:.0}/s",
            alone.per_second, settings.finished, beside.per_second
        );
        ratios.push(beside.per_second / alone.per_second);
        runs.extend([alone, beside]);
    }
    let database_bytes = sqlx::query_scalar("SELECT pg_database_size(current_database())")
        .fetch_one(&store.pool)
        .await?;
    store.remove().await?;
    let every_second = |skip: usize| {
        let runs = runs.iter().skip(skip).step_by(2);
        Spread::of(runs.map(|run| run.per_second).collect())
    };
    Ok(Finished {
        rows: settings.finished,
        seeding_seconds,
        database_bytes,
        alone: every_second(0),
        beside: every_second(1),
        ratio: Spread::of(ratios).median,
        runs,
    })
}
