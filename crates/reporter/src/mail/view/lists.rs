//! Causes, and single receipts that need a person.

use receipt::{StateName, Text};

use super::{CauseView, ProblemView, Tone};
use crate::config::ReportSettings;
use crate::language::Language;
use crate::mail::said;
use crate::statistics::{PROBLEMS_SHOWN, Statistics};
use crate::words::{self, Standing};

/// Longer texts of causes and cures are cut in lists: a mail of any day stays below what mail programs show.
const LONGEST_CAUSE: usize = 160;
/// Causes that are shown. There are a few dozen codes that can fail a receipt.
const CAUSES_SHOWN: usize = 12;

fn of_text(text: Option<&Text>, language: Language) -> String {
    let text = text.map_or("", |text| language.choose(&text.ru, &text.en));
    said::shortened(text, LONGEST_CAUSE)
}

fn code(kind: Option<&str>, code: Option<&str>) -> String {
    let parts: Vec<&str> = [kind, code]
        .into_iter()
        .flatten()
        .filter(|part| !part.is_empty())
        .collect();
    said::shortened(&parts.join(" "), 40)
}

fn link(settings: &ReportSettings, id: uuid::Uuid) -> String {
    let link = settings.receipt_link.as_deref().unwrap_or_default();
    link.replace("{id}", &id.to_string())
}

pub(super) fn causes(statistics: &Statistics, settings: &ReportSettings) -> Vec<CauseView> {
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
            cure: cause.cure.as_ref().map_or_else(String::new, |text| {
                said::shortened(language.choose(&text.ru, &text.en), LONGEST_CAUSE * 2)
            }),
            code: code(cause.kind.as_deref(), cause.code.as_deref()),
            example: cause.example_document.clone(),
            link: link(settings, cause.example),
        })
        .collect()
}

pub(super) fn problems(statistics: &Statistics, settings: &ReportSettings) -> Vec<ProblemView> {
    let language = settings.language;
    let shown = statistics.problems.iter().take(PROBLEMS_SHOWN);
    shown
        .map(|problem| {
            let overdue = problem.state == StateName::Waiting;
            ProblemView {
                document: said::shortened(&problem.document, 40),
                order: said::shortened(problem.order.as_deref().unwrap_or_default(), 40),
                operation: words::operation(problem.operation, language).to_owned(),
                state: if overdue {
                    language.choose("Просрочен", "Overdue").to_owned()
                } else {
                    Standing::from(problem).word(language).to_owned()
                },
                // A person must act in any case.
                tone: Tone::Bad,
                sum: words::money(problem.total, language),
                accepted: said::moment(problem.accepted_at, &statistics.period.zone),
                cause: of_text(problem.cause.as_ref(), language),
                link: link(settings, problem.id),
            }
        })
        .collect()
}
