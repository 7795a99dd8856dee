//! What schedules ask for becomes mails, once, whoever else looks.

use ledger::{Cursor, LedgerError, Outage, ScheduleKey, until_taken};
use receipt::StoreCode;

use super::Reporter;
use crate::desk::Desk;
use crate::mail::ReportOrder;

/// What a schedule missed while everything was down is made late, so many occurrences at most.
const MOST_MISSED: usize = 31;

impl Reporter {
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
