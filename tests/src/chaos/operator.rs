//! The operator of a run. On RabbitMQ 3.10 a quorum queue that is killed within seconds of its declaration can come back
//! without its processes; readiness tells of it, and no process may delete a queue by itself. Now and then the whole node
//! comes back without the part that runs quorum queues, and only a restart mends that.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;

use super::world::World;
use crate::fleet::Fleet;

/// How often somebody looks.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// A broker that is still sick after so many repairs in a row is restarted.
const REPAIRS: usize = 3;

#[derive(Debug, Default)]
pub(super) struct Operator {
    recreated: AtomicUsize,
    restarted: AtomicUsize,
}

impl Operator {
    /// Does what `topology verify` and `topology apply` ask for, until nobody waits for it, and restarts the broker, as
    /// the runbook has it, when that does not help.
    pub(super) async fn watch(&self, world: &World) {
        let fleet = &world.fleet;
        let mut unreadable = BTreeSet::new();
        let mut in_vain = 0;
        loop {
            // A broker that is not there yet is looked at again.
            match fleet.try_command(&["topology", "verify"]).await {
                Ok(verified) if verified.status.code() == Some(1) => {
                    unreadable = self.repair(fleet, &unreadable).await.unwrap_or_default();
                    in_vain += 1;
                }
                Ok(verified) if verified.status.success() => in_vain = 0,
                _ => in_vain += 1,
            }
            if in_vain > REPAIRS && world.restart_broker().await.is_ok() {
                self.restarted.fetch_add(1, Ordering::Relaxed);
                in_vain = 0;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Repairs, and gives up what is in queues of requests that could not be read the last time either: the shop publishes
    /// again whatever was not accepted. Returns the queues that can't be read now.
    async fn repair(&self, fleet: &Fleet, unreadable: &BTreeSet<String>) -> anyhow::Result<BTreeSet<String>> {
        let mut command = vec!["topology", "apply", "--recreate", "--output", "json"];
        for queue in unreadable {
            command.extend(["--abandon", queue]);
        }
        let applied = fleet.try_command(&command).await?;
        std::fs::File::options()
            .create(true)
            .append(true)
            .open(fleet.folder.join("operator.log"))?
            .write_all(&[applied.stdout.as_slice(), &applied.stderr].concat())?;
        let outcomes: Vec<Value> = serde_json::from_slice(&applied.stdout)?;
        let is = |outcome: &Value, deed: &str| outcome["deed"] == deed;
        let recreated = outcomes
            .iter()
            .filter(|outcome| is(outcome, "recreate") && outcome["done"] == true)
            .count();
        self.recreated.fetch_add(recreated, Ordering::Relaxed);
        let kept = outcomes
            .iter()
            .filter(|outcome| is(outcome, "keep") && outcome["condition"] == "sick");
        Ok(kept
            .filter_map(|outcome| outcome["name"].as_str().map(str::to_owned))
            .collect())
    }

    /// How many queues had to be replaced.
    pub(super) fn recreated(&self) -> usize {
        self.recreated.load(Ordering::Relaxed)
    }
    /// How often the broker had to be restarted.
    pub(super) fn restarted(&self) -> usize {
        self.restarted.load(Ordering::Relaxed)
    }
}
