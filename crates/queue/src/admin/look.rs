//! Looking without touching.

use std::time::Duration;

use futures_util::future::join_all;
use lapin::options::{BasicGetOptions, BasicNackOptions, ExchangeDeclareOptions};
use lapin::types::FieldTable;
use tokio::time::timeout;

use super::{Admin, Condition, Finding, Part};
use crate::asking::{Asking, Depth, Refusal};
use crate::canary::{Verdict, probe};
use crate::error::ConnectError;
use crate::link::Live;
use crate::topology::names::{Notes, Removable};
use crate::topology::{ExchangePlan, Holds, QueuePlan};

/// A finding, and the plan of what it is about.
pub(super) struct Seen {
    pub(super) finding: Finding,
    pub(super) thing: Thing,
}

#[derive(Debug, Clone)]
pub(super) enum Thing {
    Exchange(ExchangePlan),
    Queue(QueuePlan),
    /// No longer wanted, and in no plan.
    Gone(Removable),
}

impl Admin {
    /// Everything that is wanted, in the order in which it is declared, and then what is not. The notes of what was
    /// declared once are held until they are dropped.
    pub(super) async fn look(&self, live: &Live) -> Result<(Vec<Seen>, Option<Notes>), ConnectError> {
        let mut asking = Asking::new(live);
        let mut seen = Vec::new();
        for exchange in self.topology.exchanges() {
            seen.push(exchange_as_it_is(&mut asking, exchange).await?);
        }
        for queue in self.topology.queues() {
            seen.push(queue_as_it_is(&mut asking, queue).await?);
        }
        let list = seen
            .iter_mut()
            .find(|seen| matches!(&seen.thing, Thing::Queue(plan) if plan.holds == Holds::Names));
        let Some(list) = list.filter(|list| list.finding.condition != Condition::Missing) else {
            return Ok((seen, None));
        };
        let notes = match Notes::read(&self.connect().await?, &self.topology).await {
            Ok(notes) => notes,
            Err(why) => {
                list.finding.condition = Condition::Sick;
                list.finding.detail =
                    format!("the list of names can't be read, so what is no longer wanted is not known: {why}");
                return Ok((seen, None));
            }
        };
        for gone in notes.unwanted(&self.topology) {
            seen.extend(what_is_left_of(&mut asking, gone).await?);
        }
        Ok((seen, Some(notes)))
    }

    /// A canary through each queue that is there. What does not answer is sick.
    pub(super) async fn send_canaries(&self, live: &Live, seen: &mut [Seen]) -> Result<(), ConnectError> {
        let limit = self.config.confirm_timeout;
        let probes = seen.iter_mut().map(|seen| async move {
            let is_there = seen.finding.condition != Condition::Missing;
            if let Thing::Queue(plan) = &seen.thing
                && is_there
            {
                let verdict = probe(live, &self.topology, &plan.name, limit).await;
                seen.judge(verdict, limit);
                return verdict;
            }
            None
        });
        // A connection that was lost on the way says nothing about the queues.
        if join_all(probes).await.contains(&Some(Verdict::Unknown)) {
            return Err(ConnectError::Lost);
        }
        // A queue whose processes are gone may refuse like a full one; only reading tells them apart.
        for refusing in seen.iter_mut().filter(|seen| seen.finding.condition == Condition::Full) {
            if !self.is_readable(&refusing.finding.name).await? {
                refusing.finding.condition = Condition::Sick;
                refusing.finding.detail.push_str(", and it can't be read");
            }
        }
        Ok(())
    }

    /// Whether a queue gives a message out, or says that it has none. On a connection of its own: whoever reads a queue
    /// whose processes are gone loses the connection to an internal error of the broker.
    async fn is_readable(&self, queue: &str) -> Result<bool, ConnectError> {
        let live = self.connect().await?;
        let channel = live.channel().await?;
        let getting = channel.basic_get(queue.into(), BasicGetOptions::default());
        let got = match timeout(live.limit(), getting).await {
            Ok(Ok(got)) => got,
            Ok(Err(_)) | Err(_) => return Ok(false),
        };
        if let Some(message) = got {
            let back = BasicNackOptions {
                requeue: true,
                ..BasicNackOptions::default()
            };
            // Should the answer be lost, the message goes back with the connection.
            let _ = timeout(live.limit(), message.delivery.acker.nack(back)).await;
        }
        live.close().await;
        Ok(true)
    }
}

impl Seen {
    fn judge(&mut self, verdict: Option<Verdict>, limit: Duration) {
        let (condition, words) = match verdict {
            Some(Verdict::Well | Verdict::Unknown) | None => return,
            Some(Verdict::Refuses) => (Condition::Full, "it refuses messages".to_owned()),
            Some(Verdict::Unreached) => (Condition::Unbound, "a message does not reach it".to_owned()),
            Some(Verdict::Silent) => (
                Condition::Sick,
                format!("it has not confirmed a message within {limit:?}"),
            ),
        };
        // What it differs in stands before that it also can't be reached.
        if self.finding.condition == Condition::Good || condition == Condition::Sick {
            self.finding.condition = condition;
        }
        if !self.finding.detail.is_empty() {
            self.finding.detail.push_str("; ");
        }
        self.finding.detail.push_str(&words);
    }
}

async fn exchange_exists(asking: &mut Asking<'_>, name: &str) -> Result<Result<(), Refusal>, ConnectError> {
    let channel = asking.channel().await?;
    let options = ExchangeDeclareOptions {
        passive: true,
        ..ExchangeDeclareOptions::default()
    };
    let kind = lapin::ExchangeKind::Topic;
    let declared = channel
        .exchange_declare(name.into(), kind, options, FieldTable::default())
        .await;
    asking.heard(declared)
}

async fn exchange_as_it_is(asking: &mut Asking<'_>, plan: &ExchangePlan) -> Result<Seen, ConnectError> {
    let (condition, detail) = match exchange_exists(asking, &plan.name).await? {
        Err(refusal) => refused(&refusal),
        Ok(()) => {
            let declared = plan.declare(&asking.channel().await?).await;
            compared(asking.heard(declared)?)
        }
    };
    let finding = Finding {
        part: Part::Exchange,
        name: plan.name.clone(),
        condition,
        messages: None,
        consumers: None,
        detail,
    };
    let thing = Thing::Exchange(plan.clone());
    Ok(Seen { finding, thing })
}

async fn queue_as_it_is(asking: &mut Asking<'_>, plan: &QueuePlan) -> Result<Seen, ConnectError> {
    let depth = asking.depth(&plan.name).await?;
    let (condition, detail) = match &depth {
        Err(refusal) => refused(refusal),
        Ok(_) => {
            let declared = plan.declare(&asking.channel().await?).await;
            compared(asking.heard(declared)?)
        }
    };
    let finding = counted(plan.name.clone(), condition, depth.ok(), detail);
    let thing = Thing::Queue(plan.clone());
    Ok(Seen { finding, thing })
}

/// The queue of something that is no longer wanted, and the exchange of a delay.
async fn what_is_left_of(asking: &mut Asking<'_>, gone: Removable) -> Result<Vec<Seen>, ConnectError> {
    let mut left = Vec::new();
    if let Ok(depth) = asking.depth(&gone.queue).await? {
        let why = if gone.is_delay {
            "no store has this retry interval"
        } else {
            "no account has this vendor"
        };
        left.push(Seen {
            finding: counted(gone.queue.clone(), Condition::Unwanted, Some(depth), why.to_owned()),
            thing: Thing::Gone(gone),
        });
    } else if gone.is_delay && exchange_exists(asking, &gone.exchange).await?.is_ok() {
        let finding = Finding {
            part: Part::Exchange,
            name: gone.exchange.clone(),
            condition: Condition::Unwanted,
            messages: None,
            consumers: None,
            detail: "no store has this retry interval, and its queue is gone".to_owned(),
        };
        let thing = Thing::Gone(gone);
        left.push(Seen { finding, thing });
    }
    Ok(left)
}

fn counted(name: String, condition: Condition, depth: Option<Depth>, detail: String) -> Finding {
    Finding {
        part: Part::Queue,
        name,
        condition,
        messages: depth.map(|depth| depth.messages),
        consumers: depth.map(|depth| depth.consumers),
        detail,
    }
}

fn refused(refusal: &Refusal) -> (Condition, String) {
    if refusal.is_missing() {
        (Condition::Missing, String::new())
    } else {
        (Condition::Different, refusal.words.clone())
    }
}

fn compared(declared: Result<(), Refusal>) -> (Condition, String) {
    match declared {
        Ok(()) => (Condition::Good, String::new()),
        Err(refusal) => (Condition::Different, refusal.words),
    }
}
