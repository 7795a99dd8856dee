//! What can go wrong between us and Postgres, sorted by what the caller does about it.

use std::sync::Arc;

/// A failure of the ledger. Cheap to clone, because every caller of a shared batch gets its own.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LedgerError {
    /// Nobody knows whether the statement took effect. Repeat it when a probe succeeds; every statement that changes
    /// something may be repeated.
    #[error("the database is not reachable")]
    Unavailable(#[source] Arc<sqlx::Error>),
    /// The external id belongs to another document of the same account.
    #[error("the external id is already taken by another document of this account")]
    ExternalIdTaken,
    /// The data of one row was refused, or a row does not hold together. Repeating does not help.
    #[error("the database refused the data ({constraint})")]
    Data {
        /// The constraint's name, or a word for what was wrong.
        constraint: String,
        /// What the database said.
        #[source]
        source: Arc<sqlx::Error>,
    },
    /// A stored row does not hold together.
    #[error("transaction {id} in the database does not hold together: {what}")]
    Corrupt {
        /// Which transaction.
        id: String,
        /// What is wrong with it.
        what: String,
    },
    /// The ledger was closed while the caller waited.
    #[error("the ledger is closed")]
    Closed,
}

impl LedgerError {
    /// Whether waiting and repeating can help.
    #[must_use]
    pub const fn is_outage(&self) -> bool {
        match self {
            Self::Unavailable(_) => true,
            Self::ExternalIdTaken | Self::Data { .. } | Self::Corrupt { .. } | Self::Closed => false,
        }
    }
}

impl LedgerError {
    /// Whether the statement was certainly rolled back although nothing was wrong with it: it met another one in a
    /// deadlock (40P01) or a serialization failure (40001). It may be repeated at once.
    pub(crate) fn is_collision(&self) -> bool {
        match self {
            Self::Unavailable(error) => error
                .as_database_error()
                .and_then(sqlx::error::DatabaseError::code)
                .is_some_and(|code| matches!(code.as_ref(), "40P01" | "40001")),
            Self::ExternalIdTaken | Self::Data { .. } | Self::Corrupt { .. } | Self::Closed => false,
        }
    }
}

impl From<sqlx::Error> for LedgerError {
    fn from(error: sqlx::Error) -> Self {
        let Some(database) = error.as_database_error() else {
            return match error {
                sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::Encode(_) => Self::Data {
                    constraint: "decode".to_owned(),
                    source: Arc::new(error),
                },
                other => Self::Unavailable(Arc::new(other)),
            };
        };
        if database.constraint() == Some("registrations_external_id") {
            return Self::ExternalIdTaken;
        }
        // Class 22 is bad data, class 23 a violated constraint. All other classes (shutdown, deadlock, too many
        // connections, disk full, a missing table before a migration) may pass, so they are outages.
        let code = database.code().unwrap_or_default();
        if code.starts_with("22") || code.starts_with("23") {
            let constraint = database
                .constraint()
                .map_or_else(|| code.into_owned(), ToOwned::to_owned);
            return Self::Data {
                constraint,
                source: Arc::new(error),
            };
        }
        Self::Unavailable(Arc::new(error))
    }
}
