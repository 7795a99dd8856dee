-- A vendor's callback is a hint that a registration has ended: its poll becomes due, once for any number of callbacks.

ALTER TABLE registrations
    -- Since when a callback waits for the question that it asks for. Before the vendor's uuid is recorded it is only
    -- remembered here.
    ADD COLUMN callback_at timestamptz,
    -- Until then no callback makes a poll due: a question is under way, or was just answered.
    ADD COLUMN callback_rest_until timestamptz;
