//! The shop of a run. It publishes, listens, connects again whenever something breaks, and publishes again whatever it
//! has not heard of.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use futures_util::StreamExt;
use futures_util::future::join_all;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ConnectionProperties};
use serde::Deserialize;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::requests::Wanted;

/// For one step with the broker; after it the shop connects again.
const LIMIT: Duration = Duration::from_secs(5);
/// How long the shop waits for a word about a receipt before it publishes it again; twice as long every time.
const PATIENCE: Duration = Duration::from_secs(3);
const LONGEST_PATIENCE: Duration = Duration::from_secs(12);
/// Without an event the listener connects again: there is always something to tell in a run.
const SILENCE: Duration = Duration::from_secs(8);
/// Messages under way at once.
const WINDOW: usize = 64;
const PAUSE: Duration = Duration::from_millis(100);

/// What the shop knows.
#[derive(Debug)]
pub(super) struct Shop {
    url: String,
    prefix: String,
    book: Mutex<Book>,
}

#[derive(Debug)]
struct Book {
    entries: Vec<Entry>,
    by_document: HashMap<(String, String, String), usize>,
    seen: HashSet<Uuid>,
    queue_made_at: Option<SystemTime>,
}

#[derive(Debug)]
struct Entry {
    wanted: Wanted,
    first: Option<SystemTime>,
    times: u32,
    next: Instant,
    heard_of: bool,
}

/// The part of an event that the shop reads.
#[derive(Debug, Deserialize)]
struct Event {
    id: Uuid,
    #[serde(rename = "type")]
    kind: String,
    store: String,
    operation: Option<String>,
    document: Option<String>,
}

impl Shop {
    /// A shop whose run has just begun.
    pub(super) fn new(url: String, prefix: String, wanted: Vec<Wanted>) -> Self {
        let began = Instant::now();
        let key = |wanted: &Wanted| {
            (
                wanted.store.to_owned(),
                wanted.operation.to_owned(),
                wanted.number.clone(),
            )
        };
        let by_document = wanted
            .iter()
            .enumerate()
            .map(|(index, wanted)| (key(wanted), index))
            .collect();
        let entries = wanted
            .into_iter()
            .map(|wanted| Entry {
                first: None,
                times: 0,
                next: began + wanted.at,
                heard_of: false,
                wanted,
            })
            .collect();
        Self {
            url,
            prefix,
            book: Mutex::new(Book {
                entries,
                by_document,
                seen: HashSet::new(),
                queue_made_at: None,
            }),
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Messages published so far, repetitions included.
    pub(super) fn publications(&self) -> u64 {
        self.book().entries.iter().map(|entry| u64::from(entry.times)).sum()
    }

    /// Receipts that it has heard something of.
    pub(super) fn heard_of(&self) -> usize {
        self.book().entries.iter().filter(|entry| entry.heard_of).count()
    }

    /// Every receipt, and when it was first published.
    pub(super) fn wanted(&self) -> Vec<(Wanted, Option<SystemTime>)> {
        let book = self.book();
        let entries = book.entries.iter();
        entries.map(|entry| (entry.wanted.clone(), entry.first)).collect()
    }

    /// The events that have arrived.
    pub(super) fn seen(&self) -> HashSet<Uuid> {
        self.book().seen.clone()
    }

    /// When its queue had to be made for the last time: what the broker was given before that may be gone.
    pub(super) fn queue_made_at(&self) -> Option<SystemTime> {
        self.book().queue_made_at
    }

    /// Takes it that somebody has looked these up, as a shop does whose queue was lost.
    pub(super) fn knows(&self, markers: &HashSet<String>) {
        for entry in &mut self.book().entries {
            entry.heard_of |= markers.contains(&entry.wanted.marker);
        }
    }

    /// Publishes for ever.
    pub(super) async fn publish(&self) {
        loop {
            // Every error is a reason to connect again, and for none of them is anything lost.
            let _ = Box::pin(self.publish_until_broken()).await;
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn publish_until_broken(&self) -> anyhow::Result<()> {
        let connecting = crate::shop::Shop::connect_at(&self.url, &self.prefix);
        let shop = timeout(LIMIT, connecting).await??;
        loop {
            let window = self.due();
            let publishing = window.iter().map(|wanted| shop.publish(wanted.store, &wanted.body));
            let results = timeout(LIMIT, join_all(publishing)).await?;
            if !shop.channel().status().connected() {
                bail!("the channel is gone");
            }
            drop(results);
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// What is to be published now; it counts as published.
    fn due(&self) -> Vec<Wanted> {
        let now = Instant::now();
        let mut book = self.book();
        let due = book
            .entries
            .iter_mut()
            .filter(|entry| !entry.heard_of && entry.next <= now);
        due.take(WINDOW)
            .map(|entry| {
                entry.first.get_or_insert_with(SystemTime::now);
                entry.next = now + (PATIENCE * 2_u32.pow(entry.times.min(2))).min(LONGEST_PATIENCE);
                entry.times += 1;
                entry.wanted.clone()
            })
            .collect()
    }

    /// Listens for ever.
    pub(super) async fn listen(&self) {
        loop {
            let _ = Box::pin(self.listen_until_broken()).await;
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn listen_until_broken(&self) -> anyhow::Result<()> {
        let connecting = Connection::connect(&self.url, ConnectionProperties::default());
        let connection = timeout(LIMIT, connecting).await??;
        let channel = timeout(LIMIT, self.queue(&connection)).await??;
        let name = self.queue_name();
        let consuming = channel.basic_consume(
            name.into(),
            "".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        );
        let mut consumer = timeout(LIMIT, consuming).await??;
        // A connection that has gone silent may never be given up by the client, so silence is a reason to come again.
        while let Some(delivery) = timeout(SILENCE, consumer.next()).await? {
            timeout(LIMIT, self.hear(&delivery?)).await??;
        }
        bail!("the consumer has ended")
    }

    /// The shop's queue, which outlives its connections; made anew if the broker has lost it.
    async fn queue(&self, connection: &Connection) -> anyhow::Result<Channel> {
        let passive = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::default()
        };
        let name = self.queue_name();
        let channel = connection.create_channel().await?;
        let there = channel
            .queue_declare(name.as_str().into(), passive, FieldTable::default())
            .await;
        if there.is_ok() {
            return Ok(channel);
        }
        // The answer "not found" has closed the channel.
        let channel = connection.create_channel().await?;
        let durable = QueueDeclareOptions {
            durable: true,
            ..QueueDeclareOptions::default()
        };
        channel
            .queue_declare(name.as_str().into(), durable, FieldTable::default())
            .await?;
        let events = format!("{}.events", self.prefix);
        let bound = channel
            .queue_bind(
                name.as_str().into(),
                events.into(),
                "#".into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            )
            .await;
        if let Err(error) = bound {
            // Without its binding the queue must not be taken for whole the next time.
            let channel = connection.create_channel().await?;
            channel
                .queue_delete(name.as_str().into(), lapin::options::QueueDeleteOptions::default())
                .await?;
            return Err(error).context("there are no events yet");
        }
        self.book().queue_made_at = Some(SystemTime::now());
        Ok(channel)
    }

    fn queue_name(&self) -> String {
        format!("{}.the-shop", self.prefix)
    }

    async fn hear(&self, delivery: &Delivery) -> anyhow::Result<()> {
        let event: Event = serde_json::from_slice(&delivery.data).context("an event")?;
        {
            let mut book = self.book();
            book.seen.insert(event.id);
            let is_about_it = event.kind.starts_with("receipt.") && event.kind != "receipt.conflict";
            if let (true, Some(operation), Some(document)) = (is_about_it, event.operation, event.document) {
                let key = (event.store, operation, document);
                if let Some(index) = book.by_document.get(&key).copied() {
                    book.entries[index].heard_of = true;
                }
            }
        }
        delivery.ack(BasicAckOptions::default()).await?;
        Ok(())
    }
}
