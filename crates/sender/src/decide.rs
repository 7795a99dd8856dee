//! From what the vendor said to what becomes of the transaction. Pure.

use std::time::Duration;

use ledger::Verdict;
use receipt::policy::Wake;
use receipt::{Decision, Doubt, ExternalId, RetryPolicy, StoreSettings};
use vendors::{Adopted, Registered};

/// What follows a send, and whether a pointer wakes it.
#[derive(Debug, Clone)]
pub struct Decided {
    /// What is recorded.
    pub verdict: Verdict,
    /// The interval of the delay exchange that wakes it, if there is one.
    pub pointer: Option<Duration>,
}

/// Decides after one send.
///
/// `doubt` and `trials` are what the claim said, before this send.
#[must_use]
pub fn decide(
    outcome: &Result<Registered, Box<receipt::Refusal>>,
    store: Option<&StoreSettings>,
    policy: &RetryPolicy,
    external_id: &ExternalId,
    doubt: Doubt,
    trials: u32,
) -> Decided {
    let settled = |verdict| Decided { verdict, pointer: None };
    match outcome {
        Ok(Registered::Accepted { vendor_uuid, adopted }) => settled(Verdict::Accepted {
            vendor_uuid: vendor_uuid.clone(),
            adopted: *adopted == Adopted::Yes,
            first_poll: store.map_or(Duration::from_secs(5), |store| store.poll_delay(0, Duration::ZERO)),
        }),
        Ok(Registered::Done(fiscal)) => settled(Verdict::Done(fiscal.clone())),
        Err(refusal) => match policy.decide(&refusal.class, doubt, trials) {
            Decision::Retry { delay, trials, wake } => Decided {
                verdict: Verdict::Retry { delay, trials },
                pointer: pointer(wake, delay),
            },
            Decision::Rekey { delay, trials, wake } => match external_id.next_generation() {
                Ok(next) => Decided {
                    verdict: Verdict::Rekey { delay, trials, next },
                    pointer: pointer(wake, delay),
                },
                // Thousands of generations would be needed to get here; a person may then count on.
                Err(_) => settled(Verdict::Failed(receipt::Failure::Exhausted)),
            },
            Decision::Fail(failure) => settled(Verdict::Failed(failure)),
            Decision::Unknown => settled(Verdict::Unknown),
        },
    }
}

const fn pointer(wake: Wake, delay: Duration) -> Option<Duration> {
    match wake {
        Wake::DelayExchange => Some(delay),
        Wake::DueRow => None,
    }
}
