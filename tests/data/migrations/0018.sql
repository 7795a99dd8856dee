-- A registration that is not asked about.
INSERT INTO transactions (
    id, store, account, vendor, operation, document_number, document_part, request_hash, body, total_kopecks,
    external_id, state, due_at
)
VALUES (
    '00000000-0000-7000-8000-000000001801', 'main', 'main', 'atol', 'sell', '1801', 'main', sha256('1801'), '{}',
    100, 'invoice_main_1801', 'queued', now()
);

INSERT INTO registrations (transaction_id, generation, account, external_id)
VALUES ('00000000-0000-7000-8000-000000001801', 0, 'main', 'invoice_main_1801');
