-- A cancelled transaction and its revision, what was done, and a letter that was replayed as one of them.
INSERT INTO transactions (
    id, store, account, vendor, operation, document_number, document_part, request_hash, body, total_kopecks, state,
    external_id, due_at, revision, replaces
)
VALUES
    ('01930000-0000-7000-8000-000000000901', 'main', 'main', 'atol', 'sell', '901', 'main', sha256('901'), '{}', 100,
     'cancelled', 'invoice_main_901', NULL, 0, NULL),
    ('01930000-0000-7000-8000-000000000902', 'main', 'main', 'atol', 'sell', '901', 'main', sha256('902'), '{}', 100,
     'queued', 'invoice_main_901__1', now(), 1, '01930000-0000-7000-8000-000000000901');

INSERT INTO registrations (transaction_id, generation, account, external_id, state)
VALUES
    ('01930000-0000-7000-8000-000000000901', 0, 'main', 'invoice_main_901', 'dead'),
    ('01930000-0000-7000-8000-000000000902', 0, 'main', 'invoice_main_901__1', 'open');

INSERT INTO actions (id, actor, action, transaction_id, state_before, state_after, reason)
VALUES (
    gen_random_uuid(), 'maria', 'cancel', '01930000-0000-7000-8000-000000000901', 'queued', 'cancelled', 'paid twice'
);

UPDATE dead_letters
SET transaction_id = '01930000-0000-7000-8000-000000000902'
WHERE replayed_at IS NOT NULL;
