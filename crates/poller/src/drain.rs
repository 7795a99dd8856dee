//! The drain of `kassa.dead`: what the broker itself dead-letters is accepted after all, or kept for a person.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use ledger::{
    Acceptance, First, Judged, LedgerError, NewDeadLetter, NewTransaction, Origin, Rejection, Request, until_taken,
};
use queue::{Delivery, Disposition, Handler, Pointer};
use receipt::intake::Prepared;

use crate::poller::Context;

/// Looks at what the broker dead-lettered.
pub(crate) struct Drain {
    pub(crate) context: Arc<Context>,
}

#[async_trait]
impl Handler for Drain {
    async fn handle(&self, delivery: Delivery) -> Disposition {
        let context = &self.context;
        if Pointer::decode(&delivery).is_ok() {
            // The table wakes its transaction; the message itself is worth nothing.
            tracing::warn!("a pointer was dead-lettered by the broker; its transaction is woken by the table");
            return Disposition::Done;
        }
        let request = Request {
            body: &delivery.body,
            message_type: delivery.message_type.as_deref(),
            routing_key: Some(&delivery.routing_key),
            today: Timestamp::now().to_zoned(context.registers.clone()).date(),
        };
        let judge = || context.ledger.judge(&context.directory, request);
        match until_taken(&context.stop, "a question about a request", judge).await {
            Ok(Judged::Acceptable(prepared)) => self.accept(&delivery, *prepared).await,
            Ok(Judged::Known(_)) => Disposition::Done,
            Ok(Judged::Refused(why)) => self.bury(&delivery, Rejection::of(&why)).await,
            Err(_) => Disposition::Leave,
        }
    }
}

impl Drain {
    async fn accept(&self, delivery: &Delivery, prepared: Prepared) -> Disposition {
        let context = &self.context;
        let vendor = prepared.vendor.clone();
        let new = Arc::new(NewTransaction::of(prepared, First::Queue));
        let accept = || context.ledger.accept(Arc::clone(&new));
        match until_taken(&context.stop, "a request", accept).await {
            Ok(Acceptance::Queued(transaction) | Acceptance::Revised { id: transaction, .. }) => {
                tracing::info!("a request that the broker had dead-lettered is accepted");
                context.pointers.send(&vendor, Pointer { transaction, fence: 0 }, None);
                Disposition::Done
            }
            Ok(Acceptance::Held(_) | Acceptance::Claimed(_) | Acceptance::Known { .. }) => Disposition::Done,
            Ok(Acceptance::Conflict { id, state }) => {
                self.bury(delivery, Rejection::conflict(new.subject.clone(), id, state))
                    .await
            }
            Err(LedgerError::ExternalIdTaken) => self.bury(delivery, Rejection::key_taken(new.subject.clone())).await,
            Err(LedgerError::Unavailable(_) | LedgerError::Closed) => Disposition::Leave,
            Err(error) => {
                let error = service::error::chain(&error);
                tracing::error!(error, "a request cannot be stored and is kept as a dead letter");
                self.bury(delivery, Rejection::not_storable()).await
            }
        }
    }

    async fn bury(&self, delivery: &Delivery, rejection: Rejection) -> Disposition {
        let context = &self.context;
        let letter = NewDeadLetter {
            origin: Origin::Broker,
            exchange: delivery.exchange.clone(),
            routing_key: delivery.routing_key.clone(),
            message_id: delivery.message_id.clone(),
            body: delivery.body.clone(),
            headers: delivery.properties(),
            rejection,
        };
        match until_taken(&context.stop, "a dead letter", || context.ledger.bury(&letter)).await {
            Ok(()) => Disposition::Done,
            Err(error) => {
                let error = service::error::chain(&error);
                tracing::error!(error, "a dead letter cannot be stored; the broker keeps the message");
                Disposition::Leave
            }
        }
    }
}
