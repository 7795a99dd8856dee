//! Many receipts in hand, and every write shared.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use lapin::options::BasicAckOptions;
use tokio::sync::{Mutex, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

use super::Worker;
use super::render::{Answered, Receipt, answered, parse};

const PREFETCH: u16 = 1000;
const WRITERS: usize = 2;
const LARGEST_BATCH: usize = 200;
const LINGER: Duration = Duration::from_millis(2);
const ACK_EVERY: Duration = Duration::from_millis(3);
/// Calls at once, as many as kassa makes by default: at a vendor that answers at once more only make connections.
const CALLS: usize = 64;

type Shared<T> = Arc<Mutex<mpsc::Receiver<T>>>;

pub(super) async fn run(worker: Worker, queue: &str) -> anyhow::Result<()> {
    let mut deliveries = worker.consume(queue, PREFETCH).await?;
    let worker = Arc::new(worker);
    let (to_accept, accepting) = shared::<(u64, Receipt)>();
    let (to_record, recording) = shared::<(u64, Answered)>();
    let (finished, finishing) = mpsc::unbounded_channel();
    let calls = Arc::new(Semaphore::new(CALLS));
    let mut tasks = JoinSet::new();
    for _ in 0..WRITERS {
        tasks.spawn(accept(
            Arc::clone(&worker),
            Arc::clone(&accepting),
            Arc::clone(&calls),
            to_record.clone(),
        ));
        tasks.spawn(record(Arc::clone(&worker), Arc::clone(&recording), finished.clone()));
    }
    tasks.spawn(acknowledge(Arc::clone(&worker), finishing));
    let rows = worker.rows;
    tasks.spawn(async move {
        while let Some(delivery) = deliveries.next().await {
            let delivery = delivery?;
            let receipt = parse(rows, &delivery.data)?;
            to_accept.send((delivery.delivery_tag, receipt)).await?;
        }
        Ok(())
    });
    // Whichever ends first has failed.
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}

fn shared<T>() -> (mpsc::Sender<T>, Shared<T>) {
    let (sender, receiver) = mpsc::channel(usize::from(PREFETCH));
    (sender, Arc::new(Mutex::new(receiver)))
}

async fn accept(
    worker: Arc<Worker>,
    accepting: Shared<(u64, Receipt)>,
    calls: Arc<Semaphore>,
    to_record: mpsc::Sender<(u64, Answered)>,
) -> anyhow::Result<()> {
    loop {
        let (tags, receipts): (Vec<_>, Vec<_>) = gather(&accepting).await.into_iter().unzip();
        worker.store.accept(&receipts).await?;
        for (tag, receipt) in tags.into_iter().zip(receipts) {
            let permit = Arc::clone(&calls).acquire_owned().await?;
            let (worker, to_record) = (Arc::clone(&worker), to_record.clone());
            tokio::spawn(async move {
                let called = worker.vendor.post(receipt.wire.clone()).await;
                drop(permit);
                match called.and_then(|(answer, took)| answered(worker.rows, &receipt, answer, took)) {
                    Ok(answered) => drop(to_record.send((tag, answered)).await),
                    // The run does not come to its end, and whoever waits for it shows this.
                    Err(error) => tell(&error),
                }
            });
        }
    }
}

async fn record(
    worker: Arc<Worker>,
    recording: Shared<(u64, Answered)>,
    finished: mpsc::UnboundedSender<u64>,
) -> anyhow::Result<()> {
    loop {
        let (tags, answers): (Vec<_>, Vec<_>) = gather(&recording).await.into_iter().unzip();
        worker.store.record(&answers).await?;
        for tag in tags {
            finished.send(tag)?;
        }
    }
}

/// One writer at a time gathers, the other one writes.
async fn gather<T>(waiting: &Shared<T>) -> Vec<T> {
    let mut batch = Vec::with_capacity(LARGEST_BATCH);
    let mut waiting = waiting.lock().await;
    waiting.recv_many(&mut batch, LARGEST_BATCH).await;
    let deadline = Instant::now() + LINGER;
    while batch.len() < LARGEST_BATCH {
        let room = LARGEST_BATCH - batch.len();
        match timeout_at(deadline, waiting.recv_many(&mut batch, room)).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => break,
        }
    }
    batch
}

async fn acknowledge(worker: Arc<Worker>, mut finishing: mpsc::UnboundedReceiver<u64>) -> anyhow::Result<()> {
    let mut finished = BTreeSet::new();
    let mut acknowledged = 0;
    let mut ticks = interval(ACK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if finished.is_empty() {
            match finishing.recv().await {
                Some(tag) => finished.insert(tag),
                None => return Ok(()),
            };
        }
        while let Ok(tag) = finishing.try_recv() {
            finished.insert(tag);
        }
        let before = acknowledged;
        while finished.remove(&(acknowledged + 1)) {
            acknowledged += 1;
        }
        if acknowledged > before {
            let options = BasicAckOptions { multiple: true };
            worker.channel.basic_ack(acknowledged, options).await?;
        }
    }
}

fn tell(error: &anyhow::Error) {
    eprintln!("floor: {error:#}");
}
