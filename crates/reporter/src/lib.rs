#![doc = include_str!("../README.md")]

mod language;
mod period;
mod statistics;
mod text;
mod xlsx;

pub use language::Language;
pub use period::{BadPeriod, Before, Bounds, Period, UnknownZone, time_zone};
pub use statistics::{PROBLEMS_SHOWN, Question, Statistics, Total, Verdict, statistics};
pub use text::text;
pub use xlsx::{ExportError, Workbook, workbook};
