//! The operator of a run. On RabbitMQ 3.10 a quorum queue that is killed within seconds of its declaration can come back
//! without its processes; readiness tells of it, and no process may delete a queue by itself.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::fleet::Fleet;

/// How often somebody looks.
const LOOK_EVERY: Duration = Duration::from_secs(15);

#[derive(Debug, Default)]
pub(super) struct Operator {
    recreated: AtomicUsize,
}

impl Operator {
    /// Does what `topology verify` and `topology apply` ask for, until nobody waits for it.
    pub(super) async fn watch(&self, fleet: &Fleet) {
        let mut unreadable = BTreeSet::new();
        loop {
            // A broker that is not there yet is looked at again.
            if let Ok(verified) = fleet.try_command(&["topology", "verify"]).await
                && verified.status.code() == Some(1)
            {
                unreadable = self.repair(fleet, &unreadable).await.unwrap_or_default();
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
}
