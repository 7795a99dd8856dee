//! `kassa topology`: what the broker has against what the configuration wants.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use queue::{Admin, Condition, Finding, Outcome, Repair, TopologyError};

use crate::cli::Output;
use crate::config;
use crate::exit::Failure;
use crate::output;

/// What `--help` says about the exit codes.
const CODES: &str = "\
Exit codes: 0 the broker has what the configuration wants (plan: it could be looked at) · 1 verify found a difference · \
5 apply left something as it was; run it again, or do what it says · 69 broker not reachable";

/// Something was left as it was.
const PARTLY_DONE: u8 = 5;

/// Compare and repair exchanges and queues at the broker.
#[derive(Debug, Args)]
#[command(after_help = CODES)]
pub(crate) struct TopologyArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show what the broker has against what the configuration wants. Changes nothing.
    #[command(after_help = CODES)]
    Plan(LookArgs),
    /// Declare what is missing, bind everything, and remove what is no longer wanted once it is empty.
    #[command(after_help = CODES)]
    Apply(ApplyArgs),
    /// Check that everything is as wanted and that each queue takes a message; one line for each difference.
    #[command(after_help = CODES)]
    Verify(LookArgs),
}

#[derive(Debug, Args)]
struct LookArgs {
    /// How to print the result.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, Args)]
struct ApplyArgs {
    /// Replace what has other properties than wanted, or is sick. Pointers in it are dropped: the table wakes their
    /// receipts. Requests are moved to the other queue of requests first.
    #[arg(long)]
    recreate: bool,
    /// Remove queues of vendors and intervals that are no longer wanted even while pointers are in them.
    #[arg(long)]
    discard_pointers: bool,
    /// Give up what is in this sick queue of requests (full name). Shops that saw no receipt.accepted publish it again.
    #[arg(long, value_name = "QUEUE", requires = "recreate")]
    abandon: Vec<String>,
    /// Only show what would be done.
    #[arg(long)]
    dry_run: bool,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub(crate) async fn run(file: Option<PathBuf>, args: TopologyArgs) -> anyhow::Result<ExitCode> {
    let config = config::load(file)?.value;
    config.check()?;
    let admin = Admin::new(config.broker.clone(), config.topology())?;
    match args.action {
        Action::Plan(args) => plan(&admin, args.output).await,
        Action::Verify(args) => verify(&admin, args.output).await,
        Action::Apply(args) => apply(&admin, args).await,
    }
}

async fn plan(admin: &Admin, output: Output) -> anyhow::Result<ExitCode> {
    let findings = admin.plan().await.map_err(unreachable)?;
    print_findings(output, &findings)?;
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::print_stdout, reason = "the result of the command")]
async fn verify(admin: &Admin, output: Output) -> anyhow::Result<ExitCode> {
    let findings = admin.verify().await.map_err(unreachable)?;
    let differences = || findings.iter().filter(|finding| finding.condition != Condition::Good);
    match output {
        Output::Json => print_findings(output, &findings)?,
        Output::Auto | Output::Table | Output::Plain => differences().for_each(|finding| println!("{finding}")),
    }
    if differences().next().is_none() {
        tell("The broker has what the configuration wants, and every queue takes messages.");
        return Ok(ExitCode::SUCCESS);
    }
    tell("kassa topology apply --dry-run shows what would be done about it.");
    Ok(ExitCode::FAILURE)
}

async fn apply(admin: &Admin, args: ApplyArgs) -> anyhow::Result<ExitCode> {
    let repair = Repair {
        recreate: args.recreate,
        discard_pointers: args.discard_pointers,
        abandon: args.abandon.into_iter().collect(),
        dry_run: args.dry_run,
    };
    let outcomes = admin.apply(&repair).await.map_err(unreachable)?;
    let rows = outcomes.iter().map(|outcome| cells(outcome, repair.dry_run)).collect();
    output::print(
        args.output,
        &["PART", "NAME", "WAS", "DEED", "DONE", "DETAIL"],
        rows,
        &outcomes,
    )?;
    if repair.dry_run {
        tell("Nothing was changed.");
        return Ok(ExitCode::SUCCESS);
    }
    if outcomes.iter().all(|outcome| outcome.done) {
        tell("The broker has what the configuration wants. kassa topology verify tries every queue.");
        return Ok(ExitCode::SUCCESS);
    }
    tell("Something is left; see the lines that are not done.");
    Ok(ExitCode::from(PARTLY_DONE))
}

fn print_findings(output: Output, findings: &[Finding]) -> anyhow::Result<()> {
    let count = |count: Option<u32>| count.map_or_else(String::new, |count| count.to_string());
    let cells = |finding: &Finding| {
        vec![
            finding.part.name().to_owned(),
            finding.name.clone(),
            finding.condition.name().to_owned(),
            count(finding.messages),
            count(finding.consumers),
            finding.detail.clone(),
        ]
    };
    let headings = ["PART", "NAME", "IS", "MESSAGES", "CONSUMERS", "DETAIL"];
    output::print(output, &headings, findings.iter().map(cells).collect(), &findings)
}

fn cells(outcome: &Outcome, dry_run: bool) -> Vec<String> {
    let done = match (outcome.done, dry_run) {
        (true, _) => "yes",
        (false, true) => "dry run",
        (false, false) => "no",
    };
    vec![
        outcome.part.name().to_owned(),
        outcome.name.clone(),
        outcome.condition.name().to_owned(),
        outcome.deed.name().to_owned(),
        done.to_owned(),
        outcome.detail.clone(),
    ]
}

#[expect(clippy::print_stderr, reason = "a command tells its user on stderr")]
fn tell(words: &str) {
    eprintln!("{words}");
}

fn unreachable(error: TopologyError) -> anyhow::Error {
    match error {
        TopologyError::Config(error) => error.into(),
        TopologyError::Unreachable(_) => {
            Failure::Unavailable(format!("{error}. Is it running, and is broker.url right?")).into()
        }
    }
}
