//! What can go wrong with an export.

use ledger::LedgerError;

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

impl ExportError {
    pub(crate) fn write(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Write(Box::new(error))
    }
}
