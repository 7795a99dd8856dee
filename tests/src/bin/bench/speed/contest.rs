//! The rounds: everybody in turn, again and again.

use super::contender::{Rows, Who};
use super::options::Settings;
use super::report::{Median, Report, Spread};
use super::run::{self, Measured};
use super::world::World;

/// Everybody who is asked for, `rounds` times in turn.
pub(crate) async fn measure(world: &mut World, settings: &Settings) -> anyhow::Result<Vec<Measured>> {
    let contests: Vec<(Who, Rows)> = [Rows::Two, Rows::Kassa]
        .into_iter()
        .flat_map(|rows| {
            let able = Who::ALL.into_iter().filter(move |who| who.rows().contains(&rows));
            able.map(move |who| (who, rows))
        })
        .filter(|(who, _)| settings.wants_camp(who.camp()))
        .collect();
    let mut runs = Vec::new();
    for round in 1..=settings.rounds {
        for (who, rows) in &contests {
            let receipts = who.share(settings.receipts);
            let measured = run::run(world, round, *who, *rows, receipts).await?;
            eprintln!(
                "bench: round {round}, {}, {rows:?} rows: {:.0}/s, {:.2} CPU-s per 10,000",
                who.name(),
                measured.per_second,
                measured.cpu.all
            );
            runs.push(measured);
        }
    }
    Ok(runs)
}

/// What each contender came to over all rounds.
pub(crate) fn medians(runs: &[Measured]) -> Vec<Median> {
    let mut keys: Vec<(Rows, Who)> = runs.iter().map(|run| (run.rows, run.contender)).collect();
    keys.sort_unstable();
    keys.dedup();
    keys.into_iter()
        .map(|(rows, who)| {
            let of = |value: fn(&Measured) -> f64| {
                let runs = runs.iter().filter(|run| run.rows == rows && run.contender == who);
                Spread::of(runs.map(value).collect())
            };
            Median {
                who: who.name(),
                rows,
                per_second: of(|run| run.per_second),
                cpu: of(|run| run.cpu.all),
                cpu_worker: of(|run| run.cpu.worker).median,
                cpu_postgres: of(|run| run.cpu.postgres).median,
                cpu_rabbitmq: of(|run| run.cpu.rabbitmq).median,
                cpu_vendor: of(|run| run.cpu.vendor).median,
                commits_per_receipt: of(|run| run.commits_per_receipt).median,
                wal_bytes_per_receipt: of(|run| run.wal_bytes_per_receipt).median,
                contender: who,
            }
        })
        .collect()
}

/// kassa's throughput: from the contest, or measured for this.
pub(crate) async fn throughput(world: &mut World, settings: &Settings, report: &Report) -> anyhow::Result<f64> {
    match report.median(Who::Kassa, Rows::Kassa) {
        Some(median) => Ok(median.per_second.median),
        None => Ok(run::run(world, 0, Who::Kassa, Rows::Kassa, settings.receipts)
            .await?
            .per_second),
    }
}
