-- What kassa writes when it accepts a receipt and claims it at once: four rows in one commit, before the vendor is
-- called. The same statement for everybody who is compared; whoever does not batch gives arrays of one.
WITH input AS (
    SELECT *
    FROM unnest(
        $1::uuid[], $2::text[], $3::text[], $4::bytea[], $5::text[], $6::bigint[], $7::text[], $8::text[],
        $9::uuid[], $10::text[]
    ) AS input (
        id, document_number, order_number, request_hash, body, total_kopecks, external_id, wire_body,
        event_id, event_body
    )
),
inserted AS (
    INSERT INTO transactions (
        id, store, account, vendor, operation, document_number, document_part, order_number,
        request_hash, body, total_kopecks, external_id,
        state, fence, last_attempt, claim_token, due_at
    )
    SELECT
        id, 'main', 'main', 'checkonline', 'sell', document_number, 'main', order_number,
        request_hash, body::jsonb, total_kopecks, external_id,
        'sending', 1, 1, id, now() + interval '85 seconds'
    FROM input
    ON CONFLICT (document_number, store, operation, document_part, revision) DO NOTHING
    RETURNING id
),
registered AS (
    INSERT INTO registrations (transaction_id, generation, account, external_id, wire_body, rendered_at)
    SELECT id, 0, 'main', external_id, wire_body, now()
    FROM input
    JOIN inserted USING (id)
),
attempted AS (
    INSERT INTO attempts (transaction_id, number, generation, kind, worker)
    SELECT id, 1, 0, 'send', 'bench'
    FROM inserted
),
told AS (
    INSERT INTO events (id, type, store, transaction_id, body)
    SELECT event_id, 'receipt.accepted', 'main', id, event_body::jsonb
    FROM input
    JOIN inserted USING (id)
)
SELECT id
FROM inserted
