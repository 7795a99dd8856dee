//! Keeping what cannot be accepted: never lost, never answered with a nack.

use ledger::{NewDeadLetter, Origin, Rejection, until_taken};
use queue::{Delivery, Disposition};

use crate::sender::Context;

/// Keeps a delivery as a dead letter and tells the shop. Until the database takes it the broker keeps the message.
pub(crate) async fn bury(context: &Context, origin: Origin, delivery: &Delivery, rejection: Rejection) -> Disposition {
    tracing::warn!(
        routing_key = %delivery.routing_key,
        message.id = delivery.message_id.as_deref().unwrap_or_default(),
        reason = %rejection.code,
        "a message was not accepted and is kept as a dead letter"
    );
    let letter = NewDeadLetter {
        origin,
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
