-- Where each account is: the ids of one group at one host. Compared when a process starts, because the same name for
-- another group would send open receipts again to somebody who does not know their ids.

CREATE TABLE accounts (
    name text CONSTRAINT accounts_pkey PRIMARY KEY,
    identity text NOT NULL,
    bound_at timestamptz NOT NULL DEFAULT now()
);
