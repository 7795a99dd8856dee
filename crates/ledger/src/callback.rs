//! Callbacks: a hint that there is something to ask about, and nothing else.

use std::sync::Arc;

use receipt::{ExternalId, StoreCode, VendorName, VendorUuid};

use crate::error::LedgerError;
use crate::hot::Hot;
use crate::limit::limited;
use crate::pool::Ledger;

/// The registration that somebody who knows the store's address has named.
#[derive(Debug, Clone)]
pub struct Hint {
    /// Whose callbacks come to that address. Only this store's registrations are looked at.
    pub store: StoreCode,
    /// Who calls it.
    pub vendor: VendorName,
    /// The vendor's id: looked for first.
    pub vendor_uuid: Option<VendorUuid>,
    /// Our key: looked for when there is no such uuid of this store, for a callback may overtake our own record.
    pub external_id: Option<ExternalId>,
}

impl Ledger {
    /// Makes the poll of the registration due, if there is such a registration and it is not done. The caller does not
    /// learn which.
    ///
    /// However many hints come, there is one early question for all that came before it, and no second one within a
    /// second. A hint that comes during a question leads to one more after it; a hint about a registration without a
    /// uuid is kept, and the first poll is due as soon as the uuid is recorded.
    ///
    /// # Errors
    /// An outage: the vendor should call again.
    pub async fn hint(&self, hint: Hint) -> Result<(), LedgerError> {
        self.hints.call(hint).await
    }
}

pub(crate) async fn make_polls_due(hot: Hot, batch: Arc<[Hint]>) -> Result<Vec<()>, LedgerError> {
    let stores: Vec<String> = batch.iter().map(|hint| hint.store.to_string()).collect();
    let vendors: Vec<String> = batch.iter().map(|hint| hint.vendor.to_string()).collect();
    let uuids: Vec<Option<String>> = batch
        .iter()
        .map(|hint| hint.vendor_uuid.as_ref().map(ToString::to_string))
        .collect();
    let external_ids: Vec<Option<String>> = batch
        .iter()
        .map(|hint| hint.external_id.as_ref().map(ToString::to_string))
        .collect();
    limited!(
        hot,
        execute,
        sqlx::query!(
            r#"
        WITH input AS (
            SELECT DISTINCT *
            FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])
                AS input (store, vendor, vendor_uuid, external_id)
        ),
        named AS (
            SELECT DISTINCT found.transaction_id, found.generation, found.hinted
            FROM input i
            CROSS JOIN LATERAL (
                SELECT transaction_id, generation, hinted
                FROM (
                    SELECT
                        1 AS way, r.transaction_id, r.generation,
                        (r.callback_at IS NOT NULL OR r.state = 'done') AS hinted
                    FROM registrations r
                    JOIN transactions t ON t.id = r.transaction_id
                    WHERE r.vendor_uuid = i.vendor_uuid
                        -- A plain comparison would let a planner that expects few rows read all that the store has.
                        AND t.store IS NOT DISTINCT FROM i.store
                        AND t.vendor = i.vendor
                    UNION ALL
                    SELECT
                        2, r.transaction_id, r.generation,
                        (r.callback_at IS NOT NULL OR r.state = 'done')
                    FROM registrations r
                    JOIN transactions t ON t.id = r.transaction_id
                    WHERE lower(r.external_id) = lower(i.external_id)
                        AND t.store IS NOT DISTINCT FROM i.store
                        AND t.vendor = i.vendor
                ) either
                -- Nobody's word makes more than one question due.
                ORDER BY way, transaction_id DESC
                LIMIT 1
            ) found
        ),
        locked AS (
            SELECT t.id
            FROM transactions t
            WHERE t.id IN (
                -- What is hinted already will be asked about after this: its flood costs no write.
                SELECT transaction_id
                FROM named
                WHERE NOT hinted
            )
            ORDER BY t.id
            FOR NO KEY UPDATE OF t
        )
        UPDATE registrations r
        SET callback_at = now(),
            next_poll_at = CASE
                WHEN r.vendor_uuid IS NOT NULL
                -- Not while a question is under way, nor right after it; both skip what is not set.
                THEN least(r.next_poll_at, greatest(now(), r.callback_rest_until))
            END
        FROM named n
        JOIN locked l ON l.id = n.transaction_id
        WHERE r.transaction_id = n.transaction_id
            AND r.generation = n.generation
            AND r.callback_at IS NULL
            AND r.state <> 'done'
        "#,
            &stores,
            &vendors,
            &uuids as _,
            &external_ids as _,
        )
    );
    Ok(vec![(); batch.len()])
}
