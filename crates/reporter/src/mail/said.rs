//! How mails say what only mails say; the rest is in [`crate::words`].

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::language::Language;
use crate::words;

/// How a count has changed: `+12`, `−3`; `=` when it has not.
pub(super) fn difference(is: u64, was: u64, language: Language) -> String {
    let number = words::number(is.abs_diff(was), language);
    match is.cmp(&was) {
        std::cmp::Ordering::Less => format!("−{number}"),
        std::cmp::Ordering::Equal => "=".to_owned(),
        std::cmp::Ordering::Greater => format!("+{number}"),
    }
}

/// `27.11`, or `23.11–29.11`: for a subject.
pub(super) fn short_days(first: Date, last: Date) -> String {
    let short = |day: Date| day.strftime("%d.%m").to_string();
    if first == last {
        short(first)
    } else {
        format!("{}–{}", short(first), short(last))
    }
}

/// `27.11.2026`, or `23.11.2026 – 29.11.2026`.
pub(super) fn days(first: Date, last: Date) -> String {
    if first == last {
        words::day(first)
    } else {
        format!("{} – {}", words::day(first), words::day(last))
    }
}

/// `28.11.2026 00:07`, in a zone that is told elsewhere in the mail.
pub(super) fn moment(time: Timestamp, zone: &TimeZone) -> String {
    minute(&time.to_zoned(zone.clone()))
}

/// The same of a time that has its zone.
pub(super) fn minute(time: &Zoned) -> String {
    time.strftime("%d.%m.%Y %H:%M").to_string()
}

/// At most so many characters of a text; vendors may send any length.
pub(super) fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_has_its_sign() {
        assert_eq!(difference(3, 5, Language::Ru), "−2");
        assert_eq!(difference(1005, 5, Language::En), "+1,000");
        assert_eq!(difference(3, 3, Language::En), "=");
    }

    #[test]
    fn a_long_text_ends_with_a_sign_that_it_goes_on() {
        assert_eq!(shortened("Неверный ИНН", 20), "Неверный ИНН");
        assert_eq!(shortened("Неверный ИНН", 9), "Неверный…");
    }
}
