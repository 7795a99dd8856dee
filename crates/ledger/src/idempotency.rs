//! Keys of idempotency: each belongs to the document that it came with first.

use receipt::event::Subject;

use crate::error::LedgerError;
use crate::limit::limited;
use crate::pool::Ledger;

impl Ledger {
    /// Binds a key to a document, unless it is bound. Returns whether it is this document's.
    ///
    /// It is a commit of its own, before the acceptance: a process that dies in between leaves a key that nothing but the
    /// same document can use, which is what the client will repeat.
    ///
    /// # Errors
    /// An outage.
    pub async fn bind_idempotency_key(&self, key: &str, subject: &Subject) -> Result<bool, LedgerError> {
        let ours = limited!(
            self.pool,
            fetch_optional,
            sqlx::query_scalar!(
                r#"
            INSERT INTO idempotency_keys (store, key, operation, document_number, document_part)
            VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT (store, key) DO NOTHING
            RETURNING true AS "ours!"
            "#,
                subject.store.as_str(),
                key,
                subject.operation.name(),
                subject.document.as_str(),
                subject.part.as_str(),
            )
        );
        if ours.is_some() {
            return Ok(true);
        }
        // Another statement, because one that meets a row which was committed during it cannot see that row.
        let ours = limited!(
            self.pool,
            fetch_one,
            sqlx::query_scalar!(
                r#"
            SELECT EXISTS (
                SELECT
                FROM idempotency_keys
                WHERE store = $1
                    AND key = $2
                    AND operation = $3
                    AND document_number = $4
                    AND document_part = $5
            ) AS "ours!"
            "#,
                subject.store.as_str(),
                key,
                subject.operation.name(),
                subject.document.as_str(),
                subject.part.as_str(),
            )
        );
        Ok(ours)
    }
}
