//! Due rows: the table wakes what no pointer woke.
//!
//! Here is what makes an emptied, sick or lost broker cost seconds and not receipts. It covers every age, and it ends
//! in the same handler as a pointer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ledger::{Claimed, Evidence, LedgerError, Outcome, Quota, Verdict};
use receipt::{AccountName, Refusal, RetryClass, Text};

use crate::attempt::{attempt, give_back};
use crate::sender::Context;
use crate::slots::Slot;

/// The most transactions that one step gives up.
const ABANDONED_PER_STEP: i64 = 100;

/// Claims what is due into the free slots and starts the attempts. Returns how many.
pub(crate) async fn step(context: &Arc<Context>) -> Result<usize, LedgerError> {
    // The places are taken first: a claim without one would only wait while its lease runs.
    let (mut waiting, mut others) = (Places::new(), Places::new());
    for account in context.slots.accounts() {
        let taken = context.slots.take_all(account);
        if taken.is_empty() {
            continue;
        }
        // Rows of an account with a backlog have no pointer that they should be left to.
        let places = if context.slots.has_backlog(account) {
            &mut waiting
        } else {
            &mut others
        };
        places.insert(account.clone(), taken);
    }
    Ok(claim(context, waiting, Duration::ZERO).await? + claim(context, others, context.config.grace).await?)
}

type Places = BTreeMap<AccountName, Vec<Slot>>;

/// Claims into these places what has been due for longer than `grace`, and starts the attempts. Returns how many.
async fn claim(context: &Arc<Context>, mut places: Places, grace: Duration) -> Result<usize, LedgerError> {
    let quotas: Vec<Quota> = places
        .iter()
        .map(|(account, slots)| Quota {
            account: account.clone(),
            slots: u32::try_from(slots.len()).unwrap_or(u32::MAX),
        })
        .collect();
    if quotas.is_empty() {
        return Ok(0);
    }
    let passed_over: Vec<u64> = places
        .keys()
        .map(|account| context.slots.passed_over(account))
        .collect();
    let claimed_at = Instant::now();
    let claims = context
        .ledger
        .claim_due(&quotas, grace, context.config.claim_lease())
        .await?;
    let count = claims.len();
    for claimed in claims {
        match places.get_mut(&claimed.account).and_then(Vec::pop) {
            Some(slot) => {
                let attempt = attempt(Arc::clone(context), Box::new(claimed), slot, claimed_at);
                context.attempts.spawn(attempt);
            }
            None => give_back(context, &claimed).await,
        }
    }
    for (quota, passed_over) in quotas.into_iter().zip(passed_over) {
        let left = places.get(&quota.account).map_or(0, Vec::len);
        let had = usize::try_from(quota.slots).unwrap_or(usize::MAX);
        // Between the two the parts of the stores were not all used up, and the next step will tell.
        if left == 0 {
            context.slots.note_backlog(&quota.account);
        } else if left == had {
            context.slots.end_backlog(&quota.account, passed_over);
        }
    }
    Ok(count)
}

/// Transactions whose workers keep dying are suspected of killing them; a person is asked.
pub(crate) async fn give_up(context: &Context) -> Result<(), LedgerError> {
    for claimed in context.ledger.abandoned(ABANDONED_PER_STEP).await? {
        tracing::error!(
            transaction.id = %claimed.subject.transaction_id,
            "{} was started three times and never finished; its outcome is unknown",
            claimed.external_id,
        );
        let id = claimed.subject.transaction_id;
        match context.ledger.record(unfinished(claimed)).await {
            Ok(_) => {}
            Err(error) if error.is_outage() => return Err(error),
            // One row that cannot be given up must not keep its neighbours from being sent.
            Err(error) => {
                let error = service::error::chain(&error);
                tracing::error!(transaction.id = %id, error, "an abandoned transaction cannot be given up");
            }
        }
    }
    Ok(())
}

fn unfinished(claimed: Claimed) -> Outcome {
    let refusal = Refusal {
        class: RetryClass::Unknown,
        kind: "kassa".to_owned(),
        code: "unfinished".to_owned(),
        message: String::new(),
        cause: Text::new(
            "Отправка три раза началась и ни разу не закончилась.",
            "The sending was started three times and never finished.",
        ),
        cure: Text::new(
            "Проверьте чек у поставщика и закройте операцию вручную.",
            "Check the receipt at the vendor and resolve the transaction by hand.",
        ),
    };
    Outcome {
        claimed,
        evidence: Evidence {
            request: String::from("not known"),
            ..Evidence::default()
        },
        refusal: Some(Box::new(refusal)),
        verdict: Verdict::Unknown,
        horizon: None,
    }
}
