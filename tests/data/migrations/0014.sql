-- Accepted in another year than everything else.
INSERT INTO transactions (
    id, store, account, vendor, operation, document_number, document_part, request_hash, body, total_kopecks,
    external_id, state, accepted_at
)
VALUES (
    '01900000-0000-7000-8000-000000000014', 'main', 'main', 'atol', 'sell', 'accepted-417', 'main', sha256('a'), '{}',
    90000, 'invoice_main_accepted-417', 'held', '2024-02-29 23:59:59.999999+03'
);
