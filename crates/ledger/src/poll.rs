//! Following what waits: who asks next, and what the answer changes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use receipt::{EventId, ExternalId, Money, Refusal, TransactionId, VendorUuid};
use serde_json::Value;
use sqlx::PgPool;
use sqlx::types::Json;
use uuid::Uuid;

use crate::claim::{Quota, millis, subject};
use crate::error::LedgerError;
use crate::limit::limited;
use crate::outcome::{Recorded, failure_of, fiscal_of};
use crate::polled::{Flat, PollRecord, Polled, event_body, flatten};
use crate::pool::Ledger;
use crate::storable::{storable, to_jsonb};

impl Ledger {
    /// Takes registrations whose poll is due, oldest first, at most `slots` of each account. Another process may take
    /// them again after `hold`; asking twice does no harm.
    ///
    /// # Errors
    /// An outage.
    pub async fn claim_polls(&self, quotas: &[Quota], hold: Duration) -> Result<Vec<Polled>, LedgerError> {
        let accounts: Vec<String> = quotas.iter().map(|quota| quota.account.as_str().to_owned()).collect();
        let slots: Vec<i64> = quotas.iter().map(|quota| i64::from(quota.slots)).collect();
        let rows = limited!(
            self.pool,
            fetch_all,
            sqlx::query!(
                r#"
            WITH picked AS (
                SELECT due.transaction_id, due.generation
                FROM unnest($1::text[], $2::bigint[]) AS quota (account, slots)
                CROSS JOIN LATERAL (
                    SELECT transaction_id, generation
                    FROM registrations
                    WHERE account = quota.account
                        AND next_poll_at <= now()
                    ORDER BY next_poll_at
                    LIMIT quota.slots
                    FOR UPDATE SKIP LOCKED
                ) due
            )
            UPDATE registrations r
            SET next_poll_at = now() + $3::bigint * interval '1 millisecond',
                -- The question comes after every callback so far; later ones wait for its answer.
                callback_at = NULL,
                callback_rest_until = now() + $3::bigint * interval '1 millisecond',
                polls = r.polls + 1
            FROM picked, transactions t
            WHERE r.transaction_id = picked.transaction_id
                AND r.generation = picked.generation
                AND t.id = r.transaction_id
            RETURNING
                t.id, t.store, t.operation, t.document_number, t.document_part, t.order_number,
                t.state, t.trials, t.total_kopecks,
                t.accepted_at AS "accepted_at: jiff_sqlx::Timestamp",
                r.account, r.generation, r.external_id, r.vendor_uuid AS "vendor_uuid!", r.polls,
                (extract(epoch FROM now() - coalesce(r.waiting_since, now())) * 1000)::bigint AS "age_ms!"
            "#,
                &accounts,
                &slots,
                millis(hold),
            )
        );
        let mut polled = Vec::with_capacity(rows.len());
        for row in rows {
            let corrupt = |what: String| LedgerError::Corrupt {
                id: row.id.to_string(),
                what,
            };
            let read = || -> Result<Polled, LedgerError> {
                Ok(Polled {
                    subject: subject(
                        row.id,
                        &row.store,
                        &row.operation,
                        &row.document_number,
                        &row.document_part,
                        row.order_number.as_deref(),
                    )?,
                    account: row
                        .account
                        .parse()
                        .map_err(|_| corrupt(format!("account {:?}", row.account)))?,
                    generation: row.generation,
                    external_id: ExternalId::parse(&row.external_id).map_err(|error| corrupt(error.to_string()))?,
                    vendor_uuid: VendorUuid::parse(&row.vendor_uuid).map_err(|error| corrupt(error.to_string()))?,
                    polls: u32::try_from(row.polls).unwrap_or(u32::MAX),
                    age: Duration::from_millis(u64::try_from(row.age_ms).unwrap_or(0)),
                    state: row
                        .state
                        .parse()
                        .map_err(|_| corrupt(format!("state {:?}", row.state)))?,
                    trials: u32::try_from(row.trials).unwrap_or(0),
                    total: Money::from_kopecks(row.total_kopecks),
                    accepted_at: row.accepted_at.to_jiff(),
                })
            };
            match read() {
                Ok(one) => polled.push(one),
                Err(error) => tracing::error!(error = %error, "a registration cannot be read and is not asked about"),
            }
        }
        Ok(polled)
    }

    /// Records what a poll came to. A state is moved only if the registration asked about is still the live one.
    ///
    /// # Errors
    /// [`LedgerError::ExternalIdTaken`] when the next key of a re-key belongs to another document; an outage otherwise.
    pub async fn record_poll(&self, record: PollRecord) -> Result<Recorded, LedgerError> {
        self.polls.call(record).await
    }
}

pub(crate) async fn record_polls(
    pool: PgPool,
    worker: Arc<str>,
    batch: Vec<PollRecord>,
) -> Result<Vec<Recorded>, LedgerError> {
    // Rows are locked in one order by everybody. Two answers about one transaction in one batch (a retired and a live
    // registration) would meet in one statement, which changes a row once only: the later one waits for its own.
    let mut open: Vec<(usize, PollRecord)> = batch.into_iter().enumerate().collect();
    open.sort_by_key(|(_, record)| record.polled.subject.transaction_id);
    let mut recorded = vec![Recorded::Fenced; open.len()];
    while !open.is_empty() {
        let (mut places, mut now, mut later) = (Vec::new(), Vec::<PollRecord>::new(), Vec::new());
        for (place, record) in open {
            let id = record.polled.subject.transaction_id;
            if now.last().is_some_and(|last| last.polled.subject.transaction_id == id) {
                later.push((place, record));
            } else {
                places.push((id, place));
                now.push(record);
            }
        }
        let answers = record_distinct(&pool, &worker, &now).await?;
        for (id, place) in places {
            recorded[place] = answers.get(&id).copied().unwrap_or(Recorded::Fenced);
        }
        open = later;
    }
    Ok(recorded)
}

#[expect(
    clippy::too_many_lines,
    reason = "one statement and its parameters, read from top to bottom"
)]
async fn record_distinct(
    pool: &PgPool,
    worker: &str,
    batch: &[PollRecord],
) -> Result<HashMap<TransactionId, Recorded>, LedgerError> {
    let flats: Vec<Flat> = batch.iter().map(flatten).collect::<Result<_, _>>()?;
    let rows = || batch.iter().zip(&flats);
    let refusals = |text: fn(&Refusal) -> &str| {
        batch
            .iter()
            .map(|record| record.refusal.as_deref().map(|refusal| storable(text(refusal))))
            .collect::<Vec<Option<String>>>()
    };
    let state_of = |flat: &Flat| flat.state.as_ref().map(|state| state.name().name().to_owned());

    let ids: Vec<Uuid> = batch
        .iter()
        .map(|record| record.polled.subject.transaction_id.0)
        .collect();
    let generations: Vec<i32> = batch.iter().map(|record| record.polled.generation).collect();
    let uuids: Vec<String> = batch
        .iter()
        .map(|record| record.polled.vendor_uuid.as_str().to_owned())
        .collect();
    let states: Vec<Option<String>> = flats.iter().map(state_of).collect();
    let failures: Vec<Option<String>> = flats
        .iter()
        .map(|flat| flat.state.as_ref().and_then(failure_of).map(str::to_owned))
        .collect();
    let due: Vec<Option<i64>> = flats.iter().map(|flat| flat.due_ms).collect();
    let trials: Vec<Option<i32>> = flats
        .iter()
        .map(|flat| flat.trials.map(|trials| i32::try_from(trials).unwrap_or(i32::MAX)))
        .collect();
    let poll_waits: Vec<Option<i64>> = flats.iter().map(|flat| flat.poll_ms).collect();
    let registrations: Vec<String> = flats.iter().map(|flat| flat.registration.to_owned()).collect();
    let next: Vec<Option<String>> = flats
        .iter()
        .map(|flat| flat.next.as_ref().map(|next| next.as_str().to_owned()))
        .collect();
    let fiscals: Vec<Option<Json<Value>>> = rows()
        .map(|(record, flat)| {
            let fiscal = flat.state.as_ref().and_then(fiscal_of);
            fiscal
                .map(|fiscal| to_jsonb(record.polled.subject.transaction_id, fiscal))
                .transpose()
        })
        .collect::<Result<_, _>>()?;
    let classes: Vec<String> = flats.iter().map(|flat| flat.class.to_owned()).collect();
    let statuses: Vec<Option<i32>> = batch
        .iter()
        .map(|record| record.evidence.http_status.map(i32::from))
        .collect();
    let durations: Vec<i64> = batch.iter().map(|record| millis(record.evidence.duration)).collect();
    let requests: Vec<String> = batch.iter().map(|record| storable(&record.evidence.request)).collect();
    let answers: Vec<Option<String>> = batch
        .iter()
        .map(|record| record.evidence.answer.as_deref().map(storable))
        .collect();
    let event_ids: Vec<Uuid> = batch.iter().map(|_| EventId::new().0).collect();
    let event_types: Vec<String> = flats.iter().map(|flat| flat.event.name().to_owned()).collect();
    let event_bodies: Vec<Option<Json<Value>>> = rows()
        .map(|(record, flat)| {
            let body = event_body(record, flat);
            body.map(|body| to_jsonb(record.polled.subject.transaction_id, &body))
                .transpose()
        })
        .collect::<Result<_, _>>()?;

    let done = limited!(
        pool,
        fetch_all,
        sqlx::query!(
            r#"
        WITH input AS (
            SELECT *
            FROM unnest(
                $1::uuid[], $2::integer[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::integer[],
                $8::bigint[], $9::text[], $10::text[], $11::jsonb[],
                $12::text[], $13::integer[], $14::bigint[], $15::text[], $16::text[],
                $17::text[], $18::text[], $19::text[], $20::text[], $21::text[], $22::text[], $23::text[],
                $24::uuid[], $25::text[], $26::jsonb[]
            ) AS input (
                id, generation, vendor_uuid, state, failure, due_ms, trials,
                poll_ms, registration, next_external_id, fiscal,
                class, http_status, duration_ms, request, answer,
                error_type, code, message, cause_ru, cause_en, cure_ru, cure_en,
                event_id, event_type, event_body
            )
        ),
        judged AS (
            SELECT
                t.id,
                (
                    i.state IS NOT NULL
                    AND i.generation = t.generation
                    AND (
                        t.state = 'waiting' AND t.vendor_uuid = i.vendor_uuid
                        -- A document was found for a registration whose transaction has gone another way: a late
                        -- answer had left its uuid behind. It is registered, whatever the state says.
                        OR i.state = 'done' AND t.state IN ('sending', 'waiting', 'retrying', 'unknown')
                    )
                ) AS moves
            FROM transactions t
            JOIN input i ON i.id = t.id
            ORDER BY t.id
            FOR UPDATE OF t
        ),
        counted AS (
            UPDATE transactions t
            SET last_attempt = t.last_attempt + 1,
                state = CASE WHEN j.moves THEN i.state ELSE t.state END,
                failure = CASE WHEN j.moves THEN i.failure ELSE t.failure END,
                due_at = CASE WHEN j.moves THEN now() + i.due_ms * interval '1 millisecond' ELSE t.due_at END,
                trials = CASE WHEN j.moves THEN coalesce(i.trials, t.trials) ELSE t.trials END,
                claim_token = CASE WHEN j.moves THEN NULL ELSE t.claim_token END,
                -- A retry pointer carries the fence, which therefore has to move with every new wait.
                fence = CASE WHEN j.moves THEN t.last_attempt + 1 ELSE t.fence END,
                generation = CASE
                    WHEN j.moves AND i.next_external_id IS NOT NULL THEN t.generation + 1
                    ELSE t.generation
                END,
                external_id = CASE
                    WHEN j.moves THEN coalesce(i.next_external_id, t.external_id)
                    ELSE t.external_id
                END,
                vendor_uuid = CASE
                    WHEN NOT j.moves THEN t.vendor_uuid
                    WHEN i.next_external_id IS NULL THEN i.vendor_uuid
                END,
                fn = CASE WHEN j.moves THEN i.fiscal ->> 'fn' ELSE t.fn END,
                fd = CASE WHEN j.moves THEN (i.fiscal ->> 'fd')::bigint ELSE t.fd END,
                fpd = CASE WHEN j.moves THEN i.fiscal ->> 'fpd' ELSE t.fpd END,
                registered_at = CASE
                    WHEN j.moves THEN (i.fiscal ->> 'registered_at')::timestamp
                    ELSE t.registered_at
                END,
                fiscal = CASE WHEN j.moves THEN i.fiscal ELSE t.fiscal END,
                version = CASE WHEN j.moves THEN t.version + 1 ELSE t.version END,
                updated_at = CASE WHEN j.moves THEN now() ELSE t.updated_at END
            FROM input i
            JOIN judged j ON j.id = i.id
            WHERE t.id = i.id
            RETURNING t.id, t.last_attempt AS number, t.account, t.generation, t.version, j.moves
        ),
        attempted AS (
            INSERT INTO attempts (
                transaction_id, number, generation, kind, worker,
                started_at, finished_at, duration_ms, class, http_status, request, answer,
                error_type, code, message, cause_ru, cause_en, cure_ru, cure_en
            )
            SELECT
                c.id, c.number, i.generation, 'poll', $27,
                now() - i.duration_ms * interval '1 millisecond', now(), i.duration_ms, i.class, i.http_status,
                i.request, i.answer,
                i.error_type, i.code, i.message, i.cause_ru, i.cause_en, i.cure_ru, i.cure_en
            FROM counted c
            JOIN input i ON i.id = c.id
        ),
        registered AS (
            UPDATE registrations r
            SET next_poll_at = CASE
                    -- A slow poller's "no news" may come after another one's document.
                    WHEN i.poll_ms IS NULL OR r.state = 'done' THEN NULL
                    -- A callback that came while this question was under way may know more than its answer.
                    WHEN r.callback_at IS NOT NULL
                    THEN now() + least(i.poll_ms, 1000) * interval '1 millisecond'
                    ELSE now() + i.poll_ms * interval '1 millisecond'
                END,
                callback_at = NULL,
                callback_rest_until = now() + interval '1 second',
                state = CASE WHEN r.state IN ('open', 'waiting') THEN i.registration ELSE r.state END,
                -- No news is no proof, if the uuid is one that a late answer left behind.
                doubt_since = CASE WHEN i.registration IN ('done', 'dead') THEN NULL ELSE r.doubt_since END
            FROM input i
            WHERE r.transaction_id = i.id
                AND r.generation = i.generation
                AND r.vendor_uuid = i.vendor_uuid
        ),
        next_registration AS (
            INSERT INTO registrations (transaction_id, generation, account, external_id)
            SELECT c.id, c.generation, c.account, i.next_external_id
            FROM counted c
            JOIN input i ON i.id = c.id
            WHERE c.moves
                AND i.next_external_id IS NOT NULL
        ),
        told AS (
            INSERT INTO events (id, type, store, transaction_id, body)
            SELECT i.event_id, i.event_type, i.event_body ->> 'store', i.id,
                i.event_body || jsonb_build_object('version', c.version)
            FROM counted c
            JOIN input i ON i.id = c.id
            WHERE c.moves
        )
        SELECT c.id AS "id!", c.moves AS "moves!"
        FROM counted c
        "#,
            &ids,
            &generations,
            &uuids,
            &states as _,
            &failures as _,
            &due as _,
            &trials as _,
            &poll_waits as _,
            &registrations,
            &next as _,
            &fiscals as _,
            &classes,
            &statuses as _,
            &durations,
            &requests,
            &answers as _,
            &refusals(|refusal| &refusal.kind) as _,
            &refusals(|refusal| &refusal.code) as _,
            &refusals(|refusal| &refusal.message) as _,
            &refusals(|refusal| &refusal.cause.ru) as _,
            &refusals(|refusal| &refusal.cause.en) as _,
            &refusals(|refusal| &refusal.cure.ru) as _,
            &refusals(|refusal| &refusal.cure.en) as _,
            &event_ids,
            &event_types,
            &event_bodies as _,
            worker,
        )
    );
    Ok(done
        .into_iter()
        .map(|row| {
            (
                TransactionId(row.id),
                if row.moves { Recorded::Applied } else { Recorded::Fenced },
            )
        })
        .collect())
}
