//! From the event to the shop: at least once, whatever fails, and no shop in another's way.

use std::collections::HashSet;
use std::time::Duration;

use ledger::{DeliveryFilter, DeliveryRow, Ledger};
use receipt::{Operation, StoreCode};
use service::health::Health;
use tokio::task::JoinSet;
use webhooks::{Config, Dispatcher};

use crate::harness::{CaFile, SECRET, config, dispatcher, stores};
use crate::receiver::{Authority, Receiver, Reply};
use crate::sample::offer_of;
use crate::scratch::{Scratch, until};

/// Accepts documents of a store, and so makes an event of each.
async fn events(ledger: &Ledger, store: &str, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let offer = offer_of(Operation::Sell, store, &number.to_string(), "main");
        ledger.accept(offer).await.expect("accepted");
    }
}

async fn rows(ledger: &Ledger, store: &str) -> Vec<DeliveryRow> {
    let filter = DeliveryFilter {
        store: Some(StoreCode::parse(store).expect("a store code")),
        limit: 1000,
        ..DeliveryFilter::default()
    };
    ledger.deliveries(&filter).await.expect("no outage")
}

async fn until_all(ledger: &Ledger, store: &str, state: &str) -> Vec<DeliveryRow> {
    until(&format!("every delivery of {store} is {state}"), || async {
        rows(ledger, store).await.iter().all(|row| row.state == state)
    })
    .await;
    rows(ledger, store).await
}

/// Its loop, until the value is dropped: then it ends wherever it stands, with every try under way.
fn running(dispatcher: &Dispatcher) -> JoinSet<()> {
    let mut loops = JoinSet::new();
    let dispatcher = dispatcher.clone();
    loops.spawn(async move { dispatcher.dispatch().await.expect("no refusal") });
    loops
}

struct World {
    scratch: Scratch,
    ledger: Ledger,
    authority: Authority,
    ca: CaFile,
}

impl World {
    async fn new() -> Self {
        let scratch = Scratch::new().await;
        let authority = Authority::new();
        Self {
            ledger: scratch.ledger(),
            ca: CaFile::of(&authority),
            scratch,
            authority,
        }
    }

    /// Binds the stores and gives a dispatcher of another process.
    async fn dispatcher(&self, config: &Config, urls: &[(&str, String)]) -> Dispatcher {
        let stores = stores(urls);
        let stop = tokio_util::sync::CancellationToken::new();
        webhooks::bind(&stores, &self.ledger, &stop).await.expect("bound");
        dispatcher(config, &stores, self.scratch.ledger_of("dispatcher")).0
    }
}

#[tokio::test]
async fn an_event_reaches_the_shop_signed_and_with_the_bytes_of_the_broker() {
    let world = World::new().await;
    let shop = Receiver::start(&world.authority, |_, _| Reply::Status(200)).await;
    let dispatcher = world
        .dispatcher(&config(&world.ca), &[("main", shop.url("shop.test"))])
        .await;
    events(&world.ledger, "main", 0..1).await;
    let _loop = running(&dispatcher);
    let seen = shop.until_seen(1).await.remove(0);
    assert!(seen.is_signed_with(SECRET));
    let event = world.ledger.take_events(10).await.expect("no outage").remove(0);
    assert_eq!(
        (seen.id(), &seen.body[..]),
        (&*event.id.to_string(), &event.published()[..])
    );
    let row = until_all(&world.ledger, "main", "delivered").await.remove(0);
    assert_eq!((row.attempts, row.http_status), (1, Some(200)));
}

#[tokio::test]
async fn a_delivery_that_failed_is_repeated_with_the_same_id_and_the_same_bytes() {
    let world = World::new().await;
    let shop = Receiver::start(&world.authority, |place, _| {
        Reply::Status(if place < 2 { 500 } else { 200 })
    })
    .await;
    let dispatcher = world
        .dispatcher(&config(&world.ca), &[("main", shop.url("shop.test"))])
        .await;
    events(&world.ledger, "main", 0..1).await;
    let _loop = running(&dispatcher);
    let seen = shop.until_seen(3).await;
    let row = until_all(&world.ledger, "main", "delivered").await.remove(0);
    assert_eq!(row.attempts, 3);
    for try_ in &seen {
        assert!(try_.is_signed_with(SECRET));
        assert_eq!((try_.id(), &try_.body), (seen[0].id(), &seen[0].body));
    }
    assert_eq!(shop.seen().len(), 3);
}

#[tokio::test]
async fn a_delivery_that_fails_to_the_end_is_given_up_and_a_person_begins_anew() {
    let world = World::new().await;
    let shop = Receiver::start(&world.authority, |place, _| {
        Reply::Status(if place < 4 { 404 } else { 200 })
    })
    .await;
    let dispatcher = world
        .dispatcher(&config(&world.ca), &[("main", shop.url("shop.test"))])
        .await;
    events(&world.ledger, "main", 0..1).await;
    let _loop = running(&dispatcher);
    let row = until_all(&world.ledger, "main", "exhausted").await.remove(0);
    assert_eq!((row.attempts, row.http_status), (4, Some(404)));
    let main = StoreCode::parse("main").expect("a store code");
    world.ledger.resume_webhook(&main, true).await.expect("no outage");
    until_all(&world.ledger, "main", "delivered").await;
    assert_eq!(shop.seen().len(), 5);
}

#[tokio::test]
async fn a_dispatcher_that_dies_between_the_post_and_its_record_is_followed_by_another() {
    let world = World::new().await;
    let shop = Receiver::start(&world.authority, |place, _| {
        if place == 0 { Reply::Nothing } else { Reply::Status(200) }
    })
    .await;
    let urls = [("main", shop.url("shop.test"))];
    let dying = world.dispatcher(&config(&world.ca), &urls).await;
    events(&world.ledger, "main", 0..1).await;
    assert_eq!(dying.dispatch_once().await.expect("no outage"), 1);
    shop.until_seen(1).await;
    dying.abort();
    assert_eq!(dying.drained(tokio::time::Instant::now()).await, 0);

    let other = world.dispatcher(&config(&world.ca), &urls).await;
    assert_eq!(
        other.dispatch_once().await.expect("no outage"),
        0,
        "the claim still holds"
    );
    world.scratch.pass(Duration::from_secs(60)).await;
    assert_eq!(other.dispatch_once().await.expect("no outage"), 1);
    let seen = shop.until_seen(2).await;
    assert_eq!((seen[0].id(), &seen[0].body), (seen[1].id(), &seen[1].body));
    until_all(&world.ledger, "main", "delivered").await;
}

#[tokio::test]
async fn two_dispatchers_share_the_work_and_each_event_is_sent_once() {
    let world = World::new().await;
    let shop = Receiver::start(&world.authority, |_, _| Reply::Status(200)).await;
    let urls = [("main", shop.url("shop.test"))];
    let (one, two) = (
        world.dispatcher(&config(&world.ca), &urls).await,
        world.dispatcher(&config(&world.ca), &urls).await,
    );
    events(&world.ledger, "main", 0..40).await;
    assert_eq!(
        one.dispatch_once().await.expect("no outage"),
        4,
        "as many as it has slots"
    );
    assert_eq!(two.dispatch_once().await.expect("no outage"), 4);
    let _loops = (running(&one), running(&two));
    until_all(&world.ledger, "main", "delivered").await;
    let seen = shop.seen();
    let ids: HashSet<_> = seen.iter().map(|seen| seen.id().to_owned()).collect();
    assert_eq!((seen.len(), ids.len()), (40, 40));
}

#[tokio::test]
async fn a_shop_that_hangs_keeps_its_slots_busy_and_nobody_else() {
    let world = World::new().await;
    let hanging = Receiver::start(&world.authority, |_, _| Reply::Nothing).await;
    let shop = Receiver::start(&world.authority, |_, _| Reply::Status(200)).await;
    let dispatcher = world
        .dispatcher(
            &config(&world.ca),
            &[("main", shop.url("shop.test")), ("second", hanging.url("shop.test"))],
        )
        .await;
    events(&world.ledger, "second", 0..20).await;
    events(&world.ledger, "main", 0..20).await;
    let _loop = running(&dispatcher);
    let mine = until_all(&world.ledger, "main", "delivered").await;
    assert!(mine.iter().all(|row| row.attempts == 1));
    let theirs = rows(&world.ledger, "second").await;
    assert!(theirs.iter().all(|row| row.state == "pending"));
    assert_eq!(theirs.iter().filter(|row| row.attempts > 0).count(), 4);
    assert_eq!(hanging.seen().len(), 4);
}

#[tokio::test]
async fn a_shop_that_is_down_leaves_the_deliveries_of_another_untouched() {
    let world = World::new().await;
    let shop = Receiver::start(&world.authority, |_, _| Reply::Status(200)).await;
    let nobody = {
        let closed = Receiver::start(&world.authority, |_, _| Reply::Status(200)).await;
        closed.url("shop.test")
    };
    let dispatcher = world
        .dispatcher(
            &config(&world.ca),
            &[("main", shop.url("shop.test")), ("second", nobody)],
        )
        .await;
    events(&world.ledger, "second", 0..5).await;
    events(&world.ledger, "main", 0..5).await;
    let _loop = running(&dispatcher);
    until_all(&world.ledger, "main", "delivered").await;
    let given_up = until_all(&world.ledger, "second", "exhausted").await;
    assert!(given_up.iter().all(|row| row.error.as_deref() == Some("connect")));
    assert_eq!(shop.seen().len(), 5);
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_left_alone_and_shown() {
    let world = World::new().await;
    let shop = Receiver::start(&world.authority, |place, _| {
        Reply::Status(if place == 0 { 410 } else { 200 })
    })
    .await;
    let dispatcher = world
        .dispatcher(&config(&world.ca), &[("main", shop.url("shop.test"))])
        .await;
    events(&world.ledger, "main", 0..1).await;
    let _loop = running(&dispatcher);
    let stopped = || async { !world.ledger.stopped_webhooks().await.expect("no outage").is_empty() };
    until("the endpoint is stopped", stopped).await;
    events(&world.ledger, "main", 1..3).await;

    let health = Health::default();
    let check = health.check("webhooks");
    let mut watching = JoinSet::new();
    let watcher = dispatcher.clone();
    watching.spawn(async move { watcher.watch(&check).await });
    until("the health says so", || async {
        health.checks()[0]
            .detail
            .contains("the endpoint of main answered that it is gone")
    })
    .await;
    assert_eq!(dispatcher.dispatch_once().await.expect("no outage"), 0);
    assert_eq!(shop.seen().len(), 1);

    let main = StoreCode::parse("main").expect("a store code");
    assert_eq!(
        world.ledger.resume_webhook(&main, false).await.expect("no outage"),
        Some(3)
    );
    until_all(&world.ledger, "main", "delivered").await;
    assert_eq!(shop.seen().len(), 4);
}

#[tokio::test]
async fn an_endpoint_that_asks_for_less_is_left_alone_as_a_whole() {
    let world = World::new().await;
    let shop = Receiver::start(&world.authority, |place, _| {
        Reply::Status(if place < 4 { 429 } else { 200 })
    })
    .await;
    let dispatcher = world
        .dispatcher(&config(&world.ca), &[("main", shop.url("shop.test"))])
        .await;
    events(&world.ledger, "main", 0..8).await;
    assert_eq!(dispatcher.dispatch_once().await.expect("no outage"), 4);
    until("four tries are recorded", || async {
        rows(&world.ledger, "main")
            .await
            .iter()
            .filter(|row| row.http_status == Some(429))
            .count()
            == 4
    })
    .await;
    assert_eq!(
        dispatcher.dispatch_once().await.expect("no outage"),
        0,
        "nothing, not even what was never tried"
    );
    world.scratch.pass(Duration::from_secs(10)).await;
    assert_eq!(dispatcher.dispatch_once().await.expect("no outage"), 1, "one, to see");
    let _loop = running(&dispatcher);
    until_all(&world.ledger, "main", "delivered").await;
    assert_eq!(shop.seen().len(), 12);
}

#[tokio::test]
async fn a_stop_lets_the_tries_under_way_end_and_begins_none() {
    let world = World::new().await;
    let shop = Receiver::start(&world.authority, |_, _| Reply::Status(200)).await;
    let stores = stores(&[("main", shop.url("shop.test"))]);
    world.ledger.bind_webhooks(&[]).await.expect("bound");
    let (dispatcher, stop) = dispatcher(&config(&world.ca), &stores, world.scratch.ledger_of("dispatcher"));
    webhooks::bind(&stores, &world.ledger, &stop).await.expect("bound");
    events(&world.ledger, "main", 0..20).await;
    let mut running = running(&dispatcher);
    shop.until_seen(1).await;
    stop.cancel();
    while let Some(ended) = running.join_next().await {
        ended.expect("no panic");
    }
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    assert_eq!(dispatcher.drained(deadline).await, 0);
    let rows = rows(&world.ledger, "main").await;
    let delivered = rows.iter().filter(|row| row.state == "delivered").count();
    let untouched = rows.iter().filter(|row| row.attempts == 0).count();
    assert_eq!(delivered + untouched, 20, "none is left claimed");
    assert_eq!(shop.seen().len(), delivered);
}

#[tokio::test]
async fn tries_made_while_the_database_is_away_are_recorded_when_it_is_back() {
    let world = World::new().await;
    let shop = Receiver::start(&world.authority, |_, _| Reply::Status(200)).await;
    let dispatcher = world
        .dispatcher(&config(&world.ca), &[("main", shop.url("shop.test"))])
        .await;
    events(&world.ledger, "main", 0..1).await;
    assert_eq!(dispatcher.dispatch_once().await.expect("no outage"), 1);
    shop.until_seen(1).await;
    // Every connection dies; the record is repeated on a new one.
    let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    world.scratch.run(cut).await;
    until_all(&world.ledger, "main", "delivered").await;
    assert_eq!(shop.seen().len(), 1);
}
