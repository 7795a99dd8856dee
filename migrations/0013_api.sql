-- The HTTP API: who may use it, keys of idempotency, and what people search by.

CREATE TABLE api_keys (
    -- Stands in the key itself, in front of its secret; told in lists and logs.
    id text CONSTRAINT api_keys_pkey PRIMARY KEY
        CONSTRAINT api_keys_id CHECK (id ~ '^[0-9a-f]{12}$'),
    -- The actor of every action that comes with the key.
    name text NOT NULL
        CONSTRAINT api_keys_name CHECK (name <> ''),
    -- SHA-256 of the secret, which has 244 random bits: there is nothing to guess, so nothing slower is needed.
    secret_hash bytea NOT NULL
        CONSTRAINT api_keys_secret_hash CHECK (octet_length(secret_hash) = 32),
    -- NULL is every store, also those that come later.
    stores text[]
        CONSTRAINT api_keys_stores CHECK (cardinality(stores) > 0),
    rights text[] NOT NULL
        CONSTRAINT api_keys_rights CHECK (
            cardinality(rights) > 0 AND rights <@ ARRAY['submit', 'read', 'contacts', 'act', 'resolve']
        ),
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text NOT NULL,
    -- Written once an hour at most.
    last_used_at timestamptz,
    revoked_at timestamptz,
    revoked_by text,

    CONSTRAINT api_keys_a_revocation_has_a_person CHECK (num_nulls(revoked_at, revoked_by) IN (0, 2))
);

-- Which document an Idempotency-Key was used for first. Kept as long as the receipts: a fiscal document must never be
-- repeated because a key has expired.
CREATE TABLE idempotency_keys (
    store text NOT NULL,
    key text NOT NULL
        CONSTRAINT idempotency_keys_key CHECK (length(key) BETWEEN 1 AND 255),
    operation text NOT NULL,
    document_number text NOT NULL,
    document_part text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),

    CONSTRAINT idempotency_keys_pkey PRIMARY KEY (store, key)
);

-- What people search by, as SHA-256 of 'order:…', 'email:…' and 'phone:…'. A table of its own, because a transaction's row
-- is written several times in its life and every index on it as often; this is written once. The transaction has no
-- reference here: the trigger below writes both in one statement, and no transaction is ever deleted.
CREATE TABLE search_keys (
    digest bytea NOT NULL,
    transaction_id uuid NOT NULL,

    CONSTRAINT search_keys_pkey PRIMARY KEY (digest, transaction_id)
);

CREATE FUNCTION search_keys_of_new_transactions() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO search_keys (digest, transaction_id)
    SELECT sha256(convert_to(key, 'UTF8')), new_ones.id
    FROM new_ones
    CROSS JOIN LATERAL (VALUES
        ('order:' || order_number),
        ('email:' || lower(body #>> '{buyer,email}')),
        ('phone:' || (body #>> '{buyer,phone}'))
    ) AS searched (key)
    WHERE key IS NOT NULL
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;

CREATE TRIGGER transactions_make_search_keys
    AFTER INSERT ON transactions
    REFERENCING NEW TABLE AS new_ones
    FOR EACH STATEMENT
    EXECUTE FUNCTION search_keys_of_new_transactions();

-- What was accepted before. (In one go: no installation has a large table yet.)
INSERT INTO search_keys (digest, transaction_id)
SELECT sha256(convert_to(key, 'UTF8')), t.id
FROM transactions t
CROSS JOIN LATERAL (VALUES
    ('order:' || t.order_number),
    ('email:' || lower(t.body #>> '{buyer,email}')),
    ('phone:' || (t.body #>> '{buyer,phone}'))
) AS searched (key)
WHERE key IS NOT NULL
ON CONFLICT DO NOTHING;

-- Lists by store, operation and state, newest first: a list without one of them reads one range for each of its values.
-- Expressions, so that only those lists can use it: an index that begins with the plain store tempts the planner in
-- statements that look a row up by its id, and the plain id lets it read the primary key in its order instead, through
-- the whole history for what is rare. The id as bytes sorts like the id.
CREATE INDEX transactions_listed
    ON transactions ((store || '/' || operation || '/' || state), uuid_send(id));
