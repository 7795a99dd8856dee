//! `kassa dead replay`.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;
use jiff::civil::Date;
use ledger::{DeadLetter, Ledger, Replayed, StillRefused, WouldReplay};
use receipt::TransactionId;
use receipt::intake::{Directory, moscow};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::filter::FilterArgs;
use super::matching;
use crate::cli::Output;
use crate::commands::actor::ActorArgs;
use crate::commands::submit;
use crate::exit::{self, Failure};
use crate::output;

#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// Our ids of letters, or messages' ids.
    ids: Vec<String>,
    #[command(flatten)]
    filter: FilterArgs,
    /// Every letter that was not replayed yet.
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    /// Offer this corrected body instead of the letter's own; `-` for standard input. For one letter only.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    actor: ActorArgs,
    /// Why, for the history.
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Only say what would become of each.
    #[arg(long)]
    dry_run: bool,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// What became of one letter.
#[derive(Debug, Serialize)]
struct Fate {
    id: Uuid,
    /// `accepted`, `known`, `refused`, `dropped`; with --dry-run what would become of it.
    result: &'static str,
    transaction_id: Option<TransactionId>,
    external_id: Option<String>,
    replaces: Option<TransactionId>,
    reason_code: Option<String>,
    reason: Option<Value>,
}

pub(super) async fn run(file: Option<PathBuf>, args: &ReplayArgs) -> anyhow::Result<ExitCode> {
    let filter = args.filter.of_action(&args.ids, args.all)?;
    let corrected = args.file.as_deref().map(submit::read).transpose()?;
    let (config, ledger) = crate::commands::open(file)?;
    config.check()?;
    let ids = matching(&ledger, &filter).await?.ids;
    if corrected.is_some() && ids.len() != 1 {
        return Err(Failure::Usage(format!(
            "--file corrects one letter, and {} match; name one by its id",
            ids.len()
        ))
        .into());
    }
    let counter = Counter::of(ids.len());
    let replay = Replay {
        ledger: &ledger,
        directory: &config.directory(),
        corrected: corrected.as_deref(),
        today: Timestamp::now().to_zoned(moscow()).date(),
        args,
    };
    let mut fates = Vec::with_capacity(ids.len());
    for (done, id) in ids.into_iter().enumerate() {
        counter.show(done);
        fates.push(replay.one(id).await?);
    }
    counter.end();
    tell(args, &fates)
}

struct Replay<'a> {
    ledger: &'a Ledger,
    directory: &'a Directory,
    corrected: Option<&'a [u8]>,
    today: Date,
    args: &'a ReplayArgs,
}

impl Replay<'_> {
    async fn one(&self, id: Uuid) -> anyhow::Result<Fate> {
        let letter = self.ledger.letter(id).await.map_err(|error| exit::ledger(&error))?;
        let Some(letter) = letter else {
            return Ok(Fate::of(id, "dropped"));
        };
        if self.corrected.is_some()
            && let Some(transaction) = letter.transaction_id
        {
            return Err(Failure::Refused(format!(
                "the letter was replayed before, as transaction {transaction}; a further correction is a request of its \
                 own: kassa sell --file …"
            ))
            .into());
        }
        if self.args.dry_run {
            self.preview(&letter).await
        } else {
            self.replay(&letter).await
        }
    }

    async fn preview(&self, letter: &DeadLetter) -> anyhow::Result<Fate> {
        let would = self
            .ledger
            .would_replay(self.directory, letter, self.corrected, self.today)
            .await
            .map_err(|error| exit::ledger(&error))?;
        Ok(match would {
            WouldReplay::Accept => Fate::of(letter.id, "accepted"),
            WouldReplay::Revise { replaces } => Fate {
                replaces: Some(replaces),
                ..Fate::of(letter.id, "accepted")
            },
            WouldReplay::Known(id) => Fate {
                transaction_id: Some(id),
                ..Fate::of(letter.id, "known")
            },
            WouldReplay::Refused(why) => Fate::refused(letter.id, *why),
        })
    }

    async fn replay(&self, letter: &DeadLetter) -> anyhow::Result<Fate> {
        let actor = self.args.actor.actor(self.args.note.as_deref());
        let replayed = self
            .ledger
            .replay(self.directory, letter, self.corrected, self.today, &actor)
            .await
            .map_err(|error| exit::ledger(&error))?;
        Ok(match replayed {
            Replayed::Accepted { id, external_id, .. } => Fate {
                transaction_id: Some(id),
                external_id: Some(external_id.to_string()),
                ..Fate::of(letter.id, "accepted")
            },
            Replayed::Known(id) => Fate {
                transaction_id: Some(id),
                ..Fate::of(letter.id, "known")
            },
            Replayed::Refused(why) => Fate::refused(letter.id, *why),
        })
    }
}

impl Fate {
    fn of(id: Uuid, result: &'static str) -> Self {
        Self {
            id,
            result,
            transaction_id: None,
            external_id: None,
            replaces: None,
            reason_code: None,
            reason: None,
        }
    }

    fn refused(id: Uuid, why: StillRefused) -> Self {
        Self {
            reason_code: Some(why.code),
            reason: Some(why.problem),
            ..Self::of(id, "refused")
        }
    }

    fn is_accepted(&self) -> bool {
        matches!(self.result, "accepted" | "known")
    }

    fn cells(&self) -> Vec<String> {
        let why = self.reason.as_ref().and_then(|reason| reason.get("detail"));
        vec![
            self.id.to_string(),
            self.result.to_owned(),
            self.transaction_id.map_or_else(String::new, |id| id.to_string()),
            match (&self.external_id, &self.replaces) {
                (Some(external_id), _) => external_id.clone(),
                (None, Some(former)) => format!("instead of {former}"),
                (None, None) => String::new(),
            },
            match (&self.reason_code, why.and_then(Value::as_str)) {
                (Some(code), Some(why)) => format!("{code}: {why}"),
                (Some(code), None) => code.clone(),
                (None, _) => String::new(),
            },
        ]
    }
}

fn tell(args: &ReplayArgs, fates: &[Fate]) -> anyhow::Result<ExitCode> {
    let headings = ["ID", "RESULT", "TRANSACTION", "EXTERNAL ID", "WHY NOT"];
    output::print(args.output, &headings, fates.iter().map(Fate::cells).collect(), &fates)?;
    let accepted = fates.iter().filter(|fate| fate.is_accepted()).count();
    let (all, left) = (fates.len(), fates.len() - accepted);
    let would = if args.dry_run { "would be" } else { "are" };
    let look = "kassa dead show ID names every fault, and a corrected body goes in with replay ID --file FILE";
    match (accepted, left) {
        (_, 0) => Ok(ExitCode::SUCCESS),
        (0, _) => Err(Failure::Refused(format!("none of {all} {would} accepted; {look}")).into()),
        (_, _) => Err(Failure::Partly(format!("{accepted} of {all} {would} accepted; {look}")).into()),
    }
}

/// How many there are, said first, and how far it has come; for a terminal only.
struct Counter {
    all: usize,
    shows: bool,
}

impl Counter {
    fn of(all: usize) -> Self {
        let counter = Self {
            all,
            shows: std::io::stderr().is_terminal() && all > 1,
        };
        counter.show(0);
        counter
    }

    fn show(&self, done: usize) {
        if self.shows {
            let mut stderr = std::io::stderr().lock();
            // Whether somebody sees the counter changes nothing.
            let _ = write!(stderr, "\r{done} of {} dead letters", self.all);
        }
    }

    fn end(&self) {
        if self.shows {
            let _ = writeln!(std::io::stderr().lock(), "\r{0} of {0} dead letters", self.all);
        }
    }
}
