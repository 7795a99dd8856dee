//! The words for states and operations, plurals, money and times: the same in a mail, a terminal and an export.

use jiff::civil::{Date, DateTime};
use jiff::{SignedDuration, Zoned};
use ledger::{Cause, Problem, RegisterEntry, Tally};
use receipt::{Failure, Money, Operation, StateName};

use crate::language::Language;
use crate::period::{Bounds, Period};

/// A space that no line is broken at, as narrow as the thousands of a Russian number want it.
const NARROW: char = '\u{202f}';

/// Where a receipt stands, as people are told: a failed one by what somebody has to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Standing {
    /// Waits for a person to send it.
    Held,
    /// Accepted.
    Queued,
    /// A worker has it.
    Sending,
    /// The vendor has it.
    Waiting,
    /// Will be tried again.
    Retrying,
    /// Registered.
    Done,
    /// Nobody knows.
    Unknown,
    /// The receipt itself was refused.
    Rejected,
    /// The tries are used up.
    Exhausted,
    /// A person closed it.
    Cancelled,
}

impl Standing {
    /// Every one, in the order of a receipt's life.
    pub const ALL: [Self; 10] = [
        Self::Held,
        Self::Queued,
        Self::Sending,
        Self::Waiting,
        Self::Retrying,
        Self::Done,
        Self::Unknown,
        Self::Rejected,
        Self::Exhausted,
        Self::Cancelled,
    ];

    /// Of a row of the table.
    #[must_use]
    pub const fn of(state: StateName, failure: Option<Failure>) -> Self {
        match (state, failure) {
            (StateName::Held, _) => Self::Held,
            (StateName::Queued, _) => Self::Queued,
            (StateName::Sending, _) => Self::Sending,
            (StateName::Waiting, _) => Self::Waiting,
            (StateName::Retrying, _) => Self::Retrying,
            (StateName::Done, _) => Self::Done,
            (StateName::Unknown, _) => Self::Unknown,
            (StateName::Failed, Some(Failure::Exhausted)) => Self::Exhausted,
            (StateName::Failed, Some(Failure::Rejected) | None) => Self::Rejected,
            (StateName::Cancelled, _) => Self::Cancelled,
        }
    }

    /// The word for programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Waiting => "waiting",
            Self::Retrying => "retrying",
            Self::Done => "done",
            Self::Unknown => "unknown",
            Self::Rejected => "rejected",
            Self::Exhausted => "exhausted",
            Self::Cancelled => "cancelled",
        }
    }

    /// The word for people.
    #[must_use]
    pub const fn word(self, language: Language) -> &'static str {
        match self {
            Self::Held => language.choose("Ждёт отправки вручную", "Held"),
            Self::Queued => language.choose("В очереди", "Queued"),
            Self::Sending => language.choose("Отправляется", "Sending"),
            Self::Waiting => language.choose("Ждёт кассу", "Waiting for vendor"),
            Self::Retrying => language.choose("Повтор позже", "Retrying"),
            Self::Done => language.choose("Пробит", "Registered"),
            Self::Unknown => language.choose("Результат неизвестен", "Result unknown"),
            Self::Rejected => language.choose("Отклонён: исправить", "Rejected: correct it"),
            Self::Exhausted => language.choose("Попытки кончились", "Retries exhausted"),
            Self::Cancelled => language.choose("Не требуется", "Not needed"),
        }
    }
}

impl From<&Tally> for Standing {
    fn from(tally: &Tally) -> Self {
        Self::of(tally.state, tally.failure)
    }
}

impl From<&Cause> for Standing {
    fn from(cause: &Cause) -> Self {
        Self::of(cause.state, cause.failure)
    }
}

impl From<&Problem> for Standing {
    fn from(problem: &Problem) -> Self {
        Self::of(problem.state, problem.failure)
    }
}

impl From<&RegisterEntry> for Standing {
    fn from(entry: &RegisterEntry) -> Self {
        Self::of(entry.state, entry.failure)
    }
}

/// The word for what is registered.
#[must_use]
pub const fn operation(operation: Operation, language: Language) -> &'static str {
    match operation {
        Operation::Sell => language.choose("Продажа", "Sale"),
        Operation::Refund => language.choose("Возврат", "Refund"),
        Operation::ResellRefund => language.choose("Отмена продажи", "Cancelling receipt"),
        Operation::ResellSell => language.choose("Новая продажа", "New sale"),
    }
}

/// The form of a Russian noun that follows a number: 1 чек, 2 чека, 5 чеков.
#[must_use]
pub const fn plural<'a>(count: u64, one: &'a str, few: &'a str, many: &'a str) -> &'a str {
    match (count % 10, count % 100) {
        (_, 11..=14) => many,
        (1, _) => one,
        (2..=4, _) => few,
        _ => many,
    }
}

/// `3 чека`, `3 receipts`.
#[must_use]
pub fn receipts(count: u64, language: Language) -> String {
    let noun = match language {
        Language::Ru => plural(count, "чек", "чека", "чеков"),
        Language::En if count == 1 => "receipt",
        Language::En => "receipts",
    };
    format!("{} {noun}", number(count, language))
}

/// `1 247`, `1,247`.
#[must_use]
pub fn number(number: u64, language: Language) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() * 2);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(match language {
                Language::Ru => NARROW,
                Language::En => ',',
            });
        }
        grouped.push(digit);
    }
    grouped
}

/// `1 558 750,00 ₽`, `₽1,558,750.00`.
#[must_use]
pub fn money(money: Money, language: Language) -> String {
    let kopecks = money.kopecks().unsigned_abs();
    let sign = if money.kopecks() < 0 { "-" } else { "" };
    let (roubles, rest) = (number(kopecks / 100, language), kopecks % 100);
    match language {
        Language::Ru => format!("{sign}{roubles},{rest:02}{NARROW}₽"),
        Language::En => format!("{sign}₽{roubles}.{rest:02}"),
    }
}

/// `22.11.2026 14:30:05 МСК`.
#[must_use]
pub fn time(time: &Zoned, language: Language) -> String {
    format!("{} {}", clock(time.datetime()), zone(time, language))
}

/// `22.11.2026 14:30:05`, without a zone: as a register keeps it, or where the zone stands in the heading.
#[must_use]
pub fn clock(time: DateTime) -> String {
    time.strftime("%d.%m.%Y %H:%M:%S").to_string()
}

/// `22.11.2026`.
#[must_use]
pub fn day(day: Date) -> String {
    day.strftime("%d.%m.%Y").to_string()
}

/// `МСК`, or the offset: abbreviations of other zones mean too many things.
fn zone(time: &Zoned, language: Language) -> String {
    if time.time_zone().iana_name() == Some("Europe/Moscow") {
        return language.choose("МСК", "MSK").to_owned();
    }
    let minutes = time.offset().seconds() / 60;
    let sign = if minutes < 0 { '-' } else { '+' };
    let (hours, rest) = (minutes.abs() / 60, minutes.abs() % 60);
    format!("UTC{sign}{hours:02}:{rest:02}")
}

/// `2 ч 05 мин`, `2 h 05 min`: how long something has waited.
#[must_use]
pub fn age(age: SignedDuration, language: Language) -> String {
    let minutes = age.as_mins().max(0);
    let (days, hours, minutes) = (minutes / 1440, minutes / 60 % 24, minutes % 60);
    let (d, h, m) = match language {
        Language::Ru => ("дн.", "ч", "мин"),
        Language::En => ("d", "h", "min"),
    };
    if days > 0 {
        format!("{days} {d} {hours} {h}")
    } else if hours > 0 {
        format!("{hours} {h} {minutes:02} {m}")
    } else {
        format!("{minutes} {m}")
    }
}

/// `сегодня, 22.11.2026`, `прошлая неделя, 16.11.2026 – 22.11.2026`.
#[must_use]
pub fn period(bounds: &Bounds, language: Language) -> String {
    let name = match bounds.period {
        Period::Today => language.choose("сегодня", "today"),
        Period::Yesterday => language.choose("вчера", "yesterday"),
        Period::ThisWeek => language.choose("эта неделя", "this week"),
        Period::LastWeek => language.choose("прошлая неделя", "last week"),
        Period::ThisMonth => language.choose("этот месяц", "this month"),
        Period::LastMonth => language.choose("прошлый месяц", "last month"),
        Period::Days { .. } => "",
    };
    let days = days(bounds);
    if name.is_empty() {
        days
    } else {
        format!("{name}, {days}")
    }
}

/// `22.11.2026`, `16.11.2026 – 22.11.2026`.
#[must_use]
pub fn days(bounds: &Bounds) -> String {
    if bounds.first == bounds.last {
        day(bounds.first)
    } else {
        format!("{} – {}", day(bounds.first), day(bounds.last))
    }
}

/// The exact bounds with their zone: `22.11.2026 00:00:00 МСК – 23.11.2026 00:00:00 МСК (Europe/Moscow)`, where the last
/// moment does not belong to it.
#[must_use]
pub fn exactly(bounds: &Bounds, language: Language) -> String {
    format!(
        "{} – {} ({})",
        time(&bounds.from, language),
        time(&bounds.until, language),
        bounds.zone_name()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn russian_nouns_follow_their_numbers() {
        for (count, words) in [
            (0, "0 чеков"),
            (1, "1 чек"),
            (2, "2 чека"),
            (4, "4 чека"),
            (5, "5 чеков"),
            (11, "11 чеков"),
            (14, "14 чеков"),
            (21, "21 чек"),
            (111, "111 чеков"),
            (122, "122 чека"),
            (1_247, "1\u{202f}247 чеков"),
        ] {
            assert_eq!(receipts(count, Language::Ru), words);
        }
        assert_eq!(receipts(1, Language::En), "1 receipt");
        assert_eq!(receipts(1_000_001, Language::En), "1,000,001 receipts");
    }

    #[test]
    fn money_is_written_as_each_language_writes_it() {
        for (kopecks, ru, en) in [
            (0, "0,00\u{202f}₽", "₽0.00"),
            (5, "0,05\u{202f}₽", "₽0.05"),
            (155_875_000, "1\u{202f}558\u{202f}750,00\u{202f}₽", "₽1,558,750.00"),
            (-120_000, "-1\u{202f}200,00\u{202f}₽", "-₽1,200.00"),
        ] {
            let amount = Money::from_kopecks(kopecks);
            assert_eq!(money(amount, Language::Ru), ru);
            assert_eq!(money(amount, Language::En), en);
        }
    }

    #[test]
    fn a_time_names_its_zone() {
        let moment: jiff::Timestamp = "2026-11-22T11:30:05Z".parse().expect("a time");
        for (name, ru, en) in [
            ("Europe/Moscow", "22.11.2026 14:30:05 МСК", "22.11.2026 14:30:05 MSK"),
            (
                "Asia/Yekaterinburg",
                "22.11.2026 16:30:05 UTC+05:00",
                "22.11.2026 16:30:05 UTC+05:00",
            ),
            (
                "America/St_Johns",
                "22.11.2026 08:00:05 UTC-03:30",
                "22.11.2026 08:00:05 UTC-03:30",
            ),
        ] {
            let moment = moment.in_tz(name).expect("a zone");
            assert_eq!(time(&moment, Language::Ru), ru);
            assert_eq!(time(&moment, Language::En), en);
        }
    }

    #[test]
    fn an_age_is_told_in_its_two_largest_units() {
        for (seconds, ru, en) in [
            (59, "0 мин", "0 min"),
            (3_599, "59 мин", "59 min"),
            (7_500, "2 ч 05 мин", "2 h 05 min"),
            (90_000, "1 дн. 1 ч", "1 d 1 h"),
        ] {
            let waited = SignedDuration::from_secs(seconds);
            assert_eq!(age(waited, Language::Ru), ru);
            assert_eq!(age(waited, Language::En), en);
        }
    }

    #[test]
    fn every_standing_has_a_word_of_its_own_in_both_languages() {
        for language in [Language::Ru, Language::En] {
            let words: std::collections::BTreeSet<_> =
                Standing::ALL.iter().map(|standing| standing.word(language)).collect();
            assert_eq!(words.len(), Standing::ALL.len());
        }
    }
}
