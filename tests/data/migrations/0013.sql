-- A key for everything, one that was revoked, and a document that came with a key of idempotency.
INSERT INTO api_keys (id, name, secret_hash, stores, rights, created_by, revoked_at, revoked_by)
VALUES
    ('0123456789ab', 'shop', sha256('shop'), NULL, ARRAY['submit', 'read'], 'maria', NULL, NULL),
    ('ba9876543210', 'support', sha256('support'), ARRAY['main'], ARRAY['read', 'contacts', 'act', 'resolve'], 'maria',
        now(), 'ivan');

INSERT INTO idempotency_keys (store, key, operation, document_number, document_part)
VALUES ('main', 'order-417-paid', 'sell', '417', 'main');
