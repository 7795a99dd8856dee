//! What each role costs while there is nothing to do, and what it holds after work.

use std::time::{Duration, Instant};

use anyhow::Context;
use kassa_tests::process::Process;
use serde::Serialize;

use super::broker::messages;
use super::contender::Rows;
use super::fleet::Empty;
use super::options::Settings;
use super::proc::Tree;
use super::world::World;

const ROLES: [&str; 4] = ["http", "sender", "poller", "reporter"];

/// Readiness is followed by the first canaries and looks.
const SETTLING: Duration = Duration::from_secs(2);

/// One process with one role.
#[derive(Debug, Serialize)]
pub(crate) struct RoleCost {
    pub(crate) role: &'static str,
    /// Proportional set size while idle.
    pub(crate) idle_megabytes: f64,
    pub(crate) idle_cpu_percent: f64,
    /// Proportional set size after the receipts of a run.
    pub(crate) megabytes_after_work: f64,
}

pub(crate) async fn measure(world: &World, settings: &Settings) -> anyhow::Result<Vec<RoleCost>> {
    let fleet = Empty::fleet(world).await?;
    let mut processes = Vec::new();
    for role in ROLES {
        processes.push(fleet.kassa.start_ready(role, &[]).await?);
    }
    let tree = |process: &Process| Ok::<_, anyhow::Error>(Tree::of(process.pid().context("it runs")?));
    let trees: Vec<Tree> = processes.iter().map(tree).collect::<Result<_, _>>()?;
    tokio::time::sleep(SETTLING).await;
    let (began, before) = (Instant::now(), cpu(&trees));
    tokio::time::sleep(Duration::from_secs(2 * settings.seconds)).await;
    let (took, after) = (began.elapsed().as_secs_f64(), cpu(&trees));
    let idle: Vec<f64> = trees.iter().map(|tree| megabytes(*tree)).collect();

    let receipts = settings.receipts;
    fleet
        .publisher
        .publish(&fleet.to, messages(Rows::Kassa, &fleet.to, 1, receipts))
        .await?;
    kassa_tests::wait::until("the last receipt", Duration::from_secs(300), || async {
        Ok((fleet.store.finished("done").await? >= receipts).then_some(()))
    })
    .await?;
    let mut costs = Vec::new();
    for (index, role) in ROLES.into_iter().enumerate() {
        costs.push(RoleCost {
            role,
            idle_megabytes: idle[index],
            idle_cpu_percent: (after[index] - before[index]) * 100.0 / took,
            megabytes_after_work: megabytes(trees[index]),
        });
    }
    for process in &mut processes {
        process.stop(Duration::from_secs(60)).await?;
    }
    fleet.store.remove().await?;
    Ok(costs)
}

fn cpu(trees: &[Tree]) -> Vec<f64> {
    trees.iter().map(|tree| tree.cpu_seconds()).collect()
}

#[expect(clippy::cast_precision_loss, reason = "megabytes")]
fn megabytes(tree: Tree) -> f64 {
    tree.pss_bytes() as f64 / 1e6
}
