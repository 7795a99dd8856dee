//! Is all well? Said in the subject and in the first line.

use super::{Line, Tone};
use crate::language::Language;
use crate::mail::said;
use crate::statistics::{Statistics, Total};
use crate::words;

/// Verdict and sums, to be read without opening the mail.
pub(super) fn subject(statistics: &Statistics, late: &str, language: Language) -> String {
    let verdict = &statistics.verdict;
    let days = said::short_days(statistics.period.first, statistics.period.last);
    let registered = statistics.registered();
    let mark = mark(tone(statistics));
    let what = language.choose("Чеки", "Receipts");
    let mut said_parts = Vec::new();
    if verdict.all_well {
        if registered.count == 0 {
            said_parts.push(language.choose("ни одного", "none").to_owned());
        } else {
            said_parts.push(registered_words(registered, language));
            said_parts.push(words::money(registered.sum, language));
        }
    } else {
        said_parts.push(troubles(statistics, language).join(", "));
    }
    let store = &statistics.store;
    let late = if late.is_empty() {
        ""
    } else {
        language.choose(", с опозданием", ", late")
    };
    format!("{mark} {what} {days}: {} · {store}{late}", said_parts.join(", "))
}

fn registered_words(registered: Total, language: Language) -> String {
    let count = words::number(registered.count, language);
    match language {
        Language::Ru => {
            let word = words::plural(registered.count, "пробит", "пробито", "пробито");
            format!("{count} {word}")
        }
        Language::En => format!("{count} registered"),
    }
}

/// What is not as it should be, each with its count.
fn troubles(statistics: &Statistics, language: Language) -> Vec<String> {
    let verdict = &statistics.verdict;
    let say = |count: u64, one: &str, many: &str, en: &str| {
        let number = words::number(count, language);
        (count > 0).then(|| match language {
            Language::Ru => format!("{number} {}", words::plural(count, one, many, many)),
            Language::En => format!("{number} {en}"),
        })
    };
    [
        say(verdict.failed, "не пробит", "не пробиты", "failed"),
        say(verdict.unknown, "неизвестен", "неизвестны", "unknown"),
        say(verdict.overdue, "просрочен", "просрочены", "overdue"),
        // What is overdue waits too, and is not told twice.
        say(
            verdict.waiting.saturating_sub(verdict.overdue),
            "ждёт",
            "ждут",
            "waiting",
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn tone(statistics: &Statistics) -> Tone {
    let verdict = &statistics.verdict;
    if verdict.all_well {
        Tone::Good
    } else if verdict.failed + verdict.unknown + verdict.overdue > 0 {
        Tone::Bad
    } else {
        Tone::Wait
    }
}

const fn mark(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "✔",
        Tone::Wait => "⏳",
        Tone::Bad => "✖",
        Tone::Calm => "",
    }
}

pub(super) fn verdict(statistics: &Statistics, language: Language) -> Line {
    let tone = tone(statistics);
    let registered = statistics.registered();
    let text = match tone {
        Tone::Good if statistics.total.count == 0 => language
            .choose("За это время не было ни одного чека", "There were no receipts")
            .to_owned(),
        Tone::Good if statistics.verdict.waiting > 0 => match language {
            Language::Ru => format!(
                "Всё в порядке, {} ещё в пути",
                words::number(statistics.verdict.waiting, language)
            ),
            Language::En => format!(
                "All is well, {} on their way",
                words::number(statistics.verdict.waiting, language)
            ),
        },
        Tone::Good | Tone::Calm => match language {
            Language::Ru => format!(
                "Всё в порядке: {} на {}",
                registered_words(registered, language),
                words::money(registered.sum, language)
            ),
            Language::En => format!(
                "All is well: {} for {}",
                registered_words(registered, language),
                words::money(registered.sum, language)
            ),
        },
        Tone::Wait => match language {
            Language::Ru => format!("Ещё не все чеки пробиты: {}", troubles(statistics, language).join(", ")),
            Language::En => format!(
                "Not all receipts are registered yet: {}",
                troubles(statistics, language).join(", ")
            ),
        },
        Tone::Bad => match language {
            Language::Ru => format!("Нужен человек: {}", troubles(statistics, language).join(", ")),
            Language::En => format!("A person is needed: {}", troubles(statistics, language).join(", ")),
        },
    };
    Line {
        tone,
        mark: mark(tone),
        text,
    }
}
