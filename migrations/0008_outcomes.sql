-- What is known of a registration beyond its present state: until when a doubt may be settled by repeating, its own
-- fiscal document, and that people were told it is overdue.

ALTER TABLE registrations
    -- Until when the vendor is known to recognise the id of a doubtful registration; after it nothing is sent under that
    -- id. NULL with a doubt: the doubt came without a word (a lease that ended), and the vendor's own time counts from
    -- the try.
    ADD COLUMN doubt_until timestamptz,
    -- The fiscal document of this registration. A transaction has room for one; a second one is kept here.
    ADD COLUMN fiscal jsonb,
    -- When people were told that it waits for longer than its store allows.
    ADD COLUMN overdue_told_at timestamptz;

ALTER TABLE transactions
    -- Made by whoever asked, so that a recorded poll whose commit got no answer can be repeated.
    ADD COLUMN poll_token uuid;
