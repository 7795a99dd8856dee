//! Looking without touching.

use std::collections::BTreeSet;

use lapin::options::{ConfirmSelectOptions, ExchangeDeclareOptions};
use lapin::types::FieldTable;
use tokio::time::timeout;

use super::{Admin, Condition, Finding, Part};
use crate::asking::{Asking, Depth, Refusal};
use crate::canary::canary;
use crate::error::{ConnectError, PublishError};
use crate::link::Live;
use crate::topology::names::{Notes, Removable};
use crate::topology::{ExchangePlan, Holds, QueuePlan};
use crate::window::{self, Closed};

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
        // Publishing to an exchange that is not there would cost the channel, and the others their answers.
        let missing: BTreeSet<String> = seen
            .iter()
            .filter(|seen| seen.finding.condition == Condition::Missing)
            .map(|seen| seen.finding.name.clone())
            .collect();
        let (mut wires, mut places) = (Vec::new(), Vec::new());
        for (place, seen) in seen.iter().enumerate() {
            let Thing::Queue(plan) = &seen.thing else { continue };
            if missing.contains(&plan.name) || self.exchange_of(&plan.name).is_some_and(|name| missing.contains(name)) {
                continue;
            }
            let wire = canary(&self.topology, &plan.name).and_then(|canary| canary.into_wire(&self.topology).ok());
            if let Some(wire) = wire {
                wires.push(wire);
                places.push(place);
            }
        }
        let limit = self.config.confirm_timeout;
        let channel = live.channel().await?;
        timeout(live.limit(), channel.confirm_select(ConfirmSelectOptions::default()))
            .await
            .map_err(|_| ConnectError::Timeout(live.limit()))?
            .map_err(|error| ConnectError::Asked(Box::new(error)))?;
        let Closed { outcomes, .. } = window::publish(&channel, &wires, limit).await;
        for (place, outcome) in places.into_iter().zip(outcomes) {
            let Some(seen) = seen.get_mut(place) else { continue };
            let (condition, words) = match outcome {
                Ok(()) => continue,
                Err(PublishError::Rejected) => (Condition::Full, "it refuses messages".to_owned()),
                Err(PublishError::Returned { .. }) => (Condition::Unbound, "a message does not reach it".to_owned()),
                Err(_) => (
                    Condition::Sick,
                    format!("it has not confirmed a message within {limit:?}"),
                ),
            };
            seen.finding.condition = condition;
            if !seen.finding.detail.is_empty() {
                seen.finding.detail.push_str("; ");
            }
            seen.finding.detail.push_str(&words);
        }
        Ok(())
    }

    fn exchange_of(&self, queue: &str) -> Option<&str> {
        let mut bindings = self.topology.bindings().iter();
        let binding = bindings.find(|binding| binding.queue == queue)?;
        Some(&binding.exchange)
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
