//! Days, weeks and months of business, in the time zone of the store.

use std::str::FromStr;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan, Zoned};
use ledger::Stretch;
use serde::{Serialize, Serializer};

/// Which days a report is about, as people name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Period {
    /// The day that is not over yet.
    Today,
    /// The day before.
    Yesterday,
    /// From Monday on; not over yet.
    ThisWeek,
    /// The last whole week, from Monday to Sunday.
    LastWeek,
    /// From the first on; not over yet.
    ThisMonth,
    /// The last whole month.
    LastMonth,
    /// From one day to another, both included.
    Days {
        /// The first day.
        first: Date,
        /// The last day.
        last: Date,
    },
}

/// A period that cannot be reckoned with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPeriod {
    /// The days stand the wrong way round.
    #[error("the last day {last} is before the first day {first}")]
    Backwards {
        /// The first day.
        first: Date,
        /// The last day.
        last: Date,
    },
    /// Nothing of it has begun.
    #[error("{first} has not begun yet in the zone {zone}")]
    Future {
        /// The first day.
        first: Date,
        /// Name of the zone.
        zone: String,
    },
    /// Beyond the calendar.
    #[error("the days are beyond the calendar")]
    Endless,
}

/// There is no such time zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the name of a time zone such as Europe/Moscow")]
pub struct UnknownZone(pub String);

/// Reads the name of a time zone. The zones are built in, and those of the machine come first.
///
/// # Errors
/// When there is no such zone.
pub fn time_zone(name: &str) -> Result<TimeZone, UnknownZone> {
    TimeZone::get(name).map_err(|_| UnknownZone(name.to_owned()))
}

/// A period at a certain moment in a certain zone: its days and its exact bounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bounds {
    /// As people name it.
    #[serde(rename = "name", serialize_with = "name")]
    pub period: Period,
    /// The first day.
    pub first: Date,
    /// The last day, included.
    pub last: Date,
    /// The store's time zone.
    #[serde(rename = "time_zone", serialize_with = "zone_name")]
    pub zone: TimeZone,
    /// The first moment.
    #[serde(serialize_with = "moment")]
    pub from: Zoned,
    /// The first moment after it.
    #[serde(serialize_with = "moment")]
    pub until: Zoned,
    /// Whether it was over when it was reckoned.
    pub is_over: bool,
    /// What it is compared with.
    pub before: Before,
}

/// The period before: as long, and of a period that is not over only as far as that one has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Before {
    /// The first moment.
    #[serde(serialize_with = "moment")]
    pub from: Zoned,
    /// The first moment after it.
    #[serde(serialize_with = "moment")]
    pub until: Zoned,
}

impl Period {
    /// The word in commands, file names and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Today => "today",
            Self::Yesterday => "yesterday",
            Self::ThisWeek => "this-week",
            Self::LastWeek => "last-week",
            Self::ThisMonth => "this-month",
            Self::LastMonth => "last-month",
            Self::Days { .. } => "days",
        }
    }

    /// The days and the exact bounds of it, seen at `now` in `zone`.
    ///
    /// # Errors
    /// [`BadPeriod`], of which only the last can come from a period that has a name.
    pub fn bounds(self, now: Timestamp, zone: &TimeZone) -> Result<Bounds, BadPeriod> {
        let now = now.to_zoned(zone.clone());
        let today = now.date();
        let (first, last) = self.days(today)?;
        if first > today {
            return Err(BadPeriod::Future {
                first,
                zone: zone_label(zone),
            });
        }
        let after_last = shifted(last, 1.day())?;
        let (from, until) = (midnight(first, zone)?, midnight(after_last, zone)?);
        let is_over = now >= until;
        let step = self.step(first, last);
        let before_from = midnight(shifted(first, -step)?, zone)?;
        let before_until = if is_over {
            from.clone()
        } else {
            // By the clock on the wall: until two in the afternoon is compared with until two in the afternoon.
            let so_far = now.datetime().checked_sub(step).map_err(|_| BadPeriod::Endless)?;
            let so_far = zone.to_zoned(so_far).map_err(|_| BadPeriod::Endless)?;
            so_far.min(from.clone()).max(before_from.clone())
        };
        Ok(Bounds {
            period: self,
            first,
            last,
            zone: zone.clone(),
            from,
            until,
            is_over,
            before: Before {
                from: before_from,
                until: before_until,
            },
        })
    }

    /// The first and the last day.
    fn days(self, today: Date) -> Result<(Date, Date), BadPeriod> {
        let monday = shifted(today, -i64::from(today.weekday().to_monday_zero_offset()).days())?;
        let first_of_month = today.first_of_month();
        Ok(match self {
            Self::Today => (today, today),
            Self::Yesterday => {
                let yesterday = shifted(today, -1.day())?;
                (yesterday, yesterday)
            }
            Self::ThisWeek => (monday, shifted(monday, 6.days())?),
            Self::LastWeek => (shifted(monday, -7.days())?, shifted(monday, -1.day())?),
            Self::ThisMonth => (first_of_month, first_of_month.last_of_month()),
            Self::LastMonth => {
                let last = shifted(first_of_month, -1.day())?;
                (last.first_of_month(), last)
            }
            Self::Days { first, last } => {
                if last < first {
                    return Err(BadPeriod::Backwards { first, last });
                }
                (first, last)
            }
        })
    }

    /// From the period before to this one.
    fn step(self, first: Date, last: Date) -> Span {
        match self {
            Self::Today | Self::Yesterday => 1.day(),
            Self::ThisWeek | Self::LastWeek => 7.days(),
            Self::ThisMonth | Self::LastMonth => 1.month(),
            Self::Days { .. } => (i64::from((last - first).get_days()) + 1).days(),
        }
    }
}

/// `today`, `yesterday`, … as [`Period::name`] gives them; not the days of a range.
impl FromStr for Period {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        [
            Self::Today,
            Self::Yesterday,
            Self::ThisWeek,
            Self::LastWeek,
            Self::ThisMonth,
            Self::LastMonth,
        ]
        .into_iter()
        .find(|period| period.name() == text)
        .ok_or(())
    }
}

impl Bounds {
    /// The exact bounds, for the ledger.
    #[must_use]
    pub fn span(&self) -> Stretch {
        Stretch {
            from: self.from.timestamp(),
            until: self.until.timestamp(),
        }
    }

    /// The same of what it is compared with.
    #[must_use]
    pub fn span_before(&self) -> Stretch {
        Stretch {
            from: self.before.from.timestamp(),
            until: self.before.until.timestamp(),
        }
    }

    /// Name of the zone.
    #[must_use]
    pub fn zone_name(&self) -> String {
        zone_label(&self.zone)
    }
}

fn shifted(day: Date, by: Span) -> Result<Date, BadPeriod> {
    day.checked_add(by).map_err(|_| BadPeriod::Endless)
}

/// The first moment of a day: where the clock skips midnight, the one after the gap.
fn midnight(day: Date, zone: &TimeZone) -> Result<Zoned, BadPeriod> {
    let start = zone.to_zoned(day.at(0, 0, 0, 0)).map_err(|_| BadPeriod::Endless)?;
    start.start_of_day().map_err(|_| BadPeriod::Endless)
}

fn zone_label(zone: &TimeZone) -> String {
    zone.iana_name().unwrap_or("UTC").to_owned()
}

fn name<S: Serializer>(period: &Period, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(period.name())
}

fn zone_name<S: Serializer>(zone: &TimeZone, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&zone_label(zone))
}

/// RFC 3339 with the offset of the zone.
fn moment<S: Serializer>(moment: &Zoned, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&moment.timestamp().display_with_offset(moment.offset()))
}

#[cfg(test)]
mod tests;
