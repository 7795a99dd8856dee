//! What a mail is to say, as the table keeps it until the mail is sent.

use jiff::Timestamp;
use jiff::civil::Date;
use ledger::{MailKind, NewMail};
use receipt::StoreCode;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::mail::alert::AlertOrder;
use crate::period::{Bounds, Period};
use crate::schedule::ScheduleName;

/// What to say.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum Order {
    /// The statistics of a period.
    Report(ReportOrder),
    /// Something that a person must act on.
    Alert(Box<AlertOrder>),
}

impl Order {
    /// The label of metrics.
    #[must_use]
    pub(crate) const fn period(&self) -> &'static str {
        match self {
            Self::Report(report) => report.word(),
            Self::Alert(_) => "alert",
        }
    }
}

/// Which statistics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportOrder {
    /// Whose.
    pub store: StoreCode,
    /// The schedule that asks; a person otherwise.
    pub schedule: Option<ScheduleName>,
    /// The name of the period, seen at `at`; the days `first` and `last` if it has none.
    pub period: String,
    /// The first day.
    pub first: Date,
    /// The last day.
    pub last: Date,
    /// When it was due, or asked for.
    pub at: Timestamp,
}

impl ReportOrder {
    /// The order for a period.
    #[must_use]
    pub fn new(store: StoreCode, schedule: Option<ScheduleName>, bounds: &Bounds, at: Timestamp) -> Self {
        Self {
            store,
            schedule,
            period: bounds.period.name().to_owned(),
            first: bounds.first,
            last: bounds.last,
            at,
        }
    }

    /// The period, to be reckoned at `at`.
    #[must_use]
    pub fn period(&self) -> Period {
        self.period.parse().unwrap_or(Period::Days {
            first: self.first,
            last: self.last,
        })
    }

    /// `daily`, `weekly`, or `command`.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self.schedule {
            Some(schedule) => schedule.name(),
            None => "command",
        }
    }

    /// What the mails of it are one of.
    #[must_use]
    pub fn series(&self) -> String {
        format!("{} {}", self.store, self.word())
    }

    /// The mails that bring it to these people. What a schedule asks for is there once for a period and recipient; what a
    /// person asks for is a mail each time.
    ///
    /// # Errors
    /// When it cannot be written down.
    pub fn mails(&self, recipients: &[String], domain: &str) -> serde_json::Result<Vec<NewMail>> {
        let what = serde_json::to_value(Order::Report(self.clone()))?;
        let make = |recipient: &String| {
            let id = Uuid::now_v7();
            let (series, period) = (self.series(), format!("{}_{}", self.first, self.last));
            let key = match self.schedule {
                Some(_) => format!("{series} {period}"),
                None => format!("{series} {period} {id}"),
            };
            NewMail {
                id,
                kind: MailKind::Report,
                series,
                key,
                recipient: recipient.clone(),
                message_id: format!(
                    "<report.{}.{}.{period}.{}@{domain}>",
                    self.store,
                    self.word(),
                    id.simple()
                ),
                what: what.clone(),
            }
        };
        Ok(recipients.iter().map(make).collect())
    }
}
