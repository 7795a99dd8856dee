-- A schedule; mails on their way and in every end; an alert that was told, and a cause that is not told yet.
INSERT INTO report_schedules (store, schedule, active, seen_until)
VALUES ('main', 'daily', true, now()), ('second', 'weekly', false, now() - interval '30 days');
INSERT INTO mails (
    id, kind, series, key, recipient, message_id, what, due_at, claim, sends, failures, error, ended, ended_at, figures
)
VALUES
    (gen_random_uuid(), 'report', 'main daily', 'main daily 2026-11-27', 'boss@shop.example', '<1@shop.example>',
        '{"store": "main"}', now(), gen_random_uuid(), 1, 0, NULL, NULL, NULL, NULL),
    (gen_random_uuid(), 'report', 'main daily', 'main daily 2026-11-26', 'boss@shop.example', '<2@shop.example>',
        '{"store": "main"}', NULL, NULL, 1, 0, NULL, 'sent', now(), '{"2026-11-26": {"done": 1}}'),
    (gen_random_uuid(), 'report', 'main daily', 'main daily 2026-11-25', 'boss@shop.example', '<3@shop.example>',
        '{"store": "main"}', NULL, NULL, 3, 0, 'no answer', 'unconfirmed', now(), NULL),
    (gen_random_uuid(), 'alert', 'account main', 'account main 1', 'ops@shop.example', '<4@shop.example>',
        '{"subject": "account main"}', NULL, NULL, 0, 9, '550 no such user', 'refused', now(), NULL),
    (gen_random_uuid(), 'report', 'main daily', 'main daily 2026-11-24', 'ops@shop.example', '<5@shop.example>',
        '{"store": "main"}', NULL, NULL, 0, 0, NULL, 'skipped', now(), NULL);
INSERT INTO alerts (subject, cause, quiet_until)
VALUES ('account main', 'account.paused system 12', now() + interval '1 hour');
INSERT INTO alert_stores (store, active) VALUES ('main', true), ('second', false);
INSERT INTO events (id, type, store, transaction_id, body)
SELECT gen_random_uuid(), 'receipt.failed', 'main', id, '{"error": {"kind": "system", "code": "32"}}'
FROM transactions
LIMIT 1;
