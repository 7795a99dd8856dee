//! One closed window: published whole, and every confirmation awaited before any is believed.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use lapin::options::BasicPublishOptions;
use lapin::{Channel, Confirmation};
use tokio::time::{Instant, timeout_at};
use tracing::debug;

use crate::error::{PublishError, chain};
use crate::message::Wire;

/// What became of a window.
pub(crate) struct Closed {
    /// In the order of the messages.
    pub(crate) outcomes: Vec<Result<(), PublishError>>,
    /// Whether every message was answered. If not, a late confirmation would be counted against the next window, so the
    /// channel must not be used again.
    pub(crate) complete: bool,
}

#[derive(Debug, Clone, Copy)]
enum Answer {
    None,
    /// The confirmation, and whether lapin hung a returned message on it (its own or another's).
    Ack {
        carried: bool,
    },
    Nack,
}

/// Publishes the messages, each with a `message_id` of its own, and waits for the confirmations until all are there, the
/// channel fails, or the limit is over. The channel must be in confirm mode.
pub(crate) async fn publish(channel: &Channel, wires: &[Wire], limit: Duration) -> Closed {
    let mut returned = HashMap::new();
    let mut answers = vec![Answer::None; wires.len()];
    let mut confirming: FuturesUnordered<_> = wires
        .iter()
        .enumerate()
        .map(|(index, wire)| async move {
            let Wire {
                exchange,
                routing_key,
                mandatory,
                properties,
                body,
                ..
            } = wire;
            let options = BasicPublishOptions {
                mandatory: *mandatory,
                ..BasicPublishOptions::default()
            };
            let sent = channel
                .basic_publish(exchange.clone(), routing_key.clone(), options, body, properties.clone())
                .await;
            match sent {
                Ok(confirmation) => (index, confirmation.await),
                Err(error) => (index, Err(error)),
            }
        })
        .collect();
    let deadline = Instant::now() + limit;
    while let Ok(Some((index, confirmation))) = timeout_at(deadline, confirming.next()).await {
        let (answer, message) = match confirmation {
            Ok(Confirmation::Ack(message)) => {
                let carried = message.is_some();
                (Answer::Ack { carried }, message)
            }
            Ok(Confirmation::Nack(message)) => (Answer::Nack, message),
            Ok(Confirmation::NotRequested) => (Answer::None, None),
            Err(error) => {
                debug!(error = chain(&error), "a message was not confirmed");
                (Answer::None, None)
            }
        };
        if let Some(message) = message {
            let id = message
                .delivery
                .properties
                .message_id()
                .as_ref()
                .map(ToString::to_string);
            let error = PublishError::Returned {
                code: message.reply_code,
                text: message.reply_text.to_string(),
            };
            returned.insert(id.unwrap_or_default(), error);
        }
        if let Some(place) = answers.get_mut(index) {
            *place = answer;
        }
    }
    let complete = answers.iter().all(|answer| !matches!(answer, Answer::None));
    let outcomes = wires
        .iter()
        .zip(answers)
        .map(|(wire, answer)| judge(&wire.message_id, answer, &returned, complete))
        .collect();
    Closed { outcomes, complete }
}

fn judge(
    message_id: &str,
    answer: Answer,
    returned: &HashMap<String, PublishError>,
    complete: bool,
) -> Result<(), PublishError> {
    if let Some(error) = returned.get(message_id) {
        return Err(error.clone());
    }
    match answer {
        // In a window that broke off, a confirmation that carried another's return may have left its own behind. One
        // that carried none had none waiting: the broker sends a message's return before its confirmation.
        Answer::Ack { carried } if complete || !carried => Ok(()),
        Answer::Ack { .. } | Answer::None => Err(PublishError::Unconfirmed),
        Answer::Nack => Err(PublishError::Rejected),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(answer: Answer, returned: &HashMap<String, PublishError>, complete: bool) -> Result<(), PublishError> {
        judge("own", answer, returned, complete)
    }

    fn returned(id: &str) -> HashMap<String, PublishError> {
        let error = PublishError::Returned {
            code: 312,
            text: "NO_ROUTE".to_owned(),
        };
        HashMap::from([(id.to_owned(), error)])
    }

    #[test]
    fn a_return_is_believed_by_its_id_and_not_by_the_confirmation_it_hangs_on() {
        let carried = |carried| Answer::Ack { carried };
        assert_eq!(judged(carried(true), &returned("other"), true), Ok(()));
        assert!(matches!(
            judged(carried(false), &returned("own"), true),
            Err(PublishError::Returned { .. })
        ));
    }

    #[test]
    fn in_a_window_that_broke_off_only_an_unburdened_confirmation_counts() {
        let carried = |carried| Answer::Ack { carried };
        assert_eq!(judged(carried(false), &returned("other"), false), Ok(()));
        assert_eq!(
            judged(carried(true), &returned("other"), false),
            Err(PublishError::Unconfirmed)
        );
        assert_eq!(
            judged(Answer::None, &HashMap::new(), false),
            Err(PublishError::Unconfirmed)
        );
        assert_eq!(judged(Answer::Nack, &HashMap::new(), true), Err(PublishError::Rejected));
    }
}
