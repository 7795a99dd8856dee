//! From figures to a view.

use receipt::{Operation, StateName, Text};

use super::{CauseView, Labels, Line, Part, ProblemView, Row, Tile, Tone, View};
use crate::config::ReportSettings;
use crate::language::Language;
use crate::mail::changes::{Change, Told};
use crate::mail::said;
use crate::statistics::{PROBLEMS_SHOWN, Statistics, Total};
use crate::words::{self, Standing};

/// Longer texts of causes and cures are cut in lists: a mail of any day stays below what mail programs show.
const LONGEST_CAUSE: usize = 160;
/// Causes that are shown. There are a few dozen codes that can fail a receipt.
const CAUSES_SHOWN: usize = 12;

/// Everything that a mail tells.
pub(crate) struct Facts<'a> {
    /// The figures.
    pub(crate) statistics: &'a Statistics,
    /// How the store wants them.
    pub(crate) settings: &'a ReportSettings,
    /// What changed since it was told.
    pub(crate) changes: &'a [Change],
    /// When it should have been sent, if it comes late.
    pub(crate) late: Option<jiff::Timestamp>,
}

/// The view of a report.
pub(crate) fn build(facts: &Facts<'_>) -> View {
    let Facts {
        statistics,
        settings,
        changes,
        late,
    } = *facts;
    let language = settings.language;
    let period = &statistics.period;
    let days = said::days(period.first, period.last);
    let moment = |time| said::moment(time, &period.zone);
    let late = late.map_or_else(String::new, |due| match language {
        Language::Ru => format!("Отправлен с опозданием: должен был уйти {}", moment(due)),
        Language::En => format!("Sent late: it was due {}", moment(due)),
    });
    let verdict = verdict(statistics, language);
    View {
        language: language.choose("ru", "en"),
        subject: subject(statistics, &late, language),
        preview: verdict.text.clone(),
        store: statistics.store.to_string(),
        title: format!("{} {days}", language.choose("Чеки за", "Receipts of")),
        bounds: words::exactly(period, language),
        late,
        verdict,
        tiles: tiles(statistics, language),
        bar: bar(statistics),
        rows: rows(statistics, language),
        total: Row {
            operation: language.choose("Всего", "In all").to_owned(),
            state: String::new(),
            tone: Tone::Calm,
            count: words::number(statistics.total.count, language),
            sum: words::money(statistics.total.sum, language),
            change: said::difference(statistics.total.count, statistics.total_before.count, language),
        },
        changes: changes.iter().map(|change| changed(change, language)).collect(),
        causes: causes(statistics, settings),
        problems: problems(statistics, settings),
        more: more(statistics, language),
        list_link: settings.list_link.as_ref().map_or_else(String::new, |link| {
            link.replace("{store}", statistics.store.as_str())
                .replace("{from}", &period.first.to_string())
                .replace("{until}", &period.last.to_string())
        }),
        footer: footer(statistics, language),
        labels: Labels::of(language),
    }
}

/// Verdict and sums, to be read without opening the mail.
fn subject(statistics: &Statistics, late: &str, language: Language) -> String {
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
        say(verdict.waiting.saturating_sub(verdict.overdue), "ждёт", "ждут", "waiting"),
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

fn verdict(statistics: &Statistics, language: Language) -> Line {
    let tone = tone(statistics);
    let registered = statistics.registered();
    let text = match tone {
        Tone::Good if statistics.total.count == 0 => {
            language.choose("За это время не было ни одного чека", "There were no receipts").to_owned()
        }
        Tone::Good if statistics.verdict.waiting > 0 => match language {
            Language::Ru => format!("Всё в порядке, {} ещё в пути", words::number(statistics.verdict.waiting, language)),
            Language::En => format!("All is well, {} on their way", words::number(statistics.verdict.waiting, language)),
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
            Language::En => format!("Not all receipts are registered yet: {}", troubles(statistics, language).join(", ")),
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

/// Count and sum of the receipts that `which` takes.
fn sum_of(statistics: &Statistics, which: impl Fn(Operation, StateName) -> bool + Copy) -> (Total, Total) {
    let of = |tallies: &[ledger::Tally]| {
        let taken = tallies.iter().filter(|tally| which(tally.operation, tally.state));
        Total::of(taken)
    };
    (of(&statistics.figures), of(&statistics.before))
}

const fn is_income(operation: Operation) -> bool {
    match operation {
        Operation::Sell | Operation::ResellSell => true,
        Operation::Refund | Operation::ResellRefund => false,
    }
}

/// The colour of a state.
const fn tone_of(state: StateName) -> Tone {
    tone_of_standing(Standing::of(state, None))
}

const fn tone_of_standing(standing: Standing) -> Tone {
    match standing {
        Standing::Done => Tone::Good,
        Standing::Rejected | Standing::Exhausted | Standing::Unknown => Tone::Bad,
        Standing::Held | Standing::Queued | Standing::Sending | Standing::Waiting | Standing::Retrying => Tone::Wait,
        Standing::Cancelled => Tone::Calm,
    }
}

fn tiles(statistics: &Statistics, language: Language) -> Vec<Tile> {
    let tile = |tone, label: &str, (is, was): (Total, Total)| Tile {
        // A zero alarms nobody.
        tone: if is.count == 0 { Tone::Calm } else { tone },
        label: label.to_owned(),
        count: words::number(is.count, language),
        sum: words::money(is.sum, language),
        change: said::difference(is.count, was.count, language),
    };
    let registered = |income| move |operation, state| state == StateName::Done && is_income(operation) == income;
    vec![
        tile(
            Tone::Good,
            language.choose("Приход", "Sales"),
            sum_of(statistics, registered(true)),
        ),
        tile(
            Tone::Good,
            language.choose("Возврат", "Refunds"),
            sum_of(statistics, registered(false)),
        ),
        tile(
            Tone::Bad,
            language.choose("Не пробито", "Failed"),
            sum_of(statistics, |_, state| tone_of(state) == Tone::Bad),
        ),
        tile(
            Tone::Wait,
            language.choose("В пути", "On the way"),
            sum_of(statistics, |_, state| tone_of(state) == Tone::Wait),
        ),
    ]
}

/// Parts of the whole in per cent. Nothing that is there is invisible, and together they are 100.
fn bar(statistics: &Statistics) -> Vec<Part> {
    let counts = [Tone::Good, Tone::Wait, Tone::Bad].map(|tone| {
        let (is, _) = sum_of(statistics, |_, state| tone_of(state) == tone);
        (tone, is.count)
    });
    let all: u64 = counts.iter().map(|(_, count)| count).sum();
    if all == 0 {
        return Vec::new();
    }
    let mut parts: Vec<Part> = counts
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(tone, count)| Part {
            tone,
            percent: (count.saturating_mul(100) / all).max(1),
        })
        .collect();
    let sum: u64 = parts.iter().map(|part| part.percent).sum();
    if let Some(largest) = parts.iter_mut().max_by_key(|part| part.percent) {
        largest.percent = (largest.percent + 100).saturating_sub(sum).max(1);
    }
    parts
}

fn rows(statistics: &Statistics, language: Language) -> Vec<Row> {
    let operations = [
        Operation::Sell,
        Operation::Refund,
        Operation::ResellRefund,
        Operation::ResellSell,
    ];
    let of = |tallies: &[ledger::Tally], operation, standing| {
        let taken = tallies
            .iter()
            .filter(|tally| tally.operation == operation && Standing::from(*tally) == standing);
        Total::of(taken)
    };
    let mut rows = Vec::new();
    for operation in operations {
        for standing in Standing::ALL {
            let is = of(&statistics.figures, operation, standing);
            if is.count == 0 {
                continue;
            }
            let was = of(&statistics.before, operation, standing);
            rows.push(Row {
                operation: words::operation(operation, language).to_owned(),
                state: standing.word(language).to_owned(),
                tone: tone_of_standing(standing),
                count: words::number(is.count, language),
                sum: words::money(is.sum, language),
                change: said::difference(is.count, was.count, language),
            });
        }
    }
    rows
}

fn changed(change: &Change, language: Language) -> String {
    let Change { days, was, is } = change;
    let count = |count| words::number(count, language);
    let mut parts = Vec::new();
    let mut tell = |word: &str, of: fn(&Told) -> u64| {
        if of(was) != of(is) {
            parts.push(format!("{word} {} → {}", count(of(was)), count(of(is))));
        }
    };
    tell(language.choose("пробито", "registered"), |told| told.registered);
    tell(language.choose("не пробито", "failed"), |told| told.failed);
    tell(language.choose("неизвестно", "unknown"), |told| told.unknown);
    tell(language.choose("в пути", "on the way"), |told| told.waiting);
    if was.sum != is.sum {
        parts.push(format!(
            "{} {} → {}",
            language.choose("сумма", "sum"),
            words::money(was.sum, language),
            words::money(is.sum, language)
        ));
    }
    format!("{}: {}", said::days(days.first, days.last), parts.join(", "))
}

fn of_text(text: Option<&Text>, language: Language) -> String {
    let text = text.map_or("", |text| language.choose(&text.ru, &text.en));
    said::shortened(text, LONGEST_CAUSE)
}

fn code(kind: Option<&str>, code: Option<&str>) -> String {
    let parts: Vec<&str> = [kind, code].into_iter().flatten().filter(|part| !part.is_empty()).collect();
    said::shortened(&parts.join(" "), 40)
}

fn link(settings: &ReportSettings, id: uuid::Uuid) -> String {
    let link = settings.receipt_link.as_deref().unwrap_or_default();
    link.replace("{id}", &id.to_string())
}

fn causes(statistics: &Statistics, settings: &ReportSettings) -> Vec<CauseView> {
    let language = settings.language;
    let shown = statistics.causes.iter().take(CAUSES_SHOWN);
    shown
        .map(|cause| CauseView {
            count: words::number(cause.count, language),
            sum: words::money(cause.total, language),
            cause: match &cause.cause {
                Some(text) => said::shortened(language.choose(&text.ru, &text.en), LONGEST_CAUSE * 2),
                None => Standing::from(cause).word(language).to_owned(),
            },
            cure: cause
                .cure
                .as_ref()
                .map_or_else(String::new, |text| said::shortened(language.choose(&text.ru, &text.en), LONGEST_CAUSE * 2)),
            code: code(cause.kind.as_deref(), cause.code.as_deref()),
            example: cause.example_document.clone(),
            link: link(settings, cause.example),
        })
        .collect()
}

fn problems(statistics: &Statistics, settings: &ReportSettings) -> Vec<ProblemView> {
    let language = settings.language;
    let shown = statistics.problems.iter().take(PROBLEMS_SHOWN);
    shown
        .map(|problem| {
            let overdue = tone_of(problem.state) == Tone::Wait;
            ProblemView {
                document: said::shortened(&problem.document, 40),
                order: said::shortened(problem.order.as_deref().unwrap_or_default(), 40),
                operation: words::operation(problem.operation, language).to_owned(),
                state: if overdue {
                    language.choose("Просрочен", "Overdue").to_owned()
                } else {
                    Standing::from(problem).word(language).to_owned()
                },
                tone: tone_of(problem.state),
                sum: words::money(problem.total, language),
                accepted: said::moment(problem.accepted_at, &statistics.period.zone),
                cause: of_text(problem.cause.as_ref(), language),
                link: link(settings, problem.id),
            }
        })
        .collect()
}

fn more(statistics: &Statistics, language: Language) -> String {
    let shown = statistics.problems.len().min(PROBLEMS_SHOWN);
    let hidden = statistics
        .problems_in_all
        .saturating_sub(u64::try_from(shown).unwrap_or(u64::MAX));
    if hidden == 0 {
        return String::new();
    }
    let hidden = words::number(hidden, language);
    match language {
        Language::Ru => format!("И ещё {hidden}: kassa report --output xlsx"),
        Language::En => format!("And {hidden} more: kassa report --output xlsx"),
    }
}

fn footer(statistics: &Statistics, language: Language) -> Vec<String> {
    let period = &statistics.period;
    let made = said::moment(statistics.made_at, &period.zone);
    let (from, until) = (&period.before.from, &period.before.until);
    let before = format!("{} – {}", said::minute(from), said::minute(until));
    let version = env!("CARGO_PKG_VERSION");
    let mut lines = match language {
        Language::Ru => vec![
            format!("Данные на {made}. Сравнение: {before}."),
            format!("Магазин {}. Отправила kassa {version}.", statistics.store),
        ],
        Language::En => vec![
            format!("As of {made}. Compared with {before}."),
            format!("Store {}. Sent by kassa {version}.", statistics.store),
        ],
    };
    if let Some(age) = statistics.oldest_age() {
        let (count, age) = (
            words::number(statistics.open.count, language),
            words::age(age, language),
        );
        lines.insert(
            0,
            match language {
                Language::Ru => format!("Сейчас в пути {count}, самый давний ждёт {age}."),
                Language::En => format!("On the way now: {count}; the oldest has waited for {age}."),
            },
        );
    }
    lines
}
