//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{commands, exit, run};

/// Registers fiscal receipts (54-FZ) with ATOL Online and CheckOnline exactly once: from request to tax document.
#[derive(Debug, Parser)]
#[command(name = "kassa", version, about, after_help = exit::CODES)]
pub(crate) struct Cli {
    /// The configuration; else `KASSA_CONFIG`, else /etc/kassa/kassa.toml.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run one or several roles until SIGTERM.
    Run(RunArgs),
    /// Bring the database's schema up to date.
    Migrate,
    /// Check the configuration and print what is in force, with the source of every value.
    CheckConfig(CheckArgs),
    /// Send a sale that is held or has stopped, or accept one from a file.
    Sell(commands::send::SendArgs),
    /// Send a refund that is held or has stopped, or accept one from a file.
    Refund(commands::send::SendArgs),
    /// Cancel a registered sale by a receipt and register it anew, or go on with a resell that has stopped.
    Resell(commands::resell::ResellArgs),
    /// Ask the vendor now what became of one receipt.
    UpdateOne(commands::update::UpdateOneArgs),
    /// Ask the vendor now about everything of a store that waits there.
    UpdateAll(commands::update::UpdateAllArgs),
    /// List transactions, newest first.
    List(ListArgs),
    /// Show one transaction with its history.
    Show(ShowArgs),
    /// Count and sum the receipts of a period, name what needs a person, and export the register.
    Report(commands::report::ReportArgs),
    /// Look at messages that were not accepted, replay or drop them.
    Dead(commands::dead::DeadArgs),
    /// End an unknown outcome after looking the receipt up at the vendor.
    Resolve(commands::resolve::ResolveArgs),
    /// Close a transaction that is certainly not registered and shall not be.
    Cancel(commands::cancel::CancelArgs),
    /// List accounts with their gates; pause and resume them.
    #[command(subcommand)]
    Account(AccountCommand),
    /// See and mend deliveries to the shops' webhooks.
    Webhook {
        #[command(subcommand)]
        command: WebhookCommand,
    },
    /// Make, list and revoke keys of the HTTP API.
    #[command(subcommand)]
    Key(commands::key::KeyCommand),
    /// Print the completions of a shell.
    Completions(commands::manual::CompletionsArgs),
    /// Write the man pages of all commands into a folder.
    Man(commands::manual::ManArgs),
    /// Compare and repair exchanges and queues at the broker.
    Topology(commands::topology::TopologyArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Which roles this process has.
    #[arg(required = true)]
    pub(crate) roles: Vec<Role>,
}

/// What a process does. Each may run in any number of processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// Accepts requests, sends receipts, claims due rows.
    Sender,
    /// Polls vendors, publishes events, drains the broker's dead letters.
    Poller,
    /// Answers over HTTP: the API, and the callbacks of vendors.
    Http,
    /// Mails reports by schedule, and alerts.
    Reporter,
    /// Everything, for a small shop.
    All,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Print the commented defaults instead.
    #[arg(long)]
    pub(crate) defaults: bool,
    /// Do not ask the database which accounts are still needed.
    #[arg(long)]
    pub(crate) offline: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only this store.
    #[arg(long)]
    pub(crate) store: Option<receipt::StoreCode>,
    /// Only this state.
    #[arg(long)]
    pub(crate) state: Option<receipt::StateName>,
    /// Only this document number.
    #[arg(long)]
    pub(crate) document: Option<receipt::DocumentNumber>,
    /// Only transactions before this id: the next page.
    #[arg(long, value_name = "ID")]
    pub(crate) before: Option<uuid::Uuid>,
    /// At most so many.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=10_000))]
    pub(crate) limit: i64,
    /// How to print the list.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Our id, the vendor's uuid, the external id or the document's number.
    pub(crate) id: String,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// Where the gate of each account stands, since when and why.
    List(AccountListArgs),
    /// Send nothing by an account until it is resumed; receipts are accepted and wait. Calls under way end as they end.
    Pause(GateArgs),
    /// Open the gate of an account, whoever closed it.
    Resume(GateArgs),
}

#[derive(Debug, Args)]
pub(crate) struct AccountListArgs {
    /// How to print the list.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct GateArgs {
    /// The account, as the configuration names it.
    pub(crate) account: receipt::AccountName,
    /// Why; kept, shown to others, and told to the stores of the account. A pause needs one.
    #[arg(long)]
    pub(crate) reason: Option<String>,
    /// Who, instead of the user of the system.
    #[arg(long = "as", value_name = "NAME")]
    pub(crate) who: Option<String>,
    /// How to print the gate as it is then.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

#[derive(Debug, Subcommand)]
pub(crate) enum WebhookCommand {
    /// List the endpoints with what waits for them, or single deliveries.
    List(WebhookListArgs),
    /// Let a stopped endpoint go on, and try everything that waits for it at once.
    Resume(WebhookResumeArgs),
    /// Send a signed event of type webhook.test and print the answer.
    Test(WebhookTestArgs),
}

#[derive(Debug, Args)]
pub(crate) struct WebhookListArgs {
    /// Only this store.
    #[arg(long)]
    pub(crate) store: Option<receipt::StoreCode>,
    /// Single deliveries in this state, newest first, instead of endpoints.
    #[arg(long, value_enum)]
    pub(crate) state: Option<DeliveryWord>,
    /// At most so many deliveries.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=10_000))]
    pub(crate) limit: i64,
    /// How to print the list.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DeliveryWord {
    /// To be tried, again or for the first time.
    Pending,
    /// Taken by the endpoint.
    Delivered,
    /// Given up.
    Exhausted,
}

#[derive(Debug, Args)]
pub(crate) struct WebhookResumeArgs {
    /// Whose endpoint.
    pub(crate) store: receipt::StoreCode,
    /// Also what was given up.
    #[arg(long)]
    pub(crate) exhausted: bool,
}

#[derive(Debug, Args)]
pub(crate) struct WebhookTestArgs {
    /// Whose endpoint.
    pub(crate) store: receipt::StoreCode,
}

/// For people or for machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Output {
    /// A table on a terminal, otherwise columns separated by tabs.
    #[default]
    Auto,
    /// A table.
    Table,
    /// Columns separated by tabs, one line each, without a heading.
    Plain,
    /// JSON.
    Json,
}

/// Runs the command.
///
/// # Errors
/// Whatever stopped it, for the user.
pub(crate) async fn execute(cli: Cli) -> anyhow::Result<ExitCode> {
    let config = cli.config;
    match cli.command {
        Command::Run(args) => run::run(config, &args.roles).await,
        Command::Migrate => commands::migrate::run(config).await,
        Command::CheckConfig(args) => commands::check_config::run(config, &args).await,
        Command::Sell(args) => commands::send::run(config, receipt::Operation::Sell, &args).await,
        Command::Refund(args) => commands::send::run(config, receipt::Operation::Refund, &args).await,
        Command::Resell(args) => commands::resell::run(config, &args).await,
        Command::UpdateOne(args) => commands::update::one(config, &args).await,
        Command::UpdateAll(args) => commands::update::all(config, &args).await,
        Command::Completions(args) => commands::manual::completions(&args),
        Command::Man(args) => commands::manual::man(&args),
        Command::List(args) => commands::list::run(config, args).await,
        Command::Show(args) => commands::show::run(config, &args).await,
        Command::Report(args) => Box::pin(commands::report::run(config, &args)).await,
        Command::Dead(args) => commands::dead::run(config, args).await,
        Command::Resolve(args) => commands::resolve::run(config, &args).await,
        Command::Cancel(args) => commands::cancel::run(config, &args).await,
        Command::Account(command) => commands::account::run(config, command).await,
        Command::Webhook { command } => commands::webhook::run(config, command).await,
        Command::Key(command) => commands::key::run(config, command).await,
        Command::Topology(args) => commands::topology::run(config, args).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_wait_of_more_than_a_day_is_refused_before_anything_is_done() {
        for command in [
            ["resell", "417"],
            ["sell", "417"],
            ["refund", "417"],
            ["update-one", "417"],
            ["update-all", "main"],
        ] {
            for (seconds, is_taken) in [
                ("0", true),
                ("86400", true),
                ("86401", false),
                ("18446744073709551615", false),
            ] {
                let words = ["kassa"].into_iter().chain(command).chain(["--wait", seconds]);
                assert_eq!(Cli::try_parse_from(words).is_ok(), is_taken, "{command:?} {seconds}");
            }
        }
    }
}
