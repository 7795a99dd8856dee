//! One gate per account: what machines and people decided about sending, shared by all workers.
//!
//! Every claim looks at the gate in the claiming statement, so what is closed is closed for everybody.

mod change;
mod settings;

use std::time::Duration;

use jiff::Timestamp;
use receipt::{AccountName, Text};
use serde::Serialize;

use crate::error::LedgerError;
use crate::limit::limited;
use crate::pool::Ledger;

pub use change::{Closing, GateAction};
pub use settings::GateSettings;

pub(crate) use change::told;

/// What machines found about an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GateState {
    /// Nothing is wrong.
    Open,
    /// Nothing is sent until a probe works.
    Closed,
    /// One real send at a time tries it.
    Probing,
}

impl GateState {
    /// The word in the table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Probing => "probing",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Open, Self::Closed, Self::Probing]
            .into_iter()
            .find(|state| state.name() == name)
    }
}

/// Why a machine closed a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CloseReason {
    /// Failures in a row: the vendor is away or sick.
    Breaker,
    /// The account itself is refused. Polls stop too: a wrong password repeated again and again may lock the account.
    Halt,
}

impl CloseReason {
    /// The word in the table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Breaker => "breaker",
            Self::Halt => "halt",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Breaker, Self::Halt]
            .into_iter()
            .find(|reason| reason.name() == name)
    }
}

/// The pause of a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pause {
    /// Who.
    pub by: String,
    /// Since when.
    pub since: Timestamp,
    /// In that person's words.
    pub reason: String,
}

/// The gate of one account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gate {
    /// Which account.
    pub account: AccountName,
    /// Whether receipts of it may be claimed: no machine has closed it and no person has paused it.
    pub is_open: bool,
    /// What machines found.
    pub state: GateState,
    /// Why a machine closed it.
    pub reason: Option<CloseReason>,
    /// The worker that closed it.
    pub closed_by: Option<String>,
    /// When it was closed.
    pub closed_at: Option<Timestamp>,
    /// Type and code of the answer for which it is closed.
    pub code: Option<String>,
    /// What happened.
    pub cause: Option<Text>,
    /// What to do about it.
    pub cure: Option<Text>,
    /// Probes that failed since it was closed.
    pub probes: u32,
    /// When it is probed next, at the earliest.
    pub next_probe_at: Option<Timestamp>,
    /// When it was opened last.
    pub opened_at: Option<Timestamp>,
    /// How long ago that was, by the database's clock.
    #[serde(skip)]
    pub open_for: Option<Duration>,
    /// The pause of a person.
    pub pause: Option<Pause>,
    /// Counts the changes; a person's action names the version that the person saw.
    pub version: i64,
}

impl Gate {
    /// The gate of an account that was never stopped.
    #[must_use]
    pub const fn never_closed(account: AccountName) -> Self {
        Self {
            account,
            is_open: true,
            state: GateState::Open,
            reason: None,
            closed_by: None,
            closed_at: None,
            code: None,
            cause: None,
            cure: None,
            probes: 0,
            next_probe_at: None,
            opened_at: None,
            open_for: None,
            pause: None,
            version: 0,
        }
    }

    /// Whether the account itself is refused.
    #[must_use]
    pub fn is_halted(&self) -> bool {
        self.reason == Some(CloseReason::Halt)
    }
}

impl Ledger {
    /// The gates of all accounts that were ever closed. An account that is not here is open.
    ///
    /// # Errors
    /// An outage.
    pub async fn gates(&self) -> Result<Vec<Gate>, LedgerError> {
        let rows = limited!(
            self.pool,
            fetch_all,
            sqlx::query!(
                r#"
            SELECT
                account, is_open, state, reason, closed_by,
                closed_at AS "closed_at: jiff_sqlx::Timestamp",
                error_type, code, cause_ru, cause_en, cure_ru, cure_en, probes,
                next_probe_at AS "next_probe_at: jiff_sqlx::Timestamp",
                opened_at AS "opened_at: jiff_sqlx::Timestamp",
                (extract(epoch FROM now() - opened_at) * 1000)::bigint AS open_ms,
                paused_by, paused_at AS "paused_at: jiff_sqlx::Timestamp", pause_reason, version
            FROM gates
            ORDER BY account
            "#,
            )
        );
        let gates = rows
            .into_iter()
            .map(|row| -> Result<Gate, LedgerError> {
                let corrupt = |what: &str| LedgerError::Corrupt {
                    id: row.account.clone(),
                    what: what.to_owned(),
                };
                let text = |ru: Option<String>, en: Option<String>| Some(Text::new(ru?, en?));
                let reason = row
                    .reason
                    .as_deref()
                    .map(|reason| CloseReason::parse(reason).ok_or(reason));
                Ok(Gate {
                    account: row.account.parse().map_err(|_| corrupt("a gate's account"))?,
                    is_open: row.is_open,
                    state: GateState::parse(&row.state).ok_or_else(|| corrupt("a gate's state"))?,
                    reason: reason.transpose().map_err(|_| corrupt("a gate's reason"))?,
                    closed_by: row.closed_by,
                    closed_at: row.closed_at.map(jiff_sqlx::Timestamp::to_jiff),
                    code: row
                        .code
                        .map(|code| format!("{} {code}", row.error_type.as_deref().unwrap_or_default())),
                    cause: text(row.cause_ru, row.cause_en),
                    cure: text(row.cure_ru, row.cure_en),
                    probes: u32::try_from(row.probes).unwrap_or(0),
                    next_probe_at: row.next_probe_at.map(jiff_sqlx::Timestamp::to_jiff),
                    opened_at: row.opened_at.map(jiff_sqlx::Timestamp::to_jiff),
                    open_for: row
                        .open_ms
                        .map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or(0))),
                    pause: match (row.paused_by, row.paused_at, row.pause_reason) {
                        (Some(by), Some(since), Some(reason)) => Some(Pause {
                            by,
                            since: since.to_jiff(),
                            reason,
                        }),
                        (None, _, _) | (_, None, _) | (_, _, None) => None,
                    },
                    version: row.version,
                })
            })
            // One row that does not hold together must not hide the others; the claims obey it all the same.
            .filter_map(|gate| {
                gate.inspect_err(|error| tracing::error!(error = %error, "the gate of an account cannot be read"))
                    .ok()
            });
        Ok(gates.collect())
    }
}
