//! Emptying a queue of requests without losing one.
//!
//! The two queues that hold requests stand in for each other: whoever drains `kassa.dead` accepts what can be accepted,
//! and so does whoever reads `kassa.intake`. So a request is at any moment in one of two queues that the fleet reads, and
//! a command that dies half-way leaves nothing to be remembered.

use lapin::message::BasicGetMessage;
use lapin::options::{BasicAckOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, Confirmation};
use tokio::time::timeout;

use crate::canary::is_canary;
use crate::error::ConnectError;
use crate::headers::without_last_journey;
use crate::link::{Live, say_goodbye};
use crate::pointer::POINTER_TYPE;

/// How many messages are on the way at once.
const WINDOW: usize = 100;

/// Publishes all that is ready in `queue` to `exchange` with the routing keys it came with, and removes from the queue
/// what is confirmed. Pointers and canaries are dropped: nothing depends on them. Returns how many were moved.
///
/// Order is kept within a window of a hundred; a message may arrive twice, which every consumer of ours takes.
pub(super) async fn move_all(live: &Live, queue: &str, exchange: &str) -> Result<u32, ConnectError> {
    let channel = live.channel().await?;
    asked(channel.confirm_select(ConfirmSelectOptions::default()).await)?;
    let mut moved = 0;
    loop {
        let mut window = Vec::new();
        while window.len() < WINDOW {
            let getting = channel.basic_get(queue.into(), BasicGetOptions::default());
            let got = timeout(live.limit(), getting).await;
            match asked(got.map_err(|_| ConnectError::Timeout(live.limit()))?)? {
                Some(message) => window.push(message),
                None => break,
            }
        }
        if window.is_empty() {
            say_goodbye(&channel).await;
            return Ok(moved);
        }
        moved += timeout(live.limit(), publish(&channel, &window, exchange))
            .await
            .map_err(|_| ConnectError::Timeout(live.limit()))??;
        for message in window {
            asked(message.delivery.acker.ack(BasicAckOptions::default()).await)?;
        }
    }
}

/// All or nothing: which of several was returned does not have to be known when none may be.
async fn publish(channel: &Channel, window: &[BasicGetMessage], exchange: &str) -> Result<u32, ConnectError> {
    let mut confirming = Vec::new();
    for message in window {
        let delivery = &message.delivery;
        let message_type = delivery.properties.kind().as_ref().map(ShortString::as_str);
        if message_type == Some(POINTER_TYPE) || is_canary(message_type, &delivery.data) {
            continue;
        }
        let options = BasicPublishOptions {
            mandatory: true,
            ..BasicPublishOptions::default()
        };
        let properties = for_another_journey(delivery.properties.clone());
        let (exchange, key) = (ShortString::from(exchange), delivery.routing_key.clone());
        let sent = channel
            .basic_publish(exchange, key, options, &delivery.data, properties)
            .await;
        confirming.push(asked(sent)?);
    }
    let mut moved = 0;
    for confirmation in confirming {
        match asked(confirmation.await)? {
            Confirmation::Ack(None) => moved += 1,
            Confirmation::Ack(Some(_)) | Confirmation::Nack(_) | Confirmation::NotRequested => {
                return Err(ConnectError::NotTaken);
            }
        }
    }
    Ok(moved)
}

fn for_another_journey(properties: BasicProperties) -> BasicProperties {
    match properties.headers() {
        Some(headers) => {
            let headers = without_last_journey(headers);
            properties.with_headers(headers)
        }
        None => properties,
    }
}

fn asked<T>(answer: lapin::Result<T>) -> Result<T, ConnectError> {
    answer.map_err(|error| ConnectError::Asked(Box::new(error)))
}
