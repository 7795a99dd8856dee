//! `kassa webhook`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use ledger::{DeliveryFilter, DeliveryRow, DeliveryState, EndpointRow, Ledger};
use receipt::{EventId, StoreCode};
use serde_json::json;
use uuid::Uuid;
use webhooks::{Client, Endpoint, Heard};

use crate::cli::{DeliveryWord, Output, WebhookCommand, WebhookListArgs, WebhookResumeArgs, WebhookTestArgs};
use crate::config;
use crate::exit::{self, Failure};
use crate::output;

/// Deliveries of one transaction that `kassa show` prints: it has a few events, unless it is retried for ever.
const MOST_SHOWN: i64 = 100;

pub(crate) async fn run(file: Option<PathBuf>, command: WebhookCommand) -> anyhow::Result<ExitCode> {
    match command {
        WebhookCommand::List(args) => list(file, args).await,
        WebhookCommand::Resume(args) => resume(file, &args).await,
        WebhookCommand::Test(args) => test(file, &args).await,
    }
}

async fn list(file: Option<PathBuf>, args: WebhookListArgs) -> anyhow::Result<ExitCode> {
    let (_, ledger) = super::open(file)?;
    let Some(state) = args.state else {
        let mut endpoints = ledger.webhook_endpoints().await.map_err(|error| exit::ledger(&error))?;
        endpoints.retain(|endpoint| args.store.as_ref().is_none_or(|store| store.as_str() == endpoint.store));
        let headings = ["STORE", "STATE", "PENDING", "EXHAUSTED"];
        output::print(
            args.output,
            &headings,
            endpoints.iter().map(endpoint).collect(),
            &endpoints,
        )?;
        return Ok(ExitCode::SUCCESS);
    };
    let filter = DeliveryFilter {
        store: args.store,
        state: Some(match state {
            DeliveryWord::Pending => DeliveryState::Pending,
            DeliveryWord::Delivered => DeliveryState::Delivered,
            DeliveryWord::Exhausted => DeliveryState::Exhausted,
        }),
        transaction: None,
        limit: args.limit,
    };
    let rows = ledger.deliveries(&filter).await.map_err(|error| exit::ledger(&error))?;
    print_deliveries(args.output, &rows)?;
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::print_stdout, reason = "the result of the command")]
async fn resume(file: Option<PathBuf>, args: &WebhookResumeArgs) -> anyhow::Result<ExitCode> {
    let (_, ledger) = super::open(file)?;
    let store = &args.store;
    let resumed = ledger
        .resume_webhook(store, args.exhausted)
        .await
        .map_err(|error| exit::ledger(&error))?;
    match resumed {
        Some(count) => println!("The webhook of store {store} goes on; {count} deliveries are tried now."),
        None => return Err(no_webhook(store)),
    }
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::print_stdout, reason = "the result of the command")]
async fn test(file: Option<PathBuf>, args: &WebhookTestArgs) -> anyhow::Result<ExitCode> {
    let config = config::load(file)?.value;
    config.check()?;
    let store = &args.store;
    let settings = config.stores.get(store).and_then(|settings| settings.webhook.as_ref());
    let endpoint = settings.and_then(Endpoint::of).ok_or_else(|| no_webhook(store))?;
    let client = Client::build(&config.webhooks).context("webhooks")?;
    let id = EventId::new();
    let body = json!({
        "store": store,
        "text": { "ru": "Проверка связи.", "en": "A test of the connection." },
    });
    let body = receipt::event::published(id, "webhook.test", jiff::Timestamp::now(), body);
    let host = endpoint.host();
    match client.post(&endpoint, &id.to_string(), body).await {
        Heard::Answer { status, retry_after: _ } if (200..300).contains(&status) => {
            println!("{host} took event {id} and answered {status}.");
            Ok(ExitCode::SUCCESS)
        }
        Heard::Answer { status, retry_after: _ } => {
            anyhow::bail!("{host} answered {status} to event {id}; a 2xx means that it took it")
        }
        Heard::Silence(silence) => anyhow::bail!("{host} did not answer: {silence}"),
    }
}

fn no_webhook(store: &StoreCode) -> anyhow::Error {
    Failure::NotFound(format!(
        "store {store} has no webhook: there is no [stores.{store}.webhook]"
    ))
    .into()
}

/// The deliveries of one transaction.
pub(super) async fn of_transaction(ledger: &Ledger, transaction: Uuid) -> anyhow::Result<Vec<DeliveryRow>> {
    let filter = DeliveryFilter {
        transaction: Some(transaction),
        limit: MOST_SHOWN,
        ..DeliveryFilter::default()
    };
    ledger.deliveries(&filter).await.map_err(|error| exit::ledger(&error))
}

pub(super) fn print_deliveries(output: Output, rows: &[DeliveryRow]) -> anyhow::Result<()> {
    let headings = [
        "EVENT",
        "TYPE",
        "STORE",
        "WEBHOOK",
        "TRIES",
        "SAID LAST",
        "TRIED",
        "NEXT",
    ];
    output::print(output, &headings, rows.iter().map(delivery).collect(), &rows)
}

fn endpoint(row: &EndpointRow) -> Vec<String> {
    let state = match (row.active, row.stopped_at, row.slow_until) {
        (false, _, _) => "not configured".to_owned(),
        (true, Some(since), _) => format!("stopped since {} (410)", shown(since)),
        (true, None, Some(until)) => format!("left alone until {}", shown(until)),
        (true, None, None) => "open".to_owned(),
    };
    vec![
        row.store.clone(),
        state,
        row.pending.to_string(),
        row.exhausted.to_string(),
    ]
}

fn delivery(row: &DeliveryRow) -> Vec<String> {
    let said = row
        .http_status
        .map_or_else(|| row.error.clone().unwrap_or_default(), |status| status.to_string());
    vec![
        row.event_id.to_string(),
        row.event_type.clone(),
        row.store.clone(),
        row.state.clone(),
        row.attempts.to_string(),
        said,
        row.tried_at.map(shown).unwrap_or_default(),
        row.due_at.map(shown).unwrap_or_default(),
    ]
}

fn shown(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}
