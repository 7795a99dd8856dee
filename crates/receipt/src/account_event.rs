//! What the outside is told about an account whose gate was closed or opened: one event for each of its stores.
//!
//! The ledger adds the store and the time since when the gate was closed; the relay adds id, type and time.

use serde::{Deserialize, Serialize};

use crate::class::{Refusal, Text};
use crate::id::AccountName;

/// Who closed or opened a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// A worker: failures in a row, a refused account, a probe that worked.
    Machine,
    /// A person.
    Person,
}

/// Where the gate stands after the change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccountState {
    /// Nothing is sent; receipts are accepted and wait.
    Paused,
    /// Receipts are sent.
    Open,
}

/// The body of `account.paused` and `account.resumed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountBody {
    /// Which account.
    pub account: AccountName,
    /// Where its gate stands now.
    pub state: AccountState,
    /// Who changed it.
    pub by: By,
    /// The person's name.
    pub who: Option<String>,
    /// `breaker`, `halt`, `probe`, or the person's words.
    pub reason: String,
    /// A sentence for the shop's people.
    pub text: Text,
    /// The answer for which a machine closed it, with cause and cure.
    pub error: Option<Refusal>,
}

impl AccountBody {
    /// A machine closed it, for `error`.
    #[must_use]
    pub fn closed(account: AccountName, reason: &str, error: Refusal) -> Self {
        let text = Text::new(
            format!(
                "Отправка чеков через учётную запись {account} остановлена, чеки принимаются и ждут. {} {}",
                error.cause.ru, error.cure.ru
            ),
            format!(
                "No receipts are sent by the account {account}; they are accepted and wait. {} {}",
                error.cause.en, error.cure.en
            ),
        );
        Self {
            account,
            state: AccountState::Paused,
            by: By::Machine,
            who: None,
            reason: reason.to_owned(),
            text,
            error: Some(error),
        }
    }

    /// A probe worked.
    #[must_use]
    pub fn opened(account: AccountName) -> Self {
        Self {
            text: flowing(&account),
            account,
            state: AccountState::Open,
            by: By::Machine,
            who: None,
            reason: String::from("probe"),
            error: None,
        }
    }

    /// A person paused it.
    #[must_use]
    pub fn paused(account: AccountName, who: &str, reason: &str) -> Self {
        let text = Text::new(
            format!(
                "{who}: отправка чеков через учётную запись {account} приостановлена ({reason}). Чеки принимаются и ждут."
            ),
            format!("{who} paused the account {account} ({reason}). Receipts are accepted and wait."),
        );
        Self {
            account,
            state: AccountState::Paused,
            by: By::Person,
            who: Some(who.to_owned()),
            reason: reason.to_owned(),
            text,
            error: None,
        }
    }

    /// A person opened it.
    #[must_use]
    pub fn resumed(account: AccountName, who: &str, reason: &str) -> Self {
        Self {
            text: flowing(&account),
            account,
            state: AccountState::Open,
            by: By::Person,
            who: Some(who.to_owned()),
            reason: reason.to_owned(),
            error: None,
        }
    }
}

fn flowing(account: &AccountName) -> Text {
    Text::new(
        format!("Отправка чеков через учётную запись {account} возобновлена."),
        format!("Receipts are sent by the account {account} again."),
    )
}
