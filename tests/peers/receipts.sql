CREATE TABLE receipts (
    id uuid PRIMARY KEY,
    number text NOT NULL,
    body text NOT NULL,
    state text NOT NULL DEFAULT 'sending',
    answer text,
    created_at timestamptz NOT NULL DEFAULT now(),
    done_at timestamptz
);
CREATE INDEX receipts_number ON receipts (number);
