-- What kassa writes when the vendor has answered with a fiscal document: three rows changed, one new, in one commit.
WITH input AS (
    SELECT *
    FROM unnest(
        $1::uuid[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[],
        $9::uuid[], $10::text[]
    ) AS input (id, answer, duration_ms, fiscal, fn, fd, fpd, registered_at, event_id, event_body)
),
finished AS (
    UPDATE attempts a
    SET finished_at = now(),
        duration_ms = i.duration_ms,
        class = 'done',
        http_status = 200,
        request = 'POST /fr/api/v2/Complex',
        answer = i.answer
    FROM input i
    WHERE a.transaction_id = i.id
        AND a.number = 1
),
applied AS (
    UPDATE transactions t
    SET state = 'done',
        due_at = NULL,
        claim_token = NULL,
        fn = i.fn,
        fd = i.fd,
        fpd = i.fpd,
        registered_at = i.registered_at::timestamp,
        fiscal = i.fiscal::jsonb,
        version = t.version + 1,
        updated_at = now()
    FROM input i
    WHERE t.id = i.id
        AND t.state = 'sending'
        AND t.fence = 1
    RETURNING t.id
),
registered AS (
    UPDATE registrations r
    SET state = 'done',
        fiscal = i.fiscal::jsonb
    FROM input i
    WHERE r.transaction_id = i.id
        AND r.generation = 0
),
told AS (
    INSERT INTO events (id, type, store, transaction_id, body)
    SELECT event_id, 'receipt.done', 'main', id, event_body::jsonb
    FROM input
    JOIN applied USING (id)
)
SELECT id
FROM applied
