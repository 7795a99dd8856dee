//! The report as plain text, for terminals and for the text part of a mail.
//!
//! Tables are columns of spaces, read in any font that has equal widths and understood in others.

use std::fmt::Write;

use receipt::Text;

use crate::language::Language;
use crate::statistics::{PROBLEMS_SHOWN, Statistics, Total, Verdict};
use crate::words::{self, Standing};

/// The report as lines of text, the last one ended.
#[must_use]
pub fn text(statistics: &Statistics, language: Language) -> String {
    let mut lines = Lines(String::new());
    let choose = |ru, en| language.choose(ru, en);
    lines.add(format_args!(
        "{}: {} · {} · {}",
        choose("Чеки", "Receipts"),
        statistics.store,
        words::period(&statistics.period, language),
        verdict(&statistics.verdict, language)
    ));
    lines.add(format_args!(
        "{} {}",
        choose("Приняты", "Accepted"),
        words::exactly(&statistics.period, language)
    ));
    figures(&mut lines, statistics, language);
    comparison(&mut lines, statistics, language);
    open(&mut lines, statistics, language);
    causes(&mut lines, statistics, language);
    problems(&mut lines, statistics, language);
    let made_at = statistics.made_at.to_zoned(statistics.period.zone.clone());
    lines.section(format_args!(
        "{} {}.",
        choose("Состояние на", "As of"),
        words::time(&made_at, language)
    ));
    lines.0
}

/// `всё пробито`, or what needs a person: `3 чека не пробиты, 1 неизвестен, 4 ждут`.
#[must_use]
pub fn verdict(verdict: &Verdict, language: Language) -> String {
    if verdict.all_well {
        let on_their_way = match (verdict.waiting, language) {
            (0, _) => return language.choose("всё в порядке", "all well").to_owned(),
            (waiting, Language::Ru) => {
                format!("{} в пути", words::receipts(waiting, language))
            }
            (waiting, Language::En) => format!("{} on their way", words::receipts(waiting, language)),
        };
        return format!("{}, {on_their_way}", language.choose("всё в порядке", "all well"));
    }
    let parts = [
        (verdict.failed, language.choose("не пробито", "failed")),
        (verdict.unknown, language.choose("с неизвестным результатом", "unknown")),
        (verdict.overdue, language.choose("просрочено", "overdue")),
        (
            verdict.waiting.saturating_sub(verdict.overdue),
            language.choose("ждёт", "waiting"),
        ),
    ];
    let told: Vec<String> = parts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{word}: {}", words::number(count, language)))
        .collect();
    told.join(", ")
}

fn figures(lines: &mut Lines, statistics: &Statistics, language: Language) {
    let headings = match language {
        Language::Ru => ["Операция", "Состояние", "Чеков", "Сумма"],
        Language::En => ["Operation", "State", "Receipts", "Sum"],
    };
    let mut rows = vec![headings.map(str::to_owned)];
    rows.extend(statistics.figures.iter().map(|tally| {
        [
            words::operation(tally.operation, language).to_owned(),
            Standing::from(tally).word(language).to_owned(),
            words::number(tally.count, language),
            words::money(tally.total, language),
        ]
    }));
    rows.push([
        language.choose("Всего", "Total").to_owned(),
        String::new(),
        words::number(statistics.total.count, language),
        words::money(statistics.total.sum, language),
    ]);
    let sides = [Side::Left, Side::Left, Side::Right, Side::Right];
    lines.section(format_args!("{}", columns(&rows, sides)));
}

fn comparison(lines: &mut Lines, statistics: &Statistics, language: Language) {
    let before = &statistics.period.before;
    let total = |total: Total| {
        format!(
            "{}, {}",
            words::receipts(total.count, language),
            words::money(total.sum, language)
        )
    };
    lines.section(format_args!(
        "{}: {} ({} – {})",
        language.choose("До того", "Before"),
        total(statistics.total_before),
        words::time(&before.from, language),
        words::time(&before.until, language)
    ));
    lines.add(format_args!(
        "{}: {}",
        language.choose("Изменение", "Change"),
        change(statistics, language)
    ));
}

/// `+12 чеков, +1 200,00 ₽`.
fn change(statistics: &Statistics, language: Language) -> String {
    let (now, before) = (statistics.total, statistics.total_before);
    let counts = if now.count >= before.count { '+' } else { '−' };
    let difference = now.sum.kopecks() - before.sum.kopecks();
    let sums = if difference >= 0 { '+' } else { '−' };
    format!(
        "{counts}{}, {sums}{}",
        words::receipts(now.count.abs_diff(before.count), language),
        words::money(receipt::Money::from_kopecks(difference.abs()), language)
    )
}

fn open(lines: &mut Lines, statistics: &Statistics, language: Language) {
    let open = &statistics.open;
    let oldest = statistics.oldest_age().map_or_else(String::new, |age| {
        format!(
            "{} {}",
            language.choose(", дольше всех", ", the oldest for"),
            words::age(age, language)
        )
    });
    lines.add(format_args!(
        "{}: {}, {}{oldest}",
        language.choose("Сейчас в пути", "On their way now"),
        words::receipts(open.count, language),
        words::money(open.total, language)
    ));
}

fn causes(lines: &mut Lines, statistics: &Statistics, language: Language) {
    if statistics.causes.is_empty() {
        return;
    }
    lines.section(format_args!("{}", language.choose("Причины", "Causes")));
    for cause in &statistics.causes {
        lines.add(format_args!(
            "  {} · {} · {} · {}",
            Standing::from(cause).word(language),
            code(cause.kind.as_deref(), cause.code.as_deref()),
            words::receipts(cause.count, language),
            words::money(cause.total, language),
        ));
        lines.add(format_args!("    {}", said(cause.cause.as_ref(), language)));
        if let Some(cure) = &cause.cure {
            lines.add(format_args!(
                "    {}: {}",
                language.choose("Что делать", "What to do"),
                one_line(in_language(cure, language))
            ));
        }
        lines.add(format_args!(
            "    {}: {} ({})",
            language.choose("Например", "For example"),
            cause.example_document,
            cause.example
        ));
    }
}

fn problems(lines: &mut Lines, statistics: &Statistics, language: Language) {
    if statistics.problems.is_empty() {
        return;
    }
    lines.section(format_args!(
        "{}: {}",
        language.choose("Требуют внимания", "Need attention"),
        words::receipts(statistics.problems_in_all, language)
    ));
    let rows: Vec<[String; 5]> = statistics
        .problems
        .iter()
        .take(PROBLEMS_SHOWN)
        .map(|problem| {
            let accepted_at = problem.accepted_at.to_zoned(statistics.period.zone.clone());
            [
                words::clock(accepted_at.datetime()),
                words::operation(problem.operation, language).to_owned(),
                problem.document.clone(),
                words::money(problem.total, language),
                format!(
                    "{} — {}",
                    Standing::from(problem).word(language),
                    said(problem.cause.as_ref(), language)
                ),
            ]
        })
        .collect();
    let shown = rows.len();
    let sides = [Side::Left, Side::Left, Side::Left, Side::Right, Side::Left];
    lines.add(format_args!("{}", columns(&rows, sides)));
    let more = statistics
        .problems_in_all
        .saturating_sub(u64::try_from(shown).unwrap_or(0));
    if more > 0 {
        lines.add(format_args!(
            "  {} {}",
            language.choose("и ещё", "and"),
            match language {
                Language::Ru => words::number(more, language),
                Language::En => format!("{} more", words::number(more, language)),
            }
        ));
    }
}

/// What an attempt said, on one line: it may quote a stranger.
pub(crate) fn said(text: Option<&Text>, language: Language) -> String {
    text.map_or_else(
        || {
            language
                .choose("причина не записана", "no cause is recorded")
                .to_owned()
        },
        |text| one_line(in_language(text, language)),
    )
}

fn one_line(text: &str) -> String {
    text.split(|character: char| character.is_control() || matches!(character, '\u{2028}' | '\u{2029}'))
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

pub(crate) fn in_language(text: &Text, language: Language) -> &str {
    match language {
        Language::Ru => &text.ru,
        Language::En => &text.en,
    }
}

/// `driver 3804`, or what is known of it.
pub(crate) fn code(kind: Option<&str>, code: Option<&str>) -> String {
    match (kind, code) {
        (Some(kind), Some(code)) => format!("{kind} {code}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => "-".to_owned(),
    }
}

/// Lines of text. What comes from strangers breaks no line.
struct Lines(String);

impl Lines {
    fn add(&mut self, line: std::fmt::Arguments<'_>) {
        // A String takes everything.
        let _ = writeln!(self.0, "{line}");
    }

    /// The same after an empty line.
    fn section(&mut self, line: std::fmt::Arguments<'_>) {
        self.0.push('\n');
        self.add(line);
    }
}

/// On which side of its column a cell stands.
#[derive(Clone, Copy)]
enum Side {
    Left,
    Right,
}

/// Rows with their cells below each other.
fn columns<const N: usize>(rows: &[[String; N]], sides: [Side; N]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let lines = rows.iter().map(|row| {
        let cells = row.iter().zip(widths).zip(sides).map(|((cell, width), side)| {
            let room = " ".repeat(width - cell.chars().count());
            match side {
                Side::Left => format!("{cell}{room}"),
                Side::Right => format!("{room}{cell}"),
            }
        });
        format!("  {}", cells.collect::<Vec<_>>().join("  "))
            .trim_end()
            .to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn a_day_with_a_problem_reads_like_this() {
        insta::assert_snapshot!("day_ru", text(&samples::statistics(), Language::Ru));
        insta::assert_snapshot!("day_en", text(&samples::statistics(), Language::En));
    }

    #[test]
    fn a_day_without_receipts_is_told_too() {
        insta::assert_snapshot!("nothing_ru", text(&samples::nothing(), Language::Ru));
        insta::assert_snapshot!("nothing_en", text(&samples::nothing(), Language::En));
    }

    #[test]
    fn no_more_problems_are_shown_than_fit_and_the_others_are_counted() {
        let mut statistics = samples::statistics();
        statistics.problems = vec![statistics.problems[0].clone(); PROBLEMS_SHOWN + 7];
        statistics.problems_in_all = 1_000;
        let text = text(&statistics, Language::En);
        assert_eq!(
            text.matches("S-418").count(),
            PROBLEMS_SHOWN + 1,
            "and the example of the cause"
        );
        assert!(text.contains("and 950 more"), "{text}");
    }

    #[test]
    fn a_strangers_text_breaks_no_line() {
        let mut statistics = samples::statistics();
        let nasty = Text::new("Строка\nещё\u{2028}", "A line\r\nand another");
        statistics.causes[0].cause = Some(nasty.clone());
        statistics.problems[0].cause = Some(nasty);
        let clean = text(&samples::statistics(), Language::En).lines().count();
        assert_eq!(text(&statistics, Language::En).lines().count(), clean);
    }
}
