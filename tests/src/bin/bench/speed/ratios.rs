//! What the figures come to: each with the aim that it is held against.

use serde::Serialize;

use super::contender::{Rows, Who};
use super::latency::{Run, middle_p99};
use super::report::{Report, Spread};

/// One comparison.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Ratio {
    pub(crate) what: String,
    pub(crate) value: f64,
    pub(crate) aim: Aim,
    pub(crate) met: bool,
}

/// What a value is to be.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Aim {
    AtLeast(f64),
    AtMost(f64),
}

impl Ratio {
    fn new(what: impl Into<String>, value: f64, aim: Aim) -> Self {
        let met = match aim {
            Aim::AtLeast(least) => value >= least,
            Aim::AtMost(most) => value <= most,
        };
        Self {
            what: what.into(),
            value,
            aim,
            met,
        }
    }
}

/// Every comparison that the measured parts allow.
pub(crate) fn of(report: &Report) -> Vec<Ratio> {
    use Aim::{AtLeast, AtMost};

    let celery = |rows| best(report, rows, |who| matches!(who, Who::Celery(_)));
    let asyncio = |rows| best(report, rows, |who| matches!(who, Who::Asyncio { .. }));
    let mut ratios = Vec::new();
    let mut compare = |who: Who, rows: Rows, other: Option<Who>, what: &str, aim: Aim| {
        if let Some(ratio) = other.and_then(|other| in_rounds(report, rows, who, other)) {
            ratios.push(Ratio::new(what, ratio, aim));
        }
    };
    // Else the floor is no floor, or a peer is not what it was when these ratios were first measured.
    let batched = Who::Batched;
    compare(
        batched,
        Rows::Two,
        celery(Rows::Two),
        "check, simple rows: batched floor by Celery",
        AtLeast(15.0),
    );
    compare(
        batched,
        Rows::Two,
        asyncio(Rows::Two),
        "check, simple rows: batched floor by asyncio",
        AtLeast(7.0),
    );
    let rows = Rows::Kassa;
    compare(Who::Kassa, rows, celery(rows), "kassa by Celery", AtLeast(10.0));
    compare(Who::Kassa, rows, asyncio(rows), "kassa by asyncio", AtLeast(4.0));
    compare(Who::Kassa, rows, Some(batched), "kassa by batched floor", AtLeast(0.7));

    if let Some(latency) = &report.latency {
        let what = "p99 from publishing to the vendor at half load, ms";
        ratios.extend(middle_p99(&latency.kassa, Run::all).map(|p99| Ratio::new(what, p99, AtMost(50.0))));
        let what = format!("{what}, while the machine was not held up");
        ratios.extend(middle_p99(&latency.kassa, Run::undisturbed).map(|p99| Ratio::new(what, p99, AtMost(50.0))));
    }
    for little in &report.little {
        let what = format!(
            "part of Little's limit at {} ms with {} slots",
            little.latency_ms, little.slots
        );
        ratios.push(Ratio::new(what, little.part, AtLeast(0.95)));
    }
    if let Some(finished) = &report.finished {
        let what = format!("kassa beside {} finished receipts by kassa alone", finished.rows);
        ratios.push(Ratio::new(what, finished.ratio, AtLeast(0.9)));
    }
    for role in &report.roles {
        ratios.push(Ratio::new(
            format!("memory of {}, MB", role.role),
            role.idle_megabytes,
            AtMost(40.0),
        ));
        ratios.push(Ratio::new(
            format!("idle CPU of {}, %", role.role),
            role.idle_cpu_percent,
            AtMost(1.0),
        ));
    }
    if let Some(backlog) = &report.backlog {
        ratios.push(Ratio::new(
            "last third of the backlog by the first third",
            backlog.flatness,
            AtLeast(0.9),
        ));
    }
    ratios
}

/// The quickest of a kind.
fn best(report: &Report, rows: Rows, is_one: fn(Who) -> bool) -> Option<Who> {
    let of_kind = report
        .medians
        .iter()
        .filter(|it| it.rows == rows && is_one(it.contender));
    of_kind
        .max_by(|a, b| a.per_second.median.total_cmp(&b.per_second.median))
        .map(|it| it.contender)
}

/// The median of the ratios of each round: what two did within the same minute.
fn in_rounds(report: &Report, rows: Rows, who: Who, other: Who) -> Option<f64> {
    let rate = |round: u32, who: Who| {
        let mut runs = report.runs.iter();
        runs.find(|run| run.round == round && run.rows == rows && run.contender == who)
            .map(|run| run.per_second)
    };
    let rounds = 1..=report.settings.rounds;
    let ratios: Vec<f64> = rounds
        .filter_map(|round| Some(rate(round, who)? / rate(round, other)?))
        .collect();
    (!ratios.is_empty()).then(|| Spread::of(ratios).median)
}
