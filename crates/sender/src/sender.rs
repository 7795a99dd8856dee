//! The role: which loops it has, and how they stop.

use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use ledger::{Door, Ledger, Outage, Watch};
use queue::{Broker, Pointer, Pointers, Queue};
use receipt::intake::{Directory, moscow};
use receipt::{AccountName, StoreCode, VendorName};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use vendors::{Registry, Vendor};

use crate::config::Config;
use crate::gate::Gates;
use crate::intake::Intake;
use crate::pointer::Pointed;
use crate::slots::Slots;
use crate::{probe, sweep};

/// What an aborted attempt gets to say so.
const ABORTING: Duration = Duration::from_millis(500);

/// What every loop of a sender shares.
pub(crate) struct Context {
    pub(crate) config: Config,
    pub(crate) ledger: Ledger,
    pub(crate) directory: Arc<Directory>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) pointers: Pointers,
    pub(crate) watch: Watch,
    pub(crate) slots: Slots,
    pub(crate) gates: Gates,
    pub(crate) moscow: TimeZone,
    /// Attempts that outlive the delivery or the sweep that started them.
    pub(crate) attempts: TaskTracker,
    /// No new work.
    pub(crate) stop: CancellationToken,
    /// No more waiting for a lost database either: the drain is over.
    pub(crate) abort: CancellationToken,
}

impl Context {
    /// Where this vendor may call back about a receipt of `store`, for its request alone: it holds a secret.
    pub(crate) fn callback_url(&self, store: &StoreCode, vendor: &dyn Vendor) -> Option<String> {
        vendor
            .caller()
            .and_then(|_| self.directory.callback_url(store, vendor.name()))
    }

    /// Wakes a sender for a transaction. Behind a closed gate nobody could claim it: the table wakes it when it opens.
    pub(crate) fn point(&self, vendor: &VendorName, account: &AccountName, pointer: Pointer) {
        match self.watch.door(account) {
            Door::Open { .. } => self.pointers.send_for(vendor, account, pointer, None),
            Door::Closed { .. } => {}
        }
    }
}

/// Accepts what comes by AMQP, claims, calls the vendor, decides, records, settles.
#[derive(Clone)]
pub struct Sender {
    context: Arc<Context>,
    broker: Broker,
}

impl Sender {
    /// A sender that stops taking work when `stop` is cancelled.
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
        let attempts = TaskTracker::new();
        let accounts = directory.vendors.keys().cloned();
        let slots = Slots::new(accounts, config.slots, watch.clone(), attempts.clone());
        let context = Context {
            config,
            ledger,
            directory,
            registry,
            pointers,
            gates: Gates::new(watch.clone(), slots.clone()),
            watch,
            slots,
            moscow: moscow(),
            attempts,
            stop,
            abort: CancellationToken::new(),
        };
        Self {
            context: Arc::new(context),
            broker,
        }
    }

    /// The accept loop.
    ///
    /// # Errors
    /// When the loop cannot go on; it may be started again.
    pub async fn accept(&self) -> anyhow::Result<()> {
        let handler = Arc::new(Intake {
            context: Arc::clone(&self.context),
        });
        self.consume(Queue::Intake, self.context.config.intake_prefetch, handler)
            .await
    }

    /// The loops that follow pointers, two for each vendor, so that a storm of retries never starves new receipts and
    /// no vendor waits for another.
    #[must_use]
    pub fn pointer_queues(&self) -> Vec<Queue> {
        let mut vendors: Vec<_> = self.context.directory.vendors.values().cloned().collect();
        vendors.sort();
        vendors.dedup();
        vendors
            .into_iter()
            .flat_map(|vendor| [Queue::Send(vendor.clone()), Queue::Retry(vendor)])
            .collect()
    }

    /// The loop that follows the pointers of one queue.
    ///
    /// # Errors
    /// When the loop cannot go on; it may be started again.
    pub async fn follow(&self, queue: Queue) -> anyhow::Result<()> {
        let vendor = match &queue {
            Queue::Send(vendor) | Queue::Retry(vendor) => vendor.clone(),
            Queue::Intake | Queue::Dead => anyhow::bail!("{queue:?} holds no pointers"),
        };
        let handler = Arc::new(Pointed {
            context: Arc::clone(&self.context),
            vendor,
        });
        let prefetch = u16::try_from(self.context.config.slots).unwrap_or(u16::MAX);
        self.consume(queue, prefetch, handler).await
    }

    async fn consume(&self, queue: Queue, prefetch: u16, handler: Arc<dyn queue::Handler>) -> anyhow::Result<()> {
        let context = &self.context;
        self.broker
            .consume(queue, prefetch, handler, context.stop.clone(), context.config.drain)
            .await;
        Ok(())
    }

    /// The loop that claims due rows.
    ///
    /// # Errors
    /// When the database refuses the question; an outage is waited for.
    pub async fn sweep(&self) -> anyhow::Result<()> {
        let context = &self.context;
        let mut ticks = tokio::time::interval(context.config.sweep_interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut outage = Outage::of("due rows");
        let mut looked: Option<Instant> = None;
        while !context.stop.is_cancelled() {
            if looked.is_none_or(|at| at.elapsed() >= context.config.sweep_interval) {
                outage.over(sweep::give_up(context).await)?;
                looked = Some(Instant::now());
            }
            let found = outage.over(self.sweep_once().await)?;
            match found {
                // A step that found something means that there may be more: the next one need not wait.
                Some(1..) => {}
                Some(0) => {
                    tokio::select! {
                        () = context.stop.cancelled() => {}
                        _ = ticks.tick() => {}
                        () = context.slots.freed() => {}
                    }
                }
                None => {
                    context.stop.run_until_cancelled(ticks.tick()).await;
                }
            }
        }
        Ok(())
    }

    /// The loop that looks at the gates, shows this process to the other workers, and probes.
    ///
    /// # Errors
    /// When the database refuses the question; an outage is waited for.
    pub async fn watch(&self) -> anyhow::Result<()> {
        let context = &self.context;
        let mut ticks = tokio::time::interval(context.watch.settings().interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut outage = Outage::of("gates");
        while context.stop.run_until_cancelled(ticks.tick()).await.is_some() {
            outage.over(self.watch_once().await)?;
        }
        Ok(())
    }

    /// One step of the watch.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn watch_once(&self) -> Result<(), ledger::LedgerError> {
        let context = &self.context;
        for account in context.watch.refresh().await? {
            context.gates.opened(&account);
        }
        probe::step(context).await
    }

    /// One step of the sweep: claims what is due and has a free slot. Returns how many.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn sweep_once(&self) -> Result<usize, ledger::LedgerError> {
        sweep::step(&self.context).await
    }

    /// What waits for a lost database gives up; the claims end with their leases.
    pub fn abort(&self) {
        self.context.abort.cancel();
    }

    /// Waits, after the loops have ended, for the attempts that are under way, until `deadline`. Returns how many were
    /// left; their claims end with their leases.
    pub async fn drained(&self, deadline: Instant) -> usize {
        let context = &self.context;
        context.attempts.close();
        let drained = context.watch.stay_until(context.attempts.wait());
        if tokio::time::timeout_at(deadline, drained).await.is_err() {
            self.abort();
            let _ = tokio::time::timeout(ABORTING, context.attempts.wait()).await;
        }
        let _ = tokio::time::timeout(ABORTING, context.watch.leave()).await;
        context.attempts.len()
    }
}
