//! The state of the service: tokens, accepted documents, the queue before the registers, and the registers.
//!
//! Everything here is one value behind one lock, and no function waits, so what a request sees is always consistent.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use uuid::Uuid;

use super::codes;
use super::device::Device;
use super::order::Order;
use super::register;
use super::rules;
use super::tokens::Tokens;
use crate::books::{Document, Failure, FiscalDocument, Status};
use crate::exact::decimal_text;
use crate::simulator::Account;

#[derive(Debug)]
pub(super) struct Office {
    pub(super) tokens: Tokens,
    records: Vec<Record>,
    by_uuid: HashMap<Uuid, usize>,
    by_external_id: HashMap<(String, String), usize>,
    /// Documents that wait for a register, by the moment when their turn comes.
    turns: BTreeSet<(Instant, usize)>,
    /// The same documents by the moment when they have waited too long.
    deadlines: BTreeSet<(Instant, usize)>,
    devices: HashMap<String, Vec<Device>>,
    refused: BTreeMap<String, u64>,
}

/// An accepted document.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) uuid: Uuid,
    pub(super) group: String,
    pub(super) order: Order,
    /// What was asked for, and after registration what was printed.
    pub(super) total_kopecks: i64,
    pub(super) fiscal: Option<FiscalDocument>,
    pub(super) failure: Option<Failure>,
    pub(super) device_code: String,
    pub(super) accepted_at: Timestamp,
    pub(super) finished_at: Option<Timestamp>,
    fate: Option<Failure>,
    turn: Instant,
    deadline: Instant,
    registered: u32,
    requests: u64,
    callbacks: u64,
}

impl Record {
    pub(super) fn status(&self) -> Status {
        match (&self.fiscal, &self.failure) {
            (Some(_), _) => Status::Done,
            (None, Some(_)) => Status::Fail,
            (None, None) => Status::Wait,
        }
    }

    pub(super) fn has_bad_callback_url(&self) -> bool {
        !self.order.callback_url.is_empty() && !rules::fits_callback_mask(&self.order.callback_url)
    }

    /// Whether the service tells anybody when the document has ended.
    pub(super) fn wants_callback(&self) -> bool {
        !self.order.callback_url.is_empty() && !self.has_bad_callback_url()
    }
}

/// When a document will be processed, and how.
#[derive(Debug)]
pub(super) struct Schedule {
    /// How long it stands in the queue.
    pub(super) delay: Duration,
    /// How long it may stand there at most.
    pub(super) patience: Duration,
    /// The failure that a fault rule has in store for it.
    pub(super) fate: Option<Failure>,
}

/// What became of a registration request.
#[derive(Debug)]
pub(super) enum Acceptance {
    /// A new document, by its number and its place in the records.
    New { uuid: Uuid, index: usize },
    /// The external id is taken by this document.
    Taken { uuid: Uuid },
}

impl Office {
    pub(super) fn new(accounts: Vec<Account>, registers: usize, random: &mut fastrand::Rng) -> Office {
        let mut devices: HashMap<String, Vec<Device>> = HashMap::new();
        for account in &accounts {
            devices
                .entry(account.group.clone())
                .or_insert_with(|| (0..registers.max(1)).map(|index| Device::new(index, random)).collect());
        }
        Office {
            tokens: Tokens::new(accounts),
            records: Vec::new(),
            by_uuid: HashMap::new(),
            by_external_id: HashMap::new(),
            turns: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            devices,
            refused: BTreeMap::new(),
        }
    }

    pub(super) fn close_shifts(&mut self) {
        self.devices.values_mut().flatten().for_each(Device::close_shift);
    }

    /// Notes a request whose body did not pass.
    pub(super) fn note_refused(&mut self, group: &str, external_id: &str) {
        match self.by_external_id.get(&(group.to_owned(), external_id.to_owned())) {
            Some(&index) => self.records[index].requests += 1,
            None => *self.refused.entry(external_id.to_owned()).or_default() += 1,
        }
    }

    /// Takes a document into the queue, unless its external id was ever taken in this group, whatever the content and
    /// however the first document ended.
    pub(super) fn accept(
        &mut self,
        group: &str,
        uuid: Uuid,
        order: Order,
        schedule: impl FnOnce() -> Schedule,
    ) -> Acceptance {
        let key = (group.to_owned(), order.external_id.clone());
        if let Some(&index) = self.by_external_id.get(&key) {
            let record = &mut self.records[index];
            record.requests += 1;
            return Acceptance::Taken { uuid: record.uuid };
        }
        let index = self.records.len();
        let now = Instant::now();
        let Schedule { delay, patience, fate } = schedule();
        let record = Record {
            uuid,
            group: group.to_owned(),
            total_kopecks: order.total_kopecks.unwrap_or(0),
            requests: 1 + self.refused.remove(&order.external_id).unwrap_or(0),
            order,
            fiscal: None,
            failure: None,
            device_code: String::new(),
            accepted_at: Timestamp::now(),
            finished_at: None,
            fate,
            turn: now + delay,
            deadline: now + patience,
            registered: 0,
            callbacks: 0,
        };
        self.turns.insert((record.turn, index));
        self.deadlines.insert((record.deadline, index));
        self.records.push(record);
        self.by_uuid.insert(uuid, index);
        self.by_external_id.insert(key, index);
        Acceptance::New { uuid, index }
    }

    /// Processes what is due and fails what has waited too long. Returns the places of the documents that ended.
    pub(super) fn process_due(&mut self, registers_work: bool, random: &mut fastrand::Rng) -> Vec<usize> {
        let now = Instant::now();
        let mut ended = Vec::new();
        while let Some(&(turn, index)) = self.turns.first()
            && registers_work
            && turn <= now
        {
            // A turn that came after the deadline, however late we look, never came.
            if turn < self.records[index].deadline {
                self.process(index, random);
            } else {
                self.end(index, Err(codes::queue_timeout()));
            }
            ended.push(index);
        }
        while let Some(&(deadline, index)) = self.deadlines.first()
            && deadline <= now
        {
            self.end(index, Err(codes::queue_timeout()));
            ended.push(index);
        }
        ended
    }

    /// When [`Office::process_due`] has something to do next.
    pub(super) fn next_event(&self, registers_work: bool) -> Option<Instant> {
        let turn = self.turns.first().filter(|_| registers_work).map(|(turn, _)| *turn);
        let deadline = self.deadlines.first().map(|(deadline, _)| *deadline);
        turn.into_iter().chain(deadline).min()
    }

    /// Gives a waiting document to a register, now.
    pub(super) fn process(&mut self, index: usize, random: &mut fastrand::Rng) {
        let record = &mut self.records[index];
        let inn = self.tokens.inn_of(&record.group).map(str::to_owned);
        let (Some(inn), Some(devices)) = (inn, self.devices.get_mut(&record.group)) else {
            // Groups have accounts and registers from the start; without them nothing could ever be registered.
            return self.end(index, Err(codes::report_error("agent", 2004, None)));
        };
        let device_index = index % devices.len();
        let device = &mut devices[device_index];
        record.device_code.clone_from(&device.code);
        let outcome = match record.fate.take() {
            Some(fate) => Err(fate),
            None => register::check(&record.order, &inn),
        };
        let outcome = outcome.map(|total_kopecks| {
            record.total_kopecks = total_kopecks;
            record.registered += 1;
            device.register(record.order.operation, total_kopecks, Timestamp::now(), random)
        });
        self.end(index, outcome);
    }

    /// Gives a document that ended in `fail` to a register after all. Whether it is registered now.
    pub(super) fn register_after_all(&mut self, external_id: &str, random: &mut fastrand::Rng) -> bool {
        let is_it = |record: &Record| record.order.external_id == external_id && record.status() == Status::Fail;
        let Some(index) = self.records.iter().position(is_it) else {
            return false;
        };
        self.records[index].failure = None;
        self.process(index, random);
        self.records[index].fiscal.is_some()
    }

    fn end(&mut self, index: usize, outcome: Result<FiscalDocument, Failure>) {
        let record = &mut self.records[index];
        self.turns.remove(&(record.turn, index));
        self.deadlines.remove(&(record.deadline, index));
        record.finished_at = Some(Timestamp::now());
        match outcome {
            Ok(fiscal) => record.fiscal = Some(fiscal),
            Err(failure) => record.failure = Some(failure),
        }
    }

    pub(super) fn record(&self, index: usize) -> &Record {
        &self.records[index]
    }

    pub(super) fn by_uuid(&self, uuid: Uuid) -> Option<&Record> {
        self.by_uuid.get(&uuid).map(|&index| &self.records[index])
    }

    /// The document may be gone: the books can be reset while its callback is on its way.
    pub(super) fn note_callback(&mut self, uuid: Uuid) {
        if let Some(&index) = self.by_uuid.get(&uuid) {
            self.records[index].callbacks += 1;
        }
    }

    pub(super) fn documents(&self) -> Vec<Document> {
        self.records.iter().map(document).collect()
    }

    pub(super) fn refused(&self) -> BTreeMap<String, u64> {
        self.refused.clone()
    }

    /// Forgets every document. Tokens live on, and the registers go on counting.
    pub(super) fn forget_documents(&mut self) {
        self.records.clear();
        self.by_uuid.clear();
        self.by_external_id.clear();
        self.turns.clear();
        self.deadlines.clear();
        self.refused.clear();
    }
}

fn document(record: &Record) -> Document {
    Document {
        vendor: super::NAME.to_owned(),
        uuid: record.uuid,
        external_id: record.order.external_id.clone(),
        group: record.group.clone(),
        operation: record.order.operation.as_str().to_owned(),
        marker: record.order.marker().map(str::to_owned),
        total: decimal_text(record.total_kopecks),
        total_kopecks: record.total_kopecks,
        status: record.status(),
        registered: record.registered,
        fiscal: record.fiscal.clone(),
        failure: record.failure.clone(),
        requests: record.requests,
        callback_url: Some(record.order.callback_url.clone()).filter(|url| !url.is_empty()),
        callbacks: record.callbacks,
        accepted_at: record.accepted_at,
        finished_at: record.finished_at,
    }
}
