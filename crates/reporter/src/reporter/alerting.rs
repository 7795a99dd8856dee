//! What people must be alerted of becomes mails, one to each person for a cause.

use std::collections::BTreeSet;

use ledger::{DueAlert, LedgerError, MailKind, NewAlert, NewMail, Outage};
use receipt::StoreCode;
use uuid::Uuid;

use super::Reporter;
use crate::desk::Desk;
use crate::mail::{AlertOrder, EXAMPLES, Order};

impl Reporter {
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
}
