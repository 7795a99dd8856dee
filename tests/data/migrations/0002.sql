-- A live registration for each transaction, and a retired one.
INSERT INTO registrations (
    transaction_id, generation, account, external_id, vendor_uuid, state, doubt_since, wire_body, rendered_at,
    waiting_since, polls, next_poll_at
)
SELECT
    id, 0, account, external_id, vendor_uuid,
    CASE WHEN state IN ('waiting', 'done') THEN state WHEN state = 'failed' THEN 'dead' ELSE 'open' END,
    CASE WHEN state IN ('sending', 'unknown') THEN now() END,
    '{"external_id": "' || external_id || '"}', now(),
    CASE WHEN state IN ('waiting', 'done') THEN now() END,
    3,
    CASE WHEN state = 'waiting' THEN now() END
FROM transactions;

INSERT INTO registrations (transaction_id, generation, account, external_id)
SELECT id, 1, account, external_id || '__1'
FROM transactions
WHERE state = 'retrying';
