-- A gate of each kind: closed by a machine, tried by a probe, paused by a person, opened again.
INSERT INTO gates (
    account, state, reason, closed_by, closed_at, error_type, code, cause_ru, cause_en, cure_ru, cure_en, probes,
    next_probe_at, probe_token, probe_until, probe_transaction, opened_at, paused_by, paused_at, pause_reason, version
)
VALUES
    ('closed', 'closed', 'breaker', 'host-1', now(), 'transport', 'http_502', 'п', 'c', 'л', 'd', 2, now(), NULL, NULL, NULL, NULL, NULL, NULL, NULL, 1),
    ('probing', 'probing', 'halt', 'host-1', now(), 'system', '12', 'п', 'c', 'л', 'd', 0, now(), gen_random_uuid(), now(), (SELECT id FROM transactions LIMIT 1), NULL, NULL, NULL, NULL, 1),
    ('paused', 'open', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, 'olga', now(), 'inventory', 1),
    ('opened', 'open', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, now(), NULL, NULL, NULL, 4);

INSERT INTO gate_changes (id, account, change, who, is_person, reason, error_type, code)
VALUES
    (gen_random_uuid(), 'closed', 'closed', 'host-1', false, 'breaker', 'transport', 'http_502'),
    (gen_random_uuid(), 'paused', 'paused', 'olga', true, 'inventory', NULL, NULL);

INSERT INTO workers (id, worker, role)
VALUES (gen_random_uuid(), 'host-1', 'sender'), (gen_random_uuid(), 'host-1', 'poller');
