-- A registration that waits for its next poll, and knows its store.
INSERT INTO transactions (
    id, store, account, vendor, operation, document_number, document_part, request_hash, body, total_kopecks,
    external_id, state, vendor_uuid
)
VALUES (
    '00000000-0000-7000-8000-000000001601', 'main', 'main', 'atol', 'sell', '1601', 'main', sha256('1601'), '{}', 100,
    'invoice_main_1601', 'waiting', 'uuid-1601'
);

INSERT INTO registrations (
    transaction_id, generation, account, external_id, vendor_uuid, state, waiting_since, next_poll_at, store
)
VALUES (
    '00000000-0000-7000-8000-000000001601', 0, 'main', 'invoice_main_1601', 'uuid-1601', 'waiting', now(), now(), 'main'
);
