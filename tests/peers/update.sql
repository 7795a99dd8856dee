-- The simple contest: the same row after the call.
UPDATE receipts r
SET state = 'done',
    answer = i.answer,
    done_at = now()
FROM unnest($1::uuid[], $2::text[]) AS i (id, answer)
WHERE r.id = i.id
RETURNING r.id
