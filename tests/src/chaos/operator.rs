//! The operator of a run. On RabbitMQ 3.10 a quorum queue that is killed within seconds of its declaration can come back
//! without a leader; readiness tells of it, and no process may delete a queue by itself.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::fleet::Fleet;

/// How often somebody looks.
const LOOK_EVERY: Duration = Duration::from_secs(15);

#[derive(Debug, Default)]
pub(super) struct Operator {
    recreated: AtomicUsize,
}

impl Operator {
    /// Does what `topology verify` asks for, until nobody waits for it.
    pub(super) async fn watch(&self, fleet: &Fleet) {
        loop {
            // A broker that is not there yet is looked at again.
            if let Ok(verified) = fleet.try_command(&["topology", "verify"]).await
                && verified.status.code() == Some(1)
                && fleet.command(&["topology", "apply", "--recreate"]).await.is_ok()
            {
                self.recreated.fetch_add(1, Ordering::Relaxed);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// How often queues had to be replaced.
    pub(super) fn recreated(&self) -> usize {
        self.recreated.load(Ordering::Relaxed)
    }
}
