//! How the broker is, for health pages and for whoever waits.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::watch;
use tracing::{error, info};

/// How our connections to the broker are. A lost broker is an ordinary state, and nobody has to do anything about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// All connections that this process uses are up, and the topology is declared.
    Connected,
    /// The broker does not read what we publish until it has memory or disk again.
    Blocked {
        /// Since when.
        since: Instant,
        /// The broker's words.
        reason: String,
    },
    /// At least one connection is lost, or was not up yet. Trying goes on until the stop.
    Reconnecting {
        /// Since when.
        since: Instant,
        /// What the last try said, with its causes; empty before the first.
        error: String,
    },
    /// The process stops.
    Stopped,
}

impl Status {
    fn severity(&self) -> u8 {
        match self {
            Self::Connected => 0,
            Self::Blocked { .. } => 1,
            Self::Reconnecting { .. } => 2,
            Self::Stopped => 3,
        }
    }
}

/// Something at the broker that does not work as it should while the connection does. The fleet goes on around it: the
/// table wakes what no message does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The full name of the queue or exchange.
    pub name: String,
    /// What is wrong with it.
    pub ailment: Ailment,
}

/// What can be wrong with a queue or an exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ailment {
    /// It has other properties than the configuration wants, and is used as it is. The broker's words.
    Different(String),
    /// It does not take messages, or can't be consumed from. What was seen.
    Sick(String),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match &self.ailment {
            Ailment::Different(words) => write!(
                f,
                "{name} is not as this configuration wants it and is used as it is ({words}); \
                 `kassa topology apply --recreate` replaces it"
            ),
            Ailment::Sick(seen) => write!(
                f,
                "{name} is sick: {seen}; the table wakes its receipts meanwhile, and `kassa topology apply --recreate` \
                 replaces it"
            ),
        }
    }
}

/// The connections' states side by side; the worst one is the broker's status. Beside them what is wrong with queues.
#[derive(Debug)]
pub(crate) struct Board {
    statuses: Mutex<Vec<Status>>,
    worst: watch::Sender<Status>,
    problems: Mutex<Problems>,
    told: watch::Sender<Vec<Problem>>,
}

/// By name.
#[derive(Debug, Default)]
struct Problems {
    different: BTreeMap<String, String>,
    /// The canary found it so.
    unanswered: BTreeMap<String, String>,
    /// A consumer found it so.
    unreadable: BTreeMap<String, String>,
}

impl Problems {
    fn all(&self) -> Vec<Problem> {
        let sick: BTreeSet<&String> = self.unanswered.keys().chain(self.unreadable.keys()).collect();
        let sick = sick.into_iter().filter_map(|name| {
            let seen = self.unanswered.get(name).or_else(|| self.unreadable.get(name))?;
            Some((name, Ailment::Sick(seen.clone())))
        });
        let different = self
            .different
            .iter()
            .map(|(name, words)| (name, Ailment::Different(words.clone())));
        different
            .chain(sick)
            .map(|(name, ailment)| Problem {
                name: name.clone(),
                ailment,
            })
            .collect()
    }
}

impl Board {
    pub(crate) fn new() -> Self {
        Self {
            statuses: Mutex::default(),
            worst: watch::Sender::new(Status::Connected),
            problems: Mutex::default(),
            told: watch::Sender::new(Vec::new()),
        }
    }

    /// What the last declaration found to be different: all of it.
    pub(crate) fn differences(&self, different: BTreeMap<String, String>) {
        self.note(|problems| problems.different = different);
    }

    /// What the last canary said about a queue; `None`: it is well.
    pub(crate) fn answered(&self, queue: &str, seen: Option<String>) {
        self.note(|problems| put(&mut problems.unanswered, queue, seen));
    }

    /// Whether a queue could be consumed from; `None`: it could.
    pub(crate) fn read(&self, queue: &str, seen: Option<String>) {
        self.note(|problems| put(&mut problems.unreadable, queue, seen));
    }

    pub(crate) fn is_sick(&self, queue: &str) -> bool {
        let problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        problems.unanswered.contains_key(queue) || problems.unreadable.contains_key(queue)
    }

    pub(crate) fn has_differences(&self) -> bool {
        let problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        !problems.different.is_empty()
    }

    pub(crate) fn problems(&self) -> watch::Receiver<Vec<Problem>> {
        self.told.subscribe()
    }

    /// Logs what is new, once, and what is over.
    fn note(&self, change: impl FnOnce(&mut Problems)) {
        let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut problems);
        let now = problems.all();
        self.told.send_if_modified(|before| {
            let names = |problems: &[Problem]| -> BTreeSet<(bool, String)> {
                let key = |problem: &Problem| (matches!(problem.ailment, Ailment::Sick(_)), problem.name.clone());
                problems.iter().map(key).collect()
            };
            let (old, new) = (names(before), names(&now));
            for problem in &now {
                if !old.contains(&(matches!(problem.ailment, Ailment::Sick(_)), problem.name.clone())) {
                    error!(queue = problem.name, "{problem}");
                }
            }
            for (_, name) in old.difference(&new) {
                info!(queue = name, "{name} is as it should be again");
            }
            let changed = *before != now;
            *before = now;
            changed
        });
    }

    /// A place for one more connection.
    pub(crate) fn place(&self, status: Status) -> usize {
        self.change(|statuses| {
            statuses.push(status);
            statuses.len() - 1
        })
    }

    pub(crate) fn set(&self, place: usize, status: Status) {
        self.change(|statuses| {
            if let Some(old) = statuses.get_mut(place) {
                *old = status;
            }
        });
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Status> {
        self.worst.subscribe()
    }

    pub(crate) fn is_blocked(&self) -> bool {
        matches!(&*self.worst.borrow(), Status::Blocked { .. })
    }

    fn change<T>(&self, change: impl FnOnce(&mut Vec<Status>) -> T) -> T {
        let mut statuses = self.statuses.lock().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut statuses);
        let worst = statuses.iter().max_by_key(|status| status.severity()).cloned();
        self.worst.send_if_modified(|now| match worst {
            Some(worst) if *now != worst => {
                *now = worst;
                true
            }
            _ => false,
        });
        result
    }
}

fn put(seen: &mut BTreeMap<String, String>, queue: &str, what: Option<String>) {
    match what {
        Some(what) => seen.insert(queue.to_owned(), what),
        None => seen.remove(queue),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_connection_is_the_status() {
        let board = Board::new();
        let lost = Status::Reconnecting {
            since: Instant::now(),
            error: "refused".to_owned(),
        };
        let (first, second) = (board.place(lost.clone()), board.place(lost.clone()));
        board.set(first, Status::Connected);
        assert_eq!(*board.watch().borrow(), lost);
        board.set(second, Status::Connected);
        assert_eq!(*board.watch().borrow(), Status::Connected);
    }

    #[test]
    fn a_queue_is_sick_until_both_the_canary_and_the_consumer_find_it_well() {
        let board = Board::new();
        let told = board.problems();
        board.answered("intake", Some("no confirm".to_owned()));
        board.read("intake", Some("no answer".to_owned()));
        assert_eq!(told.borrow().len(), 1);
        board.answered("intake", None);
        assert!(board.is_sick("intake") && !board.is_sick("dead"));
        board.read("intake", None);
        assert!(told.borrow().is_empty() && !board.is_sick("intake"));
    }

    #[test]
    fn a_problem_names_the_thing_and_the_cure() {
        for ailment in [
            Ailment::Different("words".to_owned()),
            Ailment::Sick("words".to_owned()),
        ] {
            let name = "kassa.intake".to_owned();
            let text = Problem { name, ailment }.to_string();
            assert!(
                text.contains("kassa.intake") && text.contains("topology apply --recreate"),
                "{text}"
            );
        }
    }
}
