//! ATOL Online, protocol v4 (FFD 1.05), written from the vendor's documents alone.
//!
//! Section numbers in this folder are those of the project's fact sheet about ATOL Online.

mod answers;
mod callback;
mod codes;
mod device;
mod endpoints;
mod office;
mod operation;
mod order;
mod register;
mod rules;
mod schema;
mod tokens;
mod values;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::faults::Registers;
use crate::shared::{Shared, lock};
use crate::simulator::{Account, Settings};
use callback::Callback;
use office::Office;

pub(crate) use endpoints::router;

/// The name in books and rules.
pub(crate) const NAME: &str = "atol";

/// The simulated service.
#[derive(Debug)]
pub(crate) struct Atol {
    shared: Arc<Shared>,
    office: Mutex<Office>,
    settings: Settings,
    client: reqwest::Client,
    callbacks: TaskTracker,
    stop: CancellationToken,
}

impl Atol {
    pub(crate) fn new(
        shared: Arc<Shared>,
        accounts: Vec<Account>,
        settings: Settings,
        client: reqwest::Client,
        stop: CancellationToken,
    ) -> Atol {
        let office = Office::new(accounts, settings.registers, &mut shared.random());
        Atol {
            shared,
            office: Mutex::new(office),
            settings,
            client,
            callbacks: TaskTracker::new(),
            stop,
        }
    }

    /// The registers at work: processes documents when their time comes, until stopped.
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            let registers_work = self.registers_work();
            let (callbacks, next) = {
                let mut office = lock(&self.office);
                let ended = office.process_due(registers_work, &mut self.shared.random());
                let callbacks: Vec<_> = ended
                    .iter()
                    .filter_map(|&index| Callback::of(office.record(index)))
                    .collect();
                (callbacks, office.next_event(registers_work))
            };
            self.call_back_later(callbacks);
            let next = async {
                match next {
                    Some(next) => tokio::time::sleep_until(next).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                () = self.shared.changed.notified() => {}
                () = next => {}
            }
        }
        self.callbacks.close();
        // The callbacks themselves stop with the same token.
        let _ = tokio::time::timeout(Duration::from_secs(1), self.callbacks.wait()).await;
    }

    fn registers_work(&self) -> bool {
        match self.shared.faults().faults().registers {
            Registers::On => true,
            Registers::Off => false,
        }
    }

    pub(crate) fn documents(&self) -> Vec<crate::books::Document> {
        lock(&self.office).documents()
    }

    pub(crate) fn refused(&self) -> std::collections::BTreeMap<String, u64> {
        lock(&self.office).refused()
    }

    pub(crate) fn forget_documents(&self) {
        lock(&self.office).forget_documents();
    }

    /// How many registers each group has.
    pub(crate) fn registers(&self) -> usize {
        self.settings.registers
    }

    pub(crate) fn expire_tokens(&self) {
        lock(&self.office).tokens.expire();
    }

    pub(crate) fn register_after_all(&self, external_id: &str) -> bool {
        lock(&self.office).register_after_all(external_id, &mut self.shared.random())
    }

    pub(crate) fn close_shifts(&self) {
        lock(&self.office).close_shifts();
    }
}
