//! The rendered request of a registration: stored before it is used, and then the same for ever.

use std::sync::Arc;

use receipt::TransactionId;
use uuid::Uuid;

use crate::claim::Claimed;
use crate::error::LedgerError;
use crate::hot::Hot;
use crate::limit::limited;
use crate::pool::Ledger;

#[derive(Debug, Clone)]
pub(crate) struct Rendered {
    id: TransactionId,
    generation: i32,
    wire_body: String,
}

impl Ledger {
    /// Stores the rendered request of a registration and returns the bytes to send: these, or those that another
    /// claimer stored first.
    ///
    /// # Errors
    /// An outage.
    pub async fn store_wire_body(&self, claimed: &Claimed, wire_body: String) -> Result<String, LedgerError> {
        self.renders
            .call(Rendered {
                id: claimed.subject.transaction_id,
                generation: claimed.generation,
                wire_body,
            })
            .await
    }
}

pub(crate) async fn store_rendered(hot: Hot, batch: Arc<[Rendered]>) -> Result<Vec<String>, LedgerError> {
    let ids: Vec<Uuid> = batch.iter().map(|rendered| rendered.id.0).collect();
    let generations: Vec<i32> = batch.iter().map(|rendered| rendered.generation).collect();
    let bodies: Vec<String> = batch.iter().map(|rendered| rendered.wire_body.clone()).collect();
    let rows = limited!(
        hot,
        fetch_all,
        sqlx::query!(
            r#"
        WITH locked AS (
            SELECT id
            FROM transactions
            WHERE id = ANY($1)
            ORDER BY id
            FOR NO KEY UPDATE
        )
        UPDATE registrations r
        SET wire_body = coalesce(r.wire_body, input.wire_body),
            rendered_at = coalesce(r.rendered_at, now())
        FROM unnest($1::uuid[], $2::integer[], $3::text[]) AS input (id, generation, wire_body)
        JOIN locked ON locked.id = input.id
        WHERE r.transaction_id = input.id
            AND r.generation = input.generation
        RETURNING r.transaction_id, r.generation, r.wire_body AS "wire_body!"
        "#,
            &ids,
            &generations,
            &bodies,
        )
    );
    let stored: std::collections::HashMap<(Uuid, i32), String> = rows
        .into_iter()
        .map(|row| ((row.transaction_id, row.generation), row.wire_body))
        .collect();
    batch
        .iter()
        .map(|rendered| {
            stored
                .get(&(rendered.id.0, rendered.generation))
                .cloned()
                .ok_or_else(|| LedgerError::Corrupt {
                    id: rendered.id.to_string(),
                    what: format!("registration {} is missing", rendered.generation),
                })
        })
        .collect()
}
