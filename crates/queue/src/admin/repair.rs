//! Making the broker have what the configuration wants.

use std::collections::BTreeSet;
use std::time::Duration;

use lapin::options::{ExchangeDeleteOptions, QueueDeleteOptions};
use lapin::types::FieldTable;
use serde::Serialize;
use tokio::time::timeout;

use super::decide::{Decision, decide};
use super::look::{Seen, Thing};
use super::moving::move_all;
use super::{Admin, Condition, Part};
use crate::asking::{Asking, Refusal};
use crate::error::{ConnectError, TopologyError};
use crate::link::Live;
use crate::names::{Exchange, Queue};
use crate::topology::names::{self, Removable};
use crate::topology::{BindingPlan, ExchangePlan, Holds, QueuePlan};

/// Deleting a sick queue takes the broker five seconds (measured on 3.10.8).
const DELETE_LIMIT: Duration = Duration::from_secs(60);

/// How often a repair goes on with a new connection.
const ROUNDS: u32 = 4;

/// How far a repair may go.
#[derive(Debug, Clone, Default)]
pub struct Repair {
    /// Replaces what has other properties than wanted, or is sick.
    pub recreate: bool,
    /// Removes what is no longer wanted even while pointers are in it.
    pub discard_pointers: bool,
    /// Full names of sick queues of requests whose content is given up.
    pub abandon: BTreeSet<String>,
    /// Only tells what would be done.
    pub dry_run: bool,
}

/// What is, or would be, done about one finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Deed {
    /// Declare it, and bind it.
    Declare,
    /// Delete it and declare it anew.
    Recreate,
    /// Delete it.
    Remove,
    /// Leave it, for now or until a person says more.
    Keep,
}

/// One line of a repair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// What it is about.
    pub part: Part,
    /// Its full name.
    pub name: String,
    /// How it was found.
    pub condition: Condition,
    /// What is done.
    pub deed: Deed,
    /// Whether it has been done. False in a dry run, for everything that is kept, and after a refusal of the broker.
    pub done: bool,
    /// Why, what it cost, or what a person has to do.
    pub detail: String,
}

impl Admin {
    /// Declares what is missing, binds everything, replaces what is wrong if that is allowed, and removes what is no longer
    /// wanted once it is empty. What is as wanted is not mentioned. Repeating is safe at any point.
    ///
    /// No request is lost: a queue that may hold some is emptied into the other one of its kind before it is replaced, and
    /// is left alone while somebody consumes it or while it can't be read.
    ///
    /// # Errors
    /// [`TopologyError::Unreachable`]; what was done before stays done.
    pub async fn apply(&self, repair: &Repair) -> Result<Vec<Outcome>, TopologyError> {
        let mut live = self.connect().await?;
        let mut outcomes = Vec::new();
        for _ in 1..ROUNDS {
            match self.round(&live, repair, &mut outcomes).await {
                // Whoever touches a sick queue may lose the whole connection to an internal error of the broker.
                Err(ConnectError::Asked(_) | ConnectError::Channel(_) | ConnectError::Lost) => {
                    live = self.connect().await?
                }
                ended => {
                    live.close().await;
                    return Ok(ended.map(|()| outcomes)?);
                }
            }
            outcomes.retain(|outcome| outcome.done);
        }
        self.round(&live, repair, &mut outcomes).await?;
        live.close().await;
        Ok(outcomes)
    }

    async fn round(&self, live: &Live, repair: &Repair, outcomes: &mut Vec<Outcome>) -> Result<(), ConnectError> {
        let (mut seen, notes) = self.look(live).await?;
        self.send_canaries(live, &mut seen).await?;
        let decided: Vec<(Seen, Decision)> = seen
            .into_iter()
            .filter_map(|seen| decide(&seen, repair, self).map(|decision| (seen, decision)))
            .collect();
        if repair.dry_run {
            outcomes.extend(
                decided
                    .into_iter()
                    .map(|(seen, (deed, detail))| outcome(&seen, deed, false, detail)),
            );
            return Ok(());
        }

        let mut names = names::of(&self.topology);
        names.extend(
            notes
                .iter()
                .flat_map(|notes| notes.unwanted(&self.topology))
                .map(|gone| gone.queue),
        );
        let performed = self.perform_all(live, decided, repair, outcomes).await;
        // Also after a failure: a queue that was to be emptied is bound to nothing meanwhile.
        let bound = self.bind_all(live).await;
        performed?;
        bound?;
        for removed in outcomes
            .iter()
            .filter(|outcome| outcome.done && outcome.deed == Deed::Remove)
        {
            names.remove(&removed.name);
        }
        if let Some(notes) = notes {
            notes.replace(live, &self.topology, &names).await;
        }
        Ok(())
    }

    async fn perform_all(
        &self,
        live: &Live,
        decided: Vec<(Seen, Decision)>,
        repair: &Repair,
        outcomes: &mut Vec<Outcome>,
    ) -> Result<(), ConnectError> {
        // What is missing comes first: requests may have to be moved there.
        let (missing, others): (Vec<_>, Vec<_>) = decided
            .into_iter()
            .partition(|(_, (deed, _))| matches!(deed, Deed::Declare));
        for (seen, decision) in missing.into_iter().chain(others) {
            outcomes.push(self.perform(live, &seen, decision, repair).await?);
        }
        Ok(())
    }

    async fn perform(
        &self,
        live: &Live,
        seen: &Seen,
        decision: Decision,
        repair: &Repair,
    ) -> Result<Outcome, ConnectError> {
        let (deed, words) = decision;
        let mut asking = Asking::new(live);
        let done = match (deed, &seen.thing) {
            (Deed::Keep, Thing::Gone(gone)) => {
                // Nothing new goes in, so it empties itself, or can be emptied.
                cut_off(&mut asking, gone).await?;
                return Ok(outcome(seen, deed, false, words));
            }
            (Deed::Keep, Thing::Exchange(_) | Thing::Queue(_)) => return Ok(outcome(seen, deed, false, words)),
            (Deed::Declare, Thing::Exchange(plan)) => declare_exchange(&mut asking, plan).await?,
            (Deed::Declare, Thing::Queue(plan)) => self.declare_queue(&mut asking, plan).await?,
            (Deed::Recreate, Thing::Exchange(plan)) => self.recreate_exchange(&mut asking, plan).await?,
            (Deed::Recreate, Thing::Queue(plan)) => {
                let is_emptied = plan.holds == Holds::Requests && !repair.abandon.contains(&plan.name);
                match if is_emptied {
                    self.empty(live, plan).await?
                } else {
                    Ok(String::new())
                } {
                    Err(why) => return Ok(outcome(seen, Deed::Keep, false, why)),
                    Ok(moved) => {
                        let recreated = self.recreate_queue(&mut asking, plan).await?;
                        recreated.map(|deleted| joined(&moved, &deleted))
                    }
                }
            }
            (Deed::Declare | Deed::Recreate | Deed::Remove, Thing::Gone(gone)) => remove(&mut asking, gone).await?,
            (Deed::Remove, Thing::Exchange(_) | Thing::Queue(_)) => Ok(String::new()),
        };
        Ok(match done {
            Ok(told) => outcome(seen, deed, true, joined(&words, &told)),
            Err(refusal) => outcome(seen, deed, false, format!("the broker refuses: {}", refusal.words)),
        })
    }

    /// Moves all requests of a queue to the other queue of requests. `Err`: why that can't be done now.
    async fn empty(&self, live: &Live, plan: &QueuePlan) -> Result<Result<String, String>, ConnectError> {
        let prefix = self.topology.prefix();
        let other = if plan.name == prefix.queue(&Queue::Intake) {
            prefix.exchange(&Exchange::Dead)
        } else {
            prefix.exchange(&Exchange::Requests)
        };
        let mut asking = Asking::new(live);
        // New requests go to the dead letters from here on (the alternate exchange), whose drain accepts them.
        for binding in self
            .topology
            .bindings()
            .iter()
            .filter(|binding| binding.queue == plan.name)
        {
            let channel = asking.channel().await?;
            let (queue, exchange, key) = (&*plan.name, &*binding.exchange, &*binding.key);
            let unbound = channel
                .queue_unbind(queue.into(), exchange.into(), key.into(), FieldTable::default())
                .await;
            let _ = asking.heard(unbound)?;
        }
        let moved = move_all(live, &plan.name, &other).await?;
        match asking.depth(&plan.name).await? {
            Ok(depth) if depth.messages > 0 || depth.consumers > 0 => Ok(Err(format!(
                "{moved} requests were moved to {other}, but {} came since and {} consumers read it; run this again",
                depth.messages, depth.consumers
            ))),
            Ok(_) | Err(_) => Ok(Ok(format!("{moved} requests were moved to {other}"))),
        }
    }

    async fn recreate_exchange(
        &self,
        asking: &mut Asking<'_>,
        plan: &ExchangePlan,
    ) -> Result<Result<String, Refusal>, ConnectError> {
        // To the events others bind their queues, and a deletion would take their bindings with it.
        let if_unused = plan.name == self.topology.prefix().exchange(&Exchange::Events);
        let options = ExchangeDeleteOptions {
            if_unused,
            ..ExchangeDeleteOptions::default()
        };
        let deleted = asking
            .channel()
            .await?
            .exchange_delete(plan.name.as_str().into(), options)
            .await;
        if let Err(refusal) = asking.heard(deleted)? {
            return Ok(Err(refusal));
        }
        declare_exchange(asking, plan).await
    }

    async fn declare_queue(
        &self,
        asking: &mut Asking<'_>,
        plan: &QueuePlan,
    ) -> Result<Result<String, Refusal>, ConnectError> {
        let declared = plan.declare(&asking.channel().await?).await;
        if let Err(refusal) = asking.heard(declared)? {
            return Ok(Err(refusal));
        }
        let own = |binding: &&BindingPlan| binding.queue == plan.name;
        for binding in self.topology.bindings().iter().filter(own) {
            let bound = binding.bind(&asking.channel().await?).await;
            if let Err(refusal) = asking.heard(bound)? {
                return Ok(Err(refusal));
            }
        }
        Ok(Ok(String::new()))
    }

    async fn recreate_queue(
        &self,
        asking: &mut Asking<'_>,
        plan: &QueuePlan,
    ) -> Result<Result<String, Refusal>, ConnectError> {
        let deleted = match delete(asking, &plan.name).await? {
            Ok(deleted) => deleted,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let declared = self.declare_queue(asking, plan).await?;
        Ok(declared.map(|_| deleted))
    }

    async fn bind_all(&self, live: &Live) -> Result<(), ConnectError> {
        let mut asking = Asking::new(live);
        for binding in self.topology.bindings() {
            let bound = binding.bind(&asking.channel().await?).await;
            // What could not be declared can't be bound, and has been told.
            let _ = asking.heard(bound)?;
        }
        Ok(())
    }
}

async fn declare_exchange(
    asking: &mut Asking<'_>,
    plan: &ExchangePlan,
) -> Result<Result<String, Refusal>, ConnectError> {
    let declared = plan.declare(&asking.channel().await?).await;
    Ok(asking.heard(declared)?.map(|()| String::new()))
}

/// Deletes a queue and says what was in it.
async fn delete(asking: &mut Asking<'_>, queue: &str) -> Result<Result<String, Refusal>, ConnectError> {
    let channel = asking.channel().await?;
    let deleting = channel.queue_delete(queue.into(), QueueDeleteOptions::default());
    let deleted = timeout(DELETE_LIMIT, deleting)
        .await
        .map_err(|_| ConnectError::Timeout(DELETE_LIMIT))?;
    let told = |messages: u32| {
        if messages == 0 {
            String::new()
        } else {
            format!("{messages} messages went with it")
        }
    };
    Ok(asking.heard(deleted)?.map(told))
}

/// Lets nothing new into a queue that is no longer wanted. A role that still wants it declares it again.
async fn cut_off(asking: &mut Asking<'_>, gone: &Removable) -> Result<(), ConnectError> {
    let channel = asking.channel().await?;
    let cut = if gone.is_delay {
        let options = ExchangeDeleteOptions::default();
        channel.exchange_delete(gone.exchange.as_str().into(), options).await
    } else {
        let (queue, exchange, key) = (&*gone.queue, &*gone.exchange, &*gone.key);
        channel
            .queue_unbind(queue.into(), exchange.into(), key.into(), FieldTable::default())
            .await
    };
    let _ = asking.heard(cut)?;
    Ok(())
}

async fn remove(asking: &mut Asking<'_>, gone: &Removable) -> Result<Result<String, Refusal>, ConnectError> {
    cut_off(asking, gone).await?;
    delete(asking, &gone.queue).await
}

fn outcome(seen: &Seen, deed: Deed, done: bool, detail: String) -> Outcome {
    Outcome {
        part: seen.finding.part,
        name: seen.finding.name.clone(),
        condition: seen.finding.condition,
        deed,
        done,
        detail,
    }
}

fn joined(one: &str, other: &str) -> String {
    let both = [one, other].into_iter().filter(|words| !words.is_empty());
    both.collect::<Vec<_>>().join("; ")
}

impl Deed {
    /// The word for it, as in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Declare => "declare",
            Self::Recreate => "recreate",
            Self::Remove => "remove",
            Self::Keep => "keep",
        }
    }
}
