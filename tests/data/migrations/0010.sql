-- One endpoint that listens, one that is gone; deliveries in every state. The event makes its own delivery by trigger.
INSERT INTO webhook_endpoints (store, active, event_types, url_hash, stopped_at, slow_until, slowdowns)
VALUES
    ('main', true, NULL, sha256('https://shop.example/kassa'), NULL, now(), 2),
    ('second', false, '{receipt.done}', sha256('https://second.example/kassa'), now(), NULL, 0);
INSERT INTO webhook_deliveries (event_id, store, state, attempts, due_at, http_status, tried_at, delivered_at)
SELECT id, 'main', 'delivered', 1, NULL::timestamptz, 200, now(), now()
FROM events
WHERE type = 'receipt.waiting';
INSERT INTO webhook_deliveries (event_id, store, state, attempts, due_at, error, tried_at)
SELECT id, 'main', 'exhausted', 10, NULL::timestamptz, 'timeout', now()
FROM events
WHERE type = 'receipt.failed';
INSERT INTO events (id, type, store, transaction_id, body)
SELECT gen_random_uuid(), 'receipt.done', 'main', id, jsonb_build_object('state', 'done')
FROM transactions
WHERE state = 'done';
