use std::num::NonZeroU16;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use lapin::types::FieldTable;
use queue::pointer::POINTER_TYPE;
use queue::{Broker, Exchange, Message, Pointer, Pointers, PublishError, Queue};
use receipt::{TransactionId, VendorName};
use tokio_util::sync::CancellationToken;

use crate::harness::{Act, LIMIT, Recorder, request, requests, until, vendor, with_fleet};

fn to_vendor(number: usize, vendor: &str) -> Message {
    Message::json(
        Exchange::Send,
        vendor,
        format!("message-{number}"),
        POINTER_TYPE,
        b"{}".to_vec(),
    )
}

/// lapin gives a returned message to whichever confirmation completes next (`reference/peers.md`, section 5.3), here
/// regularly to the wrong one, because the broker acknowledges several at once. Believing it makes this test fail.
#[tokio::test(flavor = "multi_thread")]
async fn a_returned_message_paired_with_the_wrong_confirm_misleads_nobody() {
    with_fleet(async |fleet| {
        let mut config = fleet.config.clone();
        config.window = NonZeroU16::new(5_000).expect("not zero");
        let stop = CancellationToken::new();
        let broker = Broker::start(config, fleet.topology.clone(), stop.clone()).expect("a good address");
        assert!(broker.connected().await);

        let unroutable = |number: usize| number.is_multiple_of(10);
        let messages = (0..20_000)
            .map(|number| to_vendor(number, if unroutable(number) { "nobody" } else { "first" }))
            .collect();
        let outcomes = broker.publisher().publish(messages).await;
        let wrong = outcomes.iter().enumerate().filter(|(number, outcome)| match outcome {
            Ok(()) => unroutable(*number),
            Err(PublishError::Returned { code, .. }) => *code != 312 || !unroutable(*number),
            Err(_) => true,
        });
        assert_eq!(wrong.collect::<Vec<_>>(), []);
        fleet.until_ready(&Queue::Send(vendor()), 18_000).await;
        stop.cancel();
        broker.stopped().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_share_windows_each_get_their_own_answers() {
    with_fleet(async |fleet| {
        let publisher = fleet.broker.publisher();
        let callers = (0..50usize).map(|caller| {
            let publisher = publisher.clone();
            let vendor = if caller % 3 == 0 { "nobody" } else { "first" };
            async move {
                let messages = (0..20).map(|number| to_vendor(caller * 100 + number, vendor)).collect();
                (vendor, publisher.publish(messages).await)
            }
        });
        for (vendor, outcomes) in join_all(callers).await {
            assert_eq!(outcomes.len(), 20);
            assert!(
                outcomes.iter().all(|outcome| outcome.is_ok() == (vendor == "first")),
                "{vendor}: {outcomes:?}"
            );
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_one_name_do_not_share_their_fate() {
    with_fleet(async |fleet| {
        let publisher = fleet.broker.publisher();
        let messages = ["first", "nobody", "first", "nobody"]
            .map(|vendor| to_vendor(1, vendor))
            .to_vec();
        let good: Vec<_> = publisher.publish(messages).await.iter().map(Result::is_ok).collect();
        assert_eq!(good, [true, false, true, false]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_can_not_be_sent_does_not_harm_its_neighbours() {
    with_fleet(async |fleet| {
        let mut long = request(1);
        long.routing_key = "x".repeat(300);
        let mut no_such_delay = request(2);
        no_such_delay.exchange = Exchange::Delay(Duration::from_secs(7));
        let outcomes = fleet
            .broker
            .publisher()
            .publish(vec![request(0), long, no_such_delay, request(3)])
            .await;
        assert_eq!(outcomes[0], Ok(()));
        assert!(matches!(outcomes[1], Err(PublishError::Invalid(_))));
        assert_eq!(outcomes[2], Err(PublishError::NoSuchDelay(Duration::from_secs(7))));
        assert_eq!(outcomes[3], Ok(()));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_no_queue_takes_goes_to_the_dead_letters() {
    with_fleet(async |fleet| {
        let channel = fleet.admin.create_channel().await.expect("a channel");
        let (intake, exchange) = (
            fleet.queue_name(&Queue::Intake),
            fleet.config.prefix.exchange(&Exchange::Requests),
        );
        let unbound = channel
            .queue_unbind(intake.into(), exchange.into(), "#".into(), FieldTable::default())
            .await;
        unbound.expect("bound before");

        fleet.publish(requests(1)).await;
        let recorder = Recorder::new(|_| Act::Done);
        let consuming = fleet.consume(Queue::Dead, 1, &recorder);
        recorder.until_ended(1).await;
        consuming.end().await;
        let dead = recorder.ended().remove(0);
        assert_eq!(
            (dead.routing_key.as_str(), dead.message_id.as_deref()),
            ("main", Some("0"))
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_exchange_costs_one_window_and_is_declared_again() {
    with_fleet(async |fleet| {
        let channel = fleet.admin.create_channel().await.expect("a channel");
        let exchange = fleet.config.prefix.exchange(&Exchange::Events);
        channel
            .exchange_delete(exchange.into(), Default::default())
            .await
            .expect("deleted");
        let publisher = fleet.broker.publisher();
        let event = |id: &str| {
            Message::json(
                Exchange::Events,
                "main.receipt.done",
                id,
                "receipt.done",
                b"{}".to_vec(),
            )
        };
        assert_eq!(publisher.publish_one(event("1")).await, Err(PublishError::Unconfirmed));
        until("requests are taken again", async || {
            publisher.publish_one(request(1)).await.is_ok()
        })
        .await;
        // Nobody has bound a queue for it, which is the shop's choice; that it is confirmed proves that its exchange exists.
        assert_eq!(publisher.publish_one(event("2")).await, Ok(()));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delayed_pointer_comes_to_the_vendors_retry_queue_after_the_interval() {
    with_fleet(async |fleet| {
        let recorder = Recorder::new(|_| Act::Done);
        let consuming = fleet.consume(Queue::Retry(vendor()), 10, &recorder);
        let stop = CancellationToken::new();
        let pointers = Pointers::start(fleet.broker.publisher(), stop.clone());
        let pointer = Pointer {
            transaction: TransactionId::new(),
            fence: 7,
        };
        let began = Instant::now();
        pointers.send(&vendor(), pointer, Some(Duration::from_secs(1)));
        recorder.until_ended(1).await;
        assert!(
            began.elapsed() >= Duration::from_secs(1),
            "came after {:?}",
            began.elapsed()
        );
        consuming.end().await;

        let delivery = recorder.ended().remove(0);
        assert_eq!(delivery.routing_key, vendor().as_str());
        assert_eq!(Pointer::decode(&delivery).expect("our own"), pointer);
        assert_eq!(delivery.correlation_id, Some(pointer.transaction.to_string()));
        assert_eq!(pointers.lost(), 0);
        stop.cancel();
        pointers.drained().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_publishes_the_pointers_that_wait_and_counts_the_lost_ones() {
    with_fleet(async |fleet| {
        let stop = CancellationToken::new();
        let pointers = Pointers::start(fleet.broker.publisher(), stop.clone());
        let pointer = Pointer {
            transaction: TransactionId::new(),
            fence: 1,
        };
        (0..1_000).for_each(|_| pointers.send(&vendor(), pointer, None));
        let nobody = VendorName::parse("nobody").expect("a good name");
        (0..5).for_each(|_| pointers.send(&nobody, pointer, None));
        pointers.send(&vendor(), pointer, Some(Duration::from_secs(77)));
        stop.cancel();
        tokio::time::timeout(LIMIT, pointers.drained())
            .await
            .expect("drains in time");
        fleet.until_ready(&Queue::Send(vendor()), 1_000).await;
        assert_eq!(pointers.lost(), 6, "five without a queue and one without a delay");
        pointers.send(&vendor(), pointer, None);
        assert_eq!(pointers.lost(), 7, "after the stop");
    })
    .await;
}
