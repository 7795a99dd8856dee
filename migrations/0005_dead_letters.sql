-- Messages that could not be accepted, with every byte, until a person deals with them.

CREATE TABLE dead_letters (
    id uuid CONSTRAINT dead_letters_pkey PRIMARY KEY,
    -- SHA-256 of routing key, reason code and body: the same message again is counted, not stored again.
    fingerprint bytea NOT NULL,
    -- intake: refused by the accept loop. broker: came through the queue of the broker's own dead letters.
    origin text NOT NULL
        CONSTRAINT dead_letters_origin CHECK (origin IN ('intake', 'broker', 'http')),
    exchange text NOT NULL,
    routing_key text NOT NULL,
    message_id text,
    body bytea NOT NULL,
    headers jsonb NOT NULL,
    -- A word for filters: malformed, invalid, unknown_store, conflict, oversized, ...
    reason_code text NOT NULL,
    -- For people: every fault with the field and the cure.
    reason jsonb NOT NULL,
    times integer NOT NULL DEFAULT 1,
    first_seen timestamptz NOT NULL DEFAULT now(),
    last_seen timestamptz NOT NULL DEFAULT now(),
    replayed_at timestamptz,

    CONSTRAINT dead_letters_fingerprint UNIQUE (fingerprint)
);

CREATE INDEX dead_letters_last_seen
    ON dead_letters (last_seen);
