//! What the simulator really did: the side of the story a client is compared with.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A copy of the books at one moment. It reads back from the JSON of `GET /control/books`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Books {
    /// Every accepted document in the order of acceptance, whatever became of it.
    pub documents: Vec<Document>,
    /// How often each external id was asked for that was never accepted (it failed the schema each time).
    pub refused: BTreeMap<String, u64>,
    /// How many answers of each kind went out, by a text such as `register 200 wait`, `register 400 system:33`,
    /// `report 200 done`, `register fault cut`.
    pub answers: BTreeMap<String, u64>,
    /// How many requests came, by call and group: `register GROUP`, `report GROUP`.
    #[serde(default)]
    pub traffic: BTreeMap<String, Traffic>,
}

/// How many requests of one kind came to one group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// All of them.
    pub requests: u64,
    /// The most that were under way at once.
    pub most_at_once: u64,
    /// The most that came within any second.
    pub most_in_a_second: u64,
}

impl Books {
    /// How many fiscal documents stand in the drives under each marker (the first line's name). A value above one means
    /// that a buyer got two receipts for one purchase.
    pub fn registered_by_marker(&self) -> BTreeMap<&str, u32> {
        let mut registered = BTreeMap::new();
        for document in &self.documents {
            if let (Some(marker), true) = (&document.marker, document.registered > 0) {
                *registered.entry(marker.as_str()).or_default() += document.registered;
            }
        }
        registered
    }

    /// How many fiscal documents stand in the drives of each vendor's registers.
    pub fn registered_by_vendor(&self) -> BTreeMap<&str, u32> {
        let mut registered = BTreeMap::new();
        for document in &self.documents {
            *registered.entry(document.vendor.as_str()).or_default() += document.registered;
        }
        registered
    }

    /// The document accepted under this external id, in any group.
    pub fn by_external_id(&self, external_id: &str) -> Option<&Document> {
        self.documents
            .iter()
            .find(|document| document.external_id == external_id)
    }
}

/// One accepted document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// The vendor it was sent to: `atol`, `checkonline`.
    pub vendor: String,
    /// The number given to the client; CheckOnline gives none, and this one is the simulator's own.
    pub uuid: Uuid,
    /// The client's own key.
    pub external_id: String,
    /// The group of registers it was sent to.
    pub group: String,
    /// As it stood in the path (`sell`, `sell_refund` …), or the same word for a document type.
    pub operation: String,
    /// The first line's name; a correction has none.
    pub marker: Option<String>,
    /// Roubles as decimal text. Of a registered document what the register printed, else what the client asked for.
    pub total: String,
    /// The same in kopecks.
    pub total_kopecks: i64,
    /// What a report says now.
    pub status: Status,
    /// How many fiscal documents the drives hold for it. Never above one, or the simulator is wrong.
    pub registered: u32,
    /// The fiscal document, once there is one.
    pub fiscal: Option<FiscalDocument>,
    /// Why it ended in `fail`.
    pub failure: Option<Failure>,
    /// How many well-formed requests named this external id, the accepted one included.
    pub requests: u64,
    /// Where its callback is to go, if its request named an address.
    #[serde(default)]
    pub callback_url: Option<String>,
    /// How many callbacks for it reached their address.
    pub callbacks: u64,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// When it became `done` or `fail`.
    pub finished_at: Option<Timestamp>,
}

/// The three states a report knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Accepted and not yet processed.
    Wait,
    /// Registered.
    Done,
    /// Not registered, and it never will be, unless the control API says so after all.
    Fail,
}

/// What the fiscal drive wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FiscalDocument {
    /// The fiscal drive's number, 16 digits (tag 1041).
    pub fn_number: String,
    /// Tag 1038.
    pub shift_number: u32,
    /// Number within the shift (tag 1042).
    pub fiscal_receipt_number: u32,
    /// Number within the drive's life (tag 1040).
    pub fiscal_document_number: u32,
    /// The drive's signature, above 2³¹ so that a client with 32-bit signed integers shows itself (tag 1077).
    pub fiscal_document_attribute: u32,
    /// The register's registration number, 16 digits (tag 1037).
    pub ecr_registration_number: String,
    /// Moscow civil time, `dd.mm.yyyy HH:MM:SS` (tag 1012).
    pub receipt_datetime: String,
    /// Where the operator of fiscal data shows it; empty where the vendor does not tell.
    pub ofd_receipt_url: String,
}

/// Why a document failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// `driver`, `agent`, `system`, `timeout`, `unknown`; `device`, `fce`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Meaningful only together with the type.
    pub code: i64,
    /// For people.
    pub text: String,
}
