//! The event relay: from the table to `kassa.events`, at least once.

use ledger::{LedgerError, PendingEvent};
use queue::{Exchange, Message};
use receipt::EventId;
use serde_json::{Map, Value, json};

use crate::poller::Context;

/// Events of one step: one closed window of the publisher.
const EVENTS_PER_STEP: i64 = 200;

/// Publishes what waits. Returns how many the broker confirmed.
pub(crate) async fn step(context: &Context) -> Result<usize, LedgerError> {
    let events = context.ledger.take_events(EVENTS_PER_STEP).await?;
    if events.is_empty() {
        return Ok(0);
    }
    let ids: Vec<EventId> = events.iter().map(|event| event.id).collect();
    let results = context
        .publisher
        .publish(events.into_iter().map(message).collect())
        .await;
    let (mut confirmed, mut refused) = (Vec::with_capacity(ids.len()), Vec::new());
    let mut why = None;
    for (id, result) in ids.into_iter().zip(results) {
        match result {
            // Nobody has bound a queue for this event: that is the shop's choice, and the table keeps it.
            Ok(()) | Err(queue::PublishError::Returned { .. }) => confirmed.push(id),
            Err(error) => {
                refused.push(id);
                why = Some(error);
            }
        }
    }
    if let Some(error) = why {
        let error = service::error::chain(&error);
        tracing::warn!(
            error,
            count = refused.len(),
            "the broker did not confirm events; they will be published again"
        );
        context.ledger.return_events(&refused).await?;
    }
    context.ledger.mark_published(&confirmed).await?;
    Ok(confirmed.len())
}

fn message(event: PendingEvent) -> Message {
    let mut body = match event.body {
        Value::Object(body) => body,
        other => Map::from_iter([("body".to_owned(), other)]),
    };
    body.insert("id".to_owned(), json!(event.id));
    body.insert("type".to_owned(), json!(event.event_type));
    body.insert("time".to_owned(), json!(event.time));
    let mut message = Message::json(
        Exchange::Events,
        format!("{}.{}", event.store, event.event_type),
        event.id.to_string(),
        event.event_type,
        Value::Object(body).to_string().into_bytes(),
    );
    message.correlation_id = event.correlation_id;
    message
}
