-- A try that was refused, one that was taken, and one that nobody finished.
INSERT INTO attempts (
    transaction_id, number, generation, kind, worker, finished_at, duration_ms, class, error_type, code, http_status,
    request, answer, message, cause_ru, cause_en, cure_ru, cure_en
)
SELECT
    id, 1, 0, 'send', 'host-1', now(), 120, 'retry', 'system', '50', 500, 'POST /sell', '{}', 'Server error.',
    'Ошибка сервера.', 'Server error.', 'Повторится само.', 'It is repeated by itself.'
FROM transactions
WHERE state = 'retrying'
UNION ALL
SELECT id, 1, 0, 'send', 'host-1', now(), 120, 'accepted', NULL, NULL, 200, 'POST /sell', '{}', NULL, NULL, NULL, NULL, NULL
FROM transactions
WHERE state IN ('waiting', 'done')
UNION ALL
SELECT id, 1, 0, 'send', 'host-1', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM transactions
WHERE state = 'sending';
