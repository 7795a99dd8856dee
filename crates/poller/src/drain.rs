//! The drain of `kassa.dead`: what the broker itself dead-letters is accepted after all, or kept for a person.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use ledger::{Acceptance, First, LedgerError, NewDeadLetter, NewTransaction, Origin, Rejection, until_taken};
use queue::{Delivery, Disposition, Handler, Pointer};
use receipt::event::EventType;
use receipt::intake::{self, NotAccepted, Prepared};

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
        let asked = context.directory.read(
            &delivery.body,
            delivery.message_type.as_deref(),
            Some(&delivery.routing_key),
        );
        let asked = match asked {
            Ok(asked) => asked,
            Err(why) => return self.refuse(&delivery, &why).await,
        };
        match asked.freeze(Timestamp::now().to_zoned(context.registers.clone()).date()) {
            Ok(prepared) => self.accept(&delivery, prepared).await,
            Err(why) => {
                let (subject, hash) = (asked.subject(), asked.request_hash());
                let known = || context.ledger.accepted_before(&subject, &hash);
                match until_taken(&context.stop, "a question about a request", known).await {
                    Ok(Some(_)) => Disposition::Done,
                    Ok(None) => self.refuse(&delivery, &why).await,
                    Err(_) => Disposition::Leave,
                }
            }
        }
    }
}

impl Drain {
    async fn refuse(&self, delivery: &Delivery, why: &NotAccepted) -> Disposition {
        self.bury(delivery, why.code(), why.problem(), EventType::Rejected)
            .await
    }

    async fn accept(&self, delivery: &Delivery, prepared: Prepared) -> Disposition {
        let context = &self.context;
        let vendor = prepared.vendor.clone();
        let new = NewTransaction {
            subject: prepared.subject,
            account: prepared.account,
            vendor: prepared.vendor,
            request_hash: prepared.request_hash,
            receipt: prepared.receipt,
            external_id: prepared.external_id,
            first: First::Queue,
        };
        match until_taken(&context.stop, "a request", || context.ledger.accept(new.clone())).await {
            Ok(Acceptance::Queued(transaction)) => {
                tracing::info!("a request that the broker had dead-lettered is accepted");
                context.pointers.send(&vendor, Pointer { transaction, fence: 0 }, None);
                Disposition::Done
            }
            Ok(Acceptance::Claimed(_) | Acceptance::Known { .. }) => Disposition::Done,
            Ok(Acceptance::Conflict { id, state: _ }) => {
                self.bury(delivery, "conflict", intake::conflict(id), EventType::Conflict)
                    .await
            }
            Err(LedgerError::ExternalIdTaken) => {
                self.bury(delivery, "key_taken", intake::key_taken(), EventType::Conflict)
                    .await
            }
            Err(LedgerError::Unavailable(_) | LedgerError::Closed) => Disposition::Leave,
            Err(error) => {
                let error = service::error::chain(&error);
                tracing::error!(error, "a request cannot be stored and is kept as a dead letter");
                self.bury(delivery, "not_storable", intake::not_storable(), EventType::Rejected)
                    .await
            }
        }
    }

    async fn bury(&self, delivery: &Delivery, code: &str, problem: serde_json::Value, event: EventType) -> Disposition {
        let context = &self.context;
        let letter = NewDeadLetter {
            origin: Origin::Broker,
            exchange: delivery.exchange.clone(),
            routing_key: delivery.routing_key.clone(),
            message_id: delivery.message_id.clone(),
            body: delivery.body.clone(),
            headers: delivery.properties(),
            rejection: Rejection {
                code: code.to_owned(),
                problem,
                event,
            },
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
