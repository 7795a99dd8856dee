-- One row per external id and what became of it. The live one is the transaction's generation;
-- lower generations are retired.

CREATE TABLE registrations (
    transaction_id uuid NOT NULL
        CONSTRAINT registrations_transaction REFERENCES transactions (id),
    generation integer NOT NULL
        CONSTRAINT registrations_generation CHECK (generation >= 0),
    account text NOT NULL,
    external_id text NOT NULL
        CONSTRAINT registrations_external_id_length CHECK (length(external_id) BETWEEN 1 AND 64),
    vendor_uuid text,
    -- open: nothing known yet. waiting: the vendor has it. done: registered. dead: proven not to be registered.
    state text NOT NULL DEFAULT 'open'
        CONSTRAINT registrations_state CHECK (state IN ('open', 'waiting', 'done', 'dead')),
    -- Since when the vendor may hold it without our having an answer that says so.
    doubt_since timestamptz,
    -- Rendered once; every repetition sends these bytes.
    wire_body text,
    rendered_at timestamptz,
    waiting_since timestamptz,
    polls integer NOT NULL DEFAULT 0,
    next_poll_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),

    CONSTRAINT registrations_pkey PRIMARY KEY (transaction_id, generation),
    CONSTRAINT registrations_waiting_has_vendor_uuid CHECK (state <> 'waiting' OR vendor_uuid IS NOT NULL),
    CONSTRAINT registrations_only_known_ids_are_polled CHECK (next_poll_at IS NULL OR vendor_uuid IS NOT NULL)
);

-- Vendors are not promised to tell upper case from lower. The key stands first, so that a person who knows only the
-- key is served by the same index.
CREATE UNIQUE INDEX registrations_external_id
    ON registrations (lower(external_id), account);

CREATE INDEX registrations_poll
    ON registrations (account, next_poll_at)
    WHERE next_poll_at IS NOT NULL;

CREATE INDEX registrations_vendor_uuid
    ON registrations (vendor_uuid)
    WHERE vendor_uuid IS NOT NULL;
