#![doc = include_str!("../README.md")]

mod csv;
mod export;
mod language;
mod period;
mod register;
#[cfg(test)]
mod samples;
mod statistics;
mod text;
pub mod words;
mod xlsx;

pub use csv::{Dialect, csv};
pub use export::ExportError;
pub use language::Language;
pub use period::{BadPeriod, Before, Bounds, Period, UnknownZone, time_zone};
pub use statistics::{PROBLEMS_SHOWN, Question, Statistics, Total, Verdict, statistics};
pub use text::{text, verdict};
pub use xlsx::{Workbook, workbook};
