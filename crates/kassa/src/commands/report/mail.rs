//! `kassa report … --mail` and `kassa report preview`: a report as its mail, sent or looked at.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use ledger::{Ledger, MailVerdict};
use receipt::StoreCode;
use reporter::{Desk, Mailer, Postman, Question, ReportOrder};

use super::{Days, unwritable};
use crate::config::Config;
use crate::exit::{self, Failure};

#[derive(Debug, Subcommand)]
pub(super) enum ReportCommand {
    /// Write the HTML of a report's mail to a file; nothing is sent.
    Preview(PreviewArgs),
}

#[derive(Debug, Args)]
pub(super) struct PreviewArgs {
    /// Which days, in the time zone of the store.
    #[arg(value_enum, default_value_t = Days::Yesterday)]
    period: Days,
    /// Whose report; may be left out if there is one store only.
    #[arg(long)]
    store: Option<StoreCode>,
    /// Where the HTML goes.
    #[arg(long, value_name = "FILE", default_value = "report.html")]
    file: PathBuf,
}

/// Runs a command that stands below `report`.
pub(super) async fn command(file: Option<PathBuf>, command: &ReportCommand) -> anyhow::Result<ExitCode> {
    match command {
        ReportCommand::Preview(args) => preview(file, args).await,
    }
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the result of the command")]
async fn preview(file: Option<PathBuf>, args: &PreviewArgs) -> anyhow::Result<ExitCode> {
    let (config, ledger) = crate::commands::open(file)?;
    let store = match &args.store {
        Some(store) => store.clone(),
        None => only_store(&config)?,
    };
    let period = super::whole(args.period);
    let questions = super::questions(&config, &ledger, Some(&store), period).await?;
    let desks = Desk::all_of(&config.reports, &config.stores)?;
    for question in &questions {
        let desk = desk_of(&desks, &question.store)?;
        let order = ReportOrder::new(question.store.clone(), None, &question.bounds, Timestamp::now());
        let preview = reporter::preview(&ledger, desk, &order).await?;
        std::fs::write(&args.file, &preview.html).with_context(|| unwritable(&args.file))?;
        println!("{}", preview.subject);
        eprintln!(
            "The mail of {} ({} bytes of HTML) is in {}; open it in a browser.",
            question.store,
            preview.html.len(),
            args.file.display()
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn only_store(config: &Config) -> anyhow::Result<StoreCode> {
    let mut stores = config.stores.keys();
    match (stores.next(), stores.next()) {
        (Some(store), None) => Ok(store.clone()),
        _ => Err(Failure::Usage("there are several stores; name one by --store".to_owned()).into()),
    }
}

type Desks = std::collections::BTreeMap<StoreCode, Desk>;

fn desk_of<'a>(desks: &'a Desks, store: &StoreCode) -> anyhow::Result<&'a Desk> {
    let missing = || Failure::NotFound(format!("the store {store} is not configured"));
    desks.get(store).ok_or_else(|| missing().into())
}

/// Mails each report to `recipients`, or else to those of its store.
#[expect(clippy::print_stdout, reason = "the result of the command")]
pub(super) async fn mail(
    config: &Config,
    ledger: &Ledger,
    questions: &[Question],
    recipients: &[String],
) -> anyhow::Result<ExitCode> {
    let desks = Desk::all_of(&config.reports, &config.stores)?;
    let Some(mailer) = Mailer::build(&config.mail)? else {
        return Err(
            Failure::Usage("mail.server and mail.from are not configured; nothing can be mailed".to_owned()).into(),
        );
    };
    let mut orders = Vec::new();
    for question in questions {
        let own = desks.get(&question.store).map(|desk| desk.settings.recipients.clone());
        let to = if recipients.is_empty() {
            own.unwrap_or_default()
        } else {
            recipients.to_vec()
        };
        if to.is_empty() {
            continue;
        }
        desk_of(&desks, &question.store)?;
        orders.push((
            ReportOrder::new(question.store.clone(), None, &question.bounds, Timestamp::now()),
            to,
        ));
    }
    if orders.is_empty() {
        return Err(Failure::Usage(
            "nobody is to be written to: name --recipient, or recipients in [reports.<store>]".to_owned(),
        )
        .into());
    }
    let postman = Postman::new(config.mail.clone(), desks, ledger.clone(), mailer);
    let mut waiting = Vec::new();
    for (order, to) in orders {
        let mailed = Box::pin(postman.mail_now(&order, &to)).await;
        let mailed = mailed.map_err(|error| match error.downcast_ref::<ledger::LedgerError>() {
            Some(outage) => exit::ledger(outage),
            None => error,
        })?;
        for mail in mailed {
            let why = mail.error.unwrap_or_default();
            match mail.verdict {
                MailVerdict::Sent => println!("{}: sent to {}", order.store, mail.recipient),
                MailVerdict::Skipped
                | MailVerdict::NotTaken { .. }
                | MailVerdict::InDoubt { .. }
                | MailVerdict::Untried { .. }
                | MailVerdict::Refused
                | MailVerdict::Unconfirmed => waiting.push(format!("{} to {}: {why}", order.store, mail.recipient)),
            }
        }
    }
    if waiting.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    Err(Failure::TryLater(format!(
        "not sent yet; a process with the role reporter tries on:\n  {}",
        waiting.join("\n  ")
    ))
    .into())
}
