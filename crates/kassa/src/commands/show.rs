//! `kassa show`.

use std::path::PathBuf;
use std::process::ExitCode;

use ledger::{ActionRow, AttemptRow, DeliveryRow, RegistrationRow, TransactionDetails, TransactionRow};
use serde::Serialize;

use super::{list, webhook};
use crate::cli::{Output, ShowArgs};
use crate::exit::{self, Failure};
use crate::output;

pub(crate) async fn run(file: Option<PathBuf>, args: &ShowArgs) -> anyhow::Result<ExitCode> {
    let (_, ledger) = super::open(file)?;
    let mut found = ledger.find(&args.id).await.map_err(|error| exit::ledger(&error))?;
    let only = match found.len() {
        0 => {
            let what = format!("nothing has the id, uuid, external id or document number {:?}", args.id);
            return Err(Failure::NotFound(what).into());
        }
        1 => found.remove(0),
        // A document may have a sale and a refund, in several stores: the person chooses by id.
        _ => {
            output::print(
                args.output,
                &list::HEADINGS,
                found.iter().map(list::cells).collect(),
                &found,
            )?;
            return Ok(ExitCode::SUCCESS);
        }
    };
    let details = ledger.details(only).await.map_err(|error| exit::ledger(&error))?;
    let webhooks = webhook::of_transaction(&ledger, details.transaction.id).await?;
    if args.output != Output::Json {
        print_head(&details)?;
    }
    let headings = [
        "NO",
        "KIND",
        "STARTED",
        "MS",
        "RESULT",
        "HTTP",
        "CODE",
        "CAUSE AND CURE",
    ];
    output::print(
        args.output,
        &headings,
        details.attempts.iter().map(attempt).collect(),
        &Shown {
            details: &details,
            webhooks: &webhooks,
        },
    )?;
    if args.output != Output::Json && !details.actions.is_empty() {
        let actions: Vec<Vec<String>> = details.actions.iter().map(action).collect();
        let headings = ["WHEN", "WHO", "WHAT", "FROM", "TO", "WHY"];
        output::print(args.output, &headings, actions, &details.actions)?;
    }
    if args.output != Output::Json && !webhooks.is_empty() {
        webhook::print_deliveries(args.output, &webhooks)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn action(row: &ActionRow) -> Vec<String> {
    let word = |word: &Option<String>| word.clone().unwrap_or_default();
    vec![
        row.time.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
        row.actor.clone(),
        row.action.clone(),
        word(&row.state_before),
        word(&row.state_after),
        word(&row.reason),
    ]
}

/// What `--output json` prints.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    details: &'a TransactionDetails,
    webhooks: &'a [DeliveryRow],
}

fn print_head(details: &TransactionDetails) -> anyhow::Result<()> {
    use std::io::Write;

    let row = &details.transaction;
    let mut facts = vec![
        ("id", row.id.to_string()),
        (
            "document",
            format!("{} {} of store {}", row.operation, row.document_number, row.store),
        ),
        (
            "instead of",
            row.replaces.map_or_else(String::new, |former| former.to_string()),
        ),
        ("follows", details.parent.as_ref().map_or_else(String::new, relative)),
        ("order", row.order_number.clone().unwrap_or_default()),
        ("total", output::roubles(row.total_kopecks)),
        (
            "state",
            row.failure
                .as_ref()
                .map_or_else(|| row.state.clone(), |why| format!("{}: {why}", row.state)),
        ),
        ("due", row.due_at.map(|due| due.to_string()).unwrap_or_default()),
        ("external id", row.external_id.clone()),
        ("vendor uuid", row.vendor_uuid.clone().unwrap_or_default()),
        ("accepted", row.accepted_at.to_string()),
    ];
    if let Some(fiscal) = &row.fiscal {
        facts.push((
            "fiscal",
            format!("FN {} FD {} FPD {}", fiscal.fn_number, fiscal.fd, fiscal.fpd),
        ));
        facts.push(("registered", fiscal.registered_at.to_string()));
        facts.push(("receipt", fiscal.ofd_url.clone().unwrap_or_default()));
    }
    facts.extend(details.children.iter().map(|child| ("followed by", relative(child))));
    // One external id is told by the lines above; several ids, or a doubt, are what support has to compare.
    if details.registrations.len() > 1 || details.registrations.iter().any(|one| one.doubt_since.is_some()) {
        facts.extend(details.registrations.iter().map(|one| ("id", registration(one))));
    }
    let mut stdout = std::io::stdout().lock();
    for (name, fact) in facts.iter().filter(|(_, fact)| !fact.is_empty()) {
        writeln!(stdout, "{name:<12} {}", output::safe(fact))?;
    }
    writeln!(stdout)?;
    Ok(())
}

/// The other half of a resell, or the sale.
fn relative(row: &TransactionRow) -> String {
    format!("{} {} {}, {}", row.operation, row.external_id, row.id, row.state)
}

/// One external id and what became of it, with its document: a receipt that is registered twice shows two.
fn registration(row: &RegistrationRow) -> String {
    let mut words = vec![row.external_id.clone(), row.state.clone()];
    words.extend(row.vendor_uuid.as_ref().map(|uuid| format!("uuid {uuid}")));
    words.extend(
        row.fiscal
            .as_ref()
            .map(|fiscal| format!("FN {} FD {} FPD {}", fiscal.fn_number, fiscal.fd, fiscal.fpd)),
    );
    words.extend(row.doubt_since.map(|since| format!("in doubt since {since}")));
    words.extend(row.doubt_until.map(|until| format!("may be repeated until {until}")));
    words.extend(row.next_poll_at.map(|next| format!("asked about at {next}")));
    words.join(", ")
}

fn attempt(row: &AttemptRow) -> Vec<String> {
    let code = match (&row.error_type, &row.code) {
        (Some(kind), Some(code)) => format!("{kind} {code}"),
        (None, _) | (_, None) => String::new(),
    };
    let why = match (&row.cause_en, &row.cure_en) {
        (Some(cause), Some(cure)) => format!("{cause} {cure}"),
        (None, _) | (_, None) => String::new(),
    };
    vec![
        row.number.to_string(),
        row.kind.clone(),
        row.started_at.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
        row.duration_ms.map(|ms| ms.to_string()).unwrap_or_default(),
        row.class.clone().unwrap_or_else(|| "not finished".to_owned()),
        row.http_status.map(|status| status.to_string()).unwrap_or_default(),
        code,
        why,
    ]
}
