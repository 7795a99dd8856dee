//! `kassa sell` and `kassa refund`: sends what is held or has stopped, or accepts a request from a file.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use ledger::{Acted, Key, Ledger, LedgerError, NotResendable, Resending, Standing, TransactionRow};
use receipt::event::Subject;
use receipt::{Operation, StateName, StoreCode};
use serde_json::json;

use super::actor::ActorArgs;
use super::target::{self, changed, found};
use super::wait::{self, WaitArgs};
use crate::cli::Output;
use crate::exit::{self, Failure};
use crate::output;

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["number", "file"]))]
pub(crate) struct SendArgs {
    /// The document's number, or one of its transaction's ids: what is held goes out; what waits for its next try, or has
    /// used up its tries, is sent at once and begins a new cycle.
    number: Option<String>,
    /// Accept a request as a shop would publish it (receipt.request.v1, with "store"); `-` for standard input.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["store", "next_id", "reason", "dry_run", "wait"])]
    file: Option<PathBuf>,
    /// Only of this store.
    #[arg(long)]
    store: Option<StoreCode>,
    /// Send it under the next external id. Only what the vendor has certainly refused gets one.
    #[arg(short = 'i', long)]
    next_id: bool,
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

pub(crate) async fn run(file: Option<PathBuf>, operation: Operation, args: &SendArgs) -> anyhow::Result<ExitCode> {
    match (&args.file, &args.number) {
        (Some(path), _) => super::submit::run(file, operation, path, args.output).await,
        (None, Some(number)) => again(file, operation, number, args).await,
        (None, None) => Err(Failure::Usage("name a document, or a file".to_owned()).into()),
    }
}

async fn again(file: Option<PathBuf>, operation: Operation, number: &str, args: &SendArgs) -> anyhow::Result<ExitCode> {
    let (config, ledger) = super::open(file)?;
    let seen = the_newest(&ledger, operation, number, args.store.as_ref()).await?;
    let key = if args.next_id { Key::Next } else { Key::Same };
    let how = ledger
        .resending(&seen, key)
        .await
        .map_err(|error| exit::ledger(&error))?
        .map_err(|why| Failure::Refused(format!("{} {}", seen.external_id, refusal(&seen, &why))))?;
    let id = seen.subject.transaction_id;
    if !args.dry_run {
        let actor = args.actor.actor(args.reason.as_deref());
        match ledger.resend(&seen, &how, config.sender.quiet_time, &actor).await {
            Ok(Acted::Done) => {}
            Ok(Acted::Changed) => return Err(changed(id).into()),
            Err(LedgerError::ExternalIdTaken) => {
                let why = "the next external id belongs to another document; ask the developers";
                return Err(Failure::Refused(why.to_owned()).into());
            }
            Err(error) => return Err(exit::ledger(&error)),
        }
    }
    let settled = match args.wait.deadline().filter(|_| !args.dry_run) {
        Some(deadline) => Some(wait::until_settled(&ledger, id, deadline).await?),
        None => None,
    };
    tell(args, &seen, &how, settled.as_ref())?;
    settled.as_ref().map_or(Ok(()), wait::succeeded)?;
    Ok(ExitCode::SUCCESS)
}

/// The newest transaction of the document. Of a number it is one of the operation; an id says exactly what is meant.
async fn the_newest(
    ledger: &Ledger,
    operation: Operation,
    number: &str,
    store: Option<&StoreCode>,
) -> anyhow::Result<Standing> {
    let mut all = found(ledger, number, store).await?;
    let by_number = all.iter().any(|row| row.document_number == number);
    if by_number {
        all.retain(|row| row.operation == operation.name());
    }
    let newest = |row: &TransactionRow| {
        !all.iter().any(|other| {
            row.store == other.store && row.document_part == other.document_part && other.replaces == Some(row.id)
        })
    };
    let newest: Vec<TransactionRow> = all.iter().filter(|row| newest(row)).cloned().collect();
    let seen = target::the_only(ledger, number, &newest).await?;
    let given = seen.subject.operation;
    match given {
        Operation::Sell | Operation::Refund if given != operation => {
            Err(Failure::Usage(format!("{} is a {given}: kassa {given} {number}", seen.external_id)).into())
        }
        Operation::ResellRefund | Operation::ResellSell => Err(Failure::Usage(format!(
            "{} is a half of a resell: kassa resell {}",
            seen.external_id, seen.subject.document
        ))
        .into()),
        Operation::Sell | Operation::Refund => Ok(seen),
    }
}

/// The command that sends such a transaction again.
pub(super) const fn command(subject: &Subject) -> &'static str {
    match subject.operation {
        Operation::Sell => "sell",
        Operation::Refund => "refund",
        Operation::ResellRefund | Operation::ResellSell => "resell",
    }
}

/// Why it is not sent, and what to use instead.
pub(super) fn refusal(seen: &Standing, why: &NotResendable) -> String {
    let id = seen.subject.transaction_id;
    let text = why.text().en;
    let next = match why {
        NotResendable::Replaced(by) => format!("See it: kassa show {by}"),
        NotResendable::AwaitsRefund(refund) => format!("See it: kassa show {refund}"),
        NotResendable::Queued | NotResendable::Sending | NotResendable::Cancelled => {
            format!("Look again: kassa show {id}")
        }
        NotResendable::Waiting => format!("Ask now: kassa update-one {id}"),
        NotResendable::Unknown => {
            format!("Then say what you found: kassa resolve {id} --registered … or --not-registered …")
        }
        NotResendable::Done => match seen.subject.operation {
            Operation::Sell | Operation::ResellSell => {
                format!(
                    "To cancel it and register it anew: kassa resell {}",
                    seen.subject.document
                )
            }
            Operation::Refund | Operation::ResellRefund => format!("See it: kassa show {id}"),
        },
        NotResendable::InDoubt | NotResendable::NotProvenDead => match seen.state {
            StateName::Held | StateName::Retrying => {
                format!("Send it under its own: kassa {} {id}", command(&seen.subject))
            }
            StateName::Queued
            | StateName::Sending
            | StateName::Waiting
            | StateName::Done
            | StateName::Unknown
            | StateName::Failed
            | StateName::Cancelled => format!("Look at its external ids: kassa show {id}"),
        },
        NotResendable::Rejected => match seen.subject.operation {
            Operation::Sell | Operation::Refund => format!(
                "If its cause is mended: kassa {} {id} --next-id; else publish the corrected receipt under the same number",
                command(&seen.subject)
            ),
            Operation::ResellRefund | Operation::ResellSell => {
                format!("If its cause is mended: kassa resell {} --force", seen.subject.document)
            }
        },
        NotResendable::NoNextKey => "Send the document under another number".to_owned(),
        NotResendable::OtherRefunds(_) => format!("See it: kassa show {id}"),
    };
    format!("{text} {next}")
}

fn tell(args: &SendArgs, seen: &Standing, how: &Resending, settled: Option<&Standing>) -> anyhow::Result<()> {
    let id = seen.subject.transaction_id;
    let external_id = match how {
        Resending::Rekey { next } => next,
        Resending::Release | Resending::Again => &seen.external_id,
    };
    let state = settled.map_or(how.state(), |settled| settled.state);
    let words = match (how, args.dry_run) {
        (Resending::Release, false) => "sent",
        (Resending::Release, true) => "would be sent",
        (Resending::Again, false) => "sent again, in a new cycle",
        (Resending::Again, true) => "would be sent again, in a new cycle",
        (Resending::Rekey { .. }, false) => "sent again under the next id",
        (Resending::Rekey { .. }, true) => "would be sent again under the next id",
    };
    let json = json!({
        "id": id,
        "external_id": external_id,
        "state_before": seen.state,
        "state": state,
        "dry_run": args.dry_run,
    });
    let row = vec![
        id.to_string(),
        external_id.to_string(),
        state.to_string(),
        words.to_owned(),
    ];
    output::print(args.output, &["ID", "EXTERNAL ID", "STATE", ""], vec![row], &json)?;
    output::suggest(args.output, &format!("kassa show {id}"));
    Ok(())
}
