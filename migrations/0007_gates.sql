-- One gate per account, shared by all workers: behind a closed one nothing is claimed, so receipts wait in their table
-- and spend no trials. An account without a row was never stopped: its gate is open.

CREATE TABLE gates (
    account text CONSTRAINT gates_pkey PRIMARY KEY,
    -- What machines found. closed: nothing is sent until a probe works. probing: one real send at a time tries it.
    state text NOT NULL DEFAULT 'open'
        CONSTRAINT gates_state CHECK (state IN ('open', 'closed', 'probing')),
    -- breaker: failures in a row. halt: the account itself is refused, which stops polls too.
    reason text
        CONSTRAINT gates_reason CHECK (reason IN ('breaker', 'halt')),
    -- The worker that closed it, and the answer that it has to show for it.
    closed_by text,
    closed_at timestamptz,
    error_type text,
    code text,
    cause_ru text,
    cause_en text,
    cure_ru text,
    cure_en text,
    -- Probes that failed since it was closed: the wait doubles with each.
    probes integer NOT NULL DEFAULT 0,
    next_probe_at timestamptz,
    -- Who probes it, until when, and which transaction was sent as a probe last.
    probe_token uuid,
    probe_until timestamptz,
    probe_transaction uuid,
    -- Since then the calls at once are let through in growing numbers.
    opened_at timestamptz,
    -- What a person decided. No machine touches these.
    paused_by text,
    paused_at timestamptz,
    pause_reason text,
    -- Counts closing, opening, pause and resume; the action of a person names the version that the person saw.
    version bigint NOT NULL DEFAULT 0,
    is_open boolean NOT NULL GENERATED ALWAYS AS (state = 'open' AND paused_at IS NULL) STORED,

    CONSTRAINT gates_only_what_is_closed_has_a_reason CHECK ((state = 'open') = (reason IS NULL)),
    CONSTRAINT gates_only_what_is_closed_is_probed CHECK ((state = 'open') = (next_probe_at IS NULL)),
    CONSTRAINT gates_a_probe_ends CHECK ((probe_token IS NULL) = (probe_until IS NULL)),
    CONSTRAINT gates_a_pause_has_a_person CHECK (num_nulls(paused_by, paused_at, pause_reason) IN (0, 3))
);

-- Who closed and opened what, and why: never overwritten.
CREATE TABLE gate_changes (
    id uuid CONSTRAINT gate_changes_pkey PRIMARY KEY,
    account text NOT NULL,
    change text NOT NULL
        CONSTRAINT gate_changes_change CHECK (change IN ('closed', 'opened', 'paused', 'resumed')),
    -- A worker, or a person's name.
    who text NOT NULL,
    is_person boolean NOT NULL,
    -- breaker, halt, probe, or the person's words.
    reason text NOT NULL,
    error_type text,
    code text,
    time timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX gate_changes_account
    ON gate_changes (account, id);

-- The processes that share the limits of the accounts. A row that is not renewed is a worker that is gone.
CREATE TABLE workers (
    id uuid CONSTRAINT workers_pkey PRIMARY KEY,
    worker text NOT NULL,
    role text NOT NULL
        CONSTRAINT workers_role CHECK (role IN ('sender', 'poller')),
    -- A newcomer waits until the others have seen it.
    joined_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now()
);

-- Due rows are shared out between the stores of an account: one with a great backlog starves no other. Takes the place
-- of transactions_due, whose queries it serves as well. (Not built concurrently: no installation has a large table yet.)
CREATE INDEX transactions_due_of_store
    ON transactions (account, store, due_at)
    WHERE due_at IS NOT NULL;

DROP INDEX transactions_due;
