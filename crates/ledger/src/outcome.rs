//! What a send came to, as the callers say it, and its flat form: what the columns become.

use std::time::Duration;

use receipt::event::{Body, EventType};
use receipt::state::{Change, State};
use receipt::{ExternalId, Failure, FiscalDocument, Refusal, VendorUuid};

use crate::claim::{Claimed, millis};
use crate::error::LedgerError;

/// What was asked and answered, kept for people. Secrets and the buyer are masked already.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// Method and path.
    pub request: String,
    /// HTTP status, if an answer began.
    pub http_status: Option<u16>,
    /// The answer's body.
    pub answer: Option<String>,
    /// How long it took.
    pub duration: Duration,
}

/// What a send came to, as decided. The times are waits from now, because times that are compared are the database's.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// The vendor took it.
    Accepted {
        /// The vendor's id.
        vendor_uuid: VendorUuid,
        /// Whether the id was known to the vendor before.
        adopted: bool,
        /// The wait before the first poll.
        first_poll: Duration,
    },
    /// Registered at once.
    Done(Box<FiscalDocument>),
    /// Same id, same bytes, later.
    Retry {
        /// The wait.
        delay: Duration,
        /// Sends of the cycle from now on.
        trials: u32,
    },
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

/// The result of one claim. Consumes the claim, so that it is recorded once.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The claim.
    pub claimed: Claimed,
    /// What was asked and answered.
    pub evidence: Evidence,
    /// Why it did not succeed, if it did not.
    pub refusal: Option<Box<Refusal>>,
    /// What follows.
    pub verdict: Verdict,
}

impl Outcome {
    /// The same evidence with an unknown outcome: for a re-key whose next key belongs to another document.
    #[must_use]
    pub fn unknown(self) -> Self {
        Self {
            verdict: Verdict::Unknown,
            ..self
        }
    }
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// The attempt is finished and the state is moved.
    Applied,
    /// The attempt is finished; the state belongs to a later attempt and was not touched.
    Fenced,
    /// It was recorded before: an earlier try of the same record took effect although its answer was lost.
    Already,
}

/// The flat form of a verdict: what the columns become.
pub(crate) struct Flat {
    pub(crate) state: State,
    pub(crate) class: &'static str,
    pub(crate) registration: &'static str,
    pub(crate) event: EventType,
    pub(crate) due_ms: Option<i64>,
    pub(crate) poll_ms: Option<i64>,
    pub(crate) trials: Option<u32>,
    pub(crate) vendor_uuid: Option<VendorUuid>,
    pub(crate) next: Option<ExternalId>,
}

/// The refusal's class, or `otherwise` when there was no refusal.
pub(crate) fn class_of(refusal: Option<&Refusal>, otherwise: &'static str) -> &'static str {
    refusal.map_or(otherwise, |refusal| refusal.class.name())
}

pub(crate) fn flatten(outcome: &Outcome) -> Result<Flat, LedgerError> {
    let claimed = &outcome.claimed;
    let class = |otherwise| class_of(outcome.refusal.as_deref(), otherwise);
    let moved = |change: Change| {
        State::Sending {
            attempt: claimed.attempt,
        }
        .on(change)
        .map_err(|illegal| LedgerError::Corrupt {
            id: claimed.subject.transaction_id.to_string(),
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
        vendor_uuid: None,
        next: None,
    };
    Ok(match &outcome.verdict {
        Verdict::Accepted {
            vendor_uuid,
            adopted,
            first_poll,
        } => Flat {
            poll_ms: Some(millis(*first_poll)),
            vendor_uuid: Some(vendor_uuid.clone()),
            // A send that was taken is a send of the cycle too: a receipt that is taken and dies again and again must
            // come to the end of its trials.
            trials: Some(claimed.trials.saturating_add(1)),
            ..flat(
                moved(Change::Accepted {
                    vendor_uuid: vendor_uuid.clone(),
                })?,
                if *adopted { "adopted" } else { "accepted" },
                "waiting",
                EventType::Waiting,
            )
        },
        Verdict::Done(fiscal) => flat(
            moved(Change::Registered(fiscal.clone()))?,
            "done",
            "done",
            EventType::Done,
        ),
        Verdict::Retry { delay, trials } => Flat {
            due_ms: Some(millis(*delay)),
            trials: Some(*trials),
            ..flat(moved(Change::Deferred)?, class("retry"), "open", EventType::Retrying)
        },
        Verdict::Rekey { delay, trials, next } => Flat {
            due_ms: Some(millis(*delay)),
            trials: Some(*trials),
            next: Some(next.clone()),
            ..flat(moved(Change::Deferred)?, class("rekey"), "dead", EventType::Retrying)
        },
        Verdict::Failed(failure) => flat(
            moved(Change::Refused(*failure))?,
            class("permanent"),
            "dead",
            EventType::Failed,
        ),
        Verdict::Unknown => flat(moved(Change::Lost)?, class("unknown"), "open", EventType::Unknown),
    })
}

pub(crate) fn event_body(outcome: &Outcome, flat: &Flat) -> Body {
    let external_id = flat.next.as_ref().unwrap_or(&outcome.claimed.external_id).clone();
    let body = Body::new(outcome.claimed.subject.clone(), external_id, flat.state.name())
        .with_vendor_uuid(flat.vendor_uuid.clone())
        .with_error(outcome.refusal.as_deref().cloned());
    match &flat.state {
        State::Done(fiscal) => body.with_fiscal(fiscal.as_ref().clone()),
        State::Held
        | State::Queued
        | State::Sending { .. }
        | State::Waiting { .. }
        | State::Retrying
        | State::Unknown
        | State::Failed(_)
        | State::Cancelled => body,
    }
}

/// The columns of the fiscal document, when the state has one.
pub(crate) fn fiscal_of(state: &State) -> Option<&FiscalDocument> {
    match state {
        State::Done(fiscal) => Some(fiscal),
        State::Held
        | State::Queued
        | State::Sending { .. }
        | State::Waiting { .. }
        | State::Retrying
        | State::Unknown
        | State::Failed(_)
        | State::Cancelled => None,
    }
}

/// The column `failure`.
pub(crate) fn failure_of(state: &State) -> Option<&'static str> {
    match state {
        State::Failed(failure) => Some(failure.name()),
        State::Held
        | State::Queued
        | State::Sending { .. }
        | State::Waiting { .. }
        | State::Retrying
        | State::Done(_)
        | State::Unknown
        | State::Cancelled => None,
    }
}
