//! One try of one mail: made, handed over, recorded.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use ledger::{Ledger, LedgerError, Mail, MailOutcome, MailVerdict, Recorded, until_taken};
use lettre::message::Mailbox;
use receipt::StoreCode;
use service::metrics;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::config::MailConfig;
use crate::decide::decide;
use crate::desk::Desk;
use crate::mail::{Handed, Letter, Mailer, Order, ReportOrder, prepare};

/// What reading the figures and writing the register may take.
const MAKING: Duration = Duration::from_secs(60);
/// What recording may take on a slow database.
const RECORDING: Duration = Duration::from_secs(20);
/// When a mail is made again that could not be made because the database was away.
const AFTER_OUTAGE: Duration = Duration::from_secs(10);

/// Makes mails and hands them over.
pub struct Postman {
    config: MailConfig,
    desks: BTreeMap<StoreCode, Desk>,
    ledger: Ledger,
    mailer: Mailer,
}

/// What became of a mail that a person asked for.
#[derive(Debug, Clone)]
pub struct Mailed {
    /// To whom.
    pub recipient: String,
    /// What became of it.
    pub verdict: MailVerdict,
    /// What the server said.
    pub error: Option<String>,
}

/// A mail as it was made.
struct Made {
    letter: Letter,
    figures: Option<serde_json::Value>,
}

impl Postman {
    /// A postman for these desks.
    #[must_use]
    pub fn new(config: MailConfig, desks: BTreeMap<StoreCode, Desk>, ledger: Ledger, mailer: Mailer) -> Self {
        Self {
            config,
            desks,
            ledger,
            mailer,
        }
    }

    /// The desks.
    pub(crate) const fn desks(&self) -> &BTreeMap<StoreCode, Desk> {
        &self.desks
    }

    /// The ledger.
    pub(crate) const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The settings.
    pub(crate) const fn config(&self) -> &MailConfig {
        &self.config
    }

    /// What message ids end with.
    pub(crate) fn domain(&self) -> &str {
        self.mailer.from.email.domain()
    }

    /// How long a claim holds: everything that one try may take.
    pub(crate) fn hold(&self) -> Duration {
        MAKING + self.config.timeout.saturating_mul(2) + RECORDING
    }

    /// Mails a report at once to these people. What no server takes now is left to the reporters, who try on.
    ///
    /// # Errors
    /// When the database is away or refuses.
    pub async fn mail_now(&self, order: &ReportOrder, recipients: &[String]) -> anyhow::Result<Vec<Mailed>> {
        let claim = Uuid::new_v4();
        let mails = order.mails(recipients, self.domain())?;
        self.ledger.make_mails(&mails, claim, self.hold()).await?;
        let most = u32::try_from(mails.len()).unwrap_or(u32::MAX);
        let claimed = self.ledger.claim_mails(claim, most, self.hold()).await?;
        let never = CancellationToken::new();
        let mut mailed = Vec::new();
        for mail in claimed {
            let recipient = mail.recipient.clone();
            let outcome = self.deliver(mail, &never).await;
            mailed.push(Mailed {
                recipient,
                verdict: outcome.verdict,
                error: outcome.error,
            });
        }
        Ok(mailed)
    }

    /// Tries one mail and records what came of it. When `abort` is cancelled nothing is recorded any more, and the try
    /// counts.
    pub(crate) async fn deliver(&self, mail: Mail, abort: &CancellationToken) -> MailOutcome {
        let order: Result<Order, _> = serde_json::from_value(mail.what.clone());
        let period = order.as_ref().map_or("unreadable", Order::period);
        let outcome = match &order {
            Ok(order) => match abort.run_until_cancelled(Box::pin(self.attempt(&mail, order))).await {
                Some(outcome) => outcome,
                None => return outcome(&mail, MailVerdict::Untried { delay: Duration::ZERO }, None, None),
            },
            Err(error) => outcome(&mail, MailVerdict::Refused, Some(error.to_string()), None),
        };
        let record = || self.ledger.record_mail(&outcome);
        match until_taken(abort, "a mail", record).await {
            Ok(Recorded::Applied) => tell(&mail, period, &outcome),
            Ok(Recorded::Fenced | Recorded::Already) => {
                tracing::debug!("another reporter has followed this mail");
            }
            Err(error) => {
                let error = service::error::chain(&error);
                tracing::warn!(error, "what became of a mail is not recorded; it counts as a try");
            }
        }
        outcome
    }

    async fn attempt(&self, mail: &Mail, order: &Order) -> MailOutcome {
        let made = match tokio::time::timeout(MAKING, self.make(mail, order)).await {
            Ok(Ok(Some(made))) => made,
            Ok(Ok(None)) => return outcome(mail, MailVerdict::Skipped, None, None),
            Ok(Err(error)) => return self.not_made(mail, &error),
            Err(_) => {
                let verdict = MailVerdict::Untried { delay: AFTER_OUTAGE };
                return outcome(
                    mail,
                    verdict,
                    Some("the figures were not read in time".to_owned()),
                    None,
                );
            }
        };
        let sent = async {
            let recipient: Mailbox = mail.recipient.parse().context("the recipient's address")?;
            let bytes = made.letter.bytes(&self.mailer, &recipient, &mail.message_id)?;
            anyhow::Ok(self.mailer.hand_over(&recipient.email, &bytes).await)
        };
        let handed = match sent.await {
            Ok(handed) => handed,
            Err(error) => return self.not_made(mail, &error),
        };
        let error = match &handed {
            Handed::Taken => None,
            Handed::NotTaken(why) | Handed::InDoubt(why) => Some(why.clone()),
        };
        outcome(mail, decide(&handed, mail, &self.config), error, made.figures)
    }

    /// A mail that could not be made was certainly not taken.
    fn not_made(&self, mail: &Mail, error: &anyhow::Error) -> MailOutcome {
        let is_outage = error
            .chain()
            .any(|cause| cause.downcast_ref::<LedgerError>().is_some_and(LedgerError::is_outage));
        let why = format!("{error:#}");
        if is_outage {
            return outcome(mail, MailVerdict::Untried { delay: AFTER_OUTAGE }, Some(why), None);
        }
        let verdict = decide(&Handed::NotTaken(why.clone()), mail, &self.config);
        outcome(mail, verdict, Some(why), None)
    }

    async fn make(&self, mail: &Mail, order: &Order) -> anyhow::Result<Option<Made>> {
        match order {
            Order::Report(order) => {
                let desk = self.desk(&order.store)?;
                let ready = prepare(&self.ledger, desk, order, mail).await?;
                Ok(ready.map(|ready| Made {
                    letter: ready.letter,
                    figures: Some(ready.figures),
                }))
            }
            Order::Alert(order) => Ok(Some(Made {
                letter: order.letter(self.desk(&order.store)?)?,
                figures: None,
            })),
        }
    }

    fn desk(&self, store: &StoreCode) -> anyhow::Result<&Desk> {
        let desk = self.desks.get(store);
        desk.with_context(|| format!("the store {store} is not configured any more"))
    }
}

fn outcome(
    mail: &Mail,
    verdict: MailVerdict,
    error: Option<String>,
    figures: Option<serde_json::Value>,
) -> MailOutcome {
    MailOutcome {
        id: mail.id,
        claim: mail.claim,
        verdict,
        error,
        figures,
    }
}

fn tell(mail: &Mail, period: &'static str, outcome: &MailOutcome) {
    let (id, series) = (mail.id, &mail.series);
    // Servers repeat the address that they refuse, and logs hold nobody's address: the table has it under the id.
    let why = outcome.error.as_deref().unwrap_or_default();
    let why = why.replace(&mail.recipient, "the recipient");
    match outcome.verdict {
        MailVerdict::Sent => {
            metrics::report(period, "sent");
            tracing::info!(series, "the mail {series} is sent ({id})");
        }
        MailVerdict::Skipped => tracing::info!(series, "the mail {series} has nothing to tell ({id})"),
        MailVerdict::Untried { .. } => {
            tracing::warn!(series, why, "the mail {series} cannot be made now: {why}");
        }
        MailVerdict::NotTaken { .. } => {
            metrics::report(period, "failed");
            tracing::warn!(
                series,
                why,
                "the mail {series} ({id}) was not taken: {why}; it is tried again"
            );
        }
        MailVerdict::InDoubt { .. } => {
            metrics::report(period, "failed");
            tracing::warn!(
                series,
                why,
                "the mail {series} ({id}) may have been taken: {why}; it is sent again with the same id"
            );
        }
        MailVerdict::Refused => {
            metrics::report(period, "failed");
            tracing::error!(
                series,
                why,
                "the mail {series} ({id}) is given up: {why}; when it is mended: kassa report --mail"
            );
        }
        MailVerdict::Unconfirmed => {
            metrics::report(period, "failed");
            tracing::error!(
                series,
                why,
                "the mail {series} ({id}) was sent {} times without an answer: {why}; ask whether it came",
                mail.sends
            );
        }
    }
}
