-- no-transaction
-- Its successor serves the same statements. A version that still asks by account alone sorts what waits there.
DROP INDEX CONCURRENTLY registrations_poll;
