use std::collections::BTreeSet;
use std::time::Duration;

use lapin::BasicProperties;
use lapin::options::{BasicGetOptions, BasicPublishOptions, BasicRejectOptions};
use lapin::types::{AMQPValue, FieldArray, FieldTable};
use queue::pointer::POINTER_TYPE;
use queue::topology::DELIVERY_LIMIT;
use queue::{Exchange, MalformedPointer, Message, Pointer, Queue};
use serde_json::json;

use crate::harness::{Act, Recorder, request, requests, until, vendor, with_fleet};

#[tokio::test(flavor = "multi_thread")]
async fn every_message_is_handled_once_and_acknowledged() {
    with_fleet(async |fleet| {
        fleet.publish(requests(3_000)).await;
        let recorder = Recorder::new(|_| Act::Done);
        let consuming = fleet.consume(Queue::Intake, 200, &recorder);
        recorder.until_ended(3_000).await;
        consuming.end().await;
        let ids: BTreeSet<_> = recorder
            .ended()
            .into_iter()
            .map(|delivery| delivery.message_id)
            .collect();
        assert_eq!((recorder.ended().len(), ids.len()), (3_000, 3_000));
        fleet.until_ready(&Queue::Intake, 0).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_slow_delivery_holds_back_nobody() {
    with_fleet(async |fleet| {
        fleet.publish(requests(500)).await;
        let recorder = Recorder::new(|delivery| match delivery.message_id.as_deref() {
            Some("0") => Act::Wait,
            _ => Act::Done,
        });
        let consuming = fleet.consume(Queue::Intake, 4, &recorder);
        recorder.until_ended(499).await;
        recorder.gate.add_permits(1);
        recorder.until_ended(500).await;
        consuming.end().await;
        fleet.until_ready(&Queue::Intake, 0).await;
        assert_eq!(recorder.begun().len(), 500, "none came twice");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_prefetch_is_the_limit_of_concurrency() {
    with_fleet(async |fleet| {
        fleet.publish(requests(10)).await;
        let recorder = Recorder::new(|_| Act::Wait);
        let consuming = fleet.consume(Queue::Intake, 3, &recorder);
        recorder.until_begun(3).await;
        fleet.until_ready(&Queue::Intake, 7).await;
        assert_eq!(recorder.begun().len(), 3);
        recorder.gate.add_permits(10);
        recorder.until_ended(10).await;
        consuming.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_is_delivered_again_to_the_next_consumer() {
    with_fleet(async |fleet| {
        fleet.publish(requests(3)).await;
        let leaver = Recorder::new(|delivery| match delivery.message_id.as_deref() {
            Some("1") => Act::Leave,
            _ => Act::Done,
        });
        let consuming = fleet.consume(Queue::Intake, 10, &leaver);
        leaver.until_ended(3).await;
        consuming.end().await;
        fleet.until_ready(&Queue::Intake, 1).await;

        let recorder = Recorder::new(|_| Act::Done);
        let consuming = fleet.consume(Queue::Intake, 10, &recorder);
        recorder.until_ended(1).await;
        consuming.end().await;
        let again = recorder.ended().remove(0);
        assert_eq!(again.message_id.as_deref(), Some("1"));
        assert!(again.redelivered);
        assert_eq!(again.delivery_count, 1);
        fleet.until_ready(&Queue::Intake, 0).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_costs_one_delivery_which_comes_again() {
    with_fleet(async |fleet| {
        fleet.publish(requests(20)).await;
        let recorder = Recorder::new(
            |delivery| match (delivery.message_id.as_deref(), delivery.redelivered) {
                (Some("7"), false) => Act::Panic,
                _ => Act::Done,
            },
        );
        let consuming = fleet.consume(Queue::Intake, 5, &recorder);
        recorder.until_ended(20).await;
        consuming.end().await;
        assert_eq!(recorder.begun().len(), 21, "only the one that panicked came twice");
        fleet.until_ready(&Queue::Intake, 0).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_always_comes_back_ends_in_the_dead_letters() {
    with_fleet(async |fleet| {
        fleet.publish(vec![request(1)]).await;
        let channel = fleet.admin.create_channel().await.expect("a channel");
        let intake = fleet.queue_name(&Queue::Intake);
        let mut seen = 0;
        until("the broker has had enough", async || {
            let got = channel
                .basic_get(intake.as_str().into(), BasicGetOptions::default())
                .await
                .expect("a queue");
            if let Some(message) = got {
                seen += 1;
                message
                    .delivery
                    .acker
                    .reject(BasicRejectOptions { requeue: true })
                    .await
                    .expect("rejected");
            }
            fleet.ready(&Queue::Dead).await == 1
        })
        .await;
        assert_eq!(seen, DELIVERY_LIMIT + 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_for_what_is_in_flight_and_settles_it() {
    with_fleet(async |fleet| {
        fleet.publish(requests(10)).await;
        let recorder = Recorder::new(|_| Act::Wait);
        let consuming = fleet.consume(Queue::Intake, 4, &recorder);
        recorder.until_begun(4).await;
        consuming.stop.cancel();
        recorder.gate.add_permits(4);
        consuming.end().await;
        assert_eq!((recorder.begun().len(), recorder.ended().len()), (4, 4));
        fleet.until_ready(&Queue::Intake, 6).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_finish_in_the_drain_time_goes_back() {
    with_fleet(async |fleet| {
        fleet.publish(requests(3)).await;
        let recorder = Recorder::with_drain(Duration::from_millis(300), |delivery| {
            match delivery.message_id.as_deref() {
                Some("1") => Act::Wait,
                _ => Act::Done,
            }
        });
        let consuming = fleet.consume(Queue::Intake, 10, &recorder);
        recorder.until_ended(2).await;
        consuming.end().await;
        fleet.until_ready(&Queue::Intake, 1).await;
        assert_eq!(recorder.ended().len(), 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_message_is_delivered_whatever_is_in_it() {
    with_fleet(async |fleet| {
        let mut inner = FieldTable::default();
        inner.insert(
            "deep\0".into(),
            AMQPValue::FieldArray(FieldArray::from(vec![AMQPValue::Void])),
        );
        let mut headers = FieldTable::default();
        headers.insert("bytes".into(), AMQPValue::LongString(vec![0xc3, 0x28].into()));
        headers.insert("table".into(), AMQPValue::FieldTable(inner));
        headers.insert("traceparent".into(), AMQPValue::LongString("not one".into()));
        let properties = BasicProperties::default()
            .with_headers(headers)
            .with_message_id("a\0b".into())
            .with_timestamp(u64::MAX)
            .with_app_id("касса".into());
        let channel = fleet.admin.create_channel().await.expect("a channel");
        let exchange = fleet.config.prefix.exchange(&Exchange::Requests);
        let options = BasicPublishOptions::default();
        let sent = channel
            .basic_publish(exchange.into(), "no such store!".into(), options, b"\xff\0", properties)
            .await;
        sent.expect("sent").await.expect("no confirmation asked");

        let recorder = Recorder::new(|_| Act::Done);
        let consuming = fleet.consume(Queue::Intake, 1, &recorder);
        recorder.until_ended(1).await;
        consuming.end().await;
        let delivery = recorder.ended().remove(0);
        assert_eq!(delivery.body, b"\xff\0");
        assert_eq!(delivery.routing_key, "no such store!");
        assert_eq!(delivery.message_id.as_deref(), Some("a\u{2400}b"));
        assert_eq!(delivery.app_id.as_deref(), Some("касса"));
        assert_eq!(delivery.timestamp, Some(u64::MAX));
        assert_eq!(delivery.traceparent, None);
        assert_eq!(delivery.headers["bytes"], json!({"$bytes": "c328"}));
        assert_eq!(delivery.headers["table"], json!({"deep\u{2400}": [null]}));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_pointer_is_an_error_value_for_the_handler() {
    with_fleet(async |fleet| {
        let pointer = |id: &str, kind: &str, body: &str| {
            Message::json(Exchange::Send, vendor().as_str(), id, kind, body.as_bytes().to_vec())
        };
        let messages = vec![
            pointer("a", POINTER_TYPE, "{"),
            pointer("b", "transaction.due.v2", "{}"),
        ];
        fleet.publish(messages).await;
        let recorder = Recorder::new(|_| Act::Done);
        let consuming = fleet.consume(Queue::Send(vendor()), 1, &recorder);
        recorder.until_ended(2).await;
        consuming.end().await;
        for delivery in recorder.ended() {
            match (delivery.message_id.as_deref(), Pointer::decode(&delivery)) {
                (Some("a"), Err(MalformedPointer::Body(_))) | (Some("b"), Err(MalformedPointer::Type { .. })) => {}
                other => panic!("{other:?}"),
            }
        }
    })
    .await;
}
