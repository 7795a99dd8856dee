//! The figures of one store and period, ready to be told.

use jiff::Timestamp;
use ledger::{Cause, Figures, Ledger, LedgerError, Open, Problem, Tally, Wanted};
use receipt::{Money, StateName, StoreCode};
use serde::Serialize;

use crate::period::Bounds;

/// How many problems a mail, a terminal and JSON show; an export has more.
pub const PROBLEMS_SHOWN: usize = 50;

/// What is asked: one store and one period of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The store.
    pub store: StoreCode,
    /// The period.
    pub bounds: Bounds,
}

/// The report of one store and period.
///
/// As JSON, money is decimal strings, and every time has its offset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Statistics {
    /// The store.
    pub store: StoreCode,
    /// The period with its exact bounds, and what it is compared with.
    pub period: Bounds,
    /// The moment at which everything stood so.
    pub made_at: Timestamp,
    /// Counts and sums by operation and state.
    pub figures: Vec<Tally>,
    /// All of them.
    pub total: Total,
    /// The same of the period before.
    pub before: Vec<Tally>,
    /// All of these.
    pub total_before: Total,
    /// Failures by cause, the most frequent first.
    pub causes: Vec<Cause>,
    /// What needs a person, oldest first; not more than was asked for.
    pub problems: Vec<Problem>,
    /// How many problems there are.
    pub problems_in_all: u64,
    /// What of the store is on its way at this moment, whenever it was accepted.
    pub open: Open,
    /// Whether somebody has to act.
    pub verdict: Verdict,
}

/// A count and a sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Total {
    /// How many receipts.
    pub count: u64,
    /// The sum of their totals.
    pub sum: Money,
}

/// What the subject of a mail says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Nobody has to act.
    pub all_well: bool,
    /// How many receipts of the period failed.
    pub failed: u64,
    /// Of how many the outcome is not known.
    pub unknown: u64,
    /// How many wait at the vendor for longer than the store allows.
    pub overdue: u64,
    /// How many are on their way. In a period that is over they had their time.
    pub waiting: u64,
}

/// Answers every question from one snapshot, with at most `problems` problems each.
///
/// # Errors
/// An outage of the database.
pub async fn statistics(
    ledger: &Ledger,
    questions: &[Question],
    problems: usize,
) -> Result<Vec<Statistics>, LedgerError> {
    let figures = ledger.figures(&wanted(questions, problems)).await?;
    Ok(questions.iter().cloned().zip(figures).map(Statistics::of).collect())
}

pub(crate) fn wanted(questions: &[Question], problems: usize) -> Vec<Wanted> {
    let wanted = questions.iter().map(|question| Wanted {
        store: question.store.clone(),
        span: question.bounds.span(),
        before: question.bounds.span_before(),
        problems,
    });
    wanted.collect()
}

impl Statistics {
    pub(crate) fn of((question, figures): (Question, Figures)) -> Self {
        let verdict = Verdict::of(&question.bounds, &figures);
        Self {
            store: question.store,
            period: question.bounds,
            made_at: figures.read_at,
            total: Total::of(&figures.tallies),
            figures: figures.tallies,
            total_before: Total::of(&figures.before),
            before: figures.before,
            causes: figures.causes,
            problems: figures.problems,
            problems_in_all: figures.problems_in_all,
            open: figures.open,
            verdict,
        }
    }

    /// Counts and sums of what is registered.
    #[must_use]
    pub fn registered(&self) -> Total {
        in_state(&self.figures, StateName::Done)
    }

    /// How long the oldest has been on its way.
    #[must_use]
    pub fn oldest_age(&self) -> Option<jiff::SignedDuration> {
        self.open.oldest.map(|oldest| self.made_at.duration_since(oldest))
    }
}

impl Total {
    pub(crate) fn of<'a>(tallies: impl IntoIterator<Item = &'a Tally>) -> Self {
        tallies.into_iter().fold(Self::default(), |total, tally| Self {
            count: total.count + tally.count,
            sum: [total.sum, tally.total].into_iter().sum(),
        })
    }
}

fn in_state(tallies: &[Tally], state: StateName) -> Total {
    Total::of(tallies.iter().filter(|tally| tally.state == state))
}

impl Verdict {
    fn of(bounds: &Bounds, figures: &Figures) -> Self {
        let count = |state| in_state(&figures.tallies, state).count;
        let (failed, unknown) = (count(StateName::Failed), count(StateName::Unknown));
        let overdue = figures.problems_in_all.saturating_sub(failed + unknown);
        let waiting = [
            StateName::Held,
            StateName::Queued,
            StateName::Sending,
            StateName::Waiting,
            StateName::Retrying,
        ]
        .into_iter()
        .map(count)
        .sum();
        Self {
            all_well: failed + unknown + overdue == 0 && (waiting == 0 || !bounds.is_over),
            failed,
            unknown,
            overdue,
            waiting,
        }
    }
}
