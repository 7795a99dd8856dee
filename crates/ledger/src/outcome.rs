//! What a send came to, as the callers say it, and its flat form.

use std::time::Duration;

use receipt::event::EventType;
use receipt::policy::RETIRED_CHECKS;
use receipt::state::{Change, State};
use receipt::{ExternalId, Failure, FiscalDocument, Refusal, StateName, TransactionId, VendorUuid};

use crate::claim::{Claimed, millis};
use crate::error::LedgerError;
use crate::settle::{Entry, Kind};

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

impl Verdict {
    /// The state that it brings a transaction into.
    #[must_use]
    pub const fn state(&self) -> StateName {
        match self {
            Self::Accepted { .. } => StateName::Waiting,
            Self::Done(_) => StateName::Done,
            Self::Retry { .. } | Self::Rekey { .. } => StateName::Retrying,
            Self::Failed(_) => StateName::Failed,
            Self::Unknown => StateName::Unknown,
        }
    }
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
    /// Of a refusal that leaves a doubt: for how long, from the beginning of this attempt, the vendor is known to
    /// recognise the id.
    pub horizon: Option<Duration>,
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
    /// The try is kept and the state is moved, or the claim under which it was made holds anew.
    Applied,
    /// The try is kept as evidence; the state belongs to somebody else by now and was not touched.
    Fenced,
    /// It was recorded before: an earlier try of the same record took effect although its answer was lost.
    Already,
}

/// The refusal's class, or `otherwise` when there was no refusal.
pub(crate) fn class_of(refusal: Option<&Refusal>, otherwise: &'static str) -> &'static str {
    refusal.map_or(otherwise, |refusal| refusal.class.name())
}

/// The state after a change, of a transaction that is in the state in which such changes come.
pub(crate) fn moved(id: TransactionId, from: State, change: Change) -> Result<State, LedgerError> {
    from.on(change).map_err(|illegal| LedgerError::Corrupt {
        id: id.to_string(),
        what: illegal.to_string(),
    })
}

impl Outcome {
    pub(crate) fn entry(self) -> Result<Entry, LedgerError> {
        let Self {
            claimed,
            evidence,
            refusal,
            verdict,
            horizon,
        } = self;
        let id = claimed.subject.transaction_id;
        let moved = |change| {
            let attempt = claimed.attempt;
            moved(id, State::Sending { attempt }, change)
        };
        let class = |otherwise| class_of(refusal.as_deref(), otherwise);
        let mut entry = Entry {
            kind: Kind::Send {
                number: claimed.attempt,
            },
            id,
            generation: claimed.generation,
            external_id: claimed.external_id.clone(),
            vendor_uuid: None,
            state: None,
            registration: "open",
            class: class("done"),
            due_ms: None,
            poll_ms: None,
            trials: None,
            next: None,
            leaves_doubt: horizon.is_some() || refusal.as_deref().is_some_and(|refusal| refusal.class.leaves_doubt()),
            horizon_ms: horizon.map(millis),
            event: EventType::Done,
            body: None,
            double: None,
            released: None,
            evidence,
            refusal: None,
        };
        match verdict {
            Verdict::Accepted {
                vendor_uuid,
                adopted,
                first_poll,
            } => {
                entry.state = Some(moved(Change::Accepted {
                    vendor_uuid: vendor_uuid.clone(),
                })?);
                entry.class = if adopted { "adopted" } else { "accepted" };
                entry.registration = "waiting";
                entry.event = EventType::Waiting;
                entry.vendor_uuid = Some(vendor_uuid);
                entry.poll_ms = Some(millis(first_poll));
                // A send that was taken is a send of the cycle too: a receipt that is taken and dies again and again
                // must come to the end of its trials.
                entry.trials = Some(claimed.trials.saturating_add(1));
            }
            Verdict::Done(fiscal) => {
                entry.state = Some(moved(Change::Registered(fiscal))?);
                entry.registration = "done";
            }
            Verdict::Retry { delay, trials } => {
                entry.state = Some(moved(Change::Deferred)?);
                entry.class = class("retry");
                entry.event = EventType::Retrying;
                entry.due_ms = Some(millis(delay));
                entry.trials = Some(trials);
            }
            Verdict::Rekey { delay, trials, next } => {
                entry.state = Some(moved(Change::Deferred)?);
                entry.class = class("rekey");
                entry.registration = "dead";
                entry.event = EventType::Retrying;
                entry.due_ms = Some(millis(delay));
                entry.poll_ms = Some(millis(RETIRED_CHECKS[0]));
                entry.trials = Some(trials);
                entry.next = Some(next);
            }
            Verdict::Failed(failure) => {
                entry.state = Some(moved(Change::Refused(failure))?);
                entry.class = class("permanent");
                entry.registration = "dead";
                entry.event = EventType::Failed;
            }
            Verdict::Unknown => {
                entry.state = Some(moved(Change::Lost)?);
                entry.class = class("unknown");
                entry.event = EventType::Unknown;
            }
        }
        let uuid = entry.vendor_uuid.clone();
        Ok(entry.telling(claimed.subject, uuid, refusal))
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
