-- The simple contest: one row of 2 KB before the call.
INSERT INTO receipts (id, number, body)
SELECT id, number, body
FROM unnest($1::uuid[], $2::text[], $3::text[]) AS input (id, number, body)
ON CONFLICT (id) DO NOTHING
RETURNING id
