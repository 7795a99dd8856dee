//! `kassa update-one` and `kassa update-all`: the vendor is asked now.
//!
//! The question is made due in the table and put by a poller, which holds the account's limits and records the answer as
//! it always does. The command waits for it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use ledger::{Asked, Filter, Ledger, Standing};
use receipt::{StateName, StoreCode, VendorName};
use serde_json::json;
use tokio::time::Instant;
use vendors::Registry;

use super::actor::ActorArgs;
use super::target::{self, TargetArgs};
use super::wait::LONGEST;
use crate::cli::Output;
use crate::exit::{self, Failure};
use crate::output;

/// How often the table is looked at.
const LOOK: Duration = Duration::from_millis(300);

const HEADINGS: [&str; 4] = ["ID", "EXTERNAL ID", "STATE", ""];

#[derive(Debug, Args)]
pub(crate) struct UpdateOneArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    actor: ActorArgs,
    /// How many seconds to wait for the answer.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(..=LONGEST))]
    wait: u64,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct UpdateAllArgs {
    /// Whose receipts.
    store: StoreCode,
    /// At most so many, oldest first.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(i64).range(1..=10_000))]
    limit: i64,
    /// How many seconds to wait for the answers.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(..=LONGEST))]
    wait: u64,
    /// Only say what would be asked about.
    #[arg(long)]
    dry_run: bool,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub(crate) async fn one(file: Option<PathBuf>, args: &UpdateOneArgs) -> anyhow::Result<ExitCode> {
    let (config, ledger) = super::open(file)?;
    let seen = args.target.standing(&ledger).await?;
    let id = seen.subject.transaction_id;
    let registry = Registry::build(&config.accounts, config.calls)?;
    let vendor = registry.get(&seen.account);
    if vendor.as_deref().is_some_and(|vendor| vendor.follower().is_none()) {
        let words = no_status(&seen.vendor);
        print_one(args, &seen, false, &words)?;
        return Ok(ExitCode::SUCCESS);
    }
    let actor = args.actor.actor(None);
    let asked = ledger.refresh(id, &actor).await.map_err(|error| exit::ledger(&error))?;
    if asked.is_empty() {
        return match seen.state {
            StateName::Done => {
                print_one(args, &seen, false, "registered; there is nothing more to ask")?;
                Ok(ExitCode::SUCCESS)
            }
            StateName::Held
            | StateName::Queued
            | StateName::Sending
            | StateName::Waiting
            | StateName::Retrying
            | StateName::Unknown
            | StateName::Failed
            | StateName::Cancelled => Err(Failure::Refused(format!(
                "{} is {}, and the vendor has given no uuid to ask with. See it: kassa show {id}",
                seen.external_id, seen.state
            ))
            .into()),
        };
    }
    let answered = until_answered(&ledger, &asked, args.wait).await?;
    if answered < asked.len() {
        return Err(nobody_asked(args.wait).into());
    }
    let now = target::standing(&ledger, id).await?;
    let words = match now.state {
        StateName::Waiting => "asked; it still waits",
        StateName::Held
        | StateName::Queued
        | StateName::Sending
        | StateName::Retrying
        | StateName::Done
        | StateName::Unknown
        | StateName::Failed
        | StateName::Cancelled => "asked",
    };
    print_one(args, &now, true, words)?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn all(file: Option<PathBuf>, args: &UpdateAllArgs) -> anyhow::Result<ExitCode> {
    let (config, ledger) = super::open(file)?;
    let registry = Registry::build(&config.accounts, config.calls)?;
    let waiting = Filter {
        store: Some(args.store.to_string()),
        state: Some(StateName::Waiting),
        limit: args.limit,
        ..Filter::default()
    };
    let before = ledger.list(&waiting).await.map_err(|error| exit::ledger(&error))?;
    if before.is_empty() && !config.stores.contains_key(&args.store) {
        let why = format!("there is no store {}, and nothing of it waits", args.store);
        return Err(Failure::NotFound(why).into());
    }
    let account = config.stores.get(&args.store).map(|store| &store.account);
    if let Some(vendor) = account.and_then(|account| registry.get(account))
        && vendor.follower().is_none()
    {
        output::note(&format!("{}: {}", args.store, no_status(vendor.name())));
    }
    if args.dry_run {
        let rows = before.iter().map(|row| {
            let words = "would be asked about".to_owned();
            vec![row.id.to_string(), row.external_id.clone(), row.state.clone(), words]
        });
        let json: Vec<_> = before
            .iter()
            .map(|row| json!({ "id": row.id, "external_id": row.external_id, "state": row.state, "asked": false }))
            .collect();
        output::print(args.output, &HEADINGS, rows.collect(), &json)?;
        return Ok(ExitCode::SUCCESS);
    }
    let asked = ledger
        .refresh_store(&args.store, args.limit)
        .await
        .map_err(|error| exit::ledger(&error))?;
    until_answered(&ledger, &asked, args.wait).await?;
    let answers = ledger.answered(&asked).await.map_err(|error| exit::ledger(&error))?;
    let (mut rows, mut json) = (Vec::new(), Vec::new());
    for answer in &answers {
        let now = target::standing(&ledger, answer.id).await?;
        let words = if answer.is_answered { "asked" } else { "not asked yet" };
        rows.push(line(&now, words));
        json.push(json!({
            "id": answer.id,
            "external_id": now.external_id,
            "state": now.state,
            "asked": answer.is_answered,
        }));
    }
    output::print(args.output, &HEADINGS, rows, &json)?;
    let answered = answers.iter().filter(|answer| answer.is_answered).count();
    match answers.len() - answered {
        0 => {
            let next = format!("kassa list --store {} --state waiting", args.store);
            output::suggest(args.output, &next);
            Ok(ExitCode::SUCCESS)
        }
        _ if answered == 0 => Err(nobody_asked(args.wait).into()),
        left => Err(Failure::Partly(format!(
            "{left} were not asked about within {} s; they stay due",
            args.wait
        ))
        .into()),
    }
}

/// Waits until every question is answered, or the time is over. Returns how many are.
async fn until_answered(ledger: &Ledger, asked: &[Asked], seconds: u64) -> anyhow::Result<usize> {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        let answers = ledger.answered(asked).await.map_err(|error| exit::ledger(&error))?;
        let answered = answers.iter().filter(|answer| answer.is_answered).count();
        if answered == asked.len() || Instant::now() >= deadline {
            return Ok(answered);
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn no_status(vendor: &VendorName) -> String {
    format!("{vendor} answers at once and has no status to ask for")
}

fn nobody_asked(seconds: u64) -> Failure {
    Failure::TryLater(format!(
        "the vendor was not asked within {seconds} s, and the question stays due. Does a poller run (kassa run poller), \
         and is its account reachable (kassa account list)?"
    ))
}

fn line(seen: &Standing, words: &str) -> Vec<String> {
    vec![
        seen.subject.transaction_id.to_string(),
        seen.external_id.to_string(),
        seen.state.to_string(),
        words.to_owned(),
    ]
}

fn print_one(args: &UpdateOneArgs, seen: &Standing, asked: bool, words: &str) -> anyhow::Result<()> {
    let id = seen.subject.transaction_id;
    let json = json!({
        "id": id,
        "external_id": seen.external_id,
        "vendor_uuid": seen.vendor_uuid,
        "state": seen.state,
        "asked": asked,
        "note": words,
    });
    output::print(args.output, &HEADINGS, vec![line(seen, words)], &json)?;
    output::suggest(args.output, &format!("kassa show {id}"));
    Ok(())
}
