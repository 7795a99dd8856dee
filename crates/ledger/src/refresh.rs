//! A person asks what became of a receipt at the vendor: the questions become due, and whoever polls puts them.

use receipt::{StoreCode, TransactionId};
use serde_json::json;
use uuid::Uuid;

use crate::act::Actor;
use crate::error::LedgerError;
use crate::limit::limited;
use crate::pool::Ledger;
use crate::storable::storable;

/// A registration whose question was made due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Its transaction.
    pub id: TransactionId,
    /// Which registration.
    pub generation: i32,
    /// The number of the transaction's last attempt until then: the answer has a higher one.
    pub last_attempt: i32,
}

/// What has been answered to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The transaction.
    pub id: TransactionId,
    /// Whether the vendor has been asked since.
    pub is_answered: bool,
}

impl Ledger {
    /// Makes the question about a transaction due at once, if the vendor has it: of its live registration and of retired
    /// ones that are still asked about. Empty when there is nothing to ask about. A question that is under way is not
    /// put twice.
    ///
    /// # Errors
    /// An outage.
    pub async fn refresh(&self, id: TransactionId, actor: &Actor) -> Result<Vec<Asked>, LedgerError> {
        let rows = limited!(
            self.pool,
            fetch_all,
            sqlx::query!(
                r#"
            WITH asked AS (
                UPDATE registrations r
                SET next_poll_at = least(r.next_poll_at, greatest(now(), r.callback_rest_until))
                FROM (
                    SELECT id, state, last_attempt
                    FROM transactions
                    WHERE id = $1
                    FOR NO KEY UPDATE
                ) t
                WHERE r.transaction_id = t.id
                    AND r.next_poll_at IS NOT NULL
                RETURNING r.transaction_id, r.generation, t.state, t.last_attempt
            ),
            acted AS (
                INSERT INTO actions (
                    id, actor, action, transaction_id, state_before, state_after, reason, details
                )
                SELECT $2, $3, 'refresh', transaction_id, min(state), min(state), $4, $5
                FROM asked
                GROUP BY transaction_id
            )
            SELECT transaction_id AS "id!", generation AS "generation!", last_attempt AS "last_attempt!"
            FROM asked
            "#,
                id.0,
                Uuid::now_v7(),
                storable(&actor.name),
                actor.reason.as_deref().map(storable),
                json!({}),
            )
        );
        Ok(rows
            .into_iter()
            .map(|row| Asked {
                id: TransactionId(row.id),
                generation: row.generation,
                last_attempt: row.last_attempt,
            })
            .collect())
    }

    /// The same for everything of a store that waits at a vendor, oldest first and at most `limit` of it.
    ///
    /// # Errors
    /// An outage.
    pub async fn refresh_store(&self, store: &StoreCode, limit: i64) -> Result<Vec<Asked>, LedgerError> {
        let rows = limited!(
            self.pool,
            fetch_all,
            sqlx::query!(
                r#"
            WITH waiting AS (
                SELECT id, generation, last_attempt
                FROM transactions
                WHERE store = $1
                    AND state = 'waiting'
                ORDER BY id
                LIMIT $2
                FOR NO KEY UPDATE
            )
            UPDATE registrations r
            SET next_poll_at = least(r.next_poll_at, greatest(now(), r.callback_rest_until))
            FROM waiting t
            WHERE r.transaction_id = t.id
                AND r.generation = t.generation
                AND r.next_poll_at IS NOT NULL
            RETURNING t.id AS "id!", t.generation AS "generation!", t.last_attempt AS "last_attempt!"
            "#,
                store.as_str(),
                limit,
            )
        );
        let mut asked: Vec<Asked> = rows
            .into_iter()
            .map(|row| Asked {
                id: TransactionId(row.id),
                generation: row.generation,
                last_attempt: row.last_attempt,
            })
            .collect();
        asked.sort_by_key(|asked| asked.id);
        Ok(asked)
    }

    /// Which of the questions have been answered by now.
    ///
    /// # Errors
    /// An outage.
    pub async fn answered(&self, asked: &[Asked]) -> Result<Vec<Answered>, LedgerError> {
        let ids: Vec<Uuid> = asked.iter().map(|asked| asked.id.0).collect();
        let generations: Vec<i32> = asked.iter().map(|asked| asked.generation).collect();
        let numbers: Vec<i32> = asked.iter().map(|asked| asked.last_attempt).collect();
        let rows = limited!(
            self.pool,
            fetch_all,
            sqlx::query!(
                r#"
            SELECT i.id AS "id!", EXISTS (
                SELECT
                FROM attempts a
                WHERE a.transaction_id = i.id
                    AND a.number > i.number
                    AND a.generation = i.generation
                    AND a.kind = 'poll'
            ) AS "is_answered!"
            FROM unnest($1::uuid[], $2::integer[], $3::integer[]) WITH ORDINALITY AS i (id, generation, number, place)
            ORDER BY i.place
            "#,
                &ids,
                &generations,
                &numbers,
            )
        );
        Ok(rows
            .into_iter()
            .map(|row| Answered {
                id: TransactionId(row.id),
                is_answered: row.is_answered,
            })
            .collect())
    }
}
