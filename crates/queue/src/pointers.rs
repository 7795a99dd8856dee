//! Publishing pointers without waiting for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use receipt::{AccountName, VendorName};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;
use uuid::Uuid;

use crate::message::Message;
use crate::names::Exchange;
use crate::pointer::{POINTER_TYPE, Pointer};
use crate::publish::Publisher;

/// How many pointers may wait for the broker. At 10,000 receipts a second this is a second.
const WAITING: usize = 10_000;
/// How many are given to the publisher at once.
const BATCH: usize = 256;
/// How long the stop may take.
const DRAIN: Duration = Duration::from_secs(5);
/// At most one line in the log in this time, however many pointers are lost.
const QUIET: Duration = Duration::from_secs(60);

/// Sends pointers to the senders, now or after a wait, in the background.
///
/// A pointer only makes things faster: every due row is also found in the table, a grace period later. So sending never
/// waits and never fails; a pointer that is lost is counted.
#[derive(Debug, Clone)]
pub struct Pointers {
    outbox: mpsc::Sender<Message>,
    lost: Arc<Lost>,
    tasks: TaskTracker,
}

#[derive(Debug, Default)]
struct Lost(AtomicU64);

impl Pointers {
    /// Starts the task that publishes. It ends some time after `stop`, when what was sent before is published (for at most
    /// five seconds): [`Pointers::drained`]. Cancel the broker's own stop after that.
    #[must_use]
    pub fn start(publisher: Publisher, stop: CancellationToken) -> Self {
        let (outbox, queue) = mpsc::channel(WAITING);
        let lost = Arc::new(Lost::default());
        let tasks = TaskTracker::new();
        tasks.close();
        tasks.spawn(run(queue, publisher, lost.clone(), stop));
        Self { outbox, lost, tasks }
    }

    /// Sends a pointer to the vendor's senders: at once, or after `wait`, which must be one of the topology's delays (for
    /// any other wait send nothing: the row's due time is enough).
    pub fn send(&self, vendor: &VendorName, pointer: Pointer, wait: Option<Duration>) {
        self.put(vendor, pointer, pointer.encode(), wait);
    }

    /// The same with the account that the transaction is sent by, so that whoever gets the pointer need not ask the
    /// database whether that account has a free place.
    pub fn send_for(&self, vendor: &VendorName, account: &AccountName, pointer: Pointer, wait: Option<Duration>) {
        self.put(vendor, pointer, pointer.encode_for(account), wait);
    }

    fn put(&self, vendor: &VendorName, pointer: Pointer, body: Vec<u8>, wait: Option<Duration>) {
        let exchange = wait.map_or(Exchange::Send, Exchange::Delay);
        let id = Uuid::now_v7().to_string();
        let mut message = Message::json(exchange, vendor.as_str(), id, POINTER_TYPE, body);
        message.correlation_id = Some(pointer.transaction.to_string());
        if self.outbox.try_send(message).is_err() {
            self.lost.add(1);
        }
    }

    /// How many pointers were not confirmed since the start: no connection, no answer, a full queue, no such delay.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.0.load(Ordering::Relaxed)
    }

    /// Waits for the end of the task after its stop.
    pub async fn drained(&self) {
        self.tasks.wait().await;
    }
}

impl Lost {
    fn add(&self, pointers: u64) {
        self.0.fetch_add(pointers, Ordering::Relaxed);
    }
}

async fn run(mut queue: mpsc::Receiver<Message>, publisher: Publisher, lost: Arc<Lost>, stop: CancellationToken) {
    let mut batch = Vec::with_capacity(BATCH);
    let mut said = Complaint::default();
    loop {
        let received = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            received = queue.recv_many(&mut batch, BATCH) => received,
        };
        if received == 0 {
            return;
        }
        publish(&publisher, &mut batch, &lost).await;
        said.about(lost.0.load(Ordering::Relaxed));
    }
    queue.close();
    let draining = async {
        while queue.recv_many(&mut batch, BATCH).await > 0 {
            publish(&publisher, &mut batch, &lost).await;
        }
    };
    if timeout(DRAIN, draining).await.is_err() {
        // What is in the batch has been handed over and may still arrive; counting it as lost is the safe error.
        lost.add(queue.len() as u64);
    }
    said.about(lost.0.load(Ordering::Relaxed));
}

async fn publish(publisher: &Publisher, batch: &mut Vec<Message>, lost: &Lost) {
    let all = batch.len();
    batch.retain(|pointer| !publisher.would_wait(pointer));
    lost.add((all - batch.len()) as u64);
    let outcomes = publisher.publish(std::mem::take(batch)).await;
    let failed = outcomes.iter().filter(|outcome| outcome.is_err()).count();
    lost.add(failed as u64);
}

/// One line in the log now and then.
#[derive(Default)]
struct Complaint {
    told: u64,
    at: Option<Instant>,
}

impl Complaint {
    fn about(&mut self, lost: u64) {
        if lost > self.told && self.at.is_none_or(|at| at.elapsed() >= QUIET) {
            let lost_now = lost - self.told;
            warn!(
                lost = lost_now,
                "pointers did not reach the broker; the table will wake their receipts a little later"
            );
            self.told = lost;
            self.at = Some(Instant::now());
        }
    }
}
