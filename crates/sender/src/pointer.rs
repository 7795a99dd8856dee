//! Pointers: messages that wake a transaction. The row decides whether there is anything to do.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use ledger::{Claim, Claiming, Origin, Rejection, until_taken};
use queue::{Delivery, Disposition, Handler, Pointer};
use receipt::VendorName;
use receipt::event::EventType;
use serde_json::json;

use crate::attempt::{attempt, give_back};
use crate::bury::bury;
use crate::sender::Context;

/// Follows pointers to one vendor.
pub(crate) struct Pointed {
    pub(crate) context: Arc<Context>,
    pub(crate) vendor: VendorName,
}

#[async_trait]
impl Handler for Pointed {
    async fn handle(&self, delivery: Delivery) -> Disposition {
        let context = &self.context;
        let pointer = match Pointer::decode(&delivery) {
            Ok(pointer) => pointer,
            Err(malformed) => return self.bury(&delivery, &malformed.to_string()).await,
        };
        let claimed_at = Instant::now();
        // One value for all repetitions: a claim that took effect although its answer was lost is ours all the same.
        let claiming = Claiming::new(pointer.transaction, pointer.fence, context.config.claim_lease());
        let claim = || context.ledger.claim_as(&claiming);
        match until_taken(&context.stop, "a claim", claim).await {
            Ok(Claim::Won(claimed)) => {
                // The claim stands in the table, so the pointer has done its work whatever happens next. It is held
                // until the attempt ends all the same: so the prefetch limits what waits here for a slot.
                match context
                    .stop
                    .run_until_cancelled(context.slots.take(&claimed.account))
                    .await
                {
                    Some(slot) => attempt(Arc::clone(context), claimed, slot, claimed_at).await,
                    None => give_back(context, &claimed).await,
                }
                Disposition::Done
            }
            Ok(Claim::Stale) => Disposition::Done,
            Err(error) if error.is_outage() => Disposition::Leave,
            Err(error) => {
                tracing::error!(error = %service::error::chain(&error), "a pointer's transaction cannot be claimed");
                Disposition::Done
            }
        }
    }
}

impl Pointed {
    /// A pointer that nobody of ours has written: kept, because it shows that somebody else publishes here.
    async fn bury(&self, delivery: &Delivery, malformed: &str) -> Disposition {
        tracing::error!(vendor.name = %self.vendor, malformed, "a message in a queue of pointers is not a pointer");
        let rejection = Rejection {
            code: "malformed_pointer".to_owned(),
            problem: json!({
                "type": "urn:kassa:problem:malformed_pointer",
                "title": "Not a pointer",
                "code": "malformed_pointer",
                "detail": malformed,
                "errors": [],
            }),
            event: EventType::Rejected,
            about: None,
        };
        bury(&self.context, Origin::Broker, delivery, rejection).await
    }
}
