//! The loops: what schedules ask for and what people must be alerted of becomes mails, and mails are sent.

mod alerting;
mod scheduling;

use std::collections::BTreeMap;
use std::sync::Arc;

use ledger::{Ledger, LedgerError, MailOutcome, MailVerdict, Outage, until_taken};
use receipt::StoreCode;
use service::health::Check;
use service::metrics;
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;
use uuid::Uuid;

use crate::config::ReportSettings;
use crate::postman::Postman;

/// Mails that one process has under way at once.
const SLOTS: usize = 4;
/// What an aborted try gets to say so.
const ABORTING: std::time::Duration = std::time::Duration::from_millis(500);

/// Writes down which stores want alerts, as soon as the database is there. Every process does so before it makes events.
///
/// # Errors
/// What the database refused.
pub async fn bind(
    reports: &BTreeMap<StoreCode, ReportSettings>,
    ledger: &Ledger,
    stop: &CancellationToken,
) -> Result<(), LedgerError> {
    let wanting = reports.iter().filter(|(_, settings)| !settings.alerts.is_empty());
    let stores: Vec<StoreCode> = wanting.map(|(code, _)| code.clone()).collect();
    match until_taken(stop, "who wants alerts", || ledger.bind_alerts(&stores)).await {
        Err(error) if error.is_outage() => Ok(()),
        bound => bound,
    }
}

struct Context {
    postman: Postman,
    check: Check,
    slots: Arc<Semaphore>,
    mails: TaskTracker,
    /// A slot is free again, or there is a new mail.
    wake: Notify,
    /// No new work.
    stop: CancellationToken,
    /// No more waiting for a lost database either: the drain is over.
    abort: CancellationToken,
}

/// Reports and alerts by mail. Cheap to clone.
#[derive(Clone)]
pub struct Reporter {
    context: Arc<Context>,
}

impl Reporter {
    /// A reporter that stops taking work when `stop` is cancelled. `check` shows whether mails are taken.
    #[must_use]
    pub fn new(postman: Postman, check: Check, stop: CancellationToken) -> Self {
        let context = Context {
            postman,
            check,
            slots: Arc::new(Semaphore::new(SLOTS)),
            mails: TaskTracker::new(),
            wake: Notify::new(),
            stop,
            abort: CancellationToken::new(),
        };
        Self {
            context: Arc::new(context),
        }
    }

    /// The loop that sends mails.
    ///
    /// # Errors
    /// When the database refuses the question; an outage is waited for.
    pub async fn send(&self) -> anyhow::Result<()> {
        let context = &self.context;
        context.check.ok();
        let mut ticks = self.ticks();
        let mut outage = Outage::of("mails");
        loop {
            tokio::select! {
                biased;
                () = context.stop.cancelled() => return Ok(()),
                () = context.wake.notified() => {}
                _ = ticks.tick() => {}
            }
            while outage.over(self.send_once().await)?.unwrap_or(0) > 0 && !context.stop.is_cancelled() {}
        }
    }

    /// One step: claims mails that are due and have a free slot, and starts trying them. Returns how many.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn send_once(&self) -> Result<usize, LedgerError> {
        let context = &self.context;
        let ledger = context.postman.ledger();
        for lost in ledger.give_up_mails().await? {
            metrics::report("unknown", "failed");
            tracing::error!(
                series = lost.series,
                "the mail {} ({}) was begun {} times and its senders ended without a word; ask whether it came",
                lost.series,
                lost.id,
                ledger::MOST_SENDS
            );
        }
        let mut slots: Vec<_> = std::iter::from_fn(|| Arc::clone(&context.slots).try_acquire_owned().ok()).collect();
        if slots.is_empty() {
            return Ok(0);
        }
        let most = u32::try_from(slots.len()).unwrap_or(u32::MAX);
        let (claim, hold) = (Uuid::new_v4(), context.postman.hold());
        // Repeated under the same claim: an answer that is lost in an outage would otherwise count as a try.
        let claims = || ledger.claim_mails(claim, most, hold);
        let due = until_taken(&context.stop, "a claim of mails", claims).await?;
        let count = due.len();
        for mail in due {
            let slot = slots.pop();
            let context = Arc::clone(context);
            let span = tracing::info_span!("mail", mail.id = %mail.id, mail.sends = mail.sends);
            let work = async move {
                let outcome = context.postman.deliver(mail, &context.abort).await;
                show(&context.check, &outcome);
                // Before the loop is woken, else it finds no free slot.
                drop(slot);
                context.wake.notify_one();
            };
            self.context.mails.spawn(work.instrument(span));
        }
        Ok(count)
    }

    /// What waits for a lost database gives up; it is tried again by somebody.
    pub fn abort(&self) {
        self.context.abort.cancel();
    }

    /// Waits, after the loops have ended, for the mails that are under way, until `deadline`. Returns how many were left;
    /// they are tried again by somebody.
    pub async fn drained(&self, deadline: Instant) -> usize {
        let mails = &self.context.mails;
        mails.close();
        if tokio::time::timeout_at(deadline, mails.wait()).await.is_err() {
            self.abort();
            let _ = tokio::time::timeout(ABORTING, mails.wait()).await;
        }
        mails.len()
    }

    fn ticks(&self) -> tokio::time::Interval {
        let mut ticks = tokio::time::interval(self.context.postman.config().interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks
    }
}

/// The line of `/readyz`: what the last mail came to.
fn show(check: &Check, outcome: &MailOutcome) {
    match outcome.verdict {
        MailVerdict::Sent => check.ok(),
        MailVerdict::Skipped | MailVerdict::Untried { .. } => {}
        MailVerdict::NotTaken { .. }
        | MailVerdict::Refused
        | MailVerdict::InDoubt { .. }
        | MailVerdict::Unconfirmed => {
            check.warn(format!(
                "the last mail was not taken: {}",
                outcome.error.as_deref().unwrap_or_default()
            ));
        }
    }
}
