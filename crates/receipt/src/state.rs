//! The states of a transaction and the one function that moves between them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::fiscal::FiscalDocument;
use crate::id::VendorUuid;

/// Why a transaction is `failed`: a person must act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// The vendor refused the receipt itself.
    Rejected,
    /// The tries are used up and the store does not retry endlessly.
    Exhausted,
}

impl Failure {
    /// The word in `transactions.failure`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Exhausted => "exhausted",
        }
    }
}

/// A state with what is known in it, so that nothing can be asked of a state that has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Waits for a person: manual mode, or the second half of a resell.
    Held,
    /// Accepted, not yet tried.
    Queued,
    /// A worker has it; `attempt` is its fence.
    Sending {
        /// Number of the attempt that may write.
        attempt: i32,
    },
    /// The vendor has it and will say later what became of it.
    Waiting {
        /// The vendor's id to ask with.
        vendor_uuid: VendorUuid,
    },
    /// Will be tried again when it is due.
    Retrying,
    /// Registered.
    Done(Box<FiscalDocument>),
    /// The outcome is not known; a person must find out.
    Unknown,
    /// A person must act.
    Failed(Failure),
    /// A person closed it, with a reason.
    Cancelled,
}

/// What can happen to a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A worker took it.
    Claimed {
        /// Number of the new attempt.
        attempt: i32,
    },
    /// A worker that stops gives back what it has not sent.
    GivenBack,
    /// The vendor took it and names its id.
    Accepted {
        /// The vendor's id.
        vendor_uuid: VendorUuid,
    },
    /// The vendor gave the fiscal document.
    Registered(Box<FiscalDocument>),
    /// To be tried again later, under the same id or the next one.
    Deferred,
    /// Nothing more can be done by machine.
    Refused(Failure),
    /// The outcome cannot be known by machine.
    Lost,
    /// A person looked it up: nothing was registered under the present id.
    NotRegistered,
    /// A person sends what is held, or the refund that it waits for is registered.
    Released,
    /// A person has it sent at once, in a new cycle.
    SentAgain,
    /// A person closes it.
    Closed,
}

/// A change that the state does not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a {from} transaction does not take the change {change:?}")]
pub struct IllegalTransition {
    /// Where it was.
    pub from: StateName,
    /// What was asked of it.
    pub change: Change,
}

impl State {
    /// The state after `change`.
    ///
    /// # Errors
    /// [`IllegalTransition`] with both sides, when the change is not for this state.
    pub fn on(self, change: Change) -> Result<Self, IllegalTransition> {
        match (self, change) {
            // A `sending` row is claimed again when its lease has run out.
            (Self::Queued | Self::Retrying | Self::Sending { .. }, Change::Claimed { attempt }) => {
                Ok(Self::Sending { attempt })
            }
            (Self::Sending { .. }, Change::GivenBack) => Ok(Self::Retrying),
            (Self::Sending { .. }, Change::Accepted { vendor_uuid }) => Ok(Self::Waiting { vendor_uuid }),
            // Registered is registered: a document may come late, or be found by asking about a registration whose
            // transaction has meanwhile gone another way, even to the end of its tries.
            (
                Self::Queued
                | Self::Sending { .. }
                | Self::Waiting { .. }
                | Self::Retrying
                | Self::Unknown
                | Self::Failed(_),
                Change::Registered(document),
            ) => Ok(Self::Done(document)),
            (Self::Sending { .. } | Self::Waiting { .. }, Change::Deferred) => Ok(Self::Retrying),
            (Self::Sending { .. } | Self::Waiting { .. }, Change::Refused(failure)) => Ok(Self::Failed(failure)),
            (Self::Sending { .. } | Self::Waiting { .. }, Change::Lost) => Ok(Self::Unknown),
            (Self::Unknown, Change::NotRegistered) => Ok(Self::Retrying),
            (Self::Held, Change::Released) => Ok(Self::Queued),
            (Self::Retrying | Self::Failed(_), Change::SentAgain) => Ok(Self::Retrying),
            (Self::Held | Self::Queued | Self::Retrying | Self::Failed(_), Change::Closed) => Ok(Self::Cancelled),
            (from, change) => Err(IllegalTransition {
                from: from.name(),
                change,
            }),
        }
    }

    /// The state without its data.
    #[must_use]
    pub const fn name(&self) -> StateName {
        match self {
            Self::Held => StateName::Held,
            Self::Queued => StateName::Queued,
            Self::Sending { .. } => StateName::Sending,
            Self::Waiting { .. } => StateName::Waiting,
            Self::Retrying => StateName::Retrying,
            Self::Done(_) => StateName::Done,
            Self::Unknown => StateName::Unknown,
            Self::Failed(_) => StateName::Failed,
            Self::Cancelled => StateName::Cancelled,
        }
    }
}

/// A state without its data: the column `transactions.state`, filters, counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StateName {
    /// See [`State::Held`].
    Held,
    /// See [`State::Queued`].
    Queued,
    /// See [`State::Sending`].
    Sending,
    /// See [`State::Waiting`].
    Waiting,
    /// See [`State::Retrying`].
    Retrying,
    /// See [`State::Done`].
    Done,
    /// See [`State::Unknown`].
    Unknown,
    /// See [`State::Failed`].
    Failed,
    /// See [`State::Cancelled`].
    Cancelled,
}

impl StateName {
    /// Every state, in the order of a receipt's life.
    pub const ALL: [Self; 9] = [
        Self::Held,
        Self::Queued,
        Self::Sending,
        Self::Waiting,
        Self::Retrying,
        Self::Done,
        Self::Unknown,
        Self::Failed,
        Self::Cancelled,
    ];

    /// The word in the table, in messages and in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Waiting => "waiting",
            Self::Retrying => "retrying",
            Self::Done => "done",
            Self::Unknown => "unknown",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// What the module that kassa replaces would have called it.
    #[must_use]
    pub const fn kkm_status(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed | Self::Cancelled => "fail",
            Self::Held | Self::Queued | Self::Sending | Self::Waiting | Self::Retrying | Self::Unknown => "wait",
        }
    }
}

impl fmt::Display for StateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Not one of the nine states.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a state: held, queued, sending, waiting, retrying, done, unknown, failed, cancelled")]
pub struct UnknownState(pub String);

impl FromStr for StateName {
    type Err = UnknownState;
    fn from_str(text: &str) -> Result<Self, UnknownState> {
        Self::ALL
            .into_iter()
            .find(|state| state.name() == text)
            .ok_or_else(|| UnknownState(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Box<FiscalDocument> {
        Box::new(FiscalDocument {
            fn_number: "9999078900000001".into(),
            fd: 1,
            fpd: "1".into(),
            shift: None,
            receipt_number: None,
            register_number: None,
            registered_at: jiff::civil::date(2026, 1, 5).at(12, 0, 0, 0),
            total: crate::Money::from_kopecks(100),
            qr: None,
            ofd_url: None,
        })
    }

    fn uuid() -> VendorUuid {
        VendorUuid::parse("6a0d3f3c").expect("valid")
    }

    fn every_change() -> Vec<Change> {
        vec![
            Change::Claimed { attempt: 2 },
            Change::GivenBack,
            Change::Accepted { vendor_uuid: uuid() },
            Change::Registered(document()),
            Change::Deferred,
            Change::Refused(Failure::Rejected),
            Change::Lost,
            Change::NotRegistered,
            Change::Released,
            Change::SentAgain,
        ]
    }

    #[test]
    fn a_person_closes_only_what_is_certainly_not_registered() {
        let closed = |state: State| state.on(Change::Closed).is_ok();
        for state in [
            State::Held,
            State::Queued,
            State::Retrying,
            State::Failed(Failure::Rejected),
        ] {
            assert!(closed(state.clone()), "{}", state.name());
        }
        for state in [
            State::Sending { attempt: 1 },
            State::Waiting { vendor_uuid: uuid() },
            State::Done(document()),
            State::Unknown,
            State::Cancelled,
        ] {
            assert!(!closed(state.clone()), "{}", state.name());
        }
    }

    #[test]
    fn only_an_unknown_receipt_takes_a_persons_word_that_it_was_not_registered() {
        assert_eq!(State::Unknown.on(Change::NotRegistered), Ok(State::Retrying));
        for state in [State::Queued, State::Retrying, State::Waiting { vendor_uuid: uuid() }] {
            assert!(state.on(Change::NotRegistered).is_err());
        }
    }

    #[test]
    fn nothing_leaves_done_or_cancelled_and_only_a_document_or_a_person_leaves_failed() {
        let registered = Change::Registered(document());
        let failed = State::Failed(Failure::Exhausted);
        assert_eq!(
            failed.clone().on(registered.clone()).map(|state| state.name()),
            Ok(StateName::Done)
        );
        for state in [State::Done(document()), failed, State::Cancelled] {
            let is_failed = state.name() == StateName::Failed;
            for change in every_change() {
                if is_failed && (change == registered || change == Change::SentAgain) {
                    continue;
                }
                assert!(
                    state.clone().on(change.clone()).is_err(),
                    "{} took {change:?}",
                    state.name()
                );
            }
        }
    }

    #[test]
    fn no_machine_sends_a_waiting_or_unknown_receipt() {
        for state in [State::Waiting { vendor_uuid: uuid() }, State::Unknown, State::Held] {
            assert!(state.on(Change::Claimed { attempt: 2 }).is_err());
        }
    }

    #[test]
    fn what_is_held_goes_out_by_a_person_and_in_no_other_way() {
        assert_eq!(State::Held.on(Change::Released), Ok(State::Queued));
        for change in every_change() {
            if change != Change::Released {
                assert!(State::Held.on(change.clone()).is_err(), "held took {change:?}");
            }
        }
        for state in [
            State::Queued,
            State::Sending { attempt: 1 },
            State::Unknown,
            State::Cancelled,
        ] {
            assert!(state.clone().on(Change::SentAgain).is_err(), "{}", state.name());
        }
    }

    #[test]
    fn a_receipt_goes_from_queued_to_done() {
        let done = State::Queued
            .on(Change::Claimed { attempt: 1 })
            .and_then(|state| state.on(Change::Accepted { vendor_uuid: uuid() }))
            .and_then(|state| state.on(Change::Registered(document())));
        assert_eq!(done.map(|state| state.name()), Ok(StateName::Done));
    }

    #[test]
    fn stored_words_never_change() {
        let words: Vec<_> = StateName::ALL.iter().map(|state| state.name()).collect();
        assert_eq!(
            words,
            [
                "held",
                "queued",
                "sending",
                "waiting",
                "retrying",
                "done",
                "unknown",
                "failed",
                "cancelled"
            ]
        );
        for state in StateName::ALL {
            assert_eq!(state.name().parse(), Ok(state));
        }
    }
}
