//! One transaction by its id alone, and what the outside was told about it.

use jiff::Timestamp;
use receipt::{FiscalDocument, StateName, TransactionId};
use serde::Serialize;
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use crate::error::LedgerError;
use crate::limit::limited;
use crate::pool::Ledger;
use crate::show::{Row, TransactionRow};

/// One event of a transaction.
#[derive(Debug, Clone, Serialize)]
pub struct EventRow {
    /// Its id, which consumers know it by.
    pub id: Uuid,
    /// `receipt.accepted` and so on.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it became true.
    pub time: Timestamp,
    /// The state after it; absent in an event that is not about a state.
    pub state: Option<String>,
    /// The comment for the order's history, in Russian and English.
    pub text: Option<Value>,
}

impl Ledger {
    /// The transaction with this id; `None` when there is none.
    ///
    /// # Errors
    /// An outage.
    pub async fn transaction(&self, id: TransactionId) -> Result<Option<TransactionRow>, LedgerError> {
        let row = limited!(
            self.pool,
            fetch_optional,
            sqlx::query_as!(
                Row,
                r#"
            SELECT id, store, operation, document_number, document_part, order_number, account, state, failure,
                revision, replaces, version, external_id, vendor_uuid, trials, total_kopecks,
                fiscal AS "fiscal: Json<FiscalDocument>",
                due_at AS "due_at: jiff_sqlx::Timestamp",
                accepted_at AS "accepted_at: jiff_sqlx::Timestamp",
                updated_at AS "updated_at: jiff_sqlx::Timestamp"
            FROM transactions
            WHERE id = $1
            "#,
                id.0,
            )
        );
        Ok(row.map(TransactionRow::from))
    }

    /// Where a transaction stands, for somebody who waits for it; `None` when there is none.
    ///
    /// # Errors
    /// An outage.
    pub async fn state_of(&self, id: TransactionId) -> Result<Option<StateName>, LedgerError> {
        let state = limited!(
            self.pool,
            fetch_optional,
            sqlx::query_scalar!("SELECT state FROM transactions WHERE id = $1", id.0)
        );
        state
            .map(|state| {
                state.parse().map_err(|_| LedgerError::Corrupt {
                    id: id.to_string(),
                    what: format!("state {state:?}"),
                })
            })
            .transpose()
    }

    /// What the outside was told about a transaction, oldest first.
    ///
    /// # Errors
    /// An outage.
    pub async fn events_of(&self, id: TransactionId) -> Result<Vec<EventRow>, LedgerError> {
        let rows = limited!(
            self.pool,
            fetch_all,
            sqlx::query!(
                r#"
            SELECT id, type AS kind, body ->> 'state' AS state, body -> 'text' AS text,
                time AS "time: jiff_sqlx::Timestamp"
            FROM events
            WHERE transaction_id = $1
            ORDER BY id
            "#,
                id.0,
            )
        );
        Ok(rows
            .into_iter()
            .map(|row| EventRow {
                id: row.id,
                kind: row.kind,
                time: row.time.to_jiff(),
                state: row.state,
                text: row.text,
            })
            .collect())
    }
}
