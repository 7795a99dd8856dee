#![doc = include_str!("../README.md")]

mod config;
mod csv;
mod decide;
mod desk;
mod export;
mod language;
mod mail;
mod period;
mod postman;
mod register;
mod reporter;
#[cfg(test)]
mod samples;
mod schedule;
mod statistics;
mod text;
pub mod words;
mod xlsx;

pub use config::{MailConfig, ReportSettings, Tls, Wanted};
pub use csv::{Dialect, csv};
pub use desk::Desk;
pub use export::ExportError;
pub use language::Language;
pub use mail::{LayoutError, Mailer, Preview, ReportOrder, Unusable, preview};
pub use period::{BadPeriod, Before, Bounds, Period, UnknownZone, time_zone};
pub use postman::{Mailed, Postman};
pub use reporter::{Reporter, bind};
pub use schedule::{Schedule, ScheduleName};
pub use statistics::{PROBLEMS_SHOWN, Question, Statistics, Total, Verdict, statistics};
pub use text::{text, verdict};
pub use xlsx::{Workbook, workbook};
