//! From what the vendor says about a registration to what becomes of the transaction. Pure.
//!
//! Polling is careful in the other direction than sending: only a final answer about the id that was asked about
//! changes anything, and a document is taken only when it is ours.

use std::time::Duration;

use jiff::tz::TimeZone;
use ledger::{PollVerdict, Polled};
use receipt::{Decision, Doubt, FiscalDocument, Refusal, RetryClass, RetryPolicy, StoreSettings, Text};
use vendors::News;

/// How much earlier than our acceptance a register's clock may have stamped our document.
const CLOCKS_APART: jiff::SignedDuration = jiff::SignedDuration::from_mins(10);
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

/// Decides after one poll. `registers` is the time zone in which the registers stamp their documents.
#[must_use]
pub fn decide(
    outcome: Result<News, Box<Refusal>>,
    polled: &Polled,
    store: Option<&StoreSettings>,
    policy: &RetryPolicy,
    registers: &TimeZone,
) -> Decided {
    match outcome {
        Err(refusal) => again(Some(refusal), polled, store),
        Ok(News::None(reason)) => again(reason, polled, store),
        Ok(News::Done {
            mut fiscal,
            external_id,
        }) => match foreign(&fiscal, external_id.as_deref(), polled, registers) {
            None => {
                let settlement_sign = polled.subject.operation.tag_value();
                fiscal.qr = fiscal.qr.take().or_else(|| Some(fiscal.qr_text(settlement_sign)));
                Decided {
                    verdict: PollVerdict::Done(fiscal),
                    refusal: None,
                }
            }
            Some(refusal) => Decided {
                verdict: PollVerdict::Unknown,
                refusal: Some(Box::new(refusal)),
            },
        },
        Ok(News::Refused(refusal)) => {
            // The store may take a refusal for less final than the vendor's table does.
            let refusal = match store {
                Some(store) => Box::new(store.reclassed(*refusal)),
                None => refusal,
            };
            Decided {
                verdict: after_refusal(&refusal, polled, policy),
                refusal: Some(refusal),
            }
        }
    }
}

fn again(refusal: Option<Box<Refusal>>, polled: &Polled, store: Option<&StoreSettings>) -> Decided {
    if polled.age >= RESULTS_KEPT {
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
    let planned = store.map_or(Duration::from_secs(60), |store| {
        store.poll_delay(polled.polls, polled.age)
    });
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

fn after_refusal(refusal: &Refusal, polled: &Polled, policy: &RetryPolicy) -> PollVerdict {
    // The vendor named its uuid and a final answer: no doubt stands. The send was counted when it was taken.
    let trials = polled.trials.saturating_sub(1);
    match policy.decide(&refusal.class, Doubt::None, trials) {
        Decision::Rekey { delay, trials, wake: _ } => match polled.external_id.next_generation() {
            Ok(next) => PollVerdict::Rekey { delay, trials, next },
            Err(_) => PollVerdict::Failed(receipt::Failure::Exhausted),
        },
        Decision::Fail(failure) => PollVerdict::Failed(failure),
        // A final answer is never repeated under the same id: what proves nothing dead is for a person.
        Decision::Retry { .. } | Decision::Unknown => PollVerdict::Unknown,
    }
}

/// Why the document is not ours, if it is not. Somebody else may have used our id at the vendor's account.
fn foreign(
    fiscal: &FiscalDocument,
    external_id: Option<&str>,
    polled: &Polled,
    registers: &TimeZone,
) -> Option<Refusal> {
    let what = |ru: String, en: String| Some(kassa("foreign_document", Text::new(ru, en)));
    if let Some(theirs) = external_id.filter(|theirs| *theirs != polled.external_id.as_str()) {
        return what(
            format!("Поставщик вернул документ с другим ключом: {theirs}."),
            format!("The vendor returned a document with another key: {theirs}."),
        );
    }
    if fiscal.total != polled.total {
        return what(
            format!("Сумма документа {} не равна сумме чека {}.", fiscal.total, polled.total),
            format!(
                "The document's total {} is not the receipt's total {}.",
                fiscal.total, polled.total
            ),
        );
    }
    let earliest = polled.accepted_at - CLOCKS_APART;
    let stamped = fiscal
        .registered_at
        .to_zoned(registers.clone())
        .map(|zoned| zoned.timestamp());
    if stamped.is_ok_and(|stamped| stamped < earliest) {
        return what(
            format!("Документ пробит {} — раньше, чем чек был принят.", fiscal.registered_at),
            format!(
                "The document was registered at {}, before the receipt was accepted.",
                fiscal.registered_at
            ),
        );
    }
    None
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
