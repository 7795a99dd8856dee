//! The loops: what schedules ask for and what people must be alerted of becomes mails, and mails are sent.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use ledger::{
    Cursor, DueAlert, Ledger, LedgerError, MailKind, MailOutcome, MailVerdict, NewAlert, NewMail, Outage, ScheduleKey,
    until_taken,
};
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
use crate::desk::Desk;
use crate::mail::{AlertOrder, EXAMPLES, Order, ReportOrder};
use crate::postman::Postman;

/// Mails that one process has under way at once.
const SLOTS: usize = 4;
/// What a schedule missed while everything was down is made late, so many occurrences at most.
const MOST_MISSED: usize = 31;
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

    /// The loop that makes the mails of schedules.
    ///
    /// # Errors
    /// When the database refuses; an outage is waited for.
    pub async fn schedule(&self) -> anyhow::Result<()> {
        let context = &self.context;
        let keys = self.schedule_keys();
        let bind = || context.postman.ledger().bind_schedules(&keys);
        match until_taken(&context.stop, "the schedules of reports", bind).await {
            Err(error) if error.is_outage() => return Ok(()),
            bound => bound?,
        }
        let mut ticks = self.ticks();
        let mut outage = Outage::of("schedules of reports");
        while context.stop.run_until_cancelled(ticks.tick()).await.is_some() {
            if outage.over(self.schedule_once().await)?.unwrap_or(0) > 0 {
                context.wake.notify_one();
            }
        }
        Ok(())
    }

    /// One step: makes the mails of everything that is due and was made by nobody. Returns how many.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn schedule_once(&self) -> Result<usize, LedgerError> {
        let postman = &self.context.postman;
        let mut made = 0;
        for cursor in postman.ledger().schedules().await? {
            let store: Option<StoreCode> = cursor.store.parse().ok();
            let Some((store, desk)) = store.and_then(|store| postman.desks().get_key_value(&store)) else {
                continue;
            };
            made += self.pass(&cursor, store, desk).await?;
        }
        Ok(made)
    }

    async fn pass(&self, cursor: &Cursor, store: &StoreCode, desk: &Desk) -> Result<usize, LedgerError> {
        let postman = &self.context.postman;
        let schedule = desk
            .schedules
            .iter()
            .find(|schedule| schedule.name.name() == cursor.schedule);
        let Some(schedule) = schedule else { return Ok(0) };
        let passed = schedule.passed(cursor.seen_until, cursor.now, MOST_MISSED);
        let Some(until) = passed.last().copied() else {
            return Ok(0);
        };
        let mut mails = Vec::new();
        for at in passed {
            let name = schedule.name;
            let made = name
                .period()
                .bounds(at, &desk.zone)
                .map_err(anyhow::Error::from)
                .and_then(|bounds| {
                    let order = ReportOrder::new(store.clone(), Some(name), &bounds, at);
                    Ok(order.mails(&desk.settings.recipients, postman.domain())?)
                });
            match made {
                Ok(made) => mails.extend(made),
                Err(error) => tracing::error!(
                    "the report {store} {} of {at} cannot be made: {error:#}",
                    cursor.schedule
                ),
            }
        }
        let moved = postman.ledger().pass_schedule(cursor, until, &mails).await?;
        if moved {
            tracing::info!(
                store = store.as_str(),
                "{} mails of {store} {} are due",
                mails.len(),
                cursor.schedule
            );
        }
        Ok(if moved { mails.len() } else { 0 })
    }

    /// The loop that makes the mails of alerts.
    ///
    /// # Errors
    /// When the database refuses; an outage is waited for.
    pub async fn alert(&self) -> anyhow::Result<()> {
        let context = &self.context;
        let mut ticks = self.ticks();
        let mut outage = Outage::of("alerts");
        while context.stop.run_until_cancelled(ticks.tick()).await.is_some() {
            if outage.over(self.alert_once().await)?.unwrap_or(0) > 0 {
                context.wake.notify_one();
            }
        }
        Ok(())
    }

    /// One step: makes the mails of every cause that nobody was told of within its quiet time. Returns how many causes.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn alert_once(&self) -> Result<usize, LedgerError> {
        let ledger = self.context.postman.ledger();
        let mut made = 0;
        for due in ledger.due_alerts().await? {
            let alert = self.alert_of(due);
            if ledger.make_alert(&alert).await? {
                made += 1;
                let (subject, cause) = (&alert.due.subject, &alert.due.cause);
                tracing::info!("{} people are alerted of {cause} ({subject})", alert.mails.len());
            }
        }
        Ok(made)
    }

    fn alert_of(&self, due: DueAlert) -> NewAlert {
        let postman = &self.context.postman;
        let stores = due.stores.iter().filter_map(|store| store.parse::<StoreCode>().ok());
        let desks: Vec<(&StoreCode, &Desk)> = stores
            .filter_map(|store| postman.desks().get_key_value(&store))
            .filter(|(_, desk)| !desk.settings.alerts.is_empty())
            .collect();
        let quiet = desks.iter().map(|(_, desk)| desk.settings.alert_period).min();
        let mut mails = Vec::new();
        let mut told = BTreeSet::new();
        for (store, desk) in desks {
            let order = Order::Alert(Box::new(AlertOrder {
                store: store.clone(),
                subject: due.subject.clone(),
                cause: due.cause.clone(),
                count: 0,
                first: None,
                last: None,
                stores: Vec::new(),
                examples: Vec::new(),
            }));
            let Ok(what) = serde_json::to_value(order) else {
                continue;
            };
            // Stores share an account, and people are responsible for several stores.
            let others = desk
                .settings
                .alerts
                .iter()
                .filter(|recipient| told.insert((*recipient).clone()));
            mails.extend(others.map(|recipient| {
                let id = Uuid::now_v7();
                NewMail {
                    id,
                    kind: MailKind::Alert,
                    series: due.subject.clone(),
                    key: format!("{} {} {id}", due.subject, due.cause),
                    recipient: recipient.clone(),
                    message_id: format!("<alert.{}@{}>", id.simple(), postman.domain()),
                    what: what.clone(),
                }
            }));
        }
        NewAlert {
            due,
            quiet: quiet.unwrap_or_default(),
            examples: EXAMPLES,
            mails,
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
                "the mail {} to {} was begun {} times and its senders ended without a word; ask whether it came",
                lost.series,
                lost.recipient,
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

    /// The schedules that somebody is to be written to.
    fn schedule_keys(&self) -> Vec<ScheduleKey> {
        let desks = self.context.postman.desks().iter();
        desks
            .filter(|(_, desk)| !desk.settings.recipients.is_empty())
            .flat_map(|(store, desk)| {
                desk.schedules.iter().map(|schedule| ScheduleKey {
                    store: store.clone(),
                    schedule: schedule.name.name().to_owned(),
                })
            })
            .collect()
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
