//! When the failures of single receipts say that the account is meant. Pure: it only counts.

use std::collections::BTreeSet;

use ledger::{CloseReason, GateSettings};
use receipt::{RetryClass, TransactionId};

/// The failures of one account since its last success, as one process saw them.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    failures: u32,
    documents: BTreeSet<TransactionId>,
    halted: BTreeSet<TransactionId>,
}

/// What one answer says about the account that gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    /// It works: it took the receipt, or refused it for what it is.
    Works,
    /// It does not.
    Fails,
    /// Nothing.
    Nothing,
}

impl Sign {
    /// What a refusal says.
    pub(crate) const fn of(class: &RetryClass) -> Self {
        match class {
            // Being asked for fewer requests is one: sending on would make it worse and spend the trials of receipts
            // that are not to blame. The wait that was asked for is the wait before the probe.
            RetryClass::Retry { .. } | RetryClass::Halt { .. } => Self::Fails,
            RetryClass::Rekey | RetryClass::Permanent => Self::Works,
            RetryClass::Unknown => Self::Nothing,
        }
    }
}

impl Breaker {
    /// Notes a failure. Returns the reason to close the gate, when there is one.
    pub(crate) fn failed(
        &mut self,
        transaction: TransactionId,
        class: &RetryClass,
        settings: &GateSettings,
    ) -> Option<CloseReason> {
        let enough = usize::try_from(settings.documents).unwrap_or(usize::MAX);
        match class {
            RetryClass::Halt { certain: true } => Some(CloseReason::Halt),
            RetryClass::Halt { certain: false } => {
                note(&mut self.halted, transaction, enough);
                (self.halted.len() >= enough).then_some(CloseReason::Halt)
            }
            RetryClass::Retry { .. } => {
                self.failures = self.failures.saturating_add(1);
                note(&mut self.documents, transaction, enough);
                (self.failures >= settings.failures && self.documents.len() >= enough).then_some(CloseReason::Breaker)
            }
            RetryClass::Rekey | RetryClass::Permanent | RetryClass::Unknown => None,
        }
    }

    /// The receipts whose refusals were believed to be about themselves, until there were enough of them.
    pub(crate) fn halted(&self) -> Vec<TransactionId> {
        self.halted.iter().copied().collect()
    }
}

/// One more than enough is never needed, and an outage of the database may last.
fn note(documents: &mut BTreeSet<TransactionId>, transaction: TransactionId, enough: usize) {
    if documents.len() < enough {
        documents.insert(transaction);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use super::*;

    pub(crate) fn settings() -> GateSettings {
        GateSettings {
            failures: 5,
            documents: 3,
            probe_interval: Duration::from_secs(5),
            longest_probe_interval: Duration::from_secs(300),
            ramp_step: Duration::from_secs(1),
            interval: Duration::from_secs(1),
            worker_expiry: Duration::from_secs(10),
        }
    }

    fn after(failures: &[(usize, RetryClass)]) -> Vec<Option<CloseReason>> {
        let documents: Vec<TransactionId> = (0..10).map(|_| TransactionId::new()).collect();
        let mut breaker = Breaker::default();
        let noted = failures
            .iter()
            .map(|(document, class)| breaker.failed(documents[*document], class, &settings()));
        noted.collect()
    }

    #[test]
    fn five_failures_over_three_documents_close_the_gate_and_not_one_less() {
        let failed = |documents: &[usize]| {
            let failures: Vec<_> = documents
                .iter()
                .map(|&document| (document, RetryClass::MAYBE_SEEN))
                .collect();
            after(&failures)
        };
        assert_eq!(
            failed(&[0, 1, 2, 0, 1]),
            [None, None, None, None, Some(CloseReason::Breaker)]
        );
        assert_eq!(
            failed(&[0, 0, 0, 0, 0, 1, 1]),
            [None; 7],
            "two receipts may both be bad"
        );
        assert_eq!(failed(&[0, 1, 2, 3]), [None; 4]);
        assert_eq!(failed(&[0, 0, 0, 1, 1, 2])[5], Some(CloseReason::Breaker));
    }

    #[test]
    fn a_certain_halt_closes_the_gate_at_once_and_a_suspected_one_over_three_documents() {
        let certain = RetryClass::Halt { certain: true };
        let suspected = RetryClass::Halt { certain: false };
        assert_eq!(after(&[(0, certain)]), [Some(CloseReason::Halt)]);
        assert_eq!(
            after(&[
                (0, suspected.clone()),
                (0, suspected.clone()),
                (1, suspected.clone()),
                (2, suspected)
            ]),
            [None, None, None, Some(CloseReason::Halt)]
        );
    }

    #[test]
    fn what_the_vendor_says_about_a_receipt_says_that_the_account_works() {
        for class in [RetryClass::Permanent, RetryClass::Rekey] {
            assert_eq!(Sign::of(&class), Sign::Works);
        }
        assert_eq!(Sign::of(&RetryClass::Unknown), Sign::Nothing);
        assert_eq!(after(&[(0, RetryClass::Permanent); 1]), [None]);
    }
}
