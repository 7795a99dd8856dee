//! The state of the service: registers, what was registered, and the two memories that make a repetition safe (section 8).
//!
//! Everything here is one value behind one lock, and no function waits.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::codes::{CloudError, Refused, is_kept};
use super::device::{Closed, Device};
use super::order::Order;
use super::{answers, rules};
use crate::books::{Document, Status};
use crate::exact::decimal_text;
use crate::interference::Answer;

/// A register remembers answers for an hour.
const DEVICE_REMEMBERS: Duration = Duration::from_secs(3600);

/// Group, request id and client id: what a repetition is recognised by.
pub(super) type Key = (String, String, String);

/// A register's place in its group.
type Place = usize;

/// What a register once answered.
#[derive(Debug)]
struct Memory {
    since: Instant,
    answer: Answer,
    /// Whether it is the answer to a closed document.
    is_document: bool,
}

#[derive(Debug, Default)]
pub(super) struct Office {
    /// The service's own memory.
    kept: HashMap<Key, Answer>,
    /// Which register gave the error that a request was answered with last: `ResendToSameDevice` asks for it.
    errors: HashMap<Key, Place>,
    /// What each register remembers: no other one knows of it.
    remembered: HashMap<(Place, Key), Memory>,
    /// At a register right now.
    working: HashSet<Key>,
    devices: HashMap<String, Vec<Device>>,
    next_device: usize,
    records: Vec<Document>,
    by_key: HashMap<Key, usize>,
    refused: BTreeMap<String, u64>,
}

/// What a register does with a receipt, when something was planned for it.
#[derive(Clone, Debug)]
pub(super) enum Fate {
    /// The register or the service fails with it before anything is registered.
    Before(Failure),
    /// The document is closed first.
    After(Failure),
}

/// An error on purpose at the register.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    Device(Refused),
    Cloud(CloudError),
}

/// What the service does with a request.
pub(super) enum Entrance {
    /// A register takes it.
    Admitted,
    /// There is an answer already.
    Answered(Answer),
}

impl Office {
    /// Looks into the service's memory, and marks the request as being worked on if it is new, or if it is to meet the
    /// register again whose error is kept.
    pub(super) fn enter(&mut self, key: &Key, order: &Order) -> Entrance {
        if let Some(answer) = self.kept.get(key)
            && self.resent_to(key, order).is_none()
        {
            let again = from_memory(answer, "x-from-fce-cache");
            self.note_request(key);
            return Entrance::Answered(again);
        }
        if !self.working.insert(key.clone()) {
            self.note_request(key);
            return Entrance::Answered(answers::cloud(&CloudError::of(24)));
        }
        Entrance::Admitted
    }

    /// The register's turn. The request is no longer worked on afterwards.
    pub(super) fn work(
        &mut self,
        key: &Key,
        order: &Order,
        fate: Option<&Fate>,
        registers: usize,
        random: &mut fastrand::Rng,
    ) -> Answer {
        self.working.remove(key);
        let place = self.resent_to(key, order).unwrap_or_else(|| {
            self.next_device = self.next_device.wrapping_add(1);
            self.next_device % registers.max(1)
        });
        let answer = match self.remembered.get(&(place, key.clone())) {
            Some(memory) if memory.since.elapsed() < DEVICE_REMEMBERS => {
                let again = from_memory(&memory.answer, "x-from-cache");
                if memory.is_document {
                    self.errors.remove(key);
                }
                self.kept.insert(key.clone(), memory.answer.clone());
                again
            }
            Some(_) | None => self.carry_out(key, place, order, fate, registers, random),
        };
        self.note_request(key);
        answer
    }

    /// The register that a repetition has to meet again.
    fn resent_to(&self, key: &Key, order: &Order) -> Option<Place> {
        let place = self.errors.get(key).copied();
        place.filter(|_| order.resendtosamedevice)
    }

    fn carry_out(
        &mut self,
        key: &Key,
        place: Place,
        order: &Order,
        fate: Option<&Fate>,
        registers: usize,
        random: &mut fastrand::Rng,
    ) -> Answer {
        let devices = self
            .devices
            .entry(key.0.clone())
            .or_insert_with(|| (0..registers.max(1)).map(|_| Device::new(random)).collect());
        let device = &mut devices[place];
        if let Some(Fate::Before(failure)) = fate {
            let answer = failed(failure, order, device);
            self.note_error(key, place, failure, &answer, false);
            return answer;
        }
        if let Err(refused) = rules::check(order, device.cash) {
            let answer = answers::refused(order, device, &refused);
            self.note_error(key, place, &Failure::Device(refused), &answer, false);
            return answer;
        }
        let closed = device.close(order, Timestamp::now(), random);
        let good = answers::registered(order, device, &closed);
        let answer = match fate {
            Some(Fate::After(failure)) => {
                let answer = failed(failure, order, device);
                self.note_error(key, place, failure, &answer, true);
                answer
            }
            Some(Fate::Before(_)) | None => {
                self.errors.remove(key);
                self.kept.insert(key.clone(), good.clone());
                good.clone()
            }
        };
        self.remember(key, place, good, true);
        self.record(key, order, &closed, random);
        answer
    }

    /// What the two memories make of an error. An exchange that broke off stays what it is, whoever repeats the request.
    fn note_error(&mut self, key: &Key, place: Place, failure: &Failure, answer: &Answer, is_closed: bool) {
        if failure.is_kept() {
            self.kept.insert(key.clone(), answer.clone());
        }
        match failure {
            Failure::Device(refused) => {
                self.errors.insert(key.clone(), place);
                if !is_closed && is_kept(refused.code) {
                    self.remember(key, place, answer.clone(), false);
                }
            }
            // Of a closed document some register was asked.
            Failure::Cloud(_) if is_closed && !failure.is_kept() => {
                self.errors.insert(key.clone(), place);
            }
            Failure::Cloud(_) => {}
        }
    }

    fn remember(&mut self, key: &Key, place: Place, answer: Answer, is_document: bool) {
        let memory = Memory {
            since: Instant::now(),
            answer,
            is_document,
        };
        self.remembered.insert((place, key.clone()), memory);
    }

    /// A second document under an id is a record of its own: the buyer got two receipts.
    fn record(&mut self, key: &Key, order: &Order, closed: &Closed, random: &mut fastrand::Rng) {
        let now = Timestamp::now();
        let total = i64::try_from(order.total()).unwrap_or(i64::MAX);
        self.by_key.insert(key.clone(), self.records.len());
        self.records.push(Document {
            callback_url: None,
            vendor: super::NAME.to_owned(),
            uuid: uuid::Builder::from_random_bytes(random.u128(..).to_be_bytes()).into_uuid(),
            external_id: key.1.clone(),
            group: key.0.clone(),
            operation: order.operation().to_owned(),
            marker: order.marker().map(str::to_owned),
            total: decimal_text(total),
            total_kopecks: total,
            status: Status::Done,
            registered: 1,
            fiscal: Some(closed.fiscal.clone()),
            failure: None,
            requests: self.refused.remove(&key.1).unwrap_or(0),
            callbacks: 0,
            accepted_at: now,
            finished_at: Some(now),
        });
    }

    fn note_request(&mut self, key: &Key) {
        match self.by_key.get(key) {
            Some(&index) => self.records[index].requests += 1,
            None => *self.refused.entry(key.1.clone()).or_default() += 1,
        }
    }

    pub(super) fn documents(&self) -> Vec<Document> {
        self.records.clone()
    }

    pub(super) fn refused(&self) -> BTreeMap<String, u64> {
        self.refused.clone()
    }

    /// Forgets documents and answers; the registers go on counting.
    pub(super) fn forget_documents(&mut self) {
        self.kept.clear();
        self.errors.clear();
        self.remembered.clear();
        self.records.clear();
        self.by_key.clear();
        self.refused.clear();
    }

    /// As an hour makes the registers forget.
    pub(super) fn forget_in_devices(&mut self) {
        self.remembered.clear();
    }

    pub(super) fn close_shifts(&mut self) {
        self.devices.values_mut().flatten().for_each(Device::close_shift);
    }
}

impl Failure {
    fn is_kept(&self) -> bool {
        match self {
            Failure::Device(refused) => is_kept(refused.code),
            Failure::Cloud(error) => error.is_kept(),
        }
    }
}

fn failed(failure: &Failure, order: &Order, device: &Device) -> Answer {
    match failure {
        Failure::Device(refused) => answers::refused(order, device, refused),
        Failure::Cloud(error) => answers::cloud(error),
    }
}

/// The same bytes, and a header that says where they come from.
fn from_memory(answer: &Answer, header: &'static str) -> Answer {
    let mut again = answer.clone();
    again.label.push_str(" again");
    again.headers.push((header, "true".to_owned()));
    again
}

/// The key of a request.
pub(super) fn key(group: &str, order: &Order, request_id: &str) -> Key {
    (group.to_owned(), request_id.to_owned(), order.clientid.clone())
}
