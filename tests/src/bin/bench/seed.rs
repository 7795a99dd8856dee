//! Finished receipts, made inside the database.

use std::time::Instant;

use sqlx::{Executor, PgPool};

/// What one statement inserts: a commit of a million rows is neither slow to make nor long to lose.
const PORTION: i64 = 1_000_000;

/// Receipts of two stores with registration, attempt and event each: registered but for one in a thousand, which was
/// refused. Ten million are those of a year, 27,000 a day.
const STATEMENTS: [&str; 4] = [
    "INSERT INTO transactions (id, store, account, vendor, operation, document_number, document_part, request_hash, \
     body, total_kopecks, external_id, state, failure, last_attempt, fence, vendor_uuid, fn, fd, fpd, registered_at, \
     accepted_at) \
     SELECT lpad(to_hex(n), 32, '0')::uuid, CASE n % 2 WHEN 0 THEN 'main' ELSE 'second' END, \
     CASE n % 2 WHEN 0 THEN 'main' ELSE 'second' END, 'atol', 'sell', n::text, 'main', sha256('x'), \
     '{}', 100, 'invoice_main_' || n, CASE n % 1000 WHEN 0 THEN 'failed' ELSE 'done' END, \
     CASE n % 1000 WHEN 0 THEN 'rejected' END, 1, 1, lpad(to_hex(n), 32, '0'), '9999078900000001', n, '1', \
     now() - n * interval '3.15 seconds', now() - n * interval '3.15 seconds' \
     FROM generate_series($1::bigint, $2::bigint) AS n",
    "INSERT INTO registrations (transaction_id, generation, account, external_id, state, vendor_uuid, wire_body) \
     SELECT id, 0, account, external_id, CASE state WHEN 'failed' THEN 'dead' ELSE 'done' END, vendor_uuid, '{}' \
     FROM transactions \
     WHERE id BETWEEN lpad(to_hex($1::bigint), 32, '0')::uuid AND lpad(to_hex($2::bigint), 32, '0')::uuid",
    "INSERT INTO attempts (transaction_id, number, generation, kind, worker, finished_at, class, error_type, code, cause_ru, \
     cause_en, cure_ru, cure_en) \
     SELECT lpad(to_hex(n), 32, '0')::uuid, 1, 0, 'send', 'bench', now(), \
     CASE n % 1000 WHEN 0 THEN 'permanent' ELSE 'accepted' END, refused.* \
     FROM generate_series($1::bigint, $2::bigint) AS n \
     LEFT JOIN (VALUES ('system', '32', 'Причина.', 'The cause.', 'Что делать.', 'The cure.')) AS refused \
     ON n % 1000 = 0",
    "INSERT INTO events (id, type, store, transaction_id, body) \
     SELECT lpad(to_hex(n), 32, '0')::uuid, 'receipt.done', 'main', lpad(to_hex(n), 32, '0')::uuid, '{}' \
     FROM generate_series($1::bigint, $2::bigint) AS n",
];

/// Fills the tables with `rows` finished receipts and lets Postgres count them.
pub(crate) async fn finished(pool: &PgPool, rows: i64) -> anyhow::Result<()> {
    let began = Instant::now();
    let mut connection = pool.acquire().await?;
    // The rows are right by construction, and looking up three references for each takes longer than writing it. Who may
    // not leave that out waits.
    let _refused = connection.execute("SET session_replication_role = replica").await;
    let mut first = 1;
    while first <= rows {
        let last = (first + PORTION - 1).min(rows);
        for statement in STATEMENTS {
            sqlx::query(statement)
                .bind(first)
                .bind(last)
                .execute(&mut *connection)
                .await?;
        }
        eprintln!(
            "bench: {last} of {rows} finished receipts ({:.0} s)",
            began.elapsed().as_secs_f32()
        );
        first = last + 1;
    }
    // Where triggers could not be left out, it waits to be published.
    connection.execute("TRUNCATE outbox").await?;
    connection.execute("VACUUM ANALYZE").await?;
    connection.close().await?;
    Ok(())
}
