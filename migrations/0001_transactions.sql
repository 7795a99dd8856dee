-- One row per obligation to register one receipt, from acceptance to the fiscal document.
-- Every wait of a transaction stands in due_at; the broker only wakes people up earlier.

CREATE TABLE transactions (
    id uuid CONSTRAINT transactions_pkey PRIMARY KEY,
    store text NOT NULL,
    -- Frozen at acceptance: retries, polls and resells go where the first try went.
    account text NOT NULL,
    vendor text NOT NULL,
    operation text NOT NULL
        CONSTRAINT transactions_operation CHECK (operation IN ('sell', 'refund', 'resell_refund', 'resell_sell')),
    document_number text NOT NULL,
    document_part text NOT NULL,
    order_number text,
    revision integer NOT NULL DEFAULT 0
        CONSTRAINT transactions_revision CHECK (revision >= 0),
    -- SHA-256 of the canonical request before store defaults: tells a repetition from a conflict.
    request_hash bytea NOT NULL
        CONSTRAINT transactions_request_hash CHECK (octet_length(request_hash) = 32),
    body jsonb NOT NULL,
    total_kopecks bigint NOT NULL
        CONSTRAINT transactions_total CHECK (total_kopecks >= 0),
    state text NOT NULL
        CONSTRAINT transactions_state CHECK (state IN (
            'held', 'queued', 'sending', 'waiting', 'retrying', 'done', 'unknown', 'failed', 'cancelled'
        )),
    failure text
        CONSTRAINT transactions_failure CHECK (failure IN ('rejected', 'exhausted')),
    -- Counts every change; the action of a person names the version that the person saw.
    version bigint NOT NULL DEFAULT 0,
    -- The live registration.
    generation integer NOT NULL DEFAULT 0,
    external_id text NOT NULL,
    vendor_uuid text,
    -- Attempts are numbered in one sequence per transaction; the fence is the number that may write the state.
    last_attempt integer NOT NULL DEFAULT 0,
    fence integer NOT NULL DEFAULT 0,
    -- Made by the claimer, so that a claim whose commit got no answer can be repeated.
    claim_token uuid,
    -- Claims in a row that ended without a word.
    unfinished integer NOT NULL DEFAULT 0,
    -- Sends of the current cycle.
    trials integer NOT NULL DEFAULT 0,
    -- queued, retrying: when it may be sent. sending: when the lease and the quiet time after it are over.
    due_at timestamptz,
    fn text,
    fd bigint,
    fpd text,
    -- The register's own local time, as the fiscal drive keeps it (tag 1012).
    registered_at timestamp,
    fiscal jsonb,
    accepted_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),

    CONSTRAINT transactions_waiting_has_vendor_uuid CHECK (state <> 'waiting' OR vendor_uuid IS NOT NULL),
    CONSTRAINT transactions_done_has_fiscal_document CHECK (
        state <> 'done' OR (fn IS NOT NULL AND fd IS NOT NULL AND fpd IS NOT NULL AND registered_at IS NOT NULL)
    ),
    CONSTRAINT transactions_failed_has_failure CHECK ((state = 'failed') = (failure IS NOT NULL)),
    CONSTRAINT transactions_only_what_waits_is_due CHECK (
        (state IN ('queued', 'sending', 'retrying')) = (due_at IS NOT NULL)
    ),
    CONSTRAINT transactions_sending_has_a_claim CHECK (state <> 'sending' OR claim_token IS NOT NULL)
);

-- The number stands first, so that a person who knows only the number is served by the same index.
CREATE UNIQUE INDEX transactions_document
    ON transactions (document_number, store, operation, document_part, revision);

-- Only what is due is in it: it stays small, however many receipts are done.
CREATE INDEX transactions_due
    ON transactions (account, due_at)
    WHERE due_at IS NOT NULL;

CREATE INDEX transactions_attention
    ON transactions (state, id)
    WHERE state IN ('held', 'unknown', 'failed');

-- Receipts whose claims keep ending without a word: almost always empty, looked at all the time. With due_at as its key
-- it would look as dear as transactions_due to a planner that has not heard of a backlog yet.
CREATE INDEX transactions_unfinished
    ON transactions (unfinished)
    WHERE state = 'sending' AND unfinished >= 2;
