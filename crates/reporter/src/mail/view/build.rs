//! From figures to a view.

use super::figures::{bar, rows, tiles};
use super::lists::{causes, problems};
use super::verdict::{subject, verdict};
use super::{Labels, Row, Tone, View};
use crate::config::ReportSettings;
use crate::language::Language;
use crate::mail::changes::{Change, Told};
use crate::mail::said;
use crate::statistics::{PROBLEMS_SHOWN, Statistics};
use crate::words;

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
