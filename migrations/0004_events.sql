-- What the outside is told: written in the transaction that makes it true, published by a relay afterwards.

CREATE TABLE events (
    id uuid CONSTRAINT events_pkey PRIMARY KEY,
    type text NOT NULL,
    -- The first part of the routing key; not always a configured store, for a stranger may send anything.
    store text NOT NULL,
    transaction_id uuid
        CONSTRAINT events_transaction REFERENCES transactions (id),
    correlation_id text,
    body jsonb NOT NULL,
    time timestamptz NOT NULL DEFAULT now(),
    -- A relay that took the event and died is followed by another after this.
    relay_after timestamptz NOT NULL DEFAULT now(),
    published_at timestamptz
);

CREATE INDEX events_to_publish
    ON events (relay_after, id)
    WHERE published_at IS NULL;

CREATE INDEX events_timeline
    ON events (transaction_id, id)
    WHERE transaction_id IS NOT NULL;
