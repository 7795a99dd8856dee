-- By the trigger: one that waits, and one that a relay has taken.
INSERT INTO events (id, type, store, transaction_id, body)
SELECT gen_random_uuid(), 'receipt.done', store, id, '{}'
FROM transactions
LIMIT 2;
UPDATE outbox
SET taken_until = now() + interval '30 seconds', refusals = 1
WHERE event_id = (SELECT max(event_id::text)::uuid FROM outbox);
