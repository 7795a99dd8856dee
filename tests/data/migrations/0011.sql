-- A registration that a callback was about before its uuid was recorded, and one that is being asked about.
INSERT INTO registrations (transaction_id, generation, account, external_id, callback_at)
SELECT transaction_id, max(generation) + 1, min(account), min(external_id) || '__callback', now()
FROM registrations
GROUP BY transaction_id
LIMIT 1;

UPDATE registrations
SET callback_at = now(), callback_rest_until = now() + interval '30 seconds'
WHERE state = 'waiting';
