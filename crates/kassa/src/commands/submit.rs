//! `kassa sell --file` and `kassa refund --file`.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use producer::{AcceptError, Accepted, Newness, Producer};
use queue::{Broker, Pointers};
use receipt::{Operation, StateName};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::cli::Output;
use crate::exit::{self, Failure};
use crate::output;

/// How long the command waits for the broker; without it the table wakes the sender a few seconds later.
const BROKER_PATIENCE: Duration = Duration::from_secs(2);

/// Accepts the request in `path` and prints its transaction.
pub(crate) async fn run(
    file: Option<PathBuf>,
    operation: Operation,
    path: &Path,
    output: Output,
) -> anyhow::Result<ExitCode> {
    let body = read(path)?;
    expect_operation(&body, operation)?;
    let (config, ledger) = super::open(file)?;
    config.check()?;

    let stop = CancellationToken::new();
    let broker = Broker::start(config.broker.clone(), config.topology(), stop.clone())?;
    let pointers_stop = CancellationToken::new();
    let pointers = Pointers::start(broker.publisher(), pointers_stop.clone());
    let broker_answers = tokio::time::timeout(BROKER_PATIENCE, broker.connected())
        .await
        .unwrap_or(false);

    let producer = Producer::new(ledger.clone(), config.directory(), pointers.clone());
    let accepted = producer.accept(&body).await;
    pointers_stop.cancel();
    if broker_answers {
        pointers.drained().await;
    }
    stop.cancel();
    // The last other handle: with it the ledger would wait for more to write.
    drop(producer);
    ledger.close().await;
    match accepted {
        Ok(accepted) => tell(output, operation, &accepted),
        Err(AcceptError::NotAccepted(why)) => {
            let faults: Vec<String> = why.faults().iter().map(|fault| format!("\n  {fault}")).collect();
            Err(Failure::Usage(format!("{}{}", why.detail().en, faults.concat())).into())
        }
        Err(refused @ (AcceptError::Conflict { .. } | AcceptError::KeyTaken)) => {
            Err(Failure::Refused(refused.to_string()).into())
        }
        Err(AcceptError::Ledger(error)) => Err(exit::ledger(&error)),
    }
}

fn tell(output: Output, operation: Operation, accepted: &Accepted) -> anyhow::Result<ExitCode> {
    let id = accepted.id.to_string();
    let word = match (accepted.newness, accepted.replaces) {
        (Newness::New, Some(former)) => format!("accepted instead of {former}"),
        (Newness::New, None) => "accepted".to_owned(),
        (Newness::Known, _) => "was accepted before".to_owned(),
    };
    let json = json!({
        "id": id,
        "external_id": accepted.external_id,
        "state": accepted.state,
        "new": accepted.newness == Newness::New,
        "replaces": accepted.replaces,
    });
    let row = vec![
        id.clone(),
        accepted.external_id.to_string(),
        accepted.state.to_string(),
        word,
    ];
    output::print(output, &["ID", "EXTERNAL ID", "STATE", ""], vec![row], &json)?;
    let next = match accepted.state {
        StateName::Held => format!("it is sent by hand: kassa {operation} {id}"),
        StateName::Queued
        | StateName::Sending
        | StateName::Waiting
        | StateName::Retrying
        | StateName::Done
        | StateName::Unknown
        | StateName::Failed
        | StateName::Cancelled => format!("kassa show {id}"),
    };
    output::suggest(output, &next);
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    if path.as_os_str() == "-" {
        let mut body = Vec::new();
        std::io::stdin()
            .lock()
            .read_to_end(&mut body)
            .context("standard input cannot be read")?;
        return Ok(body);
    }
    std::fs::read(path).map_err(|error| Failure::Usage(format!("{} cannot be read: {error}", path.display())).into())
}

/// A file with a refund is not accepted by `kassa sell`, nor the other way round. What is no request at all is judged
/// by the producer.
fn expect_operation(body: &[u8], operation: Operation) -> anyhow::Result<()> {
    let given = serde_json::from_slice::<serde_json::Value>(body).ok();
    match given
        .as_ref()
        .and_then(|request| request.get("operation"))
        .and_then(serde_json::Value::as_str)
    {
        Some(given) if given != operation.name() => Err(Failure::Usage(format!(
            "the file's operation is {given:?}; use kassa {given}, or correct the file"
        ))
        .into()),
        Some(_) | None => Ok(()),
    }
}
