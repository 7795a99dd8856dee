//! `kassa account list|pause|resume`.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::ExitCode;

use ledger::{Gate, GateAction, GateState, Ledger};
use receipt::AccountName;

use crate::cli::{AccountCommand, AccountListArgs, GateArgs};
use crate::config::Config;
use crate::exit::{self, Failure};
use crate::output;

const HEADINGS: [&str; 7] = [
    "ACCOUNT",
    "GATE",
    "BY",
    "SINCE",
    "REASON",
    "NEXT PROBE",
    "CAUSE AND CURE",
];

pub(crate) async fn run(file: Option<PathBuf>, command: AccountCommand) -> anyhow::Result<ExitCode> {
    let (config, ledger) = super::open(file)?;
    match command {
        AccountCommand::List(args) => list(&config, &ledger, &args).await?,
        AccountCommand::Pause(args) => change(&config, &ledger, &args, Change::Pause).await?,
        AccountCommand::Resume(args) => change(&config, &ledger, &args, Change::Resume).await?,
    }
    Ok(ExitCode::SUCCESS)
}

#[derive(Debug, Clone, Copy)]
enum Change {
    Pause,
    Resume,
}

async fn list(config: &Config, ledger: &Ledger, args: &AccountListArgs) -> anyhow::Result<()> {
    let gates: Vec<Gate> = gates(config, ledger).await?.into_values().collect();
    output::print(args.output, &HEADINGS, gates.iter().map(cells).collect(), &gates)
}

async fn change(config: &Config, ledger: &Ledger, args: &GateArgs, change: Change) -> anyhow::Result<()> {
    let account = &args.account;
    let mut gates = gates(config, ledger).await?;
    let Some(gate) = gates.remove(account) else {
        let known: Vec<&str> = gates.keys().map(AccountName::as_str).collect();
        let known = if known.is_empty() {
            String::from("none")
        } else {
            known.join(", ")
        };
        return Err(Failure::NotFound(format!("there is no account {account}; there are: {known}")).into());
    };
    if matches!(change, Change::Pause) && args.reason.as_deref().is_none_or(|reason| reason.trim().is_empty()) {
        return Err(Failure::Usage(String::from("a pause needs --reason: others will ask why")).into());
    }
    let who = args.who.clone().unwrap_or_else(os_user);
    let words = args.reason.as_deref().unwrap_or_default();
    let stores = config.directory().stores_of(account);
    // What already is as it was asked for is left as it is, so that a script may ask twice.
    let done = match change {
        Change::Pause if gate.pause.is_some() => GateAction::Done,
        Change::Resume if gate.is_open => GateAction::Done,
        Change::Pause => ledger
            .pause_gate(account, &who, words, gate.version, &stores)
            .await
            .map_err(|error| exit::ledger(&error))?,
        Change::Resume => ledger
            .resume_gate(account, &who, words, gate.version, &stores)
            .await
            .map_err(|error| exit::ledger(&error))?,
    };
    let now = self::gates(config, ledger)
        .await?
        .remove(account)
        .unwrap_or_else(|| Gate::never_closed(account.clone()));
    match done {
        GateAction::Done => output::print(args.output, &HEADINGS, vec![cells(&now)], &now),
        GateAction::Changed => Err(Failure::Refused(format!(
            "somebody has changed the gate of {account} at this moment: it is {}; look again and repeat",
            word(&now)
        ))
        .into()),
    }
}

/// The gates of all accounts that are configured or were ever closed.
async fn gates(config: &Config, ledger: &Ledger) -> anyhow::Result<BTreeMap<AccountName, Gate>> {
    let configured = config
        .accounts
        .keys()
        .map(|name| (name.clone(), Gate::never_closed(name.clone())));
    let stored = ledger.gates().await.map_err(|error| exit::ledger(&error))?;
    Ok(configured
        .chain(stored.into_iter().map(|gate| (gate.account.clone(), gate)))
        .collect())
}

/// Where the gate stands, in one word.
fn word(gate: &Gate) -> &'static str {
    if gate.pause.is_some() {
        return "paused";
    }
    gate.state.name()
}

fn cells(gate: &Gate) -> Vec<String> {
    let time = |time: Option<jiff::Timestamp>| {
        time.map_or_else(String::new, |time| time.strftime("%Y-%m-%d %H:%M:%SZ").to_string())
    };
    let (by, since, reason) = match (&gate.pause, gate.state) {
        (Some(pause), _) => (pause.by.clone(), Some(pause.since), pause.reason.clone()),
        (None, GateState::Open) => (String::new(), gate.opened_at, String::new()),
        (None, GateState::Closed | GateState::Probing) => (
            gate.closed_by.clone().unwrap_or_default(),
            gate.closed_at,
            match (gate.reason, &gate.code) {
                (Some(reason), Some(code)) => format!("{}: {code}", reason.name()),
                (Some(reason), None) => reason.name().to_owned(),
                (None, _) => String::new(),
            },
        ),
    };
    let why = match (&gate.cause, &gate.cure) {
        (Some(cause), Some(cure)) => format!("{} {}", cause.en, cure.en),
        (None, _) | (_, None) => String::new(),
    };
    vec![
        gate.account.to_string(),
        word(gate).to_owned(),
        by,
        time(since),
        reason,
        time(gate.next_probe_at),
        why,
    ]
}

/// Who runs this process, by the system and not by a variable that anybody can set.
fn os_user() -> String {
    let Ok(uid) = std::fs::metadata("/proc/self").map(|own| own.uid()) else {
        return String::from("unknown");
    };
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    });
    named.unwrap_or_else(|| format!("uid {uid}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_of_the_system_is_named() {
        let name = os_user();
        assert!(!name.is_empty() && name != "unknown", "{name}");
    }
}
