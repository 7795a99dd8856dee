-- The polls of an account are shared fairly between its stores, as its sends are. The store is noted with the first poll;
-- registrations whose first poll an older version planned have none, and share a turn.

ALTER TABLE registrations
    ADD COLUMN store text;

UPDATE registrations r
SET store = t.store
FROM transactions t
WHERE t.id = r.transaction_id
    AND r.next_poll_at IS NOT NULL;
