//! `kassa resell`: cancels a registered sale by a receipt and registers it anew.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use ledger::{
    Chain, Half, Key, Ledger, LedgerError, NotResellable, Reselling, Resending, Resold, Standing, TransactionRow,
};
use receipt::{ExternalId, Operation, StateName, TransactionId};
use serde_json::json;

use super::actor::ActorArgs;
use super::target::{TargetArgs, ambiguous, found, nothing};
use super::wait::{self, WaitArgs};
use super::{send, target};
use crate::cli::Output;
use crate::exit::{self, Failure};
use crate::output;

#[derive(Debug, Args)]
pub(crate) struct ResellArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Send a half that has failed under its next external id. Only what the vendor has certainly refused gets one.
    #[arg(short, long)]
    force: bool,
    /// Why, for the history.
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    reason: Option<String>,
    #[command(flatten)]
    actor: ActorArgs,
    /// Only say what would be done.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    wait: WaitArgs,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub(crate) async fn run(file: Option<PathBuf>, args: &ResellArgs) -> anyhow::Result<ExitCode> {
    let (config, ledger) = super::open(file)?;
    let seen = the_chain(&ledger, args).await?;
    let key = if args.force { Key::Next } else { Key::Same };
    let how = seen.reselling(key).map_err(|why| refused(&seen, &why))?;
    if args.dry_run {
        tell(args, &seen, &how)?;
        return Ok(ExitCode::SUCCESS);
    }
    let actor = args.actor.actor(args.reason.as_deref());
    match ledger.resell(&seen, &how, config.sender.quiet_time, &actor).await {
        Ok(Resold::Started { .. } | Resold::Resumed(_) | Resold::UnderWay(_) | Resold::Ended) => {}
        // Somebody else may have begun it at this moment, which is as good.
        Ok(Resold::Changed) => {
            let now = the_chain(&ledger, args).await?;
            if !matches!(now.reselling(key), Ok(Reselling::UnderWay(_) | Reselling::Ended)) {
                return Err(target::changed(seen.sale.subject.transaction_id).into());
            }
        }
        Err(LedgerError::ExternalIdTaken) => {
            let why = "its external id belongs to another document; ask the developers";
            return Err(Failure::Refused(why.to_owned()).into());
        }
        Err(error) => return Err(exit::ledger(&error)),
    }
    let began = of_sale(&ledger, &seen).await?;
    let ends = match args.wait.deadline() {
        Some(deadline) => until_settled(&ledger, &began, deadline).await?,
        None => None,
    };
    let now = match &ends {
        Some(_) => of_sale(&ledger, &seen).await?,
        None => began,
    };
    tell(args, &now, &how)?;
    ends.as_ref().map_or(Ok(()), wait::succeeded)?;
    Ok(ExitCode::SUCCESS)
}

/// The newest registered sale of the document that is meant.
async fn the_chain(ledger: &Ledger, args: &ResellArgs) -> anyhow::Result<Chain> {
    let id = &args.target.id;
    let mut all = found(ledger, id, args.target.store.as_ref()).await?;
    if all.is_empty() {
        return Err(nothing(id).into());
    }
    all.retain(|row| row.operation != Operation::Refund.name());
    let Some(first) = all.first() else {
        return Err(Failure::Refused(format!("{id} is a refund: only sales are resold")).into());
    };
    let is_other = |row: &TransactionRow| {
        (&row.store, &row.document_number, &row.document_part)
            != (&first.store, &first.document_number, &first.document_part)
    };
    if all.iter().any(is_other) {
        return Err(ambiguous(id, &all).into());
    }
    let any = target::standing(ledger, TransactionId(first.id)).await?;
    of_document(ledger, &any).await?.ok_or_else(|| {
        let (external_id, state) = (&any.external_id, any.state);
        let id = any.subject.transaction_id;
        Failure::Refused(format!(
            "{external_id} is {state}: only a registered sale is resold. See it: kassa show {id}"
        ))
        .into()
    })
}

async fn of_document(ledger: &Ledger, any: &Standing) -> anyhow::Result<Option<Chain>> {
    let subject = &any.subject;
    ledger
        .chain(&subject.store, &subject.document, &subject.part)
        .await
        .map_err(|error| exit::ledger(&error))
}

/// The resell of the sale that was seen, also when it has ended by now and another sale is the newest.
async fn of_sale(ledger: &Ledger, seen: &Chain) -> anyhow::Result<Chain> {
    let id = seen.sale.subject.transaction_id;
    ledger
        .chain_of(id)
        .await
        .map_err(|error| exit::ledger(&error))?
        .ok_or_else(|| target::changed(id).into())
}

/// Waits for the first half, and for the second once it is released.
async fn until_settled(
    ledger: &Ledger,
    began: &Chain,
    deadline: tokio::time::Instant,
) -> anyhow::Result<Option<Standing>> {
    let Some(refund) = &began.refund else { return Ok(None) };
    let ended = wait::until_settled(ledger, refund.subject.transaction_id, deadline).await?;
    match (&began.sell, ended.state) {
        (Some(sell), StateName::Done) => {
            let sell = sell.subject.transaction_id;
            Ok(Some(wait::until_settled(ledger, sell, deadline).await?))
        }
        (_, _) => Ok(Some(ended)),
    }
}

/// Why it is not resold, and what to use instead.
fn refused(seen: &Chain, why: &NotResellable) -> Failure {
    let name = &seen.sale.external_id;
    let half = |half| match half {
        Half::Refund => "its cancelling receipt",
        Half::Sell => "its new sale",
    };
    Failure::Refused(match why {
        NotResellable::Stopped(stopped, why) => match seen.half(*stopped) {
            Some(standing) => format!(
                "{name} is not resold yet: {} {} {}",
                half(*stopped),
                standing.external_id,
                send::refusal(standing, why)
            ),
            None => format!("{name} {}", why.text().en),
        },
        NotResellable::OtherRefunds(_) | NotResellable::Closed | NotResellable::NoKey => {
            format!("{name} {}", why.text().en)
        }
    })
}

fn tell(args: &ResellArgs, seen: &Chain, how: &Reselling) -> anyhow::Result<()> {
    let words = match (how, args.dry_run) {
        (Reselling::Start { .. }, false) => "begun",
        (Reselling::Start { .. }, true) => "would begin",
        (Reselling::Resume(..), false) => "goes on",
        (Reselling::Resume(..), true) => "would go on",
        (Reselling::UnderWay(_), _) => "was under way, nothing was done",
        (Reselling::Ended, _) => "had ended, nothing was done",
    };
    let mut rows = vec![line(&seen.sale, "sale")];
    match how {
        Reselling::Start { refund, sell } if args.dry_run => {
            rows.extend([
                planned(refund, Operation::ResellRefund),
                planned(sell, Operation::ResellSell),
            ]);
        }
        Reselling::Start { .. } | Reselling::Resume(..) | Reselling::UnderWay(_) | Reselling::Ended => {
            rows.extend(seen.refund.as_ref().map(|refund| line(refund, "cancelling receipt")));
            rows.extend(seen.sell.as_ref().map(|sell| line(sell, "new sale")));
        }
    }
    let half = |half: Option<&Standing>| {
        half.map(|half| {
            json!({
                "id": half.subject.transaction_id,
                "external_id": half.external_id,
                "state": half.state,
            })
        })
    };
    let planned = match how {
        Reselling::Start { refund, sell } => Some(json!({ "refund": refund, "sell": sell })),
        Reselling::Resume(_, Resending::Rekey { next }) => Some(json!({ "next_external_id": next })),
        Reselling::Resume(_, Resending::Release | Resending::Again) | Reselling::UnderWay(_) | Reselling::Ended => None,
    };
    let result = match how {
        Reselling::Start { .. } => "started",
        Reselling::Resume(..) => "resumed",
        Reselling::UnderWay(_) => "under_way",
        Reselling::Ended => "ended",
    };
    let json = json!({
        "result": result,
        "sale": half(Some(&seen.sale)),
        "refund": half(seen.refund.as_ref()),
        "sell": half(seen.sell.as_ref()),
        "planned": planned,
        "dry_run": args.dry_run,
    });
    if let Some(last) = rows.last_mut().and_then(|row| row.last_mut()) {
        last.push_str(&format!("; the resell {words}"));
    }
    output::print(args.output, &["ID", "EXTERNAL ID", "STATE", ""], rows, &json)?;
    output::suggest(args.output, &format!("kassa show {}", seen.sale.subject.transaction_id));
    Ok(())
}

fn line(standing: &Standing, words: &str) -> Vec<String> {
    vec![
        standing.subject.transaction_id.to_string(),
        standing.external_id.to_string(),
        standing.state.to_string(),
        words.to_owned(),
    ]
}

fn planned(external_id: &ExternalId, operation: Operation) -> Vec<String> {
    vec![
        String::new(),
        external_id.to_string(),
        String::new(),
        operation.to_string(),
    ]
}
