-- The second way out of events: deliveries to the shops' own HTTP endpoints.

-- One row per store that has a webhook, written from the configuration at the start of every process.
CREATE TABLE webhook_endpoints (
    store text CONSTRAINT webhook_endpoints_pkey PRIMARY KEY,
    -- False: the configuration no longer has it. Nothing new is for it, and what waits, waits.
    active boolean NOT NULL DEFAULT true,
    -- Which types are for it; NULL is every one.
    event_types text[],
    -- SHA-256 of the address: a new address takes a stop away. The address itself may hold a secret.
    url_hash bytea NOT NULL
        CONSTRAINT webhook_endpoints_url_hash CHECK (octet_length(url_hash) = 32),
    -- The endpoint has answered that it is gone (410). A person or a new address lets it go on.
    stopped_at timestamptz,
    -- The endpoint has asked for less: nothing goes there before this.
    slow_until timestamptz,
    -- How often it has asked for less since the last delivery that it took.
    slowdowns integer NOT NULL DEFAULT 0,
    bound_at timestamptz NOT NULL DEFAULT now()
);

-- One row per event and endpoint. Delivered ones are kept for a while, all others until they are delivered.
CREATE TABLE webhook_deliveries (
    event_id uuid CONSTRAINT webhook_deliveries_pkey PRIMARY KEY
        CONSTRAINT webhook_deliveries_event REFERENCES events (id),
    store text NOT NULL,
    state text NOT NULL DEFAULT 'pending'
        CONSTRAINT webhook_deliveries_state CHECK (state IN ('pending', 'delivered', 'exhausted')),
    -- Counts the claims of this cycle; the number that may write the outcome.
    attempts integer NOT NULL DEFAULT 0,
    -- When it may be tried; while a try is under way, when another dispatcher may take it over.
    due_at timestamptz DEFAULT now(),
    -- What the last try came to: the HTTP status, or a word when there was no answer.
    http_status integer,
    error text,
    tried_at timestamptz,
    delivered_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),

    CONSTRAINT webhook_deliveries_only_pending_is_due CHECK ((state = 'pending') = (due_at IS NOT NULL)),
    CONSTRAINT webhook_deliveries_delivered_has_a_time CHECK ((state = 'delivered') = (delivered_at IS NOT NULL))
);

-- Only what is to be delivered is in it, whatever else is kept.
CREATE INDEX webhook_deliveries_due
    ON webhook_deliveries (store, due_at)
    WHERE state = 'pending';

CREATE INDEX webhook_deliveries_exhausted
    ON webhook_deliveries (store, event_id)
    WHERE state = 'exhausted';

CREATE INDEX webhook_deliveries_old
    ON webhook_deliveries (delivered_at)
    WHERE state = 'delivered';

-- A delivery is written in the very transaction that writes its event, whichever statement of whichever version does:
-- an event that is told is delivered, and no order of commits can hide one. A dispatcher that looks for new events
-- would need either a cursor, which misses what commits late, or a mark on every event of every shop, and it would find
-- the whole history when a webhook is switched on.
CREATE FUNCTION webhook_deliveries_of_new_events() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO webhook_deliveries (event_id, store)
    SELECT told.id, told.store
    FROM told
    JOIN webhook_endpoints endpoint ON endpoint.store = told.store
    WHERE endpoint.active
        AND (endpoint.event_types IS NULL OR told.type = ANY (endpoint.event_types));
    RETURN NULL;
END
$$;

CREATE TRIGGER events_make_webhook_deliveries
    AFTER INSERT ON events
    REFERENCING NEW TABLE AS told
    FOR EACH STATEMENT
    EXECUTE FUNCTION webhook_deliveries_of_new_events();
