//! Making the mail of a report: figures, what changed since it was told, text, HTML and the register.

use std::collections::BTreeMap;

use anyhow::Context;
use jiff::{SignedDuration, Timestamp};
use ledger::{Ledger, Mail};
use receipt::StoreCode;

use crate::config::Wanted;
use crate::desk::Desk;
use crate::language::Language;
use crate::mail::changes::{Change, Days, Memory, Told, changes};
use crate::mail::letter::{Attached, Letter};
use crate::mail::order::ReportOrder;
use crate::mail::view::{Facts, View, build};
use crate::schedule::ScheduleName;
use crate::statistics::{PROBLEMS_SHOWN, Question, Statistics, statistics};
use crate::text::text;
use crate::xlsx::workbook;

/// A mail that is sent later than this after its time says so.
const PUNCTUAL: SignedDuration = SignedDuration::from_mins(15);
/// Mail programs cut what is longer (Gmail at 102 KB).
const LARGEST_HTML: usize = 90_000;
/// Mail servers refuse what is larger, some already at this.
const LARGEST_ATTACHED: usize = 10_000_000;

/// A mail that can be sent.
#[derive(Debug, Clone)]
pub(crate) struct Ready {
    /// The mail.
    pub(crate) letter: Letter,
    /// The numbers that it tells, for the next one of its series.
    pub(crate) figures: serde_json::Value,
}

/// A report as its mail would look.
#[derive(Debug, Clone)]
pub struct Preview {
    /// The subject.
    pub subject: String,
    /// The text part.
    pub text: String,
    /// The HTML part.
    pub html: String,
}

/// The report of `order` as its mail would look, without anything that was told before.
///
/// # Errors
/// When the figures cannot be read, or nothing of the period has begun.
pub async fn preview(ledger: &Ledger, desk: &Desk, order: &ReportOrder) -> anyhow::Result<Preview> {
    let bounds = order.period().bounds(order.at, &desk.zone)?;
    let question = Question {
        store: order.store.clone(),
        bounds,
    };
    let mut answers = statistics(ledger, &[question], PROBLEMS_SHOWN).await?;
    let statistics = answers.pop().context("an answer for the question")?;
    let (view, html) = look(desk, &statistics, &[], None);
    Ok(Preview {
        text: words(&view, &statistics, desk.settings.language),
        subject: view.subject,
        html,
    })
}

/// The mail of `order`; `None` when there is nothing to be told.
///
/// # Errors
/// When the figures cannot be read.
pub(crate) async fn prepare(
    ledger: &Ledger,
    desk: &Desk,
    order: &ReportOrder,
    mail: &Mail,
) -> anyhow::Result<Option<Ready>> {
    let bounds = order.period().bounds(order.at, &desk.zone)?;
    let own = Days {
        first: bounds.first,
        last: bounds.last,
    };
    let language = desk.settings.language;
    let question = [Question {
        store: order.store.clone(),
        bounds,
    }];
    let (mut answers, bytes) = if desk.settings.attach {
        let workbook = workbook(ledger, &question, language).await?;
        (workbook.statistics, Some(workbook.bytes))
    } else {
        (statistics(ledger, &question, PROBLEMS_SHOWN).await?, None)
    };
    let statistics = answers.pop().context("an answer for the question")?;

    let (memory, changed) = since_told(ledger, desk, order, mail, own).await?;
    let wanted = match (order.schedule, desk.settings.send) {
        (None, _) | (Some(_), Wanted::Always) => true,
        (Some(_), Wanted::Problems) => !statistics.verdict.all_well || !changed.is_empty(),
        (Some(_), Wanted::Never) => false,
    };
    if !wanted {
        return Ok(None);
    }
    let late = order.schedule.is_some() && mail.now.duration_since(order.at) > PUNCTUAL;
    let (view, html) = look(desk, &statistics, &changed, late.then_some(order.at));
    let mut text = words(&view, &statistics, language);
    let attached = bytes.and_then(|bytes| attachment(&order.store, own, bytes, language, &mut text));
    let mut memory = memory;
    memory.0.insert(own, Told::of(&statistics));
    Ok(Some(Ready {
        letter: Letter {
            subject: view.subject,
            text,
            html,
            attached,
            list: format!("reports.{}", order.store),
            thread: format!("reports.{}.{}", order.store, order.word()),
        },
        figures: memory.stored(),
    }))
}

/// The numbers of earlier periods as they are now, and what of them differs from what this recipient was told.
async fn since_told(
    ledger: &Ledger,
    desk: &Desk,
    order: &ReportOrder,
    mail: &Mail,
    own: Days,
) -> anyhow::Result<(Memory, Vec<Change>)> {
    let look_back = match order.schedule {
        Some(ScheduleName::Daily) => 7,
        Some(ScheduleName::Weekly) => 4,
        // What a person asked for is no series.
        None => return Ok((Memory::default(), Vec::new())),
    };
    let stored = ledger.told_figures(&mail.series, &mail.recipient, mail.id).await?;
    let told = stored.as_ref().map(Memory::read).unwrap_or_default();
    let mut questions = Vec::new();
    let mut earlier = Vec::new();
    for days in told.newest(own, look_back) {
        if let Ok(bounds) = days.period().bounds(mail.now, &desk.zone) {
            earlier.push(days);
            questions.push(Question {
                store: order.store.clone(),
                bounds,
            });
        }
    }
    let answers = if questions.is_empty() {
        Vec::new()
    } else {
        statistics(ledger, &questions, 0).await?
    };
    let now: Vec<(Days, Told)> = earlier.into_iter().zip(answers.iter().map(Told::of)).collect();
    let changed = changes(&told, &now);
    Ok((Memory(BTreeMap::from_iter(now)), changed))
}

/// View and HTML, small enough for every mail program.
fn look(desk: &Desk, statistics: &Statistics, changes: &[Change], late: Option<Timestamp>) -> (View, String) {
    let facts = Facts {
        statistics,
        settings: &desk.settings,
        changes,
        late,
    };
    let mut view = build(&facts);
    let mut html = desk.fill(&view);
    while html.len() > LARGEST_HTML && !view.problems.is_empty() {
        view.problems.truncate(view.problems.len() / 2);
        let mut fewer = statistics.clone();
        fewer.problems.truncate(view.problems.len());
        let shorter = build(&Facts {
            statistics: &fewer,
            ..facts
        });
        view = shorter;
        html = desk.fill(&view);
    }
    (view, html)
}

/// The text part: what a terminal shows, with what only a mail has to tell.
fn words(view: &View, statistics: &Statistics, language: Language) -> String {
    let mut parts = Vec::new();
    if !view.late.is_empty() {
        parts.push(view.late.clone());
    }
    parts.push(text(statistics, language));
    if !view.changes.is_empty() {
        parts.push(format!("{}:\n{}", view.labels.changes, view.changes.join("\n")));
    }
    if !view.list_link.is_empty() {
        parts.push(view.list_link.clone());
    }
    let mut words = parts.join("\n\n");
    words.push('\n');
    words
}

fn attachment(
    store: &StoreCode,
    days: Days,
    bytes: Vec<u8>,
    language: Language,
    text: &mut String,
) -> Option<Attached> {
    if bytes.len() > LARGEST_ATTACHED {
        text.push_str(language.choose(
            "\nРеестр слишком велик для письма: kassa report --output xlsx\n",
            "\nThe register is too large for a mail: kassa report --output xlsx\n",
        ));
        return None;
    }
    let days = if days.first == days.last {
        days.first.to_string()
    } else {
        format!("{}_{}", days.first, days.last)
    };
    Some(Attached {
        name: format!("kassa-{store}-{days}.xlsx"),
        bytes,
    })
}
