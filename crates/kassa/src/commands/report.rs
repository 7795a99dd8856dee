//! `kassa report`: the figures of a period, and its register as a file.
//!
//! One report per store: its days begin and end in its own time zone. A workbook and a CSV file hold all of them.

mod mail;

use std::fs::File;
use std::io::{BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use jiff::civil::Date;
use ledger::Ledger;
use receipt::StoreCode;
use reporter::{Dialect, ExportError, Language, PROBLEMS_SHOWN, Period, Question, Statistics};

use crate::config::Config;
use crate::exit::Failure;
use crate::{exit, output};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct ReportArgs {
    #[command(subcommand)]
    command: Option<mail::ReportCommand>,
    /// Which days, in the time zone of the store; a week or a month is the last whole one.
    #[arg(value_enum, conflicts_with = "from")]
    period: Option<Days>,
    /// With `week`: the one that is not over yet.
    #[arg(long, conflicts_with_all = ["this_month", "from"])]
    this_week: bool,
    /// With `month`: the one that is not over yet.
    #[arg(long, conflicts_with = "from")]
    this_month: bool,
    /// The first day, as 2026-11-22.
    #[arg(long, value_name = "DAY", requires = "to")]
    from: Option<Date>,
    /// The last day, included.
    #[arg(long, value_name = "DAY", requires = "from")]
    to: Option<Date>,
    /// Only this store.
    #[arg(long)]
    store: Option<StoreCode>,
    /// In which form; without it the ending of --file decides.
    #[arg(long, value_enum)]
    output: Option<Form>,
    /// Write it there instead of to standard output.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The language of a table, a workbook and a file for Excel.
    #[arg(long, value_enum, default_value_t)]
    language: Tongue,
    /// For whom a CSV file is.
    #[arg(long, value_enum, default_value_t)]
    csv: Csv,
    /// Mail it now, to the recipients of each store, in the store's own language and layout.
    #[arg(long, conflicts_with_all = ["output", "file"])]
    mail: bool,
    /// With `--mail`: to this address instead; may be repeated.
    #[arg(long, value_name = "ADDRESS", requires = "mail")]
    recipient: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Days {
    /// The day that is not over yet.
    Today,
    /// The day before.
    Yesterday,
    /// Monday to Sunday.
    Week,
    /// From the first to the last.
    Month,
}

/// In which form a report leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people: figures, causes and the first problems.
    Table,
    /// Figures in columns separated by tabs, one line each, without a heading.
    Plain,
    /// Everything that the table has, for programs.
    Json,
    /// Every receipt.
    Csv,
    /// A workbook: totals, every receipt, problems.
    Xlsx,
}

/// The language of people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Tongue {
    /// Russian.
    #[default]
    Ru,
    /// English.
    En,
}

/// For whom a CSV file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Csv {
    /// Excel with Russian settings.
    #[default]
    Excel,
    /// Programs: RFC 4180.
    Rfc4180,
}

pub(crate) async fn run(file: Option<PathBuf>, args: &ReportArgs) -> anyhow::Result<ExitCode> {
    if let Some(command) = &args.command {
        return mail::command(file, command).await;
    }
    let period = args.period()?;
    if args.mail {
        let (config, ledger) = super::open(file)?;
        let questions = questions(&config, &ledger, args.store.as_ref(), period).await?;
        return Box::pin(mail::mail(&config, &ledger, &questions, &args.recipient)).await;
    }
    let form = args.form()?;
    let (config, ledger) = super::open(file)?;
    let questions = questions(&config, &ledger, args.store.as_ref(), period).await?;
    let language = args.language.language();
    match form {
        Form::Table | Form::Plain | Form::Json => {
            let statistics = reporter::statistics(&ledger, &questions, PROBLEMS_SHOWN)
                .await
                .map_err(|error| exit::ledger(&error))?;
            let text = match form {
                Form::Json => output::json(&statistics)?,
                Form::Plain => output::plain(&statistics.iter().flat_map(rows).collect::<Vec<_>>()),
                Form::Table | Form::Csv | Form::Xlsx => {
                    let texts: Vec<_> = statistics.iter().map(|one| reporter::text(one, language)).collect();
                    output::safe(&texts.join("\n"))
                }
            };
            deliver(args.file.as_deref(), text.as_bytes())?;
        }
        Form::Csv => {
            let csv = Register {
                ledger: &ledger,
                questions: &questions,
                dialect: match args.csv {
                    Csv::Excel => Dialect::Excel,
                    Csv::Rfc4180 => Dialect::Rfc4180,
                },
                language,
            };
            match args.file.as_deref() {
                Some(path) => csv.write_file(path).await?,
                None => csv.print().await?,
            }
        }
        Form::Xlsx => {
            let workbook = reporter::workbook(&ledger, &questions, language)
                .await
                .map_err(export)?;
            deliver(args.file.as_deref(), &workbook.bytes)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl ReportArgs {
    fn period(&self) -> anyhow::Result<Period> {
        let only = |flag: &str, word: &str| Failure::Usage(format!("{flag} goes with the word {word}"));
        if self.this_week && self.period != Some(Days::Week) {
            return Err(only("--this-week", "week").into());
        }
        if self.this_month && self.period != Some(Days::Month) {
            return Err(only("--this-month", "month").into());
        }
        match (self.period, self.from.zip(self.to)) {
            (Some(Days::Week), _) if self.this_week => Ok(Period::ThisWeek),
            (Some(Days::Month), _) if self.this_month => Ok(Period::ThisMonth),
            (Some(days), _) => Ok(whole(days)),
            (None, Some((first, last))) => Ok(Period::Days { first, last }),
            (None, None) => Err(Failure::Usage("name a period, or its days by --from and --to".to_owned()).into()),
        }
    }

    /// What was asked for, else what the file's name promises, else what suits the reader.
    fn form(&self) -> anyhow::Result<Form> {
        let is_terminal = self.file.is_none() && std::io::stdout().is_terminal();
        let ending = self
            .file
            .as_deref()
            .and_then(Path::extension)
            .and_then(|ending| ending.to_str());
        let form = match (self.output, ending) {
            (Some(form), _) => form,
            (None, Some("csv")) => Form::Csv,
            (None, Some("xlsx")) => Form::Xlsx,
            (None, Some("json")) => Form::Json,
            (None, _) if is_terminal || self.file.is_some() => Form::Table,
            (None, _) => Form::Plain,
        };
        if form == Form::Xlsx && is_terminal {
            return Err(Failure::Usage(
                "a workbook cannot be shown on a terminal; name a file: --output xlsx --file report.xlsx".to_owned(),
            )
            .into());
        }
        Ok(form)
    }
}

/// The period of a word alone.
const fn whole(days: Days) -> Period {
    match days {
        Days::Today => Period::Today,
        Days::Yesterday => Period::Yesterday,
        Days::Week => Period::LastWeek,
        Days::Month => Period::LastMonth,
    }
}

impl Tongue {
    const fn language(self) -> Language {
        match self {
            Self::Ru => Language::Ru,
            Self::En => Language::En,
        }
    }
}

/// One question for each store that is configured or has receipts.
async fn questions(
    config: &Config,
    ledger: &Ledger,
    only: Option<&StoreCode>,
    period: Period,
) -> anyhow::Result<Vec<Question>> {
    let mut stores = ledger.stores().await.map_err(|error| exit::ledger(&error))?;
    stores.extend(config.stores.keys().cloned());
    stores.sort();
    stores.dedup();
    if let Some(only) = only {
        stores.retain(|store| store == only);
        if stores.is_empty() {
            return Err(Failure::NotFound(format!("there is no store {only}, and no receipt of one")).into());
        }
    }
    let now = Timestamp::now();
    let mut questions = Vec::with_capacity(stores.len());
    for store in stores {
        let zone = config
            .stores
            .get(&store)
            .map_or(receipt::settings::TIME_ZONE, |settings| settings.time_zone.as_str());
        let zone = reporter::time_zone(zone).with_context(|| format!("stores.{store}.time_zone"))?;
        let bounds = period
            .bounds(now, &zone)
            .map_err(|error| Failure::Usage(error.to_string()))?;
        questions.push(Question { store, bounds });
    }
    Ok(questions)
}

/// Store, first and last day, operation, state, count, sum.
fn rows(statistics: &Statistics) -> Vec<Vec<String>> {
    let figures = statistics.figures.iter().map(|tally| {
        vec![
            statistics.store.to_string(),
            statistics.period.first.to_string(),
            statistics.period.last.to_string(),
            tally.operation.to_string(),
            reporter::words::Standing::from(tally).name().to_owned(),
            tally.count.to_string(),
            tally.total.to_string(),
        ]
    });
    figures.collect()
}

/// A register to be written as CSV, one receipt after the other.
struct Register<'a> {
    ledger: &'a Ledger,
    questions: &'a [Question],
    dialect: Dialect,
    language: Language,
}

impl Register<'_> {
    async fn write(&self, out: impl Write + Send) -> Result<(), ExportError> {
        reporter::csv(self.ledger, self.questions, self.dialect, self.language, out).await?;
        Ok(())
    }

    /// The file has its name when it is whole.
    async fn write_file(&self, path: &Path) -> anyhow::Result<()> {
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let out = BufWriter::new(File::create(&part).with_context(|| unwritable(&part))?);
        let written = match self.write(out).await {
            Ok(()) => std::fs::rename(&part, path).with_context(|| unwritable(path)),
            Err(error) => Err(export(error)),
        };
        if written.is_err() {
            // What is left of it helps nobody.
            let _ = std::fs::remove_file(&part);
        }
        written
    }

    async fn print(&self) -> anyhow::Result<()> {
        match self.write(std::io::stdout()).await {
            // A pager that was closed has seen enough.
            Err(ExportError::Write(error)) if is_broken_pipe(error.as_ref()) => Ok(()),
            written => written.map_err(export),
        }
    }
}

fn is_broken_pipe(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source())
        .filter_map(|error| error.downcast_ref::<std::io::Error>())
        .any(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

fn deliver(file: Option<&Path>, bytes: &[u8]) -> anyhow::Result<()> {
    match file {
        Some(path) => std::fs::write(path, bytes).with_context(|| unwritable(path)),
        None => output::print_bytes(bytes),
    }
}

fn unwritable(path: &Path) -> String {
    format!("{} cannot be written", path.display())
}

fn export(error: ExportError) -> anyhow::Error {
    match error {
        ExportError::Ledger(error) => exit::ledger(&error),
        ExportError::Write(_) => anyhow::Error::new(error),
    }
}
