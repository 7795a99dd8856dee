//! The subject tells whether to open a mail, and the view holds what the figures hold.

use receipt::{Money, Operation, StateName};

use super::{Facts, Tone, View, build};
use crate::config::ReportSettings;
use crate::language::Language;
use crate::mail::changes::{Change, Days, Told};
use crate::samples;
use crate::statistics::{Statistics, Total};

fn settings(language: Language) -> ReportSettings {
    ReportSettings {
        language,
        receipt_link: Some("https://receipts.shop.example/receipts/{id}".to_owned()),
        list_link: Some("https://receipts.shop.example/?store={store}&from={from}&until={until}".to_owned()),
        ..ReportSettings::default()
    }
}

fn view(statistics: &Statistics, language: Language) -> View {
    build(&Facts {
        statistics,
        settings: &settings(language),
        changes: &[],
        late: None,
    })
}

/// A day when everything was registered.
fn good_day() -> Statistics {
    let mut statistics = samples::statistics();
    statistics.figures.retain(|tally| tally.state == StateName::Done);
    statistics.figures[0].count = 1247;
    statistics.figures[0].total = Money::from_kopecks(155_875_000);
    statistics.total = Total {
        count: 1247,
        sum: Money::from_kopecks(155_875_000),
    };
    statistics.causes.clear();
    statistics.problems.clear();
    statistics.problems_in_all = 0;
    statistics.verdict.failed = 0;
    statistics.verdict.unknown = 0;
    statistics.verdict.overdue = 0;
    statistics.verdict.waiting = 0;
    statistics.verdict.all_well = true;
    statistics
}

fn plain(text: &str) -> String {
    text.replace(['\u{202f}', '\u{a0}'], " ")
}

#[test]
fn the_subject_has_the_verdict_the_sums_and_the_store() {
    let good = good_day();
    assert_eq!(
        plain(&view(&good, Language::Ru).subject),
        "✔ Чеки 22.11: 1 247 пробито, 1 558 750,00 ₽ · main"
    );
    assert_eq!(
        plain(&view(&good, Language::En).subject),
        "✔ Receipts 22.11: 1,247 registered, ₽1,558,750.00 · main"
    );
    let mut bad = samples::statistics();
    (
        bad.verdict.failed,
        bad.verdict.unknown,
        bad.verdict.overdue,
        bad.verdict.waiting,
    ) = (3, 1, 0, 4);
    assert_eq!(
        plain(&view(&bad, Language::Ru).subject),
        "✖ Чеки 22.11: 3 не пробиты, 1 неизвестен, 4 ждут · main"
    );
    let mut waiting = good_day();
    (waiting.verdict.waiting, waiting.verdict.all_well) = (1, false);
    assert_eq!(
        plain(&view(&waiting, Language::Ru).subject),
        "⏳ Чеки 22.11: 1 ждёт · main"
    );
    assert_eq!(
        view(&samples::nothing(), Language::Ru).subject,
        "✔ Чеки 22.11: ни одного · main"
    );
}

#[test]
fn a_late_mail_says_so_in_its_subject_and_says_when_it_was_due() {
    let statistics = good_day();
    let late = build(&Facts {
        statistics: &statistics,
        settings: &settings(Language::Ru),
        changes: &[],
        late: Some(samples::now()),
    });
    assert!(late.subject.ends_with("· main, с опозданием"), "{}", late.subject);
    assert_eq!(late.late, "Отправлен с опозданием: должен был уйти 23.11.2026 00:07");
}

#[test]
fn problems_and_causes_are_linked_and_say_what_to_do() {
    let view = view(&samples::statistics(), Language::Ru);
    assert_eq!(view.causes.len(), 1);
    assert_eq!(
        (view.causes[0].code.as_str(), view.causes[0].example.as_str()),
        ("system 32", "S-418")
    );
    assert_eq!(view.causes[0].cure, "Исправьте чек и отправьте снова.");
    let problem = &view.problems[0];
    assert_eq!(
        problem.link,
        format!("https://receipts.shop.example/receipts/{}", samples::id(2))
    );
    assert_eq!(
        (problem.tone, problem.accepted.as_str()),
        (Tone::Bad, "22.11.2026 23:59")
    );
    assert_eq!(
        view.list_link,
        "https://receipts.shop.example/?store=main&from=2026-11-22&until=2026-11-22"
    );
    assert!(view.bounds.contains("Europe/Moscow"), "{}", view.bounds);
}

#[test]
fn parts_of_the_whole_are_a_hundred_together_and_none_is_invisible() {
    let mut statistics = good_day();
    let failed = ledger::Tally {
        operation: Operation::Refund,
        state: StateName::Failed,
        count: 1,
        ..statistics.figures[0].clone()
    };
    statistics.figures.push(failed);
    let view = view(&statistics, Language::Ru);
    let parts: Vec<(Tone, u64)> = view.bar.iter().map(|part| (part.tone, part.percent)).collect();
    assert_eq!(parts, [(Tone::Good, 99), (Tone::Bad, 1)]);
    assert!(self::view(&samples::nothing(), Language::Ru).bar.is_empty());
}

#[test]
fn a_change_names_only_what_has_changed() {
    let statistics = good_day();
    let day = statistics.period.first;
    let was = Told {
        registered: 10,
        sum: Money::from_kopecks(1_000_000),
        failed: 0,
        unknown: 0,
        waiting: 2,
    };
    let changes = [Change {
        days: Days { first: day, last: day },
        was,
        is: Told {
            registered: 12,
            waiting: 0,
            ..was
        },
    }];
    let view = build(&Facts {
        statistics: &statistics,
        settings: &settings(Language::Ru),
        changes: &changes,
        late: None,
    });
    assert_eq!(view.changes, ["22.11.2026: пробито 10 → 12, в пути 2 → 0"]);
}
