//! `kassa resolve`: a person's word about an unknown outcome.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;
use jiff::civil::DateTime;
use ledger::{Acted, Finding, Ledger, LedgerError, Standing};
use receipt::found::{Checked, Expected, FoundDocument};
use receipt::intake::moscow;
use receipt::{Money, Operation, StateName};
use serde_json::json;

use super::actor::ActorArgs;
use super::target::{TargetArgs, changed};
use crate::cli::Output;
use crate::exit::{self, Failure};
use crate::output;

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("finding").required(true).args(["registered", "not_registered"]))]
pub(crate) struct ResolveArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// It is registered; its document is given by --fn, --fd and --fpd. The transaction becomes `done`.
    #[arg(long, requires_all = ["fn_number", "fd", "fpd"])]
    registered: bool,
    /// Nothing was registered, and --reason says how that is known. The receipt is sent again under the next id.
    #[arg(long, requires = "reason", conflicts_with_all = ["fn_number", "fd", "fpd", "registered_at", "total"])]
    not_registered: bool,
    /// Number of the fiscal drive (ФН), 16 digits.
    #[arg(long = "fn", value_name = "FN")]
    fn_number: Option<String>,
    /// Number of the fiscal document (ФД).
    #[arg(long)]
    fd: Option<String>,
    /// Fiscal sign (ФПД, ФП).
    #[arg(long)]
    fpd: Option<String>,
    /// When it was registered, as the receipt shows it: 2026-11-23T12:30. Left out, the time of the last send stands in.
    #[arg(long, value_name = "TIME")]
    registered_at: Option<DateTime>,
    /// The document's total, to be compared with the receipt's.
    #[arg(long, value_name = "SUM", value_parser = sum)]
    total: Option<Money>,
    /// Why, for the history.
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    reason: Option<String>,
    #[command(flatten)]
    actor: ActorArgs,
    /// Only say what would be done.
    #[arg(long)]
    dry_run: bool,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

fn sum(text: &str) -> Result<Money, String> {
    Money::parse(text).map_err(|error| error.to_string())
}

pub(crate) async fn run(file: Option<PathBuf>, args: &ResolveArgs) -> anyhow::Result<ExitCode> {
    let (_, ledger) = super::open(file)?;
    let seen = args.target.standing(&ledger).await?;
    if let Some(why) = refused(&seen) {
        return Err(Failure::Refused(why).into());
    }
    let finding = match (args.registered, args.not_registered) {
        (true, _) => registered(&ledger, args, &seen).await?,
        (false, _) => Finding::NotRegistered {
            next: seen
                .external_id
                .next_generation()
                .map_err(|error| Failure::Refused(error.to_string()))?,
        },
    };
    let id = seen.subject.transaction_id;
    if !args.dry_run {
        let actor = args.actor.actor(args.reason.as_deref());
        match ledger.resolve(&seen, &finding, &actor).await {
            Ok(Acted::Done) => {}
            Ok(Acted::Changed) => return Err(changed(id).into()),
            Err(LedgerError::ExternalIdTaken) => {
                let why = "the next external id belongs to another document; ask the developers";
                return Err(Failure::Refused(why.to_owned()).into());
            }
            Err(error) => return Err(exit::ledger(&error)),
        }
    }
    tell(args, &seen, &finding)
}

async fn registered(ledger: &Ledger, args: &ResolveArgs, seen: &Standing) -> anyhow::Result<Finding> {
    let typed = |text: &Option<String>| text.clone().unwrap_or_default();
    let found = FoundDocument {
        fn_number: typed(&args.fn_number),
        fd: typed(&args.fd),
        fpd: typed(&args.fpd),
        registered_at: args.registered_at,
        total: args.total,
    };
    let expected = Expected {
        total: seen.total,
        accepted_at: seen.accepted_at,
        sent_at: seen.sent_at,
        now: Timestamp::now(),
        registers: moscow(),
        settlement_sign: seen.subject.operation.tag_value(),
    };
    let Checked {
        document,
        time_is_assumed,
    } = found.check(&expected).map_err(|faults| {
        let lines = faults
            .iter()
            .map(|fault| format!("\n  --{}: {}", fault.field.replace('_', "-"), fault.message.en));
        Failure::Usage(format!(
            "this cannot be the receipt's document:{}",
            lines.collect::<String>()
        ))
    })?;
    let holder = ledger
        .holder_of(&document, seen.subject.transaction_id)
        .await
        .map_err(|error| exit::ledger(&error))?;
    if let Some(holder) = holder {
        return Err(Failure::Refused(format!(
            "FN {} FD {} is the document of transaction {holder}; two receipts never share one",
            document.fn_number, document.fd
        ))
        .into());
    }
    Ok(Finding::Registered {
        document: Box::new(document),
        time_is_assumed,
    })
}

fn tell(args: &ResolveArgs, seen: &Standing, finding: &Finding) -> anyhow::Result<ExitCode> {
    let (state, external_id, words) = match finding {
        Finding::Registered {
            document,
            time_is_assumed,
        } => {
            let note = if *time_is_assumed {
                "; its time is that of the last send, for --registered-at was not given"
            } else {
                ""
            };
            (
                StateName::Done,
                &seen.external_id,
                format!("registered as FN {} FD {}{note}", document.fn_number, document.fd),
            )
        }
        Finding::NotRegistered { next } => (
            StateName::Retrying,
            next,
            "not registered; a sender finds it in the table within sender.grace".to_owned(),
        ),
    };
    let words = if args.dry_run {
        format!("would be: {words}")
    } else {
        words
    };
    let id = seen.subject.transaction_id;
    let json = json!({
        "id": id,
        "external_id": external_id,
        "state_before": seen.state,
        "state": state,
        "dry_run": args.dry_run,
    });
    let row = vec![id.to_string(), external_id.to_string(), state.to_string(), words];
    output::print(args.output, &["ID", "EXTERNAL ID", "STATE", ""], vec![row], &json)?;
    output::suggest(args.output, &format!("kassa show {id}"));
    Ok(ExitCode::SUCCESS)
}

/// Why only an unknown outcome is resolved, and what to use instead.
fn refused(seen: &Standing) -> Option<String> {
    let id = seen.subject.transaction_id;
    let why = match seen.state {
        StateName::Unknown => return None,
        StateName::Held if seen.subject.operation == Operation::ResellSell => {
            format!("waits for its cancelling receipt and then goes out by itself: kassa show {id}")
        }
        StateName::Held => format!(
            "is held, and was never sent: kassa {} {id}",
            super::send::command(&seen.subject)
        ),
        StateName::Queued | StateName::Retrying => format!(
            "is {}: kassa goes on with it by itself. To close it instead: kassa cancel {id} --reason …",
            seen.state
        ),
        StateName::Sending => format!("is being sent. Look again in a moment: kassa show {id}"),
        StateName::Waiting => {
            format!("waits at the vendor, and kassa asks for its outcome by itself. Look again: kassa show {id}")
        }
        StateName::Done => format!("is registered already: kassa show {id}"),
        StateName::Failed => format!(
            "has certainly failed. Send it again: kassa {} {id}; publish the corrected receipt under the same number; or \
             close it: kassa cancel {id} --reason …",
            super::send::command(&seen.subject)
        ),
        StateName::Cancelled => format!("was closed by a person: kassa show {id}"),
    };
    Some(format!("{} {why}", seen.external_id))
}
