-- One row in each state, as the version of this migration writes them.
INSERT INTO transactions (
    id, store, account, vendor, operation, document_number, document_part, order_number, request_hash, body,
    total_kopecks, state, failure, external_id, vendor_uuid, last_attempt, fence, claim_token, trials, due_at,
    fn, fd, fpd, registered_at, fiscal
)
SELECT
    ('01930000-0000-7000-8000-00000000000' || number)::uuid, 'main', 'main', 'atol', 'sell', number::text, 'main',
    '10000012' || number, sha256(number::text::bytea), '{"total": "1200.00"}', 120000, state,
    CASE state WHEN 'failed' THEN 'rejected' END,
    'invoice_main_' || number,
    CASE WHEN state IN ('waiting', 'done') THEN 'uuid-' || number END,
    1, 1,
    CASE state WHEN 'sending' THEN gen_random_uuid() END,
    1,
    CASE WHEN state IN ('queued', 'sending', 'retrying') THEN now() END,
    CASE state WHEN 'done' THEN '9999078902003456' END,
    CASE state WHEN 'done' THEN 4160 END,
    CASE state WHEN 'done' THEN '3522207165' END,
    CASE state WHEN 'done' THEN timestamp '2026-02-14 11:08:00' END,
    CASE state WHEN 'done' THEN '{"fd": 4160}'::jsonb END
FROM unnest(ARRAY[
    'held', 'queued', 'sending', 'waiting', 'retrying', 'done', 'unknown', 'failed', 'cancelled'
]) WITH ORDINALITY AS sample (state, number);
