//! The accept loop: insert, commit, acknowledge. Where a place comes free within a moment it goes at the vendor's pace, and
//! else ahead of it, so that a slow vendor never leaves requests in the broker.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use jiff::Timestamp;
use ledger::{Acceptance, First, Judged, LedgerError, NewTransaction, Origin, Rejection, Request, until_taken};
use queue::{Delivery, Disposition, Handler, Pointer};
use receipt::StateName;
use receipt::intake::Prepared;
use receipt::settings::Sending;
use vendors::Rendering;

use crate::attempt::{attempt, give_back};
use crate::bury::bury;
use crate::sender::Context;
use crate::slots::{Kept, Slot};

/// Accepts what comes through the queue of requests.
pub(crate) struct Intake {
    pub(crate) context: Arc<Context>,
}

#[async_trait]
impl Handler for Intake {
    async fn handle(&self, delivery: Delivery) -> Disposition {
        let context = &self.context;
        let request = Request {
            body: &delivery.body,
            message_type: delivery.message_type.as_deref(),
            routing_key: Some(&delivery.routing_key),
            today: Timestamp::now().to_zoned(context.moscow.clone()).date(),
        };
        let judge = || context.ledger.judge(&context.directory, request);
        match until_taken(&context.stop, "a question about a request", judge).await {
            Ok(Judged::Acceptable(prepared)) => self.accept(&delivery, prepared).await,
            Ok(Judged::Known(_)) => Disposition::Done,
            Ok(Judged::Refused(why)) => bury(context, Origin::Intake, &delivery, Rejection::of(&why)).await,
            Err(_) => Disposition::Leave,
        }
    }
}

impl Intake {
    async fn accept(&self, delivery: &Delivery, prepared: Box<Prepared>) -> Disposition {
        let context = &self.context;
        for warning in &prepared.warnings {
            let (external_id, code) = (&prepared.external_id, warning.code.name());
            tracing::warn!(%external_id, code, "{external_id} is accepted, and odd: {warning}");
        }
        let (vendor, account) = (prepared.vendor.clone(), prepared.account.clone());
        let point = |pointer| context.point(&vendor, &account, pointer);
        let (first, slot) = self.first(&prepared).await;
        let claimed_at = Instant::now();
        let new = Arc::new(NewTransaction::of(*prepared, first));
        let accept = || context.ledger.accept(Arc::clone(&new));
        match until_taken(&context.stop, "a request", accept).await {
            Ok(Acceptance::Claimed(claimed)) => {
                match slot {
                    Some(slot) => {
                        let attempt = attempt(Arc::clone(context), claimed, slot, claimed_at);
                        context.attempts.spawn(attempt);
                    }
                    None => give_back(context, &claimed).await,
                }
                Disposition::Done
            }
            Ok(
                Acceptance::Queued(transaction)
                | Acceptance::Revised {
                    id: transaction,
                    state: StateName::Queued,
                    ..
                },
            ) => {
                point(Pointer { transaction, fence: 0 });
                Disposition::Done
            }
            Ok(Acceptance::Held(_) | Acceptance::Revised { .. }) => Disposition::Done,
            Ok(Acceptance::Known { id, state, fence }) => {
                if state == StateName::Queued {
                    point(Pointer { transaction: id, fence });
                }
                Disposition::Done
            }
            Ok(Acceptance::Conflict { id, state }) => {
                let conflict = Rejection::conflict(new.subject.clone(), id, state);
                bury(context, Origin::Intake, delivery, conflict).await
            }
            Err(LedgerError::ExternalIdTaken) => {
                bury(
                    context,
                    Origin::Intake,
                    delivery,
                    Rejection::key_taken(new.subject.clone()),
                )
                .await
            }
            Err(LedgerError::Unavailable(_) | LedgerError::Closed) => Disposition::Leave,
            Err(error) => {
                let error = service::error::chain(&error);
                tracing::error!(error, "a request cannot be stored and is kept as a dead letter");
                bury(context, Origin::Intake, delivery, Rejection::not_storable()).await
            }
        }
    }

    /// With a free slot the receipt is accepted and claimed in one commit; without one it is queued, and rendered by its
    /// claimer: what the account's settings are by then may be the cure of what keeps the account closed now.
    async fn first(&self, prepared: &Prepared) -> (First, Option<Slot>) {
        let context = &self.context;
        if context.stop.is_cancelled() || prepared.sending == Sending::ByHand {
            return (First::Queue, None);
        }
        let Some(vendor) = context.registry.get(&prepared.account) else {
            return (First::Queue, None);
        };
        let Some(slot) = context.slots.take(&prepared.account, Kept::InBroker).await else {
            return (First::Queue, None);
        };
        let rendered = vendor.render(&Rendering {
            receipt: &prepared.receipt,
            operation: prepared.subject.operation,
            external_id: &prepared.external_id,
            rendered_at: Timestamp::now(),
            callback_url: context
                .callback_url(&prepared.subject.store, vendor.as_ref())
                .as_deref(),
        });
        match rendered {
            Ok(wire_body) if !context.stop.is_cancelled() => (
                First::Claim {
                    wire_body,
                    lease: context.config.claim_lease(),
                },
                Some(slot),
            ),
            // The claim will find the same fault and record it with its cause and cure.
            Ok(_) | Err(_) => (First::Queue, None),
        }
    }
}
