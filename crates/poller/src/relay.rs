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

/// What a step came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// There was nothing to publish, or no broker.
    Idle,
    /// Some was published or put off.
    Some,
    /// As much as a step can do, so there may be more.
    Full,
}

impl Step {
    /// How long to wait for the next one, when events are looked for every `interval`.
    pub(crate) fn wait(self, interval: Duration) -> Duration {
        match self {
            Self::Idle => interval,
            Self::Some => GATHERING.min(interval),
            Self::Full => Duration::ZERO,
        }
    }
}

/// The longest text in a property, in bytes (AMQP 0-9-1, short string).
const LONGEST_SHORT_STRING: usize = 255;

/// Publishes what waits.
pub(crate) async fn step(context: &Context) -> Result<Step, LedgerError> {
    // Without a connection the same events would be taken and given back again and again.
    if !matches!(*context.broker.borrow(), Status::Connected) {
        return Ok(Step::Idle);
    }
    let events = context.ledger.take_events(EVENTS_PER_STEP).await?;
    if events.is_empty() {
        return Ok(Step::Idle);
    }
    let ids: Vec<EventId> = events.iter().map(|event| event.id).collect();
    let results = context
        .publisher
        .publish(events.into_iter().map(message).collect())
        .await;
    let (mut settled, mut unsent, mut refused) = (Vec::with_capacity(ids.len()), Vec::new(), Vec::new());
    for (id, result) in ids.into_iter().zip(results) {
        match result {
            // Perhaps nobody has bound a queue for this event: that is the shop's choice, and the table keeps it.
            Ok(()) | Err(PublishError::Returned { .. }) => settled.push(id),
            Err(PublishError::Disconnected) => unsent.push(id),
            // The queue that is full or slow is one of several: publishing at once again would flood the others.
            Err(PublishError::Unconfirmed | PublishError::Rejected) => refused.push(id),
            Err(error @ (PublishError::Invalid(_) | PublishError::NoSuchDelay(_))) => {
                tracing::error!(event.id = %id, error = %error, "an event can never be published; it stays in the table events");
                settled.push(id);
            }
        }
    }
    if refused.len() + unsent.len() > 0 {
        let count = refused.len() + unsent.len();
        tracing::warn!(count, "the broker did not confirm events; they will be published again");
    }
    if !settled.is_empty() {
        context.ledger.mark_published(&settled).await?;
    }
    if !refused.is_empty() {
        context.ledger.put_off_events(&refused).await?;
    }
    if !unsent.is_empty() {
        context.ledger.return_events(&unsent).await?;
        return Ok(Step::Idle);
    }
    let is_full = i64::try_from(settled.len()).is_ok_and(|count| count >= EVENTS_PER_STEP);
    Ok(if is_full { Step::Full } else { Step::Some })
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
        let waits = |interval| [Step::Idle, Step::Some, Step::Full].map(|step: Step| step.wait(interval));
        let usual = Duration::from_millis(500);
        assert_eq!(waits(usual), [usual, GATHERING, Duration::ZERO]);
        let short = Duration::from_millis(1);
        assert_eq!(
            waits(short),
            [short, short, Duration::ZERO],
            "whoever asks for less gets it"
        );
    }
}
