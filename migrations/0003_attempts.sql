-- One row per try to send, poll or probe. A send is written before the socket is touched and finished afterwards;
-- a row without finished_at is the only evidence that a worker died in between.

CREATE TABLE attempts (
    transaction_id uuid NOT NULL
        CONSTRAINT attempts_transaction REFERENCES transactions (id),
    number integer NOT NULL
        CONSTRAINT attempts_number CHECK (number > 0),
    generation integer NOT NULL,
    kind text NOT NULL
        CONSTRAINT attempts_kind CHECK (kind IN ('send', 'poll', 'probe')),
    worker text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    duration_ms bigint,
    -- accepted, adopted, done, waiting, returned, or the class of the refusal.
    class text,
    error_type text,
    code text,
    http_status integer,
    request text,
    answer text,
    message text,
    cause_ru text,
    cause_en text,
    cure_ru text,
    cure_en text,

    CONSTRAINT attempts_pkey PRIMARY KEY (transaction_id, number),
    CONSTRAINT attempts_finished_has_a_class CHECK (finished_at IS NULL OR class IS NOT NULL)
);
