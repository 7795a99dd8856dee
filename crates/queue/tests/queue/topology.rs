//! Comparing and repairing what a broker has, and the canaries.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use lapin::ExchangeKind;
use lapin::options::{ExchangeDeclareOptions, ExchangeDeleteOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::FieldTable;
use queue::pointer::POINTER_TYPE;
use queue::{
    Admin, Ailment, Broker, Condition, Config, Deed, Exchange, Finding, Message, Outcome, Prefix, Queue, Repair,
    Topology, TopologyError,
};
use receipt::VendorName;
use secrecy::SecretString;
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::harness::{Act, Fleet, LIMIT, Recorder, remove, request, requests, until, vendor, with_fleet};

const RECREATE: Repair = Repair {
    recreate: true,
    discard_pointers: false,
    abandon: BTreeSet::new(),
    dry_run: false,
};

fn admin(fleet: &Fleet, topology: &Topology) -> Admin {
    Admin::new(fleet.config.clone(), topology.clone()).expect("a good address")
}

fn seconds(delays: &[u64]) -> Vec<Duration> {
    delays.iter().copied().map(Duration::from_secs).collect()
}

fn wrong(findings: &[Finding]) -> Vec<(String, Condition)> {
    let wrong = findings.iter().filter(|finding| finding.condition != Condition::Good);
    wrong.map(|finding| (finding.name.clone(), finding.condition)).collect()
}

fn the<'a>(outcomes: &'a [Outcome], name: &str) -> &'a Outcome {
    let found = outcomes.iter().find(|outcome| outcome.name == name);
    found.unwrap_or_else(|| panic!("nothing about {name} in {outcomes:?}"))
}

impl Fleet {
    /// Replaces a queue by a classic one without arguments, bound as the old one was.
    async fn misshape(&self, name: &str) {
        let channel = self.admin.create_channel().await.expect("a channel");
        let deleted = channel.queue_delete(name.into(), QueueDeleteOptions::default()).await;
        deleted.expect("deleted");
        let durable = QueueDeclareOptions::durable();
        let declared = channel.queue_declare(name.into(), durable, FieldTable::default()).await;
        declared.expect("a classic queue");
        for binding in self.topology.bindings().iter().filter(|binding| binding.queue == name) {
            let (exchange, key) = (binding.exchange.as_str(), binding.key.as_str());
            let options = lapin::options::QueueBindOptions::default();
            let bound = channel
                .queue_bind(name.into(), exchange.into(), key.into(), options, FieldTable::default())
                .await;
            bound.expect("bound");
        }
    }

    async fn delete_queue(&self, name: &str) {
        let channel = self.admin.create_channel().await.expect("a channel");
        let deleted = channel.queue_delete(name.into(), QueueDeleteOptions::default()).await;
        deleted.expect("deleted");
    }
}

/// A role's loops: it consumes one queue and sends canaries.
struct Session {
    consuming: CancellationToken,
    canaries: CancellationToken,
    tasks: JoinSet<()>,
}

impl Session {
    fn start(broker: &Broker, queue: Queue, recorder: &Arc<Recorder>) -> Self {
        let (consuming, canaries) = (CancellationToken::new(), CancellationToken::new());
        let mut tasks = JoinSet::new();
        let (consumer, handler, stop) = (broker.clone(), recorder.clone(), consuming.clone());
        tasks.spawn(async move { consumer.consume(queue, 10, handler, stop, LIMIT).await });
        let (prober, stop) = (broker.clone(), canaries.clone());
        tasks.spawn(async move { prober.send_canaries(stop).await });
        Self {
            consuming,
            canaries,
            tasks,
        }
    }

    async fn end_consuming(&mut self) {
        self.consuming.cancel();
        self.tasks.join_next().await.expect("two tasks").expect("no panic");
    }

    async fn end(self) {
        self.consuming.cancel();
        self.canaries.cancel();
        self.tasks.join_all().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_of_another_shape_is_named_with_its_cure_and_used_as_it_is() {
    with_fleet(async |fleet| {
        let name = fleet.queue_name(&Queue::Intake);
        fleet.misshape(&name).await;

        let mut config = fleet.config.clone();
        config.canary_interval = Duration::from_secs(1);
        let stop = CancellationToken::new();
        let broker = Broker::start(config, fleet.topology.clone(), stop.clone()).expect("a good address");
        assert!(
            tokio::time::timeout(LIMIT, broker.connected()).await.expect("in time"),
            "it connects all the same"
        );
        let problems = broker.problems();
        let told = problems.borrow().clone();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(matches!(&told[0].ailment, Ailment::Different(words) if words.contains("PRECONDITION_FAILED")));
        let text = told[0].to_string();
        assert!(
            text.contains(&name) && text.contains("kassa topology apply --recreate"),
            "{text}"
        );

        broker.publisher().publish_one(request(1)).await.expect("taken");
        let recorder = Recorder::new(|_| Act::Done);
        let mut session = Session::start(&broker, Queue::Intake, &recorder);
        recorder.until_ended(1).await;
        session.end_consuming().await;

        let outcomes = admin(fleet, &fleet.topology).apply(&RECREATE).await.expect("answers");
        assert!(the(&outcomes, &name).done, "{outcomes:?}");
        until("the session sees that it is repaired", async || {
            problems.borrow().is_empty()
        })
        .await;
        session.end().await;
        stop.cancel();
        broker.stopped().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_tells_what_is_missing_different_and_no_longer_wanted_and_changes_nothing() {
    with_fleet(async |fleet| {
        let prefix = &fleet.config.prefix;
        let gone = VendorName::parse("gone").expect("a good name");
        let before = Topology::new(prefix, &[vendor(), gone.clone()], &seconds(&[1, 600]));
        let stop = CancellationToken::new();
        let broker = Broker::start(fleet.config.clone(), before.clone(), stop.clone()).expect("a good address");
        assert!(broker.connected().await);
        let pointer = Message::json(Exchange::Send, "gone", "1", POINTER_TYPE, b"{}".to_vec());
        assert_eq!(broker.publisher().publish_one(pointer).await, Ok(()));
        stop.cancel();
        broker.stopped().await;

        let wanted = Topology::new(prefix, &[vendor()], &seconds(&[600, 777]));
        fleet.misshape(&fleet.queue_name(&Queue::Intake)).await;
        fleet.delete_queue(&fleet.queue_name(&Queue::Retry(vendor()))).await;
        let admin = admin(fleet, &wanted);
        let name = |rest: &str| format!("{prefix}.{rest}");
        let expected = [
            (name("delay.777s"), Condition::Missing),
            (name("intake"), Condition::Different),
            (name("retry.first"), Condition::Missing),
            (name("delay.777s"), Condition::Missing),
            (name("delay.1s"), Condition::Unwanted),
            (name("retry.gone"), Condition::Unwanted),
            (name("send.gone"), Condition::Unwanted),
        ];
        let plan = admin.plan().await.expect("answers");
        assert_eq!(wrong(&plan), expected);
        let send = plan
            .iter()
            .find(|finding| finding.name == name("send.gone"))
            .expect("found");
        assert_eq!((send.messages, send.consumers), (Some(1), Some(0)));
        assert_eq!(
            wrong(&admin.plan().await.expect("answers")),
            expected,
            "nothing was changed"
        );
        let dry_run = Repair {
            dry_run: true,
            ..RECREATE
        };
        let outcomes = admin.apply(&dry_run).await.expect("answers");
        assert!(outcomes.iter().all(|outcome| !outcome.done), "{outcomes:?}");
        assert_eq!(
            wrong(&admin.plan().await.expect("answers")),
            expected,
            "not by a dry run either"
        );

        let outcomes = admin.apply(&RECREATE).await.expect("answers");
        let kept: Vec<_> = outcomes.iter().filter(|outcome| !outcome.done).collect();
        assert_eq!(kept.len(), 1, "{outcomes:?}");
        assert!(kept[0].name == name("send.gone") && kept[0].detail.contains("--discard-pointers"));
        let discard = Repair {
            discard_pointers: true,
            ..Repair::default()
        };
        let outcomes = admin.apply(&discard).await.expect("answers");
        assert_eq!(
            (outcomes.len(), the(&outcomes, &name("send.gone")).deed),
            (1, Deed::Remove)
        );
        assert_eq!(wrong(&admin.verify().await.expect("answers")), []);
        remove(&fleet.admin, &wanted).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_interval_strands_nothing_and_its_queue_goes_once_it_is_empty() {
    with_fleet(async |fleet| {
        let prefix = &fleet.config.prefix;
        let pointer = Message::json(
            Exchange::Delay(Duration::from_secs(1)),
            vendor().as_str(),
            "1",
            POINTER_TYPE,
            b"{}".to_vec(),
        );
        fleet.publish(vec![pointer]).await;
        // A new role with other intervals starts beside the old one.
        let wanted = Topology::new(prefix, &[vendor()], &seconds(&[2, 600]));
        let stop = CancellationToken::new();
        let broker = Broker::start(fleet.config.clone(), wanted.clone(), stop.clone()).expect("a good address");
        assert!(broker.connected().await);
        assert_eq!(*broker.problems().borrow(), []);

        let admin = admin(fleet, &wanted);
        let old = format!("{prefix}.delay.1s");
        let outcomes = admin.apply(&Repair::default()).await.expect("answers");
        let first = the(&outcomes, &old).clone();
        assert!(
            first.done || first.detail.contains("still wait in it"),
            "removed only if it was empty already: {first:?}"
        );
        fleet.until_ready(&Queue::Retry(vendor()), 1).await;
        until("the old queue is gone", async || {
            let outcomes = admin.apply(&Repair::default()).await.expect("answers");
            outcomes.iter().all(|outcome| outcome.done)
        })
        .await;
        let plan = admin.plan().await.expect("answers");
        assert!(plan.iter().all(|finding| finding.name != old), "{plan:?}");
        stop.cancel();
        broker.stopped().await;
        remove(&fleet.admin, &wanted).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_of_requests_is_replaced_without_losing_one() {
    with_fleet(async |fleet| {
        let (intake, dead) = (fleet.queue_name(&Queue::Intake), fleet.queue_name(&Queue::Dead));
        fleet.misshape(&intake).await;
        fleet.misshape(&dead).await;
        let mut messages = requests(250);
        messages[7].headers = json!({"traceparent": "kept", "n": 7})
            .as_object()
            .expect("an object")
            .clone();
        fleet.publish(messages).await;
        let admin = admin(fleet, &fleet.topology);

        let outcomes = admin.apply(&Repair::default()).await.expect("answers");
        assert_eq!(the(&outcomes, &intake).deed, Deed::Keep);
        assert!(the(&outcomes, &intake).detail.contains("--recreate"));

        let recorder = Recorder::new(|_| Act::Leave);
        let consuming = fleet.consume(Queue::Intake, 1, &recorder);
        recorder.until_begun(1).await;
        let outcomes = admin.apply(&RECREATE).await.expect("answers");
        let kept = the(&outcomes, &intake);
        assert!(!kept.done && kept.detail.contains("stop the senders"), "{kept:?}");
        consuming.end().await;

        let outcomes = admin.apply(&RECREATE).await.expect("answers");
        assert!(outcomes.iter().all(|outcome| outcome.done), "{outcomes:?}");
        assert_eq!(wrong(&admin.plan().await.expect("answers")), []);

        let recorder = Recorder::new(|_| Act::Done);
        let consuming = [Queue::Intake, Queue::Dead].map(|queue| fleet.consume(queue, 100, &recorder));
        recorder.until_ended(250).await;
        for consuming in consuming {
            consuming.end().await;
        }
        let all = recorder.ended();
        let ids: BTreeSet<_> = all.iter().filter_map(|delivery| delivery.message_id.clone()).collect();
        assert_eq!(ids.len(), 250);
        assert!(all.iter().all(|delivery| delivery.routing_key == "main"));
        let seventh = all.iter().find(|delivery| delivery.message_id.as_deref() == Some("7"));
        let seventh = seventh.expect("there");
        assert_eq!(
            (&seventh.headers["traceparent"], &seventh.headers["n"]),
            (&json!("kept"), &json!(7))
        );
        assert_eq!(seventh.message_type.as_deref(), Some("receipt.request.v1"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_of_another_kind_is_replaced_but_not_under_a_listener() {
    with_fleet(async |fleet| {
        let channel = fleet.admin.create_channel().await.expect("a channel");
        let names = [Exchange::Events, Exchange::Send].map(|exchange| fleet.config.prefix.exchange(&exchange));
        for name in &names {
            let deleted = channel
                .exchange_delete(name.as_str().into(), ExchangeDeleteOptions::default())
                .await;
            deleted.expect("deleted");
            let options = ExchangeDeclareOptions {
                durable: true,
                ..ExchangeDeclareOptions::default()
            };
            let kind = ExchangeKind::Headers;
            let declared = channel
                .exchange_declare(name.as_str().into(), kind, options, FieldTable::default())
                .await;
            declared.expect("declared");
        }
        let [events, send] = &names;
        let exclusive = QueueDeclareOptions {
            exclusive: true,
            ..QueueDeclareOptions::default()
        };
        let listener = channel
            .queue_declare("".into(), exclusive, FieldTable::default())
            .await
            .expect("declared");
        let options = lapin::options::QueueBindOptions::default();
        let bound = channel
            .queue_bind(
                listener.name().clone(),
                events.as_str().into(),
                "#".into(),
                options,
                FieldTable::default(),
            )
            .await;
        bound.expect("bound");

        let admin = admin(fleet, &fleet.topology);
        let outcomes = admin.apply(&RECREATE).await.expect("answers");
        assert!(the(&outcomes, send).done, "{outcomes:?}");
        let kept = the(&outcomes, events);
        assert!(!kept.done && kept.detail.contains("refuses"), "{kept:?}");
        let pointer = Message::json(Exchange::Send, vendor().as_str(), "1", POINTER_TYPE, b"{}".to_vec());
        fleet.publish(vec![pointer]).await;
        channel
            .queue_delete(listener.name().clone(), QueueDeleteOptions::default())
            .await
            .expect("deleted");
        let outcomes = admin.apply(&RECREATE).await.expect("answers");
        assert!(the(&outcomes, events).done, "{outcomes:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_goes_through_every_queue_and_reaches_no_handler() {
    with_fleet(async |fleet| {
        let findings = admin(fleet, &fleet.topology).verify().await.expect("answers");
        assert_eq!(wrong(&findings), []);
        fleet.until_ready(&Queue::Intake, 1).await;
        fleet.until_ready(&Queue::Dead, 1).await;
        // The one in the delay of a second comes here as well.
        fleet.until_ready(&Queue::Retry(vendor()), 2).await;

        let recorder = Recorder::new(|_| Act::Done);
        let queues = [
            Queue::Intake,
            Queue::Dead,
            Queue::Send(vendor()),
            Queue::Retry(vendor()),
        ];
        let consuming = queues.clone().map(|queue| fleet.consume(queue, 10, &recorder));
        for queue in &queues {
            fleet.until_ready(queue, 0).await;
        }
        fleet.publish(requests(1)).await;
        recorder.until_ended(1).await;
        for consuming in consuming {
            consuming.end().await;
        }
        assert_eq!(recorder.begun().len(), 1, "{:?}", recorder.begun());
        for queue in &queues {
            fleet.until_ready(queue, 0).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delay_that_was_deleted_under_a_running_role_is_declared_again() {
    with_fleet(async |fleet| {
        let mut config = fleet.config.clone();
        config.canary_interval = Duration::from_secs(1);
        let stop = CancellationToken::new();
        let broker = Broker::start(config, fleet.topology.clone(), stop.clone()).expect("a good address");
        assert!(broker.connected().await);
        let recorder = Recorder::new(|_| Act::Done);
        let session = Session::start(&broker, Queue::Retry(vendor()), &recorder);
        fleet.delete_queue(&format!("{}.delay.1s", fleet.config.prefix)).await;
        let admin = admin(fleet, &fleet.topology);
        until("the queue is there again", async || {
            wrong(&admin.plan().await.expect("answers")).is_empty()
        })
        .await;
        session.end().await;
        stop.cancel();
        broker.stopped().await;
        assert_eq!(recorder.begun(), []);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_not_there_is_unreachable_and_nothing_worse() {
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .expect("a free port")
        .local_addr()
        .expect("bound");
    let config = Config::new(SecretString::from(format!("amqp://{free}")));
    let admin = Admin::new(config, Topology::new(&Prefix::default(), &[vendor()], &[])).expect("a good address");
    assert!(matches!(admin.plan().await, Err(TopologyError::Unreachable(_))));
}
