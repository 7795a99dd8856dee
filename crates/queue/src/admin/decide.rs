//! From what was found to what is done about it.

use super::look::{Seen, Thing};
use super::repair::{Deed, Repair};
use super::{Admin, Condition};
use crate::names::Queue;
use crate::topology::{Holds, QueuePlan};

/// What to do, and its words.
pub(super) type Decision = (Deed, String);

/// What to do about a finding; `None`: nothing.
pub(super) fn decide(seen: &Seen, repair: &Repair, admin: &Admin) -> Option<Decision> {
    let finding = &seen.finding;
    let recreate = |words: &str| {
        if repair.recreate {
            (Deed::Recreate, words.to_owned())
        } else {
            (Deed::Keep, format!("{}; --recreate replaces it", finding.detail))
        }
    };
    let decision = match (finding.condition, &seen.thing) {
        (Condition::Good, _) => return None,
        (Condition::Missing | Condition::Unbound, _) => (Deed::Declare, String::new()),
        (Condition::Full, _) => {
            let words = "it refuses messages: its consumers are behind, or the broker can't store them now";
            (Deed::Keep, words.to_owned())
        }
        (Condition::Different, Thing::Queue(plan)) if plan.holds == Holds::Requests => {
            match finding.consumers.unwrap_or_default() {
                consumers if consumers > 0 && repair.recreate => {
                    let who = admin.readers_of(plan);
                    (
                        Deed::Keep,
                        format!("{consumers} consumers read it; stop {who} and run this again"),
                    )
                }
                _ => recreate(""),
            }
        }
        (Condition::Sick, Thing::Queue(plan)) if plan.holds == Holds::Requests && repair.recreate => {
            if repair.abandon.contains(&plan.name) {
                (Deed::Recreate, "what was in it is given up".to_owned())
            } else {
                let words = "it may hold requests and can't be read; restart the broker, and if it is still sick then, \
                             give up what is in it with --abandon";
                (Deed::Keep, format!("{words} {}", plan.name))
            }
        }
        (Condition::Different | Condition::Sick, Thing::Queue(plan)) if plan.holds == Holds::Pointers => {
            recreate("the table wakes the receipts whose pointers were in it")
        }
        (Condition::Different | Condition::Sick, _) => recreate(""),
        (Condition::Unwanted, _) => {
            let (messages, consumers) = (finding.messages.unwrap_or(0), finding.consumers.unwrap_or(0));
            if consumers > 0 {
                let words = "a role that still has it in its configuration reads it; restart the roles first";
                (Deed::Keep, words.to_owned())
            } else if messages == 0 || repair.discard_pointers {
                (Deed::Remove, String::new())
            } else {
                (Deed::Keep, still_in(&seen.thing, messages))
            }
        }
    };
    Some(decision)
}

fn still_in(thing: &Thing, messages: u32) -> String {
    match thing {
        Thing::Gone(gone) if gone.is_delay => {
            format!("{messages} pointers still wait in it and go on when their time is over; run this again then")
        }
        Thing::Gone(_) | Thing::Queue(_) | Thing::Exchange(_) => {
            format!("{messages} pointers are in it and nobody reads them; --discard-pointers removes it with them")
        }
    }
}

impl Admin {
    fn readers_of(&self, plan: &QueuePlan) -> &'static str {
        if plan.name == self.topology.prefix().queue(&Queue::Intake) {
            "the senders"
        } else {
            "the pollers"
        }
    }
}
