-- Bytes that are no text, and a body of no bytes.
INSERT INTO dead_letters (
    id, fingerprint, origin, exchange, routing_key, message_id, body, headers, reason_code, reason, times, replayed_at
)
VALUES
    (gen_random_uuid(), sha256('1'), 'intake', 'kassa.requests', 'main', 'm-1', '\xfffe00', '{}', 'invalid', '{}', 1, NULL),
    (gen_random_uuid(), sha256('2'), 'broker', 'kassa.requests', 'nobody', NULL, '', '{"headers": {"a": [1, null]}}', 'unknown_store', '{}', 7, now());
