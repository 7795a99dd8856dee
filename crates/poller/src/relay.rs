//! The event relay: from the table to `kassa.events`, at least once.

use std::time::Duration;

use ledger::{LedgerError, PendingEvent};
use queue::{Exchange, Message, PublishError, Status};
use receipt::EventId;

use crate::poller::Context;

/// Events of one step: one closed window of the publisher.
const EVENTS_PER_STEP: i64 = 200;

/// How long events gather after a step that was not full. A step costs two commits and a round trip to the broker,
/// however many events share them, and nobody waits for an event as a receipt waits for its vendor.
const GATHERING: Duration = Duration::from_millis(50);

/// How long to wait after a step in which the broker confirmed so many, when events are looked for every `interval`.
pub(crate) fn wait_after(confirmed: usize, interval: Duration) -> Duration {
    match i64::try_from(confirmed) {
        Ok(0) => interval,
        Ok(some) if some < EVENTS_PER_STEP => GATHERING.min(interval),
        Ok(_) | Err(_) => Duration::ZERO,
    }
}

/// The longest text in a property, in bytes (AMQP 0-9-1, short string).
const LONGEST_SHORT_STRING: usize = 255;

/// Publishes what waits. Returns how many the broker confirmed.
pub(crate) async fn step(context: &Context) -> Result<usize, LedgerError> {
    // Without a connection the same events would be taken and given back again and again.
    if !matches!(*context.broker.borrow(), Status::Connected) {
        return Ok(0);
    }
    let events = context.ledger.take_events(EVENTS_PER_STEP).await?;
    if events.is_empty() {
        return Ok(0);
    }
    let ids: Vec<EventId> = events.iter().map(|event| event.id).collect();
    let results = context
        .publisher
        .publish(events.into_iter().map(message).collect())
        .await;
    let (mut settled, mut unsent) = (Vec::with_capacity(ids.len()), Vec::new());
    let mut unconfirmed = 0_usize;
    for (id, result) in ids.into_iter().zip(results) {
        match result {
            // Nobody may have bound a queue for this event: that is the shop's choice, and the table keeps it.
            Ok(()) | Err(PublishError::Returned { .. }) => settled.push(id),
            Err(PublishError::Disconnected) => unsent.push(id),
            // The queue that is full or slow is one of several: publishing at once again would flood the others. The
            // event is taken again when its time in the table is over.
            Err(PublishError::Unconfirmed | PublishError::Rejected) => unconfirmed += 1,
            Err(error @ (PublishError::Invalid(_) | PublishError::NoSuchDelay(_))) => {
                tracing::error!(event.id = %id, error = %error, "an event can never be published; it stays in the table");
                settled.push(id);
            }
        }
    }
    if unconfirmed + unsent.len() > 0 {
        let count = unconfirmed + unsent.len();
        tracing::warn!(count, "the broker did not confirm events; they will be published again");
        context.ledger.return_events(&unsent).await?;
    }
    context.ledger.mark_published(&settled).await?;
    Ok(settled.len())
}

fn message(event: PendingEvent) -> Message {
    let body = event.published();
    let mut message = Message::json(
        Exchange::Events,
        format!("{}.{}", event.store, event.event_type),
        event.id.to_string(),
        event.event_type,
        body,
    );
    // A stranger's id may be longer than AMQP lets us give back.
    message.correlation_id = event.correlation_id.filter(|id| id.len() <= LONGEST_SHORT_STRING);
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_step_is_followed_at_once_and_a_small_one_lets_events_gather() {
        let interval = Duration::from_millis(500);
        let waits = |confirmed| wait_after(confirmed, interval);
        assert_eq!((waits(0), waits(1), waits(199)), (interval, GATHERING, GATHERING));
        assert_eq!((waits(200), waits(usize::MAX)), (Duration::ZERO, Duration::ZERO));
        let short = Duration::from_millis(1);
        assert_eq!(wait_after(7, short), short, "whoever asks for less gets it");
    }
}
