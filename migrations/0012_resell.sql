-- A resell is two transactions of its own: the cancelling receipt, child of the sale that it cancels, and the new sale,
-- child of the cancelling receipt.

ALTER TABLE transactions
    ADD COLUMN parent uuid
        CONSTRAINT transactions_parent REFERENCES transactions (id);

-- Not validated: the table may be large, and no row of before is a half of a resell.
ALTER TABLE transactions
    ADD CONSTRAINT transactions_halves_have_a_parent CHECK (
        (operation IN ('resell_refund', 'resell_sell')) = (parent IS NOT NULL)
    ) NOT VALID;

-- The revision of a half counts the resells of its document from 0: so transactions_document, by whose columns the
-- previous version accepts, keeps them apart. A later resell corrects no failed one.
ALTER TABLE transactions
    DROP CONSTRAINT transactions_revision_replaces,
    ADD CONSTRAINT transactions_revision_replaces CHECK (
        operation IN ('resell_refund', 'resell_sell') OR (revision = 0) = (replaces IS NULL)
    ) NOT VALID;

-- One live cancelling receipt per sale, and one new sale per cancelling receipt. (Not built concurrently, as no
-- installation has a large table yet.)
CREATE UNIQUE INDEX transactions_one_resell
    ON transactions (parent)
    WHERE parent IS NOT NULL AND state <> 'cancelled';

-- A resell is refused while the order has a refund. Refunds are few.
CREATE INDEX transactions_refunds_of_order
    ON transactions (order_number, store)
    WHERE operation = 'refund' AND order_number IS NOT NULL;
