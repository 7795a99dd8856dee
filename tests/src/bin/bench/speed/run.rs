//! One run of one contender: the queue is filled first, then the contender starts, and what it does is seen from outside,
//! in the vendor's books and in the tables.

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use kassa_tests::process::Process;
use serde::Serialize;

use super::broker::{Publisher, To, messages};
use super::contender::{Rows, Who};
use super::database::Store;
use super::kassa::{Kassa, PREFIX, QUEUES};
use super::proc::Tree;
use super::world::{Around, World};
use super::{floor, peers};

/// How often the vendor's counter is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// A contender that registers nothing for so long is broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a stopping process may take.
const STOPPING: Duration = Duration::from_secs(30);

/// What one run came to. The first tenth of the receipts warms everything up and is not counted.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Measured {
    pub(crate) round: u32,
    pub(crate) who: &'static str,
    pub(crate) rows: Rows,
    /// All that were published; every one of them is in its final state and once at the vendor.
    pub(crate) receipts: u64,
    pub(crate) counted: u64,
    pub(crate) seconds: f64,
    pub(crate) per_second: f64,
    /// CPU seconds for 10,000 receipts.
    pub(crate) cpu: Cpu,
    /// Of all receipts, start and end of the process included.
    pub(crate) commits_per_receipt: f64,
    pub(crate) wal_bytes_per_receipt: f64,
    #[serde(skip)]
    pub(crate) contender: Who,
}

/// CPU seconds for 10,000 receipts.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Cpu {
    pub(crate) worker: f64,
    pub(crate) postgres: f64,
    pub(crate) rabbitmq: f64,
    pub(crate) vendor: f64,
    pub(crate) all: f64,
}

/// Contender, receipts and everything around them, ready to be measured.
pub(crate) struct Stage<'a> {
    pub(crate) world: &'a mut World,
    pub(crate) store: &'a Store,
    pub(crate) who: Who,
    pub(crate) rows: Rows,
    /// The number of the first receipt: in a database that has seen a run before, the next one.
    pub(crate) first: u64,
    pub(crate) receipts: u64,
}

/// Runs a contender in a database of its own.
pub(crate) async fn run(
    world: &mut World,
    round: u32,
    who: Who,
    rows: Rows,
    receipts: u64,
) -> anyhow::Result<Measured> {
    let store = Store::create(&world.database_url, rows).await?;
    let stage = Stage {
        world,
        store: &store,
        who,
        rows,
        first: 1,
        receipts,
    };
    let measured = stage.run(round).await;
    if measured.is_ok() {
        store.check_rows(receipts).await.with_context(|| who.name())?;
    }
    store.remove().await?;
    measured.with_context(|| who.name())
}

impl Stage<'_> {
    pub(crate) async fn run(mut self, round: u32) -> anyhow::Result<Measured> {
        self.world.vendor.forget().await?;
        let kassa = self.kassa().await?;
        let to = self.fill().await?;
        let publisher = Publisher::connect(&self.world.amqp_url).await?;
        publisher
            .publish(&to, messages(self.rows, &to, self.first, self.receipts))
            .await?;
        drop(publisher);
        self.store.checkpoint().await?;
        let (commits, written) = (self.store.commits().await?, self.store.written().await?);
        let done = self.store.finished(self.state()).await?;

        let mut processes = self.start(kassa.as_ref()).await?;
        let warm = self.receipts / 10;
        self.until_vendor_has(warm, &mut processes).await?;
        let before = self.sample(&processes).await?;
        self.until_vendor_has(self.receipts, &mut processes).await?;
        self.until_finished(done + self.receipts, &mut processes).await?;
        let after = self.sample(&processes).await?;
        self.check_books().await?;
        for process in &mut processes {
            process.stop(STOPPING).await?;
        }
        Ok(self.measured(
            round,
            &before,
            &after,
            self.store.commits().await? - commits,
            self.store.written().await? - written,
        ))
    }

    fn state(&self) -> &'static str {
        match self.who {
            Who::KassaUntilWaiting => "waiting",
            Who::OneByOne | Who::Batched | Who::Celery(_) | Who::Asyncio { .. } | Who::Kassa | Who::KassaWithPoller => {
                "done"
            }
        }
    }

    async fn kassa(&self) -> anyhow::Result<Option<Kassa>> {
        match self.who {
            Who::Kassa | Who::KassaWithPoller | Who::KassaUntilWaiting => {
                let world = &self.world;
                let addresses = &world.vendor.addresses;
                let kassa = Kassa::configure(&world.folder, self.store.url(), &world.amqp_url, addresses);
                Ok(Some(kassa.await?))
            }
            Who::OneByOne | Who::Batched | Who::Celery(_) | Who::Asyncio { .. } => Ok(None),
        }
    }

    /// Empty queues, and where the messages go.
    async fn fill(&self) -> anyhow::Result<To> {
        let publisher = Publisher::connect(&self.world.amqp_url).await?;
        let to = match self.who {
            Who::OneByOne | Who::Batched | Who::Asyncio { .. } => To::Work,
            Who::Celery(_) => To::Celery,
            Who::Kassa | Who::KassaWithPoller => To::kassa("main"),
            Who::KassaUntilWaiting => To::kassa("second"),
        };
        match &to {
            To::Work | To::Celery => publisher.fresh_queue().await?,
            To::Kassa { .. } => {
                for queue in QUEUES {
                    publisher.purge(&format!("{PREFIX}.{queue}")).await?;
                }
            }
        }
        Ok(to)
    }

    async fn start(&self, kassa: Option<&Kassa>) -> anyhow::Result<Vec<Process>> {
        if let Some(kassa) = kassa {
            let poller = match self.who {
                Who::KassaWithPoller => Some(kassa.start_ready("poller", &[]).await?),
                Who::OneByOne
                | Who::Batched
                | Who::Celery(_)
                | Who::Asyncio { .. }
                | Who::Kassa
                | Who::KassaUntilWaiting => None,
            };
            return Ok(std::iter::once(kassa.start("sender", &[])?).chain(poller).collect());
        }
        match self.who.mode() {
            Some(mode) => Ok(vec![floor::start(self.world, self.store.url(), self.rows, mode)?]),
            None => peers::start(self.world, self.store.url(), self.rows, self.who),
        }
    }

    async fn until_vendor_has(&self, receipts: u64, processes: &mut [Process]) -> anyhow::Result<()> {
        let mut last = (0, Instant::now());
        loop {
            let count = self.world.vendor.count().await?;
            if count.distinct >= receipts {
                return Ok(());
            }
            if count.distinct > last.0 {
                last = (count.distinct, Instant::now());
            }
            still_working(last.1, processes, || format!("{count:?} of {receipts} at the vendor"))?;
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn until_finished(&self, receipts: u64, processes: &mut [Process]) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let finished = self.store.finished(self.state()).await?;
            if finished >= receipts {
                return Ok(());
            }
            still_working(began, processes, || format!("{finished} of {receipts} finished"))?;
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn sample(&mut self, processes: &[Process]) -> anyhow::Result<Sample> {
        let finished = self.store.finished(self.state()).await?;
        let at = Instant::now();
        let worker = processes
            .iter()
            .filter_map(Process::pid)
            .map(|pid| Tree::of(pid).cpu_seconds())
            .sum();
        Ok(Sample {
            at,
            finished,
            worker,
            around: self.world.around(),
        })
    }

    /// Nobody is missing and nobody was sent twice.
    async fn check_books(&self) -> anyhow::Result<()> {
        let count = self.world.vendor.count().await?;
        let receipts = self.receipts;
        ensure!(
            count.distinct == receipts && count.requests == receipts,
            "{receipts} receipts, and the vendor has {count:?}"
        );
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "numbers of one run")]
    fn measured(&self, round: u32, before: &Sample, after: &Sample, commits: i64, written: i64) -> Measured {
        let counted = after.finished - before.finished;
        let seconds = after.at.duration_since(before.at).as_secs_f64();
        let share = |seconds: f64| seconds * 10_000.0 / counted as f64;
        let around = after.around - before.around;
        let cpu = Cpu {
            worker: share(after.worker - before.worker),
            postgres: share(around.postgres),
            rabbitmq: share(around.rabbitmq),
            vendor: share(around.vendor),
            all: share(after.worker - before.worker + around.postgres + around.rabbitmq + around.vendor),
        };
        Measured {
            round,
            who: self.who.name(),
            rows: self.rows,
            receipts: self.receipts,
            counted,
            seconds,
            per_second: counted as f64 / seconds,
            cpu,
            commits_per_receipt: commits as f64 / self.receipts as f64,
            wal_bytes_per_receipt: written as f64 / self.receipts as f64,
            contender: self.who,
        }
    }
}

struct Sample {
    at: Instant,
    finished: u64,
    worker: f64,
    around: Around,
}

fn still_working(since: Instant, processes: &mut [Process], words: impl Fn() -> String) -> anyhow::Result<()> {
    for process in processes {
        if !process.runs()? {
            bail!("it has ended; {}:\n{}", words(), end_of(&process.log()));
        }
        if since.elapsed() > PATIENCE {
            bail!("nothing more happens; {}:\n{}", words(), end_of(&process.log()));
        }
    }
    Ok(())
}

/// The last lines of a log.
fn end_of(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}
