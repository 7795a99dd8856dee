//! The loop: claims deliveries that are due, tries them, records what became of them.
//!
//! Each endpoint has slots of its own, so one that answers slowly or never keeps nothing back but its own deliveries.
//! A process that ends between a POST and its record leaves a claim behind, which another follows when it is over.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ledger::{
    Delivery, DeliveryOutcome, DeliveryQuota, DeliveryVerdict, Ledger, LedgerError, Outage, Recorded, until_taken,
};
use receipt::{StoreCode, StoreSettings};
use service::health::Check;
use service::metrics;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::client::{Client, Heard};
use crate::config::Config;
use crate::decide::decide;
use crate::endpoint::Endpoint;

/// Up to so many hundredths of a wait are added to it, so that what failed together is not tried together.
const JITTER: u32 = 20;
/// How often what was delivered long ago is looked for, and how much of it is forgotten at once.
const FORGET_INTERVAL: Duration = Duration::from_secs(60);
const FORGET_AT_ONCE: i64 = 1000;
/// How often stopped endpoints are looked for.
const WATCH_INTERVAL: Duration = Duration::from_secs(30);
/// What an aborted try gets to say so.
const ABORTING: Duration = Duration::from_millis(500);

/// Writes down which stores have a webhook, as soon as the database is there. Every process does so before it makes
/// events: from then on each event of such a store is delivered.
///
/// # Errors
/// What the database refused.
pub async fn bind(
    stores: &BTreeMap<StoreCode, StoreSettings>,
    ledger: &Ledger,
    stop: &CancellationToken,
) -> Result<(), LedgerError> {
    let endpoints: Vec<ledger::Endpoint> = stores
        .iter()
        .filter_map(|(code, store)| {
            let webhook = store.webhook.as_ref()?;
            Some(ledger::Endpoint {
                store: code.clone(),
                url: webhook.url.clone(),
                event_types: webhook.events.clone(),
            })
        })
        .collect();
    match until_taken(stop, "the webhooks", || ledger.bind_webhooks(&endpoints)).await {
        Err(error) if error.is_outage() => Ok(()),
        bound => bound,
    }
}

/// One store's endpoint with its slots.
struct Line {
    endpoint: Endpoint,
    slots: Arc<Semaphore>,
    /// Told once when it begins and once when it ends: an endpoint that is down fails hundreds of tries.
    failing: AtomicBool,
}

struct Context {
    config: Config,
    ledger: Ledger,
    client: Client,
    lines: BTreeMap<StoreCode, Line>,
    tries: TaskTracker,
    /// A slot is free again.
    freed: Notify,
    /// No new work.
    stop: CancellationToken,
    /// No more waiting for a lost database either: the drain is over.
    abort: CancellationToken,
}

/// Delivers events to the shops' endpoints. Cheap to clone.
#[derive(Clone)]
pub struct Dispatcher {
    context: Arc<Context>,
}

impl Dispatcher {
    /// A dispatcher that stops taking work when `stop` is cancelled. An endpoint that [`Config::faults`] refuses is left
    /// out.
    #[must_use]
    pub fn new(
        config: Config,
        stores: &BTreeMap<StoreCode, StoreSettings>,
        ledger: Ledger,
        client: Client,
        stop: CancellationToken,
    ) -> Self {
        let places = usize::try_from(config.slots)
            .unwrap_or(Semaphore::MAX_PERMITS)
            .min(Semaphore::MAX_PERMITS);
        let lines = stores
            .iter()
            .filter_map(|(code, store)| {
                let line = Line {
                    endpoint: Endpoint::of(store.webhook.as_ref()?)?,
                    slots: Arc::new(Semaphore::new(places)),
                    failing: AtomicBool::new(false),
                };
                Some((code.clone(), line))
            })
            .collect();
        let context = Context {
            config,
            ledger,
            client,
            lines,
            tries: TaskTracker::new(),
            freed: Notify::new(),
            stop,
            abort: CancellationToken::new(),
        };
        Self {
            context: Arc::new(context),
        }
    }

    /// The loop that delivers.
    ///
    /// # Errors
    /// When the database refuses the question; an outage is waited for.
    pub async fn dispatch(&self) -> anyhow::Result<()> {
        let context = &self.context;
        let mut ticks = tokio::time::interval(context.config.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut outage = Outage::of("webhooks");
        loop {
            tokio::select! {
                biased;
                () = context.stop.cancelled() => return Ok(()),
                () = context.freed.notified() => {}
                _ = ticks.tick() => {}
            }
            while outage.over(self.dispatch_once().await)?.unwrap_or(0) > 0 && !context.stop.is_cancelled() {}
        }
    }

    /// One step: claims the deliveries that are due and have a free slot, and starts trying them. Returns how many.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn dispatch_once(&self) -> Result<usize, LedgerError> {
        let context = &self.context;
        let mut slots: BTreeMap<&str, Vec<OwnedSemaphorePermit>> = BTreeMap::new();
        let mut quotas = Vec::new();
        for (store, line) in &context.lines {
            let free: Vec<OwnedSemaphorePermit> =
                std::iter::from_fn(|| Arc::clone(&line.slots).try_acquire_owned().ok()).collect();
            if !free.is_empty() {
                quotas.push(DeliveryQuota {
                    store: store.clone(),
                    slots: u32::try_from(free.len()).unwrap_or(u32::MAX),
                });
                slots.insert(store.as_str(), free);
            }
        }
        if quotas.is_empty() {
            return Ok(0);
        }
        let due = context.ledger.claim_deliveries(&quotas, context.config.hold()).await?;
        let count = due.len();
        for delivery in due {
            let slot = slots.get_mut(delivery.event.store.as_str()).and_then(Vec::pop);
            let span = tracing::info_span!(
                "webhook",
                event.id = %delivery.event.id,
                store = delivery.event.store,
                attempt.number = delivery.attempt
            );
            context
                .tries
                .spawn(deliver(Arc::clone(context), delivery, slot).instrument(span));
        }
        Ok(count)
    }

    /// The loop that forgets what was delivered long ago.
    ///
    /// # Errors
    /// When the database refuses; an outage is waited for.
    pub async fn forget(&self) -> anyhow::Result<()> {
        let context = &self.context;
        let mut ticks = tokio::time::interval(FORGET_INTERVAL);
        let mut outage = Outage::of("old deliveries");
        while context.stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let forget = || context.ledger.forget_deliveries(context.config.keep, FORGET_AT_ONCE);
            while outage.over(forget().await)?.unwrap_or(0) > 0 && !context.stop.is_cancelled() {}
        }
        Ok(())
    }

    /// The loop that shows stopped endpoints in the health of the process.
    ///
    /// # Errors
    /// When the database refuses; an outage is waited for.
    pub async fn watch(&self, check: &Check) -> anyhow::Result<()> {
        let context = &self.context;
        check.ok();
        let mut ticks = tokio::time::interval(WATCH_INTERVAL);
        let mut outage = Outage::of("stopped webhooks");
        while context.stop.run_until_cancelled(ticks.tick()).await.is_some() {
            match outage.over(context.ledger.stopped_webhooks().await)? {
                Some(stopped) if stopped.is_empty() => check.ok(),
                Some(stopped) => check.warn(format!(
                    "the endpoint of {} answered that it is gone (410); kassa webhook resume STORE lets it go on",
                    stopped.join(", ")
                )),
                None => {}
            }
        }
        Ok(())
    }

    /// What waits for a lost database gives up; it is delivered again by somebody.
    pub fn abort(&self) {
        self.context.abort.cancel();
    }

    /// Waits, after the loop has ended, for the tries that are under way, until `deadline`. Returns how many were left;
    /// their deliveries are tried again by somebody.
    pub async fn drained(&self, deadline: Instant) -> usize {
        let tries = &self.context.tries;
        tries.close();
        if tokio::time::timeout_at(deadline, tries.wait()).await.is_err() {
            self.abort();
            let _ = tokio::time::timeout(ABORTING, tries.wait()).await;
        }
        tries.len()
    }
}

async fn deliver(context: Arc<Context>, delivery: Delivery, slot: Option<OwnedSemaphorePermit>) {
    let line = delivery
        .event
        .store
        .parse()
        .ok()
        .and_then(|store: StoreCode| context.lines.get(&store));
    // Only what has a line is claimed.
    let Some(line) = line else { return };
    let (id, body) = (delivery.event.id, delivery.event.published());
    let name = id.to_string();
    let post = context.client.post(&line.endpoint, &name, body);
    let Some(heard) = context.abort.run_until_cancelled(post).await else {
        return;
    };
    let schedule = &context.config.retry_intervals;
    let jitter = fastrand::u32(0..=JITTER);
    let verdict = decide(heard, delivery.attempt, delivery.slowdowns, schedule, jitter);
    let (http_status, error) = match heard {
        Heard::Answer { status, retry_after: _ } => (Some(status), None),
        Heard::Silence(silence) => (None, Some(silence.name().to_owned())),
    };
    let outcome = DeliveryOutcome {
        event: id,
        attempt: delivery.attempt,
        http_status,
        error,
        verdict,
    };
    let record = || context.ledger.record_delivery(&outcome);
    match until_taken(&context.abort, "a delivery", record).await {
        Ok(Recorded::Applied) => tell(&delivery, line, &outcome),
        Ok(Recorded::Fenced | Recorded::Already) => {
            tracing::debug!("another dispatcher has followed this delivery");
        }
        Err(error) => {
            let error = service::error::chain(&error);
            tracing::warn!(error, "a delivery is not recorded; it will be made again");
        }
    }
    // Before the loop is woken, else it finds no free slot.
    drop(slot);
    context.freed.notify_one();
}

fn tell(delivery: &Delivery, line: &Line, outcome: &DeliveryOutcome) {
    metrics::webhook(match outcome.verdict {
        DeliveryVerdict::Delivered => "delivered",
        DeliveryVerdict::Again { .. } | DeliveryVerdict::Exhausted | DeliveryVerdict::Gone => "failed",
    });
    let (store, event, host) = (&delivery.event.store, delivery.event.id, line.endpoint.host());
    let heard = outcome.http_status.map_or_else(
        || outcome.error.clone().unwrap_or_default(),
        |status| status.to_string(),
    );
    match outcome.verdict {
        DeliveryVerdict::Delivered => {
            tracing::debug!("event {event} is delivered to {host}");
            if line.failing.swap(false, Ordering::Relaxed) {
                tracing::info!(store, "the webhook of store {store} takes events again");
            }
        }
        DeliveryVerdict::Again { .. } => {
            tracing::debug!(
                heard,
                "event {event} is not delivered to {host}: {heard}; it is tried again"
            );
            if !line.failing.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    store,
                    heard,
                    "the webhook of store {store} at {host} does not take events: {heard}; they are tried again"
                );
            }
        }
        DeliveryVerdict::Exhausted => tracing::error!(
            store,
            heard,
            "event {event} is given up after {} tries: {host} said {heard} last; when it is mended: \
             kassa webhook resume {store} --exhausted",
            outcome.attempt
        ),
        DeliveryVerdict::Gone => tracing::error!(
            store,
            "the webhook of store {store} at {host} answered that it is gone (410); its events wait for \
             kassa webhook resume {store}, or for a new address"
        ),
    }
}
