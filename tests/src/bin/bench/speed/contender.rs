//! Who is measured, and what each needs.

use serde::{Deserialize, Serialize};

use super::floor::Mode;

/// What is written for a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Rows {
    /// One simple row of 2 KB, written before the call and changed after it: the contest that was measured before there
    /// was a kassa. It shows that floor and peers are what they should be.
    Two,
    /// Kassa's: transaction, registration, attempt and event before the call, three of them changed and another event
    /// after it.
    Kassa,
}

/// A pool of Celery's worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Pool {
    Prefork,
    Threads,
    Gevent,
}

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Who {
    OneByOne,
    Batched,
    Celery(Pool),
    Asyncio {
        processes: u8,
    },
    /// One sender, registering at `CheckOnline`.
    Kassa,
    /// The same beside a poller that publishes the events.
    KassaWithPoller,
    /// One sender, handing over to ATOL Online.
    KassaUntilWaiting,
}

/// The part of the contest that a contender belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Camp {
    Floor,
    Peers,
    Kassa,
}

impl Who {
    /// Everybody, in the order in which a round runs them.
    pub(crate) const ALL: [Self; 10] = [
        Self::OneByOne,
        Self::Batched,
        Self::Celery(Pool::Prefork),
        Self::Celery(Pool::Threads),
        Self::Celery(Pool::Gevent),
        Self::Asyncio { processes: 1 },
        Self::Asyncio { processes: 2 },
        Self::Kassa,
        Self::KassaWithPoller,
        Self::KassaUntilWaiting,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::OneByOne => "floor, one by one",
            Self::Batched => "floor, batched",
            Self::Celery(Pool::Prefork) => "celery, prefork 8",
            Self::Celery(Pool::Threads) => "celery, threads 32",
            Self::Celery(Pool::Gevent) => "celery, gevent 100",
            Self::Asyncio { processes: 1 } => "asyncio, prefetch 200",
            Self::Asyncio { .. } => "asyncio, 2 x prefetch 100",
            Self::Kassa => "kassa",
            Self::KassaWithPoller => "kassa, events published",
            Self::KassaUntilWaiting => "kassa, until waiting",
        }
    }

    pub(crate) const fn camp(self) -> Camp {
        match self {
            Self::OneByOne | Self::Batched => Camp::Floor,
            Self::Celery(_) | Self::Asyncio { .. } => Camp::Peers,
            Self::Kassa | Self::KassaWithPoller | Self::KassaUntilWaiting => Camp::Kassa,
        }
    }

    /// How many receipts it gets when the quickest get `receipts`: a run of everybody takes about as long.
    pub(crate) const fn share(self, receipts: u64) -> u64 {
        let share = match self {
            Self::OneByOne => receipts / 20,
            Self::Celery(_) => receipts / 10,
            Self::Asyncio { .. } => receipts / 5,
            Self::Batched | Self::Kassa | Self::KassaWithPoller | Self::KassaUntilWaiting => receipts,
        };
        if share < 20 { 20 } else { share }
    }

    /// Which rows it can write.
    pub(crate) const fn rows(self) -> &'static [Rows] {
        match self.camp() {
            Camp::Floor | Camp::Peers => &[Rows::Two, Rows::Kassa],
            Camp::Kassa => &[Rows::Kassa],
        }
    }

    pub(crate) const fn mode(self) -> Option<Mode> {
        match self {
            Self::OneByOne => Some(Mode::OneByOne),
            Self::Batched => Some(Mode::Batched),
            Self::Celery(_) | Self::Asyncio { .. } | Self::Kassa | Self::KassaWithPoller | Self::KassaUntilWaiting => {
                None
            }
        }
    }
}
