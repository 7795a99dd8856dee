-- What kassa writes to people: scheduled reports and alerts, each on its way to one recipient.

-- One row per store and schedule of the configuration. However many reporters run, the one that moves `seen_until` makes
-- the mails of what lies between.
CREATE TABLE report_schedules (
    store text NOT NULL,
    schedule text NOT NULL,
    -- False: the configuration no longer has it. When it comes back it begins anew.
    active boolean NOT NULL DEFAULT true,
    -- Every occurrence up to here has its mails.
    seen_until timestamptz NOT NULL DEFAULT now(),

    CONSTRAINT report_schedules_pkey PRIMARY KEY (store, schedule)
);

CREATE TABLE mails (
    id uuid CONSTRAINT mails_pkey PRIMARY KEY,
    kind text NOT NULL
        CONSTRAINT mails_kind CHECK (kind IN ('report', 'alert')),
    -- What the mail is one of: the daily reports of a store, the alerts about an account.
    series text NOT NULL,
    -- What the mail is about; with the recipient it is there once.
    key text NOT NULL,
    recipient text NOT NULL,
    -- The same for every repetition, so that a second copy can be recognised.
    message_id text NOT NULL,
    what jsonb NOT NULL,
    -- When it may be tried; while a try is under way, when another reporter may take it over. NULL when it has ended.
    due_at timestamptz DEFAULT now(),
    -- The claim that is under way, made up by the claimer: it may be repeated, and it alone may write the outcome.
    claim uuid,
    -- Counts the tries that the recipient may have got. A try that certainly came to nothing is taken off again.
    sends integer NOT NULL DEFAULT 0
        CONSTRAINT mails_sends CHECK (sends BETWEEN 0 AND 3),
    -- Tries in a row that certainly came to nothing.
    failures integer NOT NULL DEFAULT 0,
    -- What the last try came to, when it was not taken.
    error text,
    ended text
        CONSTRAINT mails_ended CHECK (ended IN ('sent', 'unconfirmed', 'refused', 'skipped')),
    ended_at timestamptz,
    -- The numbers that the mail told, by period: the next one of its series tells what has changed since.
    figures jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),

    CONSTRAINT mails_key UNIQUE (key, recipient),
    CONSTRAINT mails_only_open_is_due CHECK ((ended IS NULL) = (due_at IS NOT NULL)),
    CONSTRAINT mails_ended_has_a_time CHECK ((ended IS NULL) = (ended_at IS NULL))
);

CREATE INDEX mails_due
    ON mails (due_at)
    WHERE ended IS NULL;

CREATE INDEX mails_series
    ON mails (series, recipient, id);

-- Which stores want alerts, written from the configuration at the start of every process.
CREATE TABLE alert_stores (
    store text CONSTRAINT alert_stores_pkey PRIMARY KEY,
    active boolean NOT NULL DEFAULT true
);

-- Events that people are to be alerted of and have not been yet.
CREATE TABLE alert_causes (
    event_id uuid CONSTRAINT alert_causes_pkey PRIMARY KEY
        CONSTRAINT alert_causes_event REFERENCES events (id),
    store text NOT NULL,
    -- Whom it strikes: `store main`, `account main`.
    subject text NOT NULL,
    -- What strikes: the type of the event, with the vendor's error if there is one.
    cause text NOT NULL
);

CREATE INDEX alert_causes_of_a_subject
    ON alert_causes (subject, cause);

-- When people were last alerted of a cause, and when they may be again.
CREATE TABLE alerts (
    subject text NOT NULL,
    cause text NOT NULL,
    told_at timestamptz NOT NULL DEFAULT now(),
    quiet_until timestamptz NOT NULL,

    CONSTRAINT alerts_pkey PRIMARY KEY (subject, cause)
);

-- As deliveries to webhooks are (0010): written in the commit of the event, so that no order of commits can hide one.
CREATE FUNCTION alert_causes_of_new_events() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO alert_causes (event_id, store, subject, cause)
    SELECT
        told.id,
        told.store,
        CASE
            WHEN told.type = 'account.paused' THEN concat('account ', told.body ->> 'account')
            ELSE concat('store ', told.store)
        END,
        concat_ws(' ', told.type, told.body #>> '{error,kind}', told.body #>> '{error,code}')
    FROM told
    JOIN alert_stores wanted ON wanted.store = told.store
    WHERE wanted.active
        AND told.type IN ('account.paused', 'receipt.failed', 'receipt.unknown', 'receipt.overdue', 'receipt.double');
    RETURN NULL;
END
$$;

CREATE TRIGGER events_make_alert_causes
    AFTER INSERT ON events
    REFERENCING NEW TABLE AS told
    FOR EACH STATEMENT
    EXECUTE FUNCTION alert_causes_of_new_events();
