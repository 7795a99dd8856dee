use std::time::{Duration, Instant};

use lapin::options::QueueDeleteOptions;
use queue::{Broker, Config, Pointer, Pointers, PublishError, Queue, Status, Topology};
use receipt::TransactionId;
use secrecy::SecretString;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::harness::{Act, Recorder, amqp_url, request, requests, until, vendor, with_fleet, with_fleet_at};
use crate::proxy::Proxy;

#[tokio::test(flavor = "multi_thread")]
async fn after_a_cut_consuming_goes_on_and_the_publisher_heals() {
    let url: lapin::uri::AMQPUri = amqp_url().parse().expect("a good address");
    let proxy = Proxy::start(format!("{}:{}", url.authority.host, url.authority.port)).await;
    let mut through = url.clone();
    "127.0.0.1".clone_into(&mut through.authority.host);
    through.authority.port = proxy.address.port();

    with_fleet_at(&through.to_string(), async |fleet| {
        let recorder = Recorder::new(
            |delivery| match (delivery.message_id.as_deref(), delivery.redelivered) {
                (Some("0"), false) => Act::Wait,
                _ => Act::Done,
            },
        );
        let consuming = fleet.consume(Queue::Intake, 10, &recorder);
        let publisher = fleet.broker.publisher();
        assert_eq!(publisher.publish_one(request(0)).await, Ok(()));
        recorder.until_begun(1).await;

        for round in 1..=3 {
            let mut status = fleet.broker.status();
            status.mark_unchanged();
            proxy.cut();
            until("a publishing succeeds again", async || {
                publisher.publish_one(request(round)).await.is_ok()
            })
            .await;
            let is_here = |id: &str| {
                recorder
                    .ended()
                    .iter()
                    .any(|delivery| delivery.message_id.as_deref() == Some(id))
            };
            let id = round.to_string();
            until("it is consumed", async || is_here(&id)).await;
            assert!(status.has_changed().expect("still watched"), "the cut was reported");
        }
        until("all is well", async || {
            *fleet.broker.status().borrow() == Status::Connected
        })
        .await;

        // The first delivery was in flight at the first cut: its task went on, and the broker delivered it again.
        until("the delivery came again", async || {
            recorder
                .ended()
                .iter()
                .any(|delivery| delivery.message_id.as_deref() == Some("0"))
        })
        .await;
        recorder.gate.add_permits(1);
        until("the interrupted task has ended as well", async || {
            let ended = recorder.ended();
            ended
                .iter()
                .filter(|delivery| delivery.message_id.as_deref() == Some("0"))
                .count()
                >= 2
        })
        .await;
        consuming.end().await;
        fleet.until_ready(&Queue::Intake, 0).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_is_deleted_under_its_consumer_is_declared_again() {
    with_fleet(async |fleet| {
        let recorder = Recorder::new(|_| Act::Done);
        let consuming = fleet.consume(Queue::Intake, 10, &recorder);
        fleet.publish(requests(1)).await;
        recorder.until_ended(1).await;

        let channel = fleet.admin.create_channel().await.expect("a channel");
        let name = fleet.queue_name(&Queue::Intake);
        channel
            .queue_delete(name.into(), QueueDeleteOptions::default())
            .await
            .expect("deleted");
        // Requests published before the queue is back go to the dead letters, as they should.
        let publisher = fleet.broker.publisher();
        until("requests are consumed again", async || {
            publisher
                .publish_one(request(1))
                .await
                .expect("requests are never unroutable");
            recorder.ended().len() > 1
        })
        .await;
        consuming.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_broker_everything_answers_at_once_and_stops_when_told() {
    // Bound and never accepted would hang; a port that nobody has refuses.
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .expect("a free port")
        .local_addr()
        .expect("bound");
    let config = Config::new(SecretString::from(format!("amqp://{free}")));
    let topology = Topology::new(&config.prefix, &[vendor()], &[]);
    let stop = CancellationToken::new();
    let broker = Broker::start(config, topology, stop.clone()).expect("a good address");
    let mut status = broker.status();
    let refused = |status: &Status| matches!(status, Status::Reconnecting { error, .. } if !error.is_empty());
    let seen = tokio::time::timeout(Duration::from_secs(10), status.wait_for(refused)).await;
    assert!(seen.expect("in time").is_ok());

    let began = Instant::now();
    let publisher = broker.publisher();
    assert_eq!(
        publisher.publish(requests(2)).await,
        [Err(PublishError::Disconnected), Err(PublishError::Disconnected)]
    );
    assert!(began.elapsed() < Duration::from_secs(1), "took {:?}", began.elapsed());

    let pointers = Pointers::start(publisher, stop.clone());
    let pointer = Pointer {
        transaction: TransactionId::new(),
        fence: 1,
    };
    pointers.send(&vendor(), pointer, None);
    until("the pointer is counted as lost", async || pointers.lost() == 1).await;

    let recorder = Recorder::new(|_| Act::Done);
    let mut tasks = JoinSet::new();
    {
        let (broker, stop, recorder) = (broker.clone(), stop.clone(), recorder.clone());
        tasks.spawn(async move {
            broker
                .consume(Queue::Intake, 1, recorder, stop, Duration::from_secs(1))
                .await
        });
    }
    stop.cancel();
    let all = async {
        tasks.join_all().await;
        pointers.drained().await;
        broker.stopped().await;
        assert!(!broker.connected().await);
    };
    tokio::time::timeout(Duration::from_secs(10), all)
        .await
        .expect("everything ends");
}
