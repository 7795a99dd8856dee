//! Counts and sums.

use receipt::{Operation, StateName};

use super::{Part, Row, Tile, Tone};
use crate::language::Language;
use crate::mail::said;
use crate::statistics::{Statistics, Total};
use crate::words::{self, Standing};

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

pub(super) fn tiles(statistics: &Statistics, language: Language) -> Vec<Tile> {
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
            language.choose("Продажи", "Sales"),
            sum_of(statistics, registered(true)),
        ),
        tile(
            Tone::Good,
            language.choose("Возвраты", "Refunds"),
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
pub(super) fn bar(statistics: &Statistics) -> Vec<Part> {
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

pub(super) fn rows(statistics: &Statistics, language: Language) -> Vec<Row> {
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
