//! What was told and is not so any more: a receipt that was waiting at midnight is registered in the morning.

use std::collections::BTreeMap;

use jiff::civil::Date;
use receipt::{Money, StateName};
use serde::{Deserialize, Serialize};

use crate::period::Period;
use crate::statistics::Statistics;

/// The numbers of a period that a mail told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Told {
    /// Registered receipts.
    pub(crate) registered: u64,
    /// Their sum.
    pub(crate) sum: Money,
    /// Failed ones.
    pub(crate) failed: u64,
    /// Those of which nobody knows.
    pub(crate) unknown: u64,
    /// Those on their way.
    pub(crate) waiting: u64,
}

impl Told {
    /// The numbers of a report.
    #[must_use]
    pub(crate) fn of(statistics: &Statistics) -> Self {
        let registered = statistics.registered();
        Self {
            registered: registered.count,
            sum: registered.sum,
            failed: count(statistics, StateName::Failed),
            unknown: count(statistics, StateName::Unknown),
            waiting: statistics.verdict.waiting,
        }
    }
}

fn count(statistics: &Statistics, state: StateName) -> u64 {
    let of_state = statistics.figures.iter().filter(|tally| tally.state == state);
    of_state.map(|tally| tally.count).sum()
}

/// The days of a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Days {
    /// The first.
    pub(crate) first: Date,
    /// The last, included.
    pub(crate) last: Date,
}

impl Days {
    /// The period of these days.
    #[must_use]
    pub(crate) const fn period(self) -> Period {
        Period::Days {
            first: self.first,
            last: self.last,
        }
    }
}

/// All numbers that a mail told, by the days they are about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Memory(pub BTreeMap<Days, Told>);

impl Memory {
    /// Reads what was stored; what cannot be read was not told.
    #[must_use]
    pub(crate) fn read(stored: &serde_json::Value) -> Self {
        let Some(stored) = stored.as_object() else {
            return Self::default();
        };
        let entries = stored.iter().filter_map(|(days, told)| {
            let (first, last) = days.split_once('_')?;
            let days = Days {
                first: first.parse().ok()?,
                last: last.parse().ok()?,
            };
            Some((days, serde_json::from_value(told.clone()).ok()?))
        });
        Self(entries.collect())
    }

    /// The stored form.
    #[must_use]
    pub(crate) fn stored(&self) -> serde_json::Value {
        let entries = self.0.iter().filter_map(|(days, told)| {
            let told = serde_json::to_value(told).ok()?;
            Some((format!("{}_{}", days.first, days.last), told))
        });
        serde_json::Value::Object(entries.collect())
    }

    /// The newest `most` periods before `now`, which are looked at again.
    #[must_use]
    pub(crate) fn newest(&self, before: Days, most: usize) -> Vec<Days> {
        let earlier = self.0.keys().rev().filter(|days| days.last < before.first);
        earlier.take(most).copied().collect()
    }
}

/// Numbers that have changed since they were told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Change {
    /// Of which days.
    pub(crate) days: Days,
    /// As they were told.
    pub(crate) was: Told,
    /// As they are.
    pub(crate) is: Told,
}

/// What differs, oldest first.
#[must_use]
pub(crate) fn changes(told: &Memory, now: &[(Days, Told)]) -> Vec<Change> {
    let changed = now.iter().filter_map(|(days, is)| {
        let was = told.0.get(days)?;
        (was != is).then_some(Change {
            days: *days,
            was: *was,
            is: *is,
        })
    });
    let mut changed: Vec<Change> = changed.collect();
    changed.sort_by_key(|change| change.days);
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(day: &str) -> Days {
        let day: Date = day.parse().expect("a day");
        Days { first: day, last: day }
    }

    fn told(registered: u64, waiting: u64) -> Told {
        Told {
            registered,
            sum: Money::parse("1200.00").expect("an amount"),
            waiting,
            ..Told::default()
        }
    }

    #[test]
    fn what_is_stored_is_read_again() {
        let memory = Memory(BTreeMap::from([
            (days("2026-11-27"), told(3, 1)),
            (days("2026-11-26"), told(2, 0)),
        ]));
        assert_eq!(Memory::read(&memory.stored()), memory);
        assert_eq!(
            Memory::read(&serde_json::json!({"odd": 1, "2026-11-27_x": {}})),
            Memory::default()
        );
    }

    #[test]
    fn only_numbers_that_differ_from_what_was_told_are_told_again() {
        let memory = Memory(BTreeMap::from([
            (days("2026-11-25"), told(3, 1)),
            (days("2026-11-26"), told(2, 0)),
        ]));
        let now = [
            (days("2026-11-26"), told(2, 0)),
            (days("2026-11-25"), told(4, 0)),
            (days("2026-11-24"), told(9, 9)),
        ];
        let changed = changes(&memory, &now);
        assert_eq!(changed.len(), 1, "{changed:?}");
        assert_eq!((changed[0].was.registered, changed[0].is.registered), (3, 4));
    }

    #[test]
    fn only_so_many_earlier_periods_are_looked_at_again() {
        let all = ["2026-11-24", "2026-11-25", "2026-11-26", "2026-11-27"].map(|day| (days(day), told(1, 0)));
        let memory = Memory(BTreeMap::from(all));
        assert_eq!(
            memory.newest(days("2026-11-27"), 2),
            [days("2026-11-26"), days("2026-11-25")]
        );
    }
}
