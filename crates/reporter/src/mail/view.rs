//! What a layout is filled with: everything in it is a text ready to be read, in the language of the store.
//!
//! Whoever writes a layout relies on these names.

mod build;
mod examples;
mod figures;
mod labels;
mod lists;
#[cfg(test)]
mod tests;
mod verdict;

use serde::Serialize;

pub(super) use build::{Facts, build};

/// How something is to be coloured. The words beside it say the same: colour is never alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Tone {
    /// Nobody has to act.
    Good,
    /// On its way.
    Wait,
    /// A person must act.
    Bad,
    /// None of these.
    #[default]
    Calm,
}

/// A report, ready to be laid out.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct View {
    /// `ru` or `en`.
    pub(crate) language: &'static str,
    /// The subject of the mail.
    pub(crate) subject: String,
    /// What a list of mails shows after the subject.
    pub(crate) preview: String,
    /// The code of the store.
    pub(crate) store: String,
    /// What this is: receipts of which days.
    pub(crate) title: String,
    /// The exact bounds with the time zone.
    pub(crate) bounds: String,
    /// Says that the mail comes late; empty otherwise.
    pub(crate) late: String,
    /// One line: is all well?
    pub(crate) verdict: Line,
    /// The most important numbers.
    pub(crate) tiles: Vec<Tile>,
    /// Parts of the whole, in per cent.
    pub(crate) bar: Vec<Part>,
    /// Counts and sums by operation and state.
    pub(crate) rows: Vec<Row>,
    /// All of them.
    pub(crate) total: Row,
    /// What changed since it was told.
    pub(crate) changes: Vec<String>,
    /// Failures by cause.
    pub(crate) causes: Vec<CauseView>,
    /// Single receipts that need a person.
    pub(crate) problems: Vec<ProblemView>,
    /// How many more there are; empty when all are shown.
    pub(crate) more: String,
    /// Where all of them can be seen; empty without a link.
    pub(crate) list_link: String,
    /// When and by what this was made.
    pub(crate) footer: Vec<String>,
    /// The headings.
    pub(crate) labels: Labels,
}

/// A sentence with its colour.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Line {
    /// Its colour.
    pub(crate) tone: Tone,
    /// A sign that says the same as the colour.
    pub(crate) mark: &'static str,
    /// The sentence.
    pub(crate) text: String,
}

/// One important number.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Tile {
    /// Its colour.
    pub(crate) tone: Tone,
    /// What it counts.
    pub(crate) label: String,
    /// How many.
    pub(crate) count: String,
    /// Their sum.
    pub(crate) sum: String,
    /// How the count has changed since the period before.
    pub(crate) change: String,
}

/// A part of the whole.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Part {
    /// Its colour.
    pub(crate) tone: Tone,
    /// How many per cent; never 0.
    pub(crate) percent: u64,
}

/// A line of the table of sums.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Row {
    /// What is registered.
    pub(crate) operation: String,
    /// Where it stands.
    pub(crate) state: String,
    /// Its colour.
    pub(crate) tone: Tone,
    /// How many.
    pub(crate) count: String,
    /// Their sum.
    pub(crate) sum: String,
    /// How the count has changed since the period before.
    pub(crate) change: String,
}

/// A cause and what to do about it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct CauseView {
    /// How many receipts have it.
    pub(crate) count: String,
    /// Their sum.
    pub(crate) sum: String,
    /// What happened.
    pub(crate) cause: String,
    /// What to do.
    pub(crate) cure: String,
    /// The vendor's error type and code.
    pub(crate) code: String,
    /// The document of one of them.
    pub(crate) example: String,
    /// Where that one can be seen; empty without a link.
    pub(crate) link: String,
}

/// A receipt that needs a person.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ProblemView {
    /// The shop's document.
    pub(crate) document: String,
    /// The shop's order; may be empty.
    pub(crate) order: String,
    /// What is registered.
    pub(crate) operation: String,
    /// Where it stands.
    pub(crate) state: String,
    /// Its colour.
    pub(crate) tone: Tone,
    /// Its total.
    pub(crate) sum: String,
    /// When it was accepted.
    pub(crate) accepted: String,
    /// What happened.
    pub(crate) cause: String,
    /// Where it can be seen; empty without a link.
    pub(crate) link: String,
}

/// The headings, in the language of the mail.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Labels {
    /// Above the table of sums.
    pub(crate) sums: &'static str,
    /// Column: how many.
    pub(crate) count: &'static str,
    /// Column: their sum.
    pub(crate) sum: &'static str,
    /// Column: compared with the period before.
    pub(crate) change: &'static str,
    /// Above what changed since it was told.
    pub(crate) changes: &'static str,
    /// Above the causes.
    pub(crate) causes: &'static str,
    /// Before what to do.
    pub(crate) cure: &'static str,
    /// Before the document of an example.
    pub(crate) example: &'static str,
    /// Above the single receipts.
    pub(crate) problems: &'static str,
    /// Before an order.
    pub(crate) order: &'static str,
    /// On the button to the list.
    pub(crate) open: &'static str,
}
