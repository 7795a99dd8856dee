//! Exit codes and the one place that prints an error.

use std::process::ExitCode;

/// A failure that has an exit code of its own.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Nothing has this id.
    #[error("{0}")]
    NotFound(String),
    /// The state, or another document, forbids it.
    #[error("{0}")]
    Refused(String),
    /// Some were done and some were not.
    #[error("{0}")]
    Partly(String),
    /// The input is wrong.
    #[error("{0}")]
    Usage(String),
    /// Database or broker cannot be reached.
    #[error("{0}")]
    Unavailable(String),
    /// What was waited for has not come.
    #[error("{0}")]
    TryLater(String),
}

impl Failure {
    /// 2 usage, 3 not found, 4 refused, 5 partly done, 69 unavailable, 75 try later (as
    /// `sysexits.h` has them).
    const fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::NotFound(_) => 3,
            Self::Refused(_) => 4,
            Self::Partly(_) => 5,
            Self::Unavailable(_) => 69,
            Self::TryLater(_) => 75,
        }
    }
}

/// The text that `--help` shows.
pub(crate) const CODES: &str = "\
Exit codes: 0 done · 1 failure · 2 wrong usage or input · 3 not found · 4 refused by the state of the receipt · \
5 partly done · 69 database or broker not reachable · 75 what was waited for has not come, try later";

#[expect(clippy::print_stderr, reason = "a command tells its user on stderr")]
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    eprintln!("kassa: {error:#}");
    ExitCode::from(error.downcast_ref::<Failure>().map_or(1, Failure::code))
}

/// An error of the ledger in the words of a command.
pub(crate) fn ledger(error: &ledger::LedgerError) -> anyhow::Error {
    let chain = service::error::chain(error);
    if error.is_outage() {
        return Failure::Unavailable(format!(
            "{chain}. Is it running, migrated (kassa migrate), and is database.url right?"
        ))
        .into();
    }
    anyhow::anyhow!(chain)
}
