//! Dead letters that were refused only because their store was not configured are accepted once it is.

use std::time::Duration;

use jiff::Timestamp;
use ledger::{DeadLetter, LedgerError, Replayed};
use queue::Pointer;

use crate::poller::Context;

/// Letters of one step.
const LETTERS_PER_STEP: i64 = 100;

/// How long a process has the letters it took to itself.
const HOLD: Duration = Duration::from_secs(60);

/// Replays letters whose store is in the directory now. Returns how many were taken.
pub(crate) async fn step(context: &Context) -> Result<usize, LedgerError> {
    let stores: Vec<String> = context.directory.stores.keys().map(ToString::to_string).collect();
    let letters = context.ledger.take_letters_for(&stores, LETTERS_PER_STEP, HOLD).await?;
    let taken = letters.len();
    for letter in letters {
        if context.stop.is_cancelled() {
            break;
        }
        replay(context, &letter).await?;
    }
    Ok(taken)
}

async fn replay(context: &Context, letter: &DeadLetter) -> Result<(), LedgerError> {
    let today = Timestamp::now().to_zoned(context.registers.clone()).date();
    let actor = context.ledger.machine("its store is configured now");
    match context
        .ledger
        .replay(&context.directory, letter, None, today, &actor)
        .await
    {
        Ok(Replayed::Accepted {
            id,
            external_id,
            vendor,
        }) => {
            tracing::info!(
                dead_letter.id = %letter.id,
                transaction.id = %id,
                "{external_id} is accepted: its store is configured now"
            );
            context.pointers.send(
                &vendor,
                Pointer {
                    transaction: id,
                    fence: 0,
                },
                None,
            );
        }
        Ok(Replayed::Known(id)) => {
            tracing::info!(dead_letter.id = %letter.id, transaction.id = %id, "a dead letter was accepted before");
        }
        Ok(Replayed::Refused(why)) => {
            let reason = why.code;
            tracing::error!(
                dead_letter.id = %letter.id,
                reason,
                "a dead letter whose store is configured now is refused all the same; a person must look"
            );
        }
        Err(error) if error.is_outage() => return Err(error),
        // One letter that cannot be replayed must not keep its neighbours from being accepted.
        Err(error) => {
            let error = service::error::chain(&error);
            tracing::error!(dead_letter.id = %letter.id, error, "a dead letter cannot be replayed");
        }
    }
    Ok(())
}
