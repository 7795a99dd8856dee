-- What waits to be published is a small row of its own, which is gone once the broker has the event. Until now the event
-- itself was marked, once when it was taken and once when it was published, and each mark wrote the event anew with its
-- body and its entries in the indexes.

-- Whoever writes an event waits behind this, and this behind whoever reads events just now. Rather fail, and be run again.
SET LOCAL lock_timeout = '3s';
LOCK TABLE events IN ACCESS EXCLUSIVE MODE;

CREATE TABLE outbox (
    -- No foreign key: events are never deleted, and looking each one up would cost more than the row.
    event_id uuid CONSTRAINT outbox_pkey PRIMARY KEY,
    -- Before this it is not published. Moved when the broker did not take it, so that it goes behind what is newer.
    relay_after timestamptz NOT NULL DEFAULT now(),
    -- A relay that took the event and died is followed by another after this. In no index, so that taking an event
    -- writes into none; that is what the free half of each page is for.
    taken_until timestamptz,
    -- How often the broker did not take it.
    refusals integer NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

CREATE INDEX outbox_due
    ON outbox (relay_after, event_id);

-- Relays of the version before find nothing to publish in what is written from now on; this version's publish it.
-- `published_at` and `relay_after` say nothing any more and go, with the index over them, in the next release.
ALTER TABLE events
    ALTER COLUMN published_at SET DEFAULT now();

-- As deliveries to webhooks are (0010): written in the commit of the event, whichever statement of whichever version
-- writes it.
CREATE FUNCTION outbox_of_new_events() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO outbox (event_id)
    SELECT told.id
    FROM told;
    RETURN NULL;
END
$$;

CREATE TRIGGER events_fill_outbox
    AFTER INSERT ON events
    REFERENCING NEW TABLE AS told
    FOR EACH STATEMENT
    EXECUTE FUNCTION outbox_of_new_events();

-- What a relay of the version before has taken and is publishing just now, a consumer may see twice, as it always may.
INSERT INTO outbox (event_id)
SELECT id
FROM events
WHERE published_at IS NULL;
