//! What a poll came to, as the callers say it, and its flat form: what the columns become.

use std::time::Duration;

use jiff::Timestamp;
use receipt::event::{Body, EventType, Subject};
use receipt::state::{Change, State};
use receipt::{AccountName, ExternalId, Failure, FiscalDocument, Money, Refusal, StateName, VendorUuid};

use crate::claim::millis;
use crate::error::LedgerError;
use crate::outcome::{Evidence, class_of, fiscal_of};

/// A registration whose poll is due, taken by this process for the length of a lease.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Polled {
    /// Id, store, operation and document.
    pub subject: Subject,
    /// The account to ask.
    pub account: AccountName,
    /// Which registration.
    pub generation: i32,
    /// Its key.
    pub external_id: ExternalId,
    /// What to ask with.
    pub vendor_uuid: VendorUuid,
    /// How often it was asked, this time included.
    pub polls: u32,
    /// How long the vendor has had it.
    pub age: Duration,
    /// The transaction's state at the time of the claim.
    pub state: StateName,
    /// Sends of the current cycle.
    pub trials: u32,
    /// What the document must add up to.
    pub total: Money,
    /// When we accepted it: a document that is much older is not ours.
    pub accepted_at: Timestamp,
}

/// What a poll came to, as decided.
#[derive(Debug, Clone)]
pub enum PollVerdict {
    /// No news: ask again after this.
    Again(Duration),
    /// Registered.
    Done(Box<FiscalDocument>),
    /// The id is proven dead: the next one, later.
    Rekey {
        /// The wait.
        delay: Duration,
        /// Sends of the cycle from now on.
        trials: u32,
        /// The next key.
        next: ExternalId,
    },
    /// A person must act.
    Failed(Failure),
    /// The outcome is not known.
    Unknown,
}

/// The result of one poll.
#[derive(Debug, Clone)]
pub struct PollRecord {
    /// What was asked.
    pub polled: Polled,
    /// What was asked and answered.
    pub evidence: Evidence,
    /// Why there is no document, if there is none.
    pub refusal: Option<Box<Refusal>>,
    /// What follows.
    pub verdict: PollVerdict,
}

pub(crate) struct Flat {
    /// `None`: the transaction stays where it is.
    pub(crate) state: Option<State>,
    pub(crate) class: &'static str,
    pub(crate) registration: &'static str,
    pub(crate) event: EventType,
    pub(crate) due_ms: Option<i64>,
    pub(crate) poll_ms: Option<i64>,
    pub(crate) trials: Option<u32>,
    pub(crate) next: Option<ExternalId>,
}

pub(crate) fn flatten(record: &PollRecord) -> Result<Flat, LedgerError> {
    let polled = &record.polled;
    let class = |otherwise| class_of(record.refusal.as_deref(), otherwise);
    let moved = |change: Change| {
        State::Waiting {
            vendor_uuid: polled.vendor_uuid.clone(),
        }
        .on(change)
        .map(Some)
        .map_err(|illegal| LedgerError::Corrupt {
            id: polled.subject.transaction_id.to_string(),
            what: illegal.to_string(),
        })
    };
    let flat = |state, class, registration, event| Flat {
        state,
        class,
        registration,
        event,
        due_ms: None,
        poll_ms: None,
        trials: None,
        next: None,
    };
    Ok(match &record.verdict {
        PollVerdict::Again(delay) => Flat {
            poll_ms: Some(millis(*delay)),
            ..flat(None, class("waiting"), "waiting", EventType::Waiting)
        },
        PollVerdict::Done(fiscal) => flat(
            moved(Change::Registered(fiscal.clone()))?,
            "done",
            "done",
            EventType::Done,
        ),
        PollVerdict::Rekey { delay, trials, next } => Flat {
            due_ms: Some(millis(*delay)),
            trials: Some(*trials),
            next: Some(next.clone()),
            ..flat(moved(Change::Deferred)?, class("rekey"), "dead", EventType::Retrying)
        },
        PollVerdict::Failed(failure) => flat(
            moved(Change::Refused(*failure))?,
            class("permanent"),
            "dead",
            EventType::Failed,
        ),
        PollVerdict::Unknown => flat(moved(Change::Lost)?, class("unknown"), "waiting", EventType::Unknown),
    })
}

pub(crate) fn event_body(record: &PollRecord, flat: &Flat) -> Option<Body> {
    let state = flat.state.as_ref()?;
    let external_id = flat.next.as_ref().unwrap_or(&record.polled.external_id).clone();
    let vendor_uuid = flat.next.is_none().then(|| record.polled.vendor_uuid.clone());
    let body = Body::new(record.polled.subject.clone(), external_id, state.name())
        .with_vendor_uuid(vendor_uuid)
        .with_error(record.refusal.as_deref().cloned());
    Some(match fiscal_of(state) {
        Some(fiscal) => body.with_fiscal(fiscal.clone()),
        None => body,
    })
}
