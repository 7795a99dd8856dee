-- What people did, who and why; revisions of receipts that certainly failed; dead letters that were replayed.

CREATE TABLE actions (
    id uuid CONSTRAINT actions_pkey PRIMARY KEY,
    time timestamptz NOT NULL DEFAULT now(),
    -- Who: a user of the machine, or a name that one gave.
    actor text NOT NULL
        CONSTRAINT actions_actor CHECK (actor <> ''),
    -- resolve, cancel, replay, drop, ...
    action text NOT NULL
        CONSTRAINT actions_action CHECK (action <> ''),
    transaction_id uuid
        CONSTRAINT actions_transaction REFERENCES transactions (id),
    -- Without a reference: a dropped letter is gone, and what it was stands in the details.
    dead_letter_id uuid,
    state_before text,
    state_after text,
    reason text,
    details jsonb NOT NULL DEFAULT '{}'
);

CREATE INDEX actions_timeline
    ON actions (transaction_id, id)
    WHERE transaction_id IS NOT NULL;

CREATE INDEX actions_of_dead_letters
    ON actions (dead_letter_id, id)
    WHERE dead_letter_id IS NOT NULL;

-- The failed or cancelled transaction of the same document whose content this one corrects.
ALTER TABLE transactions
    ADD COLUMN replaces uuid
        CONSTRAINT transactions_replaces REFERENCES transactions (id);

-- Not validated: the table may be large, and no row of before has a revision.
ALTER TABLE transactions
    ADD CONSTRAINT transactions_revision_replaces CHECK ((revision = 0) = (replaces IS NULL)) NOT VALID;

ALTER TABLE dead_letters
    -- What the message was accepted as in the end.
    ADD COLUMN transaction_id uuid
        CONSTRAINT dead_letters_transaction REFERENCES transactions (id),
    -- As far as the body could be read.
    ADD COLUMN document_number text,
    -- A process that took the letter to replay it and died is followed by another after this.
    ADD COLUMN replay_after timestamptz NOT NULL DEFAULT now();

CREATE INDEX dead_letters_open
    ON dead_letters (last_seen)
    WHERE replayed_at IS NULL;

-- Letters that are accepted by themselves once their store is configured.
CREATE INDEX dead_letters_to_replay
    ON dead_letters (routing_key, first_seen)
    WHERE replayed_at IS NULL AND reason_code IN ('unknown_store', 'unknown_account');
