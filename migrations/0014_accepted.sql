-- no-transaction
-- What was accepted in a period, for reports and exports. The time stands first: every list of a period begins with it,
-- and no statement that looks a receipt up by its document or its store can be tempted by it. The store is in it, so
-- that the report of a small shop does not visit the rows of a great one. Nothing that changes is in it: beside a state
-- every change of a receipt would move its entry about.
CREATE INDEX CONCURRENTLY IF NOT EXISTS transactions_accepted
    ON transactions (accepted_at, store);
