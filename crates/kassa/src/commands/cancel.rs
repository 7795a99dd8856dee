//! `kassa cancel`: closes what is certainly not registered and shall not be.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use ledger::{Acted, Standing};
use receipt::{Doubt, Operation, StateName};
use serde_json::json;

use super::actor::ActorArgs;
use super::target::{TargetArgs, changed};
use crate::cli::Output;
use crate::exit::{self, Failure};
use crate::output;

#[derive(Debug, Args)]
pub(crate) struct CancelArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Why, for the history.
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    reason: String,
    #[command(flatten)]
    actor: ActorArgs,
    /// Only say whether it can be done.
    #[arg(long)]
    dry_run: bool,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub(crate) async fn run(file: Option<PathBuf>, args: &CancelArgs) -> anyhow::Result<ExitCode> {
    let (_, ledger) = super::open(file)?;
    let seen = args.target.standing(&ledger).await?;
    if let Some(why) = refused(&seen) {
        return Err(Failure::Refused(why).into());
    }
    let id = seen.subject.transaction_id;
    if !args.dry_run {
        let actor = args.actor.actor(Some(&args.reason));
        match ledger.cancel(&seen, &actor).await {
            Ok(Acted::Done) => {}
            Ok(Acted::Changed) => return Err(changed(id).into()),
            Err(error) => return Err(exit::ledger(&error)),
        }
    }
    let json = json!({
        "id": id,
        "external_id": seen.external_id,
        "state_before": seen.state,
        "state": StateName::Cancelled,
        "dry_run": args.dry_run,
    });
    let words = if args.dry_run { "would be closed" } else { "closed" };
    let row = vec![
        id.to_string(),
        seen.external_id.to_string(),
        StateName::Cancelled.to_string(),
        words.to_owned(),
    ];
    output::print(args.output, &["ID", "EXTERNAL ID", "STATE", ""], vec![row], &json)?;
    output::suggest(args.output, &format!("kassa show {id}"));
    Ok(ExitCode::SUCCESS)
}

/// Why it cannot be closed, and what to use instead.
fn refused(seen: &Standing) -> Option<String> {
    let id = seen.subject.transaction_id;
    let at_vendor = seen.is_at_vendor || seen.doubt == Doubt::Stands;
    let why = match seen.state {
        StateName::Held if seen.subject.operation == Operation::ResellSell => match seen.parent {
            Some((refund, _)) => {
                format!("is closed together with its cancelling receipt: kassa cancel {refund} --reason …")
            }
            None => "waits for its cancelling receipt".to_owned(),
        },
        StateName::Held | StateName::Queued | StateName::Retrying | StateName::Failed if !at_vendor => return None,
        StateName::Held | StateName::Queued | StateName::Retrying | StateName::Failed => format!(
            "is {}, but the vendor may have it. Wait for its outcome: kassa show {id}",
            seen.state
        ),
        StateName::Sending => format!("is being sent. Look again in a moment: kassa show {id}"),
        StateName::Waiting => format!("is at the vendor. Wait for its outcome: kassa show {id}"),
        StateName::Unknown => format!(
            "may be registered. Look it up at the vendor and say what you found: kassa resolve {id} --registered … or \
             --not-registered …"
        ),
        StateName::Done => format!("is registered. Only a refund, or a resell, corrects it: kassa resell {id}"),
        StateName::Cancelled => format!("was closed before: kassa show {id}"),
    };
    Some(format!("{} {why}", seen.external_id))
}
