//! The role: which loops it has, and how they stop.

use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use ledger::{Ledger, LedgerError, Outage, Watch};
use queue::{Broker, Pointers, Publisher, Queue, Status};
use receipt::AccountName;
use receipt::intake::{Directory, moscow};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use vendors::Registry;

use crate::config::Config;
use crate::drain::Drain;
use crate::places::Places;
use crate::{ask, measure, relay, replay};

/// What an aborted question gets to say so.
const ABORTING: Duration = Duration::from_millis(500);
/// How often the table is asked for `/metrics`.
const MEASURING: Duration = Duration::from_secs(15);

/// What every loop of a poller shares.
pub(crate) struct Context {
    pub(crate) config: Config,
    pub(crate) ledger: Ledger,
    pub(crate) publisher: Publisher,
    pub(crate) broker: watch::Receiver<Status>,
    pub(crate) pointers: Pointers,
    pub(crate) directory: Arc<Directory>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) watch: Watch,
    pub(crate) places: Places,
    /// The time zone in which registers stamp their documents.
    pub(crate) registers: TimeZone,
    pub(crate) questions: TaskTracker,
    /// No new work.
    pub(crate) stop: CancellationToken,
    /// No more waiting for a lost database either: the drain is over.
    pub(crate) abort: CancellationToken,
}

/// Follows what waits: polls, the event relay, the drain of the broker's dead letters.
#[derive(Clone)]
pub struct Poller {
    context: Arc<Context>,
    broker: Broker,
}

impl Poller {
    /// A poller that stops taking work when `stop` is cancelled.
    #[must_use]
    pub fn new(
        config: Config,
        watch: Watch,
        broker: Broker,
        pointers: Pointers,
        registry: Arc<Registry>,
        stop: CancellationToken,
    ) -> Self {
        let (ledger, directory) = (watch.ledger().clone(), Arc::clone(watch.directory()));
        let can_be_asked =
            |account: &&AccountName| registry.get(account).is_some_and(|vendor| vendor.follower().is_some());
        let accounts: Vec<AccountName> = registry.accounts().filter(can_be_asked).cloned().collect();
        let places = Places::new(accounts, config.slots, watch.clone());
        let context = Context {
            config,
            ledger,
            publisher: broker.publisher(),
            broker: broker.status(),
            pointers,
            directory,
            registry,
            watch,
            places,
            registers: moscow(),
            questions: TaskTracker::new(),
            stop,
            abort: CancellationToken::new(),
        };
        Self {
            context: Arc::new(context),
            broker,
        }
    }

    /// The loop that asks vendors about what waits.
    ///
    /// # Errors
    /// When the database refuses the question; an outage is waited for.
    pub async fn poll(&self) -> anyhow::Result<()> {
        let context = &self.context;
        let mut ticks = tokio::time::interval(context.config.interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut outage = Outage::of("polls");
        while !context.stop.is_cancelled() {
            let found = outage.over(self.poll_once().await)?;
            match found {
                Some(1..) => {}
                Some(0) => {
                    tokio::select! {
                        () = context.stop.cancelled() => {}
                        _ = ticks.tick() => {}
                        () = context.places.freed() => {}
                    }
                }
                None => {
                    context.stop.run_until_cancelled(ticks.tick()).await;
                }
            }
        }
        Ok(())
    }

    /// The loop that looks at the gates and shows this process to the other workers.
    ///
    /// # Errors
    /// When the database refuses the question; an outage is waited for.
    pub async fn watch(&self) -> anyhow::Result<()> {
        let context = &self.context;
        let mut ticks = tokio::time::interval(context.watch.settings().interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut outage = Outage::of("gates");
        while context.stop.run_until_cancelled(ticks.tick()).await.is_some() {
            outage.over(context.watch.refresh().await)?;
        }
        Ok(())
    }

    /// One step: claims the polls that are due and have a free slot, and starts asking. Returns how many.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn poll_once(&self) -> Result<usize, LedgerError> {
        ask::step(&self.context).await
    }

    /// The loop that tells of what has waited for too long. It goes by time alone: nobody need be there to ask.
    ///
    /// # Errors
    /// When the database refuses the question; an outage is waited for.
    pub async fn tell_overdue(&self) -> anyhow::Result<()> {
        let context = &self.context;
        let mut ticks = tokio::time::interval(context.config.overdue_interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut outage = Outage::of("overdue receipts");
        while context.stop.run_until_cancelled(ticks.tick()).await.is_some() {
            while outage.over(ask::tell_overdue(context).await)?.unwrap_or(0) > 0 && !context.stop.is_cancelled() {}
        }
        Ok(())
    }

    /// The loop that tells `/metrics` what there is.
    ///
    /// # Errors
    /// When the database refuses the question; an outage is waited for.
    pub async fn measure(&self) -> anyhow::Result<()> {
        let context = &self.context;
        let mut ticks = tokio::time::interval(MEASURING);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut outage = Outage::of("metrics");
        while context.stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let accounts = context
                .registry
                .accounts()
                .filter_map(|account| context.registry.get(account));
            let vendors = accounts.map(|vendor| vendor.name().clone());
            outage.over(measure::measure(&context.ledger, vendors).await)?;
        }
        Ok(())
    }

    /// The loop that publishes events.
    ///
    /// # Errors
    /// When the database refuses the question; an outage is waited for.
    pub async fn relay(&self) -> anyhow::Result<()> {
        let context = &self.context;
        let mut outage = Outage::of("events");
        while !context.stop.is_cancelled() {
            let step = outage.over(relay::step(context).await)?.unwrap_or(relay::Step::Idle);
            let wait = step.wait(context.config.relay_interval);
            context.stop.run_until_cancelled(tokio::time::sleep(wait)).await;
        }
        Ok(())
    }

    /// The loop that empties the queue of the broker's own dead letters.
    ///
    /// # Errors
    /// When the loop cannot go on; it may be started again.
    pub async fn drain_dead(&self) -> anyhow::Result<()> {
        let context = &self.context;
        let handler = Arc::new(Drain {
            context: Arc::clone(context),
        });
        self.broker
            .consume(
                Queue::Dead,
                context.config.dead_prefetch,
                handler,
                context.stop.clone(),
                context.config.drain,
            )
            .await;
        Ok(())
    }

    /// The loop that accepts dead letters whose store has been configured since.
    ///
    /// # Errors
    /// When the database refuses the question; an outage is waited for.
    pub async fn replay(&self) -> anyhow::Result<()> {
        let context = &self.context;
        let mut ticks = tokio::time::interval(context.config.replay_interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut outage = Outage::of("dead letters of stores that are configured now");
        while context.stop.run_until_cancelled(ticks.tick()).await.is_some() {
            while outage.over(self.replay_once().await)?.unwrap_or(0) > 0 && !context.stop.is_cancelled() {}
        }
        Ok(())
    }

    /// One step of it. Returns how many letters were looked at.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn replay_once(&self) -> Result<usize, LedgerError> {
        replay::step(&self.context).await
    }

    /// What waits for a lost database gives up; it is asked again by somebody.
    pub fn abort(&self) {
        self.context.abort.cancel();
    }

    /// Waits, after the loops have ended, for the questions that are under way, until `deadline`. Returns how many were
    /// left; they are asked again by somebody.
    pub async fn drained(&self, deadline: Instant) -> usize {
        let context = &self.context;
        context.questions.close();
        let drained = context.watch.stay_until(context.questions.wait());
        if tokio::time::timeout_at(deadline, drained).await.is_err() {
            self.abort();
            let _ = tokio::time::timeout(ABORTING, context.questions.wait()).await;
        }
        let _ = tokio::time::timeout(ABORTING, context.watch.leave()).await;
        context.questions.len()
    }
}
