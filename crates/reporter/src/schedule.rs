//! When reports are due: patterns of cron, in the time zone of the store.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use receipt::StoreSettings;
use receipt::settings::TIME_ZONE;
use serde::{Deserialize, Serialize};

use crate::config::{ReportSettings, Wanted};
use crate::period::{Period, time_zone};

/// Switches a schedule off.
const NEVER: &str = "never";

/// Which report a schedule makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScheduleName {
    /// Yesterday's.
    Daily,
    /// Last week's.
    Weekly,
}

impl ScheduleName {
    /// The word in the configuration, in the table and in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Daily => "daily",
            Self::Weekly => "weekly",
        }
    }

    /// What it reports.
    #[must_use]
    pub const fn period(self) -> Period {
        match self {
            Self::Daily => Period::Yesterday,
            Self::Weekly => Period::LastWeek,
        }
    }
}

/// One schedule of one store.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// Which report it makes.
    pub name: ScheduleName,
    cron: Cron,
    zone: TimeZone,
}

impl Schedule {
    /// The schedules of a store, and what is wrong with those that are none, with its key.
    pub(crate) fn all_of(settings: &ReportSettings, store: &StoreSettings) -> (Vec<Self>, Vec<(&'static str, String)>) {
        let (mut schedules, mut faults) = (Vec::new(), Vec::new());
        // What is wrong with the name is told with the store.
        let zone = zone_of(store);
        for (name, pattern) in [
            (ScheduleName::Daily, &settings.daily),
            (ScheduleName::Weekly, &settings.weekly),
        ] {
            if pattern == NEVER {
                continue;
            }
            match Self::parse(name, pattern, zone.clone()) {
                Ok(schedule) if settings.send != Wanted::Never => schedules.push(schedule),
                Ok(_) => {}
                Err(fault) => faults.push((name.name(), fault)),
            }
        }
        (schedules, faults)
    }

    /// Reads a pattern of minute, hour, day, month and weekday.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(name: ScheduleName, pattern: &str, zone: TimeZone) -> Result<Self, String> {
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build();
        let cron = parser.parse(pattern).map_err(|error| {
            format!(
                "{pattern:?} is not a pattern of cron such as \"7 0 * * *\" (minute, hour, day, month, weekday) nor \
                 \"{NEVER}\": {error}"
            )
        })?;
        Ok(Self { name, cron, zone })
    }

    /// What lies after `seen_until` and not after `now`, oldest first: the newest `most` of it.
    #[must_use]
    pub fn passed(&self, seen_until: Timestamp, now: Timestamp, most: usize) -> Vec<Timestamp> {
        let mut passed = Vec::new();
        let (mut at, mut inclusive) = (now.to_zoned(self.zone.clone()), true);
        while passed.len() < most {
            let Ok(before) = self.cron.find_previous_occurrence(&at, inclusive) else {
                break;
            };
            if before.timestamp() <= seen_until {
                break;
            }
            passed.push(before.timestamp());
            (at, inclusive) = (before, false);
        }
        passed.reverse();
        passed
    }

    /// The next occurrence after `now`, if there ever is one.
    #[must_use]
    pub fn next(&self, now: Timestamp) -> Option<jiff::Zoned> {
        self.cron
            .find_next_occurrence(&now.to_zoned(self.zone.clone()), false)
            .ok()
    }

    /// The pattern in words.
    #[must_use]
    pub fn describe(&self) -> String {
        self.cron.describe()
    }
}

/// The zone of a store. A name that is none is told by the store's own check; until then it is Moscow's.
pub(crate) fn zone_of(store: &StoreSettings) -> TimeZone {
    time_zone(&store.time_zone)
        .or_else(|_| time_zone(TIME_ZONE))
        .unwrap_or(TimeZone::UTC)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(pattern: &str, zone: &str) -> Schedule {
        let zone = time_zone(zone).expect("a zone");
        Schedule::parse(ScheduleName::Daily, pattern, zone).expect("a pattern")
    }

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn what_was_missed_is_found_oldest_first_and_in_the_zone_of_the_store() {
        let daily = schedule("7 0 * * *", "Europe/Moscow");
        let passed = daily.passed(at("2026-11-24T21:07:00Z"), at("2026-11-27T21:07:00.5Z"), 31);
        let expected = ["2026-11-25T21:07:00Z", "2026-11-26T21:07:00Z", "2026-11-27T21:07:00Z"].map(at);
        assert_eq!(passed, expected);
    }

    #[test]
    fn nothing_is_passed_twice_and_nothing_before_its_time() {
        let daily = schedule("7 0 * * *", "Europe/Moscow");
        let due = at("2026-11-27T21:07:00Z");
        assert_eq!(daily.passed(due, due, 31), []);
        assert_eq!(daily.passed(at("2026-11-27T21:06:59.9Z"), due, 31), [due]);
        assert_eq!(
            daily.passed(at("2026-11-26T21:07:00Z"), at("2026-11-27T21:06:59.999Z"), 31),
            []
        );
    }

    #[test]
    fn after_months_of_silence_the_newest_ones_are_made() {
        let daily = schedule("7 0 * * *", "Europe/Moscow");
        let passed = daily.passed(at("2026-01-01T00:00:00Z"), at("2026-11-28T10:00:00Z"), 31);
        assert_eq!(passed.len(), 31);
        assert_eq!(passed.last(), Some(&at("2026-11-27T21:07:00Z")));
    }

    #[test]
    fn an_hour_that_is_skipped_or_repeated_makes_one_report() {
        // Berlin skips 02:00–03:00 on 2026-03-29 and has it twice on 2026-10-25.
        let daily = schedule("30 2 * * *", "Europe/Berlin");
        let spring = daily.passed(at("2026-03-28T12:00:00Z"), at("2026-03-29T12:00:00Z"), 31);
        assert_eq!(spring.len(), 1, "{spring:?}");
        let autumn = daily.passed(at("2026-10-24T12:00:00Z"), at("2026-10-25T12:00:00Z"), 31);
        assert_eq!(autumn.len(), 1, "{autumn:?}");
    }

    #[test]
    fn a_pattern_says_what_it_means_and_a_wrong_one_what_is_wrong() {
        let weekly = schedule("7 0 * * 1", "Europe/Moscow");
        assert!(weekly.describe().contains("Monday"), "{}", weekly.describe());
        let next = weekly.next(at("2026-11-28T10:00:00Z")).expect("there is a next Monday");
        assert_eq!(next.timestamp(), at("2026-11-29T21:07:00Z"));
        for wrong in ["", "61 0 * * *", "0 7 0 * * *", "sometimes"] {
            let fault = Schedule::parse(ScheduleName::Daily, wrong, TimeZone::UTC).expect_err(wrong);
            assert!(fault.contains("7 0 * * *"), "{fault}");
        }
    }
}
