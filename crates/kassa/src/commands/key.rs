//! `kassa key`: who may use the HTTP API.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use ledger::{ApiKeyRow, NewApiKey};
use producer::{NewKey, Right};
use receipt::StoreCode;
use serde_json::json;

use super::actor::ActorArgs;
use crate::cli::Output;
use crate::exit::{self, Failure};
use crate::output;

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a key and print it, this once: only a digest of it is kept.
    Add(AddArgs),
    /// List the keys, also the revoked ones, newest first.
    List(ListArgs),
    /// Revoke a key. Processes that answer over HTTP take it for some seconds more.
    Revoke(RevokeArgs),
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("scope").required(true).args(["stores", "all_stores"]))]
pub(crate) struct AddArgs {
    /// Who or what will use it; stands in the history of everything that is done with it.
    #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
    name: String,
    /// A store that it is for; may be repeated.
    #[arg(long = "store", value_name = "STORE")]
    stores: Vec<StoreCode>,
    /// For every store, also those that come later.
    #[arg(long)]
    all_stores: bool,
    /// What it allows: submit, read, contacts (the buyers' data), act (cancel, refresh, resend, resell), resolve. May be
    /// repeated; left out, submit and read.
    #[arg(long = "right", value_name = "RIGHT")]
    rights: Vec<Right>,
    #[command(flatten)]
    actor: ActorArgs,
    /// How to print the key.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// How to print the list.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    /// The key's id, as the list shows it: the part between the underscores.
    id: String,
    #[command(flatten)]
    actor: ActorArgs,
}

pub(crate) async fn run(file: Option<PathBuf>, command: KeyCommand) -> anyhow::Result<ExitCode> {
    match command {
        KeyCommand::Add(args) => add(file, args).await,
        KeyCommand::List(args) => list(file, &args).await,
        KeyCommand::Revoke(args) => revoke(file, &args).await,
    }
}

async fn add(file: Option<PathBuf>, args: AddArgs) -> anyhow::Result<ExitCode> {
    let (config, ledger) = super::open(file)?;
    let known = config.directory();
    if let Some(store) = args.stores.iter().find(|store| !known.stores.contains_key(store)) {
        let why = format!("there is no store {store}; add the section [stores.{store}] first, or mend its code");
        return Err(Failure::Usage(why).into());
    }
    let mut rights = args.rights;
    if rights.is_empty() {
        rights = vec![Right::Submit, Right::Read];
    }
    rights.sort_unstable();
    rights.dedup();
    let key = NewKey::make();
    let row = NewApiKey {
        id: key.id.clone(),
        name: args.name,
        secret_hash: key.secret_hash,
        stores: (!args.all_stores).then(|| args.stores.iter().map(ToString::to_string).collect()),
        rights: rights.iter().map(ToString::to_string).collect(),
        created_by: args.actor.actor(None).name,
    };
    ledger.add_api_key(&row).await.map_err(|error| exit::ledger(&error))?;
    let json = json!({
        "id": row.id,
        "name": row.name,
        "stores": row.stores,
        "rights": row.rights,
        "key": key.text,
    });
    let cells = vec![
        row.id,
        row.name,
        stores(row.stores.as_deref()),
        row.rights.join(" "),
        key.text,
    ];
    output::print(
        args.output,
        &["ID", "NAME", "STORES", "RIGHTS", "KEY, SHOWN ONLY NOW"],
        vec![cells],
        &json,
    )?;
    Ok(ExitCode::SUCCESS)
}

async fn list(file: Option<PathBuf>, args: &ListArgs) -> anyhow::Result<ExitCode> {
    let (_, ledger) = super::open(file)?;
    let keys = ledger.api_keys().await.map_err(|error| exit::ledger(&error))?;
    let headings = ["ID", "NAME", "STORES", "RIGHTS", "MADE", "BY", "LAST USED", "REVOKED"];
    output::print(args.output, &headings, keys.iter().map(cells).collect(), &keys)?;
    Ok(ExitCode::SUCCESS)
}

fn cells(row: &ApiKeyRow) -> Vec<String> {
    let time = |time: jiff::Timestamp| time.strftime("%Y-%m-%d %H:%MZ").to_string();
    let revoked = match (row.revoked_at, &row.revoked_by) {
        (Some(at), Some(by)) => format!("{} by {by}", time(at)),
        (_, None) | (None, _) => String::new(),
    };
    vec![
        row.id.clone(),
        row.name.clone(),
        stores(row.stores.as_deref()),
        row.rights.join(" "),
        time(row.created_at),
        row.created_by.clone(),
        row.last_used_at.map(time).unwrap_or_default(),
        revoked,
    ]
}

fn stores(stores: Option<&[String]>) -> String {
    stores.map_or_else(|| "every store".to_owned(), |stores| stores.join(" "))
}

async fn revoke(file: Option<PathBuf>, args: &RevokeArgs) -> anyhow::Result<ExitCode> {
    let (_, ledger) = super::open(file)?;
    let by = args.actor.actor(None).name;
    let revoked = ledger
        .revoke_api_key(&args.id, &by)
        .await
        .map_err(|error| exit::ledger(&error))?;
    if !revoked {
        let what = format!("there is no key {:?} that is not revoked; see kassa key list", args.id);
        return Err(Failure::NotFound(what).into());
    }
    Ok(ExitCode::SUCCESS)
}
