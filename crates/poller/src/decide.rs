//! From what the vendor says about a registration to what becomes of the transaction. Pure.
//!
//! Polling is careful in the other direction than sending: only a final answer about the id that was asked about
//! changes anything, and a document is taken only when it is ours.

use std::time::Duration;

use jiff::tz::TimeZone;
use ledger::{PollVerdict, Polled};
use receipt::{Decision, Doubt, Refusal, RetryClass, RetryPolicy, StateName, StoreSettings, Text};
use vendors::News;

/// How long a vendor keeps results (ATOL v4: 32 days, v5: 30); after it no poll will ever tell.
const RESULTS_KEPT: Duration = Duration::from_secs(30 * 86_400);

/// What follows a poll, and why.
#[derive(Debug, Clone)]
pub struct Decided {
    /// What is recorded.
    pub verdict: PollVerdict,
    /// Why there is no document, if there is none.
    pub refusal: Option<Box<Refusal>>,
}

/// Decides after one poll. `registers` is the time zone in which the registers stamp their documents, `checks` when a
/// retired id is asked about again, counted from the re-key.
#[must_use]
pub fn decide(
    outcome: Result<News, Box<Refusal>>,
    polled: &Polled,
    store: Option<&StoreSettings>,
    policy: &RetryPolicy,
    registers: &TimeZone,
    checks: &[Duration],
) -> Decided {
    match outcome {
        Err(refusal) => again(Some(refusal), polled, store),
        Ok(News::None(reason)) => again(reason, polled, store),
        Ok(News::Done { fiscal, external_id }) => {
            match (
                polled.expected().foreign(&fiscal, external_id.as_deref(), registers),
                polled.retired,
            ) {
                (None, _) => Decided {
                    verdict: PollVerdict::Done(Box::new(fiscal.with_qr_text(polled.subject.operation.tag_value()))),
                    refusal: None,
                },
                (Some(foreign), None) => Decided {
                    verdict: PollVerdict::Unknown,
                    refusal: Some(foreign),
                },
                // Somebody else's document says nothing about ours, and ours has gone on under another id.
                (Some(foreign), Some(retired)) => Decided {
                    verdict: PollVerdict::Dead(next_check(checks, retired)),
                    refusal: Some(foreign),
                },
            }
        }
        Ok(News::Refused(refusal)) => {
            // The store may take a refusal for less final than the vendor's table does.
            let refusal = match store {
                Some(store) => Box::new(store.reclassed(*refusal)),
                None => refusal,
            };
            Decided {
                verdict: match polled.retired {
                    // The transaction has gone another way and goes on there; this is the last word about the id.
                    None if polled.state != StateName::Waiting => match refusal.class {
                        RetryClass::Rekey | RetryClass::Permanent => PollVerdict::Dead(None),
                        RetryClass::Retry { .. } | RetryClass::Halt { .. } | RetryClass::Unknown => {
                            PollVerdict::Unknown
                        }
                    },
                    None => after_refusal(&refusal, polled, policy, checks),
                    // It was known to be dead; an answer that proves less does not bring it back.
                    Some(retired) => PollVerdict::Dead(next_check(checks, retired)),
                },
                refusal: Some(refusal),
            }
        }
    }
}

/// How long to wait for the next check of an id that was retired so long ago; `None` after the last one.
fn next_check(checks: &[Duration], retired: Duration) -> Option<Duration> {
    checks
        .iter()
        .filter(|check| **check > retired)
        .min()
        .map(|check| *check - retired)
}

fn again(refusal: Option<Box<Refusal>>, polled: &Polled, store: Option<&StoreSettings>) -> Decided {
    if polled.age.max(polled.retired.unwrap_or_default()) >= RESULTS_KEPT {
        let forgotten = kassa(
            "no_result",
            Text::new(
                "Поставщик месяц не сообщал результата.",
                "The vendor has not told a result for a month.",
            ),
        );
        return Decided {
            verdict: PollVerdict::Unknown,
            refusal: Some(Box::new(forgotten)),
        };
    }
    // A retired id that does not answer as it did is asked about like one that waits.
    let age = polled.retired.unwrap_or(polled.age);
    let planned = store.map_or(Duration::from_secs(60), |store| store.poll_delay(polled.polls, age));
    let asked = match refusal.as_deref().map(|refusal| &refusal.class) {
        Some(RetryClass::Retry { after: Some(after), .. }) => (*after).min(receipt::policy::LONGEST_RETRY_AFTER),
        Some(
            RetryClass::Retry { after: None, .. }
            | RetryClass::Rekey
            | RetryClass::Halt { .. }
            | RetryClass::Permanent
            | RetryClass::Unknown,
        )
        | None => Duration::ZERO,
    };
    Decided {
        verdict: PollVerdict::Again(planned.max(asked)),
        refusal,
    }
}

fn after_refusal(refusal: &Refusal, polled: &Polled, policy: &RetryPolicy, checks: &[Duration]) -> PollVerdict {
    // The vendor named its uuid and a final answer: no doubt stands. The send was counted when it was taken.
    let trials = polled.trials.saturating_sub(1);
    match policy.decide(&refusal.class, Doubt::None, trials) {
        Decision::Rekey { delay, trials, wake: _ } => match polled.external_id.next_generation() {
            Ok(next) => PollVerdict::Rekey {
                delay,
                trials,
                next,
                check: next_check(checks, Duration::ZERO).unwrap_or(receipt::policy::RETIRED_CHECKS[0]),
            },
            Err(_) => PollVerdict::Failed(receipt::Failure::Exhausted),
        },
        Decision::Fail(failure) => PollVerdict::Failed(failure),
        // A final answer is never repeated under the same id: what proves nothing dead is for a person.
        Decision::Retry { .. } | Decision::Unknown => PollVerdict::Unknown,
    }
}

fn kassa(code: &str, cause: Text) -> Refusal {
    Refusal {
        class: RetryClass::Unknown,
        kind: "kassa".to_owned(),
        code: code.to_owned(),
        message: String::new(),
        cause,
        cure: Text::new(
            "Проверьте чек в личном кабинете поставщика и закройте операцию вручную.",
            "Check the receipt in the vendor's cabinet and resolve the transaction by hand.",
        ),
    }
}

#[cfg(test)]
mod tests;
