//! Mails to people, each to one recipient. SMTP promises nothing about a mail whose answer was lost, so its row is there
//! before its first try; the tries are in [`crate::mail_tries`].

use std::time::Duration;

use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use crate::claim::millis;
use crate::error::LedgerError;
use crate::limit::limited;
use crate::pool::Ledger;
use crate::storable::{storable, storable_json};

/// What a mail is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailKind {
    /// The statistics of a period.
    Report,
    /// Something that a person must act on.
    Alert,
}

impl MailKind {
    /// The word in the table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Report => "report",
            Self::Alert => "alert",
        }
    }
}

/// A mail to be written down.
#[derive(Debug, Clone)]
pub struct NewMail {
    /// Its id.
    pub id: Uuid,
    /// What it is.
    pub kind: MailKind,
    /// What it is one of; the next one of the series tells what has changed since.
    pub series: String,
    /// What it is about; with the recipient it is there once.
    pub key: String,
    /// To whom.
    pub recipient: String,
    /// Its `Message-ID`, the same for every try.
    pub message_id: String,
    /// What to write, for the reporter that sends it.
    pub what: Value,
}

/// The columns of several new mails.
pub(crate) struct Columns {
    pub(crate) ids: Vec<Uuid>,
    pub(crate) kinds: Vec<String>,
    pub(crate) series: Vec<String>,
    pub(crate) keys: Vec<String>,
    pub(crate) recipients: Vec<String>,
    pub(crate) message_ids: Vec<String>,
    pub(crate) whats: Vec<Json<Value>>,
}

impl Columns {
    pub(crate) fn of(mails: &[NewMail]) -> Self {
        Self {
            ids: mails.iter().map(|mail| mail.id).collect(),
            kinds: mails.iter().map(|mail| mail.kind.name().to_owned()).collect(),
            series: mails.iter().map(|mail| storable(&mail.series)).collect(),
            keys: mails.iter().map(|mail| storable(&mail.key)).collect(),
            recipients: mails.iter().map(|mail| storable(&mail.recipient)).collect(),
            message_ids: mails.iter().map(|mail| storable(&mail.message_id)).collect(),
            whats: mails
                .iter()
                .map(|mail| Json(storable_json(mail.what.clone())))
                .collect(),
        }
    }
}

impl Ledger {
    /// Writes down mails that a person asked for, already claimed, so that the asking process tries them and no other
    /// until `hold` is over. [`Ledger::claim_mails`] with the same `claim` gives them out.
    ///
    /// # Errors
    /// An outage. May be repeated.
    pub async fn make_mails(&self, mails: &[NewMail], claim: Uuid, hold: Duration) -> Result<(), LedgerError> {
        let columns = Columns::of(mails);
        limited!(
            self.pool,
            execute,
            sqlx::query!(
                r#"
            INSERT INTO mails (id, kind, series, key, recipient, message_id, what, claim, sends, due_at)
            SELECT m.*, $8, 1, now() + $9::bigint * interval '1 millisecond'
            FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::jsonb[]) AS m
            ON CONFLICT ON CONSTRAINT mails_key DO NOTHING
            "#,
                &columns.ids,
                &columns.kinds,
                &columns.series,
                &columns.keys,
                &columns.recipients,
                &columns.message_ids,
                &columns.whats as _,
                claim,
                millis(hold),
            )
        );
        Ok(())
    }

    /// The numbers that the recipient was told last in a series, by period, before the mail `before`.
    ///
    /// # Errors
    /// An outage.
    pub async fn told_figures(
        &self,
        series: &str,
        recipient: &str,
        before: Uuid,
    ) -> Result<Option<Value>, LedgerError> {
        let figures = limited!(
            self.pool,
            fetch_optional,
            sqlx::query_scalar!(
                r#"
            SELECT figures AS "figures!"
            FROM mails
            WHERE series = $1
                AND recipient = $2
                AND id < $3
                AND ended IN ('sent', 'unconfirmed')
                AND figures IS NOT NULL
            ORDER BY id DESC
            LIMIT 1
            "#,
                series,
                recipient,
                before,
            )
        );
        Ok(figures)
    }
}
