-- no-transaction
CREATE INDEX CONCURRENTLY registrations_polls
    ON registrations (account, coalesce(store, ''), next_poll_at)
    WHERE next_poll_at IS NOT NULL;
