//! What a poll came to, as the callers say it, and its flat form.

use std::time::Duration;

use jiff::Timestamp;
use receipt::event::{EventType, Subject};
use receipt::ours::Expected;
use receipt::state::{Change, State};
use receipt::{AccountName, ExternalId, Failure, FiscalDocument, Money, Refusal, StateName, VendorUuid};
use uuid::Uuid;

use crate::claim::{Claimed, Lease, millis};
use crate::error::LedgerError;
use crate::outcome::{Evidence, class_of, moved};
use crate::settle::{Entry, Kind};

/// A registration whose poll is due, taken by this process for the length of a lease.
#[derive(Debug, Clone)]
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
    /// Of a registration that is not the live one, or whose transaction was corrected: how long ago the next one was
    /// opened.
    pub retired: Option<Duration>,
    /// Sends of the current cycle.
    pub trials: u32,
    /// What the document must add up to.
    pub total: Money,
    /// When we accepted it: a document that is much older is not ours.
    pub accepted_at: Timestamp,
}

impl Polled {
    /// What a document that was found under this registration must agree with.
    #[must_use]
    pub const fn expected(&self) -> Expected<'_> {
        Expected {
            external_id: &self.external_id,
            total: self.total,
            accepted_at: self.accepted_at,
        }
    }
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
        /// When the retired id is asked about again.
        check: Duration,
    },
    /// A retired id is dead, as was known. Ask again after this, or no more.
    Dead(Option<Duration>),
    /// A person must act.
    Failed(Failure),
    /// The outcome is not known. Of a retired id: it is asked about no more.
    Unknown,
}

impl PollVerdict {
    /// The state that it brings a transaction into whose live registration was asked about; `None` if nothing moves.
    #[must_use]
    pub const fn state(&self) -> Option<StateName> {
        match self {
            Self::Again(_) | Self::Dead(_) => None,
            Self::Done(_) => Some(StateName::Done),
            Self::Rekey { .. } => Some(StateName::Retrying),
            Self::Failed(_) => Some(StateName::Failed),
            Self::Unknown => Some(StateName::Unknown),
        }
    }
}

/// The result of one poll. Consumes what was asked about, and carries a token, so that it is recorded once.
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
    kind: Kind,
}

impl PollRecord {
    /// What a poll came to.
    #[must_use]
    pub fn new(polled: Polled, evidence: Evidence, refusal: Option<Box<Refusal>>, verdict: PollVerdict) -> Self {
        let kind = Kind::Poll { token: Uuid::new_v4() };
        Self {
            polled,
            evidence,
            refusal,
            verdict,
            kind,
        }
    }

    /// The same as a probe: asked under `claimed`, before its id is sent for the first time. While that claim holds,
    /// its lease begins anew ([`crate::Recorded::Applied`]), or a document ends it.
    #[must_use]
    pub fn before_sending(self, claimed: &Claimed, lease: Lease) -> Self {
        let kind = Kind::Probe {
            token: Uuid::new_v4(),
            holder: claimed.attempt,
            lease_ms: lease.until_claimable_ms(),
        };
        Self { kind, ..self }
    }

    /// The same as a question about the id of another transaction, which a claim's own transaction corrects. It moves
    /// neither that transaction nor the claim, unless a document was found.
    #[must_use]
    pub fn before_correcting(self) -> Self {
        let kind = Kind::Probe {
            token: Uuid::new_v4(),
            // Attempts are numbered from one, so nobody holds it.
            holder: 0,
            lease_ms: 0,
        };
        Self { kind, ..self }
    }

    /// The same evidence with an unknown outcome: for a re-key whose next key belongs to another document.
    #[must_use]
    pub fn unknown(self) -> Self {
        Self {
            verdict: PollVerdict::Unknown,
            ..self
        }
    }

    pub(crate) fn entry(self) -> Result<Entry, LedgerError> {
        let Self {
            polled,
            evidence,
            refusal,
            verdict,
            kind,
        } = self;
        let id = polled.subject.transaction_id;
        let moved = |change| {
            let vendor_uuid = polled.vendor_uuid.clone();
            moved(id, State::Waiting { vendor_uuid }, change).map(Some)
        };
        let class = |otherwise| class_of(refusal.as_deref(), otherwise);
        let mut entry = Entry {
            kind,
            id,
            generation: polled.generation,
            external_id: polled.external_id.clone(),
            vendor_uuid: Some(polled.vendor_uuid.clone()),
            state: None,
            registration: "waiting",
            class: class("waiting"),
            due_ms: None,
            poll_ms: None,
            trials: None,
            next: None,
            leaves_doubt: false,
            horizon_ms: None,
            event: EventType::Waiting,
            body: None,
            double: None,
            released: None,
            evidence,
            refusal: None,
        };
        match verdict {
            PollVerdict::Again(delay) => entry.poll_ms = Some(millis(delay)),
            PollVerdict::Done(fiscal) => {
                entry.state = moved(Change::Registered(fiscal))?;
                entry.class = "done";
                entry.registration = "done";
                entry.event = EventType::Done;
            }
            PollVerdict::Rekey {
                delay,
                trials,
                next,
                check,
            } => {
                entry.state = moved(Change::Deferred)?;
                entry.class = class("rekey");
                entry.registration = "dead";
                entry.event = EventType::Retrying;
                entry.due_ms = Some(millis(delay));
                entry.poll_ms = Some(millis(check));
                entry.trials = Some(trials);
                entry.next = Some(next);
            }
            PollVerdict::Dead(again) => {
                entry.class = class("rekey");
                entry.registration = "dead";
                entry.poll_ms = again.map(millis);
            }
            PollVerdict::Failed(failure) => {
                entry.state = moved(Change::Refused(failure))?;
                entry.class = class("permanent");
                entry.registration = "dead";
                entry.event = EventType::Failed;
            }
            PollVerdict::Unknown => {
                entry.state = moved(Change::Lost)?;
                entry.class = class("unknown");
                entry.event = EventType::Unknown;
            }
        }
        let uuid = entry.next.is_none().then(|| polled.vendor_uuid.clone());
        Ok(entry.telling(polled.subject, uuid, refusal))
    }
}
