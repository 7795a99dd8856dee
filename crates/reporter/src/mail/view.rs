//! What a layout is filled with: everything in it is a text ready to be read, in the language of the store.
//!
//! Whoever writes a layout relies on these names; the README lists them.

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
pub enum Tone {
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
pub struct View {
    /// `ru` or `en`.
    pub language: &'static str,
    /// The subject of the mail.
    pub subject: String,
    /// What a list of mails shows after the subject.
    pub preview: String,
    /// The code of the store.
    pub store: String,
    /// What this is: receipts of which days.
    pub title: String,
    /// The exact bounds with the time zone.
    pub bounds: String,
    /// Says that the mail comes late; empty otherwise.
    pub late: String,
    /// One line: is all well?
    pub verdict: Line,
    /// The most important numbers.
    pub tiles: Vec<Tile>,
    /// Parts of the whole, in per cent.
    pub bar: Vec<Part>,
    /// Counts and sums by operation and state.
    pub rows: Vec<Row>,
    /// All of them.
    pub total: Row,
    /// What changed since it was told.
    pub changes: Vec<String>,
    /// Failures by cause.
    pub causes: Vec<CauseView>,
    /// Single receipts that need a person.
    pub problems: Vec<ProblemView>,
    /// How many more there are; empty when all are shown.
    pub more: String,
    /// Where all of them can be seen; empty without a link.
    pub list_link: String,
    /// When and by what this was made.
    pub footer: Vec<String>,
    /// The headings.
    pub labels: Labels,
}

/// A sentence with its colour.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// Its colour.
    pub tone: Tone,
    /// A sign that says the same as the colour.
    pub mark: &'static str,
    /// The sentence.
    pub text: String,
}

/// One important number.
#[derive(Debug, Clone, Serialize)]
pub struct Tile {
    /// Its colour.
    pub tone: Tone,
    /// What it counts.
    pub label: String,
    /// How many.
    pub count: String,
    /// Their sum.
    pub sum: String,
    /// How the count has changed since the period before.
    pub change: String,
}

/// A part of the whole.
#[derive(Debug, Clone, Serialize)]
pub struct Part {
    /// Its colour.
    pub tone: Tone,
    /// How many per cent; never 0.
    pub percent: u64,
}

/// A line of the table of sums.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Row {
    /// What is registered.
    pub operation: String,
    /// Where it stands.
    pub state: String,
    /// Its colour.
    pub tone: Tone,
    /// How many.
    pub count: String,
    /// Their sum.
    pub sum: String,
    /// How the count has changed since the period before.
    pub change: String,
}

/// A cause and what to do about it.
#[derive(Debug, Clone, Serialize)]
pub struct CauseView {
    /// How many receipts have it.
    pub count: String,
    /// Their sum.
    pub sum: String,
    /// What happened.
    pub cause: String,
    /// What to do.
    pub cure: String,
    /// The vendor's error type and code.
    pub code: String,
    /// The document of one of them.
    pub example: String,
    /// Where that one can be seen; empty without a link.
    pub link: String,
}

/// A receipt that needs a person.
#[derive(Debug, Clone, Serialize)]
pub struct ProblemView {
    /// The shop's document.
    pub document: String,
    /// The shop's order; may be empty.
    pub order: String,
    /// What is registered.
    pub operation: String,
    /// Where it stands.
    pub state: String,
    /// Its colour.
    pub tone: Tone,
    /// Its total.
    pub sum: String,
    /// When it was accepted.
    pub accepted: String,
    /// What happened.
    pub cause: String,
    /// Where it can be seen; empty without a link.
    pub link: String,
}

/// The headings, in the language of the mail.
#[derive(Debug, Clone, Serialize)]
pub struct Labels {
    /// Above the table of sums.
    pub sums: &'static str,
    /// Column: how many.
    pub count: &'static str,
    /// Column: their sum.
    pub sum: &'static str,
    /// Column: compared with the period before.
    pub change: &'static str,
    /// Above what changed since it was told.
    pub changes: &'static str,
    /// Above the causes.
    pub causes: &'static str,
    /// Before what to do.
    pub cure: &'static str,
    /// Before the document of an example.
    pub example: &'static str,
    /// Above the single receipts.
    pub problems: &'static str,
    /// Before an order.
    pub order: &'static str,
    /// On the button to the list.
    pub open: &'static str,
}
