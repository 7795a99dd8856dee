-- Published and not, of a transaction and of a stranger's message.
INSERT INTO events (id, type, store, transaction_id, correlation_id, body, published_at)
SELECT gen_random_uuid(), 'receipt.' || state, store, id, NULL, jsonb_build_object('state', state), now()
FROM transactions
WHERE state IN ('waiting', 'done', 'unknown', 'failed')
UNION ALL
SELECT gen_random_uuid(), 'request.rejected', 'unknown', NULL, 'm-1', jsonb_build_object('problem', 'malformed'), NULL;
