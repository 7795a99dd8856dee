//! Reading for people: lists, one transaction with its history, counts.

use jiff::Timestamp;
use receipt::{FiscalDocument, StateName};
use serde::Serialize;
use sqlx::types::Json;
use uuid::Uuid;

use crate::act::ActionRow;
use crate::error::LedgerError;
use crate::pool::Ledger;

/// Which transactions to list. Every field narrows.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only this store.
    pub store: Option<String>,
    /// Only this state.
    pub state: Option<StateName>,
    /// Only this document number.
    pub document: Option<String>,
    /// Only those accepted before this one: the next page.
    pub before: Option<Uuid>,
    /// At most so many.
    pub limit: i64,
}

/// One transaction, as a list shows it.
#[derive(Debug, Clone, Serialize)]
pub struct TransactionRow {
    /// Our id.
    pub id: Uuid,
    /// The store.
    pub store: String,
    /// What is registered.
    pub operation: String,
    /// The shop's document.
    pub document_number: String,
    /// Which receipt of it.
    pub document_part: String,
    /// Which content of it: above 0 it corrects another one.
    pub revision: i32,
    /// The failed or cancelled transaction that it corrects.
    pub replaces: Option<Uuid>,
    /// The shop's order.
    pub order_number: Option<String>,
    /// The account.
    pub account: String,
    /// The state.
    pub state: String,
    /// Why it failed.
    pub failure: Option<String>,
    /// Counts every change of the row.
    pub version: i64,
    /// The key at the vendor.
    pub external_id: String,
    /// The vendor's own id.
    pub vendor_uuid: Option<String>,
    /// When it is tried next.
    pub due_at: Option<Timestamp>,
    /// Sends of the current cycle.
    pub trials: i32,
    /// The total.
    pub total_kopecks: i64,
    /// The fiscal document.
    pub fiscal: Option<FiscalDocument>,
    /// When kassa's promise began.
    pub accepted_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// One try, as the history shows it.
#[derive(Debug, Clone, Serialize)]
pub struct AttemptRow {
    /// Its number.
    pub number: i32,
    /// `send`, `poll` or `probe`.
    pub kind: String,
    /// Who made it.
    pub worker: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; absent when its worker ended first.
    pub finished_at: Option<Timestamp>,
    /// How long it took.
    pub duration_ms: Option<i64>,
    /// What it came to.
    pub class: Option<String>,
    /// The vendor's error type.
    pub error_type: Option<String>,
    /// The vendor's code.
    pub code: Option<String>,
    /// HTTP status.
    pub http_status: Option<i32>,
    /// Method and path.
    pub request: Option<String>,
    /// The answer, masked.
    pub answer: Option<String>,
    /// What happened, in Russian.
    pub cause_ru: Option<String>,
    /// What happened, in English.
    pub cause_en: Option<String>,
    /// What to do, in Russian.
    pub cure_ru: Option<String>,
    /// What to do, in English.
    pub cure_en: Option<String>,
}

/// One external id and what became of it, as the history shows it.
#[derive(Debug, Clone, Serialize)]
pub struct RegistrationRow {
    /// Which of the transaction's registrations.
    pub generation: i32,
    /// The key at the vendor.
    pub external_id: String,
    /// The vendor's own id.
    pub vendor_uuid: Option<String>,
    /// `open`, `waiting`, `done` or `dead`.
    pub state: String,
    /// Since when the vendor may hold it without our having an answer that says so.
    pub doubt_since: Option<Timestamp>,
    /// Until when a doubt may be settled by repeating, as far as an answer said so.
    pub doubt_until: Option<Timestamp>,
    /// Since when the vendor has it.
    pub waiting_since: Option<Timestamp>,
    /// When it is asked about next.
    pub next_poll_at: Option<Timestamp>,
    /// Its fiscal document. A transaction whose registrations have two of them is registered twice.
    pub fiscal: Option<FiscalDocument>,
    /// When it was opened.
    pub created_at: Timestamp,
}

/// One transaction with everything that is known about it.
#[derive(Debug, Clone, Serialize)]
pub struct TransactionDetails {
    /// The row.
    #[serde(flatten)]
    pub transaction: TransactionRow,
    /// The frozen content.
    pub body: serde_json::Value,
    /// Its external ids, oldest first.
    pub registrations: Vec<RegistrationRow>,
    /// Its tries, oldest first.
    pub attempts: Vec<AttemptRow>,
    /// What people did to it, oldest first.
    pub actions: Vec<ActionRow>,
    /// Of a half of a resell: the transaction that it follows.
    pub parent: Option<TransactionRow>,
    /// What follows it: of a sale the cancelling receipts of its resells, of such a receipt the new sale.
    pub children: Vec<TransactionRow>,
}

/// Counts and sums of one operation in one state.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// What is registered.
    pub operation: String,
    /// The state.
    pub state: String,
    /// How many.
    pub count: i64,
    /// Their total.
    pub total_kopecks: i64,
}

pub(crate) struct Row {
    pub(crate) id: Uuid,
    pub(crate) store: String,
    pub(crate) operation: String,
    pub(crate) document_number: String,
    pub(crate) document_part: String,
    pub(crate) revision: i32,
    pub(crate) replaces: Option<Uuid>,
    pub(crate) order_number: Option<String>,
    pub(crate) account: String,
    pub(crate) state: String,
    pub(crate) failure: Option<String>,
    pub(crate) version: i64,
    pub(crate) external_id: String,
    pub(crate) vendor_uuid: Option<String>,
    pub(crate) due_at: Option<jiff_sqlx::Timestamp>,
    pub(crate) trials: i32,
    pub(crate) total_kopecks: i64,
    pub(crate) fiscal: Option<Json<FiscalDocument>>,
    pub(crate) accepted_at: jiff_sqlx::Timestamp,
    pub(crate) updated_at: jiff_sqlx::Timestamp,
}

impl From<Row> for TransactionRow {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            store: row.store,
            operation: row.operation,
            document_number: row.document_number,
            document_part: row.document_part,
            revision: row.revision,
            replaces: row.replaces,
            order_number: row.order_number,
            account: row.account,
            state: row.state,
            failure: row.failure,
            version: row.version,
            external_id: row.external_id,
            vendor_uuid: row.vendor_uuid,
            due_at: row.due_at.map(jiff_sqlx::Timestamp::to_jiff),
            trials: row.trials,
            total_kopecks: row.total_kopecks,
            fiscal: row.fiscal.map(|fiscal| fiscal.0),
            accepted_at: row.accepted_at.to_jiff(),
            updated_at: row.updated_at.to_jiff(),
        }
    }
}

impl Ledger {
    /// Transactions, newest first.
    ///
    /// # Errors
    /// An outage.
    pub async fn list(&self, filter: &Filter) -> Result<Vec<TransactionRow>, LedgerError> {
        let rows = sqlx::query_as!(
            Row,
            r#"
            SELECT id, store, operation, document_number, document_part, order_number, account, state, failure,
                revision, replaces, version, external_id, vendor_uuid, trials, total_kopecks,
                fiscal AS "fiscal: Json<FiscalDocument>",
                due_at AS "due_at: jiff_sqlx::Timestamp",
                accepted_at AS "accepted_at: jiff_sqlx::Timestamp",
                updated_at AS "updated_at: jiff_sqlx::Timestamp"
            FROM transactions
            WHERE ($1::text IS NULL OR store = $1)
                AND ($2::text IS NULL OR state = $2)
                AND ($3::text IS NULL OR document_number = $3)
                AND ($4::uuid IS NULL OR id < $4)
            ORDER BY id DESC
            LIMIT $5
            "#,
            filter.store,
            filter.state.map(StateName::name),
            filter.document,
            filter.before,
            filter.limit,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(TransactionRow::from).collect())
    }

    /// Transactions that `id` may mean: our id, the vendor's, the external id, or the shop's document number.
    ///
    /// # Errors
    /// An outage.
    pub async fn find(&self, id: &str) -> Result<Vec<TransactionRow>, LedgerError> {
        let rows = sqlx::query_as!(
            Row,
            r#"
            SELECT id, store, operation, document_number, document_part, order_number, account, state, failure,
                revision, replaces, version, external_id, vendor_uuid, trials, total_kopecks,
                fiscal AS "fiscal: Json<FiscalDocument>",
                due_at AS "due_at: jiff_sqlx::Timestamp",
                accepted_at AS "accepted_at: jiff_sqlx::Timestamp",
                updated_at AS "updated_at: jiff_sqlx::Timestamp"
            FROM transactions
            WHERE id IN (
                SELECT id FROM transactions WHERE id = $1
                UNION
                SELECT id FROM transactions WHERE document_number = $2
                UNION
                SELECT transaction_id FROM registrations WHERE vendor_uuid = $2
                UNION
                SELECT transaction_id FROM registrations WHERE lower(external_id) = lower($2)
            )
            ORDER BY id DESC
            LIMIT 100
            "#,
            Uuid::parse_str(id).ok(),
            id,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(TransactionRow::from).collect())
    }

    /// One transaction with its frozen content and its tries.
    ///
    /// # Errors
    /// An outage.
    pub async fn details(&self, transaction: TransactionRow) -> Result<TransactionDetails, LedgerError> {
        let body = sqlx::query_scalar!("SELECT body FROM transactions WHERE id = $1", transaction.id)
            .fetch_one(&self.pool)
            .await?;
        let registrations = sqlx::query!(
            r#"
            SELECT r.generation, r.external_id, r.vendor_uuid, r.state,
                coalesce(r.fiscal, CASE WHEN r.state = 'done' AND r.generation = t.generation THEN t.fiscal END)
                    AS "fiscal: Json<FiscalDocument>",
                r.doubt_since AS "doubt_since: jiff_sqlx::Timestamp",
                r.doubt_until AS "doubt_until: jiff_sqlx::Timestamp",
                r.waiting_since AS "waiting_since: jiff_sqlx::Timestamp",
                r.next_poll_at AS "next_poll_at: jiff_sqlx::Timestamp",
                r.created_at AS "created_at: jiff_sqlx::Timestamp"
            FROM registrations r
            JOIN transactions t ON t.id = r.transaction_id
            WHERE r.transaction_id = $1
            ORDER BY r.generation
            "#,
            transaction.id,
        )
        .fetch_all(&self.pool)
        .await?
        .into_iter()
        .map(|row| RegistrationRow {
            generation: row.generation,
            external_id: row.external_id,
            vendor_uuid: row.vendor_uuid,
            state: row.state,
            doubt_since: row.doubt_since.map(jiff_sqlx::Timestamp::to_jiff),
            doubt_until: row.doubt_until.map(jiff_sqlx::Timestamp::to_jiff),
            waiting_since: row.waiting_since.map(jiff_sqlx::Timestamp::to_jiff),
            next_poll_at: row.next_poll_at.map(jiff_sqlx::Timestamp::to_jiff),
            fiscal: row.fiscal.map(|fiscal| fiscal.0),
            created_at: row.created_at.to_jiff(),
        })
        .collect();
        let attempts = sqlx::query!(
            r#"
            SELECT number, kind, worker, duration_ms, class, error_type, code, http_status, request, answer,
                cause_ru, cause_en, cure_ru, cure_en,
                started_at AS "started_at: jiff_sqlx::Timestamp",
                finished_at AS "finished_at: jiff_sqlx::Timestamp"
            FROM attempts
            WHERE transaction_id = $1
            ORDER BY number
            "#,
            transaction.id,
        )
        .fetch_all(&self.pool)
        .await?
        .into_iter()
        .map(|row| AttemptRow {
            number: row.number,
            kind: row.kind,
            worker: row.worker,
            started_at: row.started_at.to_jiff(),
            finished_at: row.finished_at.map(jiff_sqlx::Timestamp::to_jiff),
            duration_ms: row.duration_ms,
            class: row.class,
            error_type: row.error_type,
            code: row.code,
            http_status: row.http_status,
            request: row.request,
            answer: row.answer,
            cause_ru: row.cause_ru,
            cause_en: row.cause_en,
            cure_ru: row.cure_ru,
            cure_en: row.cure_en,
        })
        .collect();
        let actions = self.actions(transaction.id).await?;
        let (parent, children) = self.relatives(&transaction).await?;
        Ok(TransactionDetails {
            transaction,
            body,
            registrations,
            attempts,
            actions,
            parent,
            children,
        })
    }

    /// What a half of a resell follows, and what follows a transaction: all have the document in common.
    async fn relatives(
        &self,
        transaction: &TransactionRow,
    ) -> Result<(Option<TransactionRow>, Vec<TransactionRow>), LedgerError> {
        let relatives = sqlx::query!(
            r#"
            SELECT own.parent, child.id AS "child?"
            FROM transactions own
            LEFT JOIN transactions child
                ON child.document_number = own.document_number
                AND child.store = own.store
                AND child.operation IN ('resell_refund', 'resell_sell')
                AND child.document_part = own.document_part
                AND child.parent = own.id
            WHERE own.id = $1
            ORDER BY child.id
            "#,
            transaction.id,
        )
        .fetch_all(&self.pool)
        .await?;
        let parent = match relatives.first().and_then(|row| row.parent) {
            Some(parent) => self.find(&parent.to_string()).await?.pop(),
            None => None,
        };
        let mut children = Vec::new();
        for child in relatives.iter().filter_map(|row| row.child) {
            children.extend(self.find(&child.to_string()).await?);
        }
        Ok((parent, children))
    }

    /// Counts and sums of all transactions by operation and state.
    ///
    /// # Errors
    /// An outage.
    pub async fn summary(&self) -> Result<Vec<Summary>, LedgerError> {
        let rows = sqlx::query!(
            r#"
            SELECT operation, state, count(*) AS "count!", sum(total_kopecks)::bigint AS "total_kopecks!"
            FROM transactions
            GROUP BY operation, state
            ORDER BY operation, state
            "#,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| Summary {
                operation: row.operation,
                state: row.state,
                count: row.count,
                total_kopecks: row.total_kopecks,
            })
            .collect())
    }
}
