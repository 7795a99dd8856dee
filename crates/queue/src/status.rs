//! How the broker is, for health pages and for whoever waits.

use std::sync::Mutex;
use std::time::Instant;

use tokio::sync::watch;

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

/// The connections' states side by side; the worst one is the broker's status.
#[derive(Debug)]
pub(crate) struct Board {
    statuses: Mutex<Vec<Status>>,
    worst: watch::Sender<Status>,
}

impl Board {
    pub(crate) fn new() -> Self {
        Self {
            statuses: Mutex::default(),
            worst: watch::Sender::new(Status::Connected),
        }
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

    fn change<T>(&self, change: impl FnOnce(&mut Vec<Status>) -> T) -> T {
        let mut statuses = self.statuses.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
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
}
