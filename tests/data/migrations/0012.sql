-- Two resells of the sale that is done: a finished one, and one whose cancelling receipt was closed by a person.
INSERT INTO transactions (
    id, store, account, vendor, operation, document_number, document_part, order_number, revision, request_hash, body,
    total_kopecks, state, external_id, parent, fn, fd, fpd, registered_at, fiscal
)
SELECT
    ('01940000-0000-7000-8000-00000000000' || half.number)::uuid, store, account, vendor, half.operation,
    document_number, document_part, order_number, half.revision, request_hash,
    body || jsonb_build_object('check_property', fpd), total_kopecks, half.state, external_id || half.suffix,
    coalesce(('01940000-0000-7000-8000-00000000000' || half.parent)::uuid, id),
    CASE half.state WHEN 'done' THEN fn END,
    CASE half.state WHEN 'done' THEN fd + half.number END,
    CASE half.state WHEN 'done' THEN fpd END,
    CASE half.state WHEN 'done' THEN registered_at END,
    CASE half.state WHEN 'done' THEN fiscal END
FROM transactions
CROSS JOIN (VALUES
    (1, 'resell_refund', 0, 'done', '_refund', NULL),
    (2, 'resell_sell', 0, 'done', '_resell', 1),
    (3, 'resell_refund', 1, 'cancelled', '_refund2', 2),
    (4, 'resell_sell', 1, 'cancelled', '_resell2', 3)
) AS half (number, operation, revision, state, suffix, parent)
WHERE transactions.state = 'done' AND transactions.operation = 'sell';

INSERT INTO registrations (transaction_id, generation, account, external_id, state)
SELECT id, 0, account, external_id, CASE state WHEN 'done' THEN 'done' ELSE 'dead' END
FROM transactions
WHERE parent IS NOT NULL;
