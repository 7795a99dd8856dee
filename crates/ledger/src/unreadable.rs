//! A claimed row that does not hold together. Nobody can send it, and left alone it would stay `sending` and be claimed
//! again for ever: its outcome is unknown, with that as the cause.

use receipt::event::EventType;
use receipt::{EventId, Refusal, RetryClass, Text, TransactionId};
use uuid::Uuid;

use crate::error::LedgerError;
use crate::hot::Hot;
use crate::limit::limited;
use crate::storable::{storable, to_jsonb};

/// Ends the claim `fence` of the transaction, whose columns need not be what they should. `why` says which is not.
///
/// # Errors
/// An outage; then the claim ends with its lease and the row is met again.
pub(crate) async fn give_up(hot: &Hot, id: Uuid, fence: i32, why: &LedgerError) -> Result<(), LedgerError> {
    tracing::error!(
        transaction.id = %TransactionId(id),
        error = %why,
        "a transaction cannot be read and is not sent; its outcome is unknown"
    );
    let refusal = Refusal {
        class: RetryClass::Unknown,
        kind: "kassa".to_owned(),
        code: "unreadable".to_owned(),
        message: storable(&why.to_string()),
        cause: Text::new(
            "Сохранённая операция не читается.",
            "The stored transaction cannot be read.",
        ),
        cure: Text::new(
            "Проверьте чек у поставщика и обратитесь к разработчикам.",
            "Check the receipt at the vendor and ask the developers.",
        ),
    };
    // The body of an event is made from the columns as they are: the types that make it elsewhere would refuse them.
    limited!(
        hot,
        execute,
        sqlx::query!(
            r#"
        WITH given_up AS (
            UPDATE transactions
            SET state = 'unknown',
                due_at = NULL,
                claim_token = NULL,
                unfinished = 0,
                version = version + 1,
                updated_at = now()
            WHERE id = $1
                AND fence = $2
                AND state = 'sending'
            RETURNING *
        ),
        finished AS (
            UPDATE attempts a
            SET finished_at = now(),
                class = 'unknown',
                error_type = $3,
                code = $4,
                message = $5,
                cause_ru = $6,
                cause_en = $7,
                cure_ru = $8,
                cure_en = $9
            FROM given_up g
            WHERE a.transaction_id = g.id
                AND a.number = $2
                AND a.finished_at IS NULL
        )
        INSERT INTO events (id, type, store, transaction_id, body)
        SELECT
            $10, $11, store, id,
            jsonb_build_object(
                'transaction_id', id,
                'store', store,
                'operation', operation,
                'document', document_number,
                'part', document_part,
                'order', order_number,
                'external_id', external_id,
                'vendor_uuid', vendor_uuid,
                'state', 'unknown',
                'kkm_status', 'wait',
                'order_status_hint', NULL,
                'text', jsonb_build_object('ru', concat($6, ' ', $8::text), 'en', concat($7, ' ', $9::text)),
                'fiscal', NULL,
                'error', $12::jsonb
            )
        FROM given_up
        "#,
            id,
            fence,
            refusal.kind,
            refusal.code,
            refusal.message,
            refusal.cause.ru,
            refusal.cause.en,
            refusal.cure.ru,
            refusal.cure.en,
            EventId::new().0,
            EventType::Unknown.name(),
            to_jsonb(TransactionId(id), &refusal)? as _,
        )
    );
    Ok(())
}
