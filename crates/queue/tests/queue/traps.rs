//! What was measured to lose messages (`reference/peers.md`, section 5): each trap has a test that falls into it without
//! our precaution.

use std::time::Duration;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Confirmation};
use queue::pointer::POINTER_TYPE;
use queue::{Exchange, Message, PublishError, Queue};
use serde_json::json;

use crate::harness::{Act, Recorder, requests, vendor, with_fleet};

#[tokio::test(flavor = "multi_thread")]
async fn publishing_without_mandatory_is_confirmed_and_lost_so_ours_says_unroutable() {
    with_fleet(async |fleet| {
        let channel = fleet.admin.create_channel().await.expect("a channel");
        channel
            .confirm_select(ConfirmSelectOptions::default())
            .await
            .expect("confirms");
        let exchange = fleet.config.prefix.exchange(&Exchange::Send);
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        let sent = channel
            .basic_publish(exchange.into(), "nobody".into(), options, b"{}", properties)
            .await;
        let confirmed = sent.expect("sent").await.expect("confirmed");
        assert_eq!(confirmed, Confirmation::Ack(None), "the trap: it is nowhere");

        let ours = Message::json(Exchange::Send, "nobody", "1", POINTER_TYPE, b"{}".to_vec());
        let outcome = fleet.broker.publisher().publish_one(ours).await;
        assert!(
            matches!(outcome, Err(PublishError::Returned { code: 312, .. })),
            "{outcome:?}"
        );
    })
    .await;
}

/// `RabbitMQ` 3.10 takes a message that expires towards a queue named in its `x-death` for one that goes in a circle, and
/// drops it.
#[tokio::test(flavor = "multi_thread")]
async fn a_copied_x_death_makes_a_retry_vanish_so_none_is_ever_copied() {
    with_fleet(async |fleet| {
        let recorder = Recorder::new(|_| Act::Done);
        let consuming = fleet.consume(Queue::Retry(vendor()), 10, &recorder);
        let mut headers = json!({"x-death": [{
            "count": 1, "reason": "expired", "queue": fleet.queue_name(&Queue::Retry(vendor())),
            "exchange": "", "routing-keys": [vendor().as_str()],
        }]});
        for round in 1..=3 {
            let mut again = Message::json(
                Exchange::Delay(Duration::from_secs(1)),
                vendor().as_str(),
                round.to_string(),
                POINTER_TYPE,
                b"{}".to_vec(),
            );
            again.headers = headers.as_object().expect("an object").clone();
            fleet.publish(vec![again]).await;
            recorder.until_ended(round).await;
            let delivery = recorder.ended().pop().expect("the last one");
            assert_eq!(delivery.message_id, Some(round.to_string()));
            // The next round is published with everything that this one came with.
            headers = json!(delivery.headers);
            assert_eq!(
                headers["x-death"][0]["count"], 1,
                "counted anew by the broker: {headers}"
            );
        }
        consuming.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_limit_kills_a_poison_messages_neighbours_so_ours_outlives_ten_crashes() {
    with_fleet(async |fleet| {
        fleet.publish(requests(10)).await;
        for _crash in 0..10 {
            // A consumer that dies with ten deliveries in hand: each of them has been handed out in vain.
            let dying = Recorder::new(|_| Act::Leave);
            let consuming = fleet.consume(Queue::Intake, 10, &dying);
            dying.until_begun(10).await;
            consuming.end().await;
            fleet.until_ready(&Queue::Intake, 10).await;
        }
        let recorder = Recorder::new(
            |delivery| match (delivery.message_id.as_deref(), delivery.delivery_count) {
                // The poison itself.
                (Some("3"), ..=11) => Act::Panic,
                _ => Act::Done,
            },
        );
        let consuming = fleet.consume(Queue::Intake, 10, &recorder);
        recorder.until_ended(10).await;
        consuming.end().await;
        assert!(recorder.ended().iter().all(|delivery| delivery.delivery_count >= 10));
        fleet.until_ready(&Queue::Dead, 0).await;
        fleet.until_ready(&Queue::Intake, 0).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_target_that_was_deleted_is_back_before_anything_expires_into_it() {
    with_fleet(async |fleet| {
        let channel = fleet.admin.create_channel().await.expect("a channel");
        let recorder = Recorder::new(|_| Act::Done);
        let consuming = fleet.consume(Queue::Retry(vendor()), 10, &recorder);
        let retry = fleet.queue_name(&Queue::Retry(vendor()));
        let pointer = |id: &str| {
            let delay = Exchange::Delay(Duration::from_secs(1));
            Message::json(delay, vendor().as_str(), id, POINTER_TYPE, b"{}".to_vec())
        };
        fleet.publish(vec![pointer("1")]).await;
        recorder.until_ended(1).await;
        fleet.publish(vec![pointer("2")]).await;
        channel
            .queue_delete(retry.into(), lapin::options::QueueDeleteOptions::default())
            .await
            .expect("deleted");
        // Its consumer declares it again within a fraction of the second that the pointer waits.
        recorder.until_ended(2).await;
        consuming.end().await;
    })
    .await;
}
