-- A second document beside the transaction's own, a doubt that may be repeated for a while, and an overdue wait.
UPDATE registrations
SET fiscal = '{"fn": "9999078900000001", "fd": 1, "fpd": "1"}'
WHERE state = 'done';

UPDATE registrations
SET doubt_until = now() + interval '50 minutes'
WHERE doubt_since IS NOT NULL;

UPDATE registrations
SET overdue_told_at = now()
WHERE state = 'waiting';

UPDATE transactions
SET poll_token = gen_random_uuid()
WHERE state = 'waiting';
