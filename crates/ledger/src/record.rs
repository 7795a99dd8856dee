//! Recording what a send came to: the attempt, the registration, the new state and the event in one commit.

use receipt::{EventId, Refusal};
use serde_json::Value;
use sqlx::PgPool;
use sqlx::types::Json;
use uuid::Uuid;

use crate::claim::millis;
use crate::error::LedgerError;
use crate::limit::limited;
use crate::outcome::{Flat, Outcome, Recorded, event_body, failure_of, fiscal_of, flatten};
use crate::pool::Ledger;
use crate::storable::{storable, to_jsonb};

impl Ledger {
    /// Records an outcome. May be repeated with the same value until it succeeds: the attempt is finished once.
    ///
    /// # Errors
    /// [`LedgerError::ExternalIdTaken`] when the next key of a re-key belongs to another document; an outage otherwise.
    pub async fn record(&self, outcome: Outcome) -> Result<Recorded, LedgerError> {
        self.records.call(outcome).await
    }
}

pub(crate) async fn record_batch(pool: PgPool, batch: Vec<Outcome>) -> Result<Vec<Recorded>, LedgerError> {
    // Rows are locked in one order by everybody; the answers are given back in the callers' order. A statement changes
    // a row once only: of two outcomes of one transaction (a late attempt and its successor, or one outcome twice) the
    // later one waits for a statement of its own.
    let mut open: Vec<(usize, Outcome)> = batch.into_iter().enumerate().collect();
    open.sort_by_key(|(_, outcome)| (outcome.claimed.subject.transaction_id, outcome.claimed.attempt));
    let mut recorded = vec![Recorded::Already; open.len()];
    while !open.is_empty() {
        let (mut places, mut now, mut later) = (Vec::new(), Vec::<Outcome>::new(), Vec::new());
        for (place, outcome) in open {
            let id = outcome.claimed.subject.transaction_id;
            if now.last().is_some_and(|last| last.claimed.subject.transaction_id == id) {
                later.push((place, outcome));
            } else {
                places.push(place);
                now.push(outcome);
            }
        }
        for (place, answer) in places.into_iter().zip(record_distinct(&pool, &now).await?) {
            recorded[place] = answer;
        }
        open = later;
    }
    Ok(recorded)
}

#[expect(
    clippy::too_many_lines,
    reason = "one statement and its parameters, read from top to bottom"
)]
async fn record_distinct(pool: &PgPool, batch: &[Outcome]) -> Result<Vec<Recorded>, LedgerError> {
    let flats: Vec<Flat> = batch.iter().map(flatten).collect::<Result<_, _>>()?;
    let rows = || batch.iter().zip(&flats);
    let refusals = |text: fn(&Refusal) -> &str| {
        batch
            .iter()
            .map(|outcome| outcome.refusal.as_deref().map(|refusal| storable(text(refusal))))
            .collect::<Vec<Option<String>>>()
    };

    let ids: Vec<Uuid> = batch
        .iter()
        .map(|outcome| outcome.claimed.subject.transaction_id.0)
        .collect();
    let numbers: Vec<i32> = batch.iter().map(|outcome| outcome.claimed.attempt).collect();
    let generations: Vec<i32> = batch.iter().map(|outcome| outcome.claimed.generation).collect();
    let states: Vec<String> = flats.iter().map(|flat| flat.state.name().name().to_owned()).collect();
    let failures: Vec<Option<String>> = flats
        .iter()
        .map(|flat| failure_of(&flat.state).map(str::to_owned))
        .collect();
    let due: Vec<Option<i64>> = flats.iter().map(|flat| flat.due_ms).collect();
    let trials: Vec<Option<i32>> = flats
        .iter()
        .map(|flat| flat.trials.map(|trials| i32::try_from(trials).unwrap_or(i32::MAX)))
        .collect();
    let uuids: Vec<Option<String>> = flats
        .iter()
        .map(|flat| flat.vendor_uuid.as_ref().map(|uuid| uuid.as_str().to_owned()))
        .collect();
    let poll_waits: Vec<Option<i64>> = flats.iter().map(|flat| flat.poll_ms).collect();
    let doubts: Vec<bool> = batch
        .iter()
        .map(|outcome| {
            outcome
                .refusal
                .as_deref()
                .is_some_and(|refusal| refusal.class.leaves_doubt())
        })
        .collect();
    let registrations: Vec<String> = flats.iter().map(|flat| flat.registration.to_owned()).collect();
    let next: Vec<Option<String>> = flats
        .iter()
        .map(|flat| flat.next.as_ref().map(|next| next.as_str().to_owned()))
        .collect();
    let fns: Vec<Option<String>> = flats
        .iter()
        .map(|flat| fiscal_of(&flat.state).map(|fiscal| storable(&fiscal.fn_number)))
        .collect();
    let fiscals: Vec<Option<Json<Value>>> = rows()
        .map(|(outcome, flat)| {
            fiscal_of(&flat.state)
                .map(|fiscal| to_jsonb(outcome.claimed.subject.transaction_id, fiscal))
                .transpose()
        })
        .collect::<Result<_, _>>()?;
    let classes: Vec<String> = flats.iter().map(|flat| flat.class.to_owned()).collect();
    let statuses: Vec<Option<i32>> = batch
        .iter()
        .map(|outcome| outcome.evidence.http_status.map(i32::from))
        .collect();
    let durations: Vec<i64> = batch.iter().map(|outcome| millis(outcome.evidence.duration)).collect();
    let requests: Vec<String> = batch
        .iter()
        .map(|outcome| storable(&outcome.evidence.request))
        .collect();
    let answers: Vec<Option<String>> = batch
        .iter()
        .map(|outcome| outcome.evidence.answer.as_deref().map(storable))
        .collect();
    let event_ids: Vec<Uuid> = batch.iter().map(|_| EventId::new().0).collect();
    let event_types: Vec<String> = flats.iter().map(|flat| flat.event.name().to_owned()).collect();
    let event_bodies: Vec<Json<Value>> = rows()
        .map(|(outcome, flat)| to_jsonb(outcome.claimed.subject.transaction_id, &event_body(outcome, flat)))
        .collect::<Result<_, _>>()?;

    let done = limited!(
        pool,
        fetch_all,
        sqlx::query!(
            r#"
        WITH input AS (
            SELECT *
            FROM unnest(
                $1::uuid[], $2::integer[], $3::integer[], $4::text[], $5::text[], $6::bigint[], $7::integer[],
                $8::text[], $9::bigint[], $10::boolean[], $11::text[], $12::text[], $13::text[], $14::jsonb[],
                $15::text[], $16::integer[], $17::bigint[], $18::text[], $19::text[],
                $20::text[], $21::text[], $22::text[], $23::text[], $24::text[], $25::text[], $26::text[],
                $27::uuid[], $28::text[], $29::jsonb[]
            ) AS input (
                id, number, generation, state, failure, due_ms, trials,
                vendor_uuid, poll_ms, leaves_doubt, registration, next_external_id, fn, fiscal,
                class, http_status, duration_ms, request, answer,
                error_type, code, message, cause_ru, cause_en, cure_ru, cure_en,
                event_id, event_type, event_body
            )
        ),
        locked AS (
            -- Whoever changes a transaction's rows in other tables holds the transaction, and whoever waits for several
            -- of them waits in this order: so nobody waits in a circle.
            SELECT t.id
            FROM transactions t
            JOIN input i ON i.id = t.id
            ORDER BY t.id
            FOR NO KEY UPDATE OF t
        ),
        finished AS (
            UPDATE attempts a
            SET finished_at = now(),
                duration_ms = i.duration_ms,
                class = i.class,
                http_status = i.http_status,
                request = i.request,
                answer = i.answer,
                error_type = i.error_type,
                code = i.code,
                message = i.message,
                cause_ru = i.cause_ru,
                cause_en = i.cause_en,
                cure_ru = i.cure_ru,
                cure_en = i.cure_en
            FROM input i
            JOIN locked l ON l.id = i.id
            WHERE a.transaction_id = i.id
                AND a.number = i.number
                -- An attempt that was given up as never finished may finish after all: its answer is evidence.
                AND (a.finished_at IS NULL OR a.code = 'unfinished')
            RETURNING a.transaction_id AS id, a.number
        ),
        applied AS (
            UPDATE transactions t
            SET state = i.state,
                failure = i.failure,
                due_at = now() + i.due_ms * interval '1 millisecond',
                trials = coalesce(i.trials, t.trials),
                unfinished = 0,
                claim_token = NULL,
                generation = CASE WHEN i.next_external_id IS NULL THEN t.generation ELSE t.generation + 1 END,
                external_id = coalesce(i.next_external_id, t.external_id),
                vendor_uuid = CASE
                    WHEN i.next_external_id IS NULL THEN coalesce(i.vendor_uuid, t.vendor_uuid)
                END,
                fn = i.fn,
                fd = (i.fiscal ->> 'fd')::bigint,
                fpd = i.fiscal ->> 'fpd',
                registered_at = (i.fiscal ->> 'registered_at')::timestamp,
                fiscal = i.fiscal,
                version = t.version + 1,
                updated_at = now()
            FROM input i
            JOIN finished f ON f.id = i.id AND f.number = i.number
            WHERE t.id = i.id
                AND t.fence = i.number
                AND t.state = 'sending'
            RETURNING t.id, t.fence AS number, t.account, t.generation, t.version
        ),
        registered AS (
            -- A late answer is evidence even when the state has moved on: its uuid is kept and followed. It ends no
            -- doubt, because another send of the same id is under way or due, whose refusal would then be believed.
            UPDATE registrations r
            SET vendor_uuid = CASE
                    WHEN a.id IS NOT NULL THEN coalesce(i.vendor_uuid, r.vendor_uuid)
                    ELSE coalesce(r.vendor_uuid, i.vendor_uuid)
                END,
                doubt_since = CASE
                    WHEN a.id IS NOT NULL AND coalesce(i.vendor_uuid, i.fn) IS NOT NULL THEN NULL
                    WHEN i.leaves_doubt AND (a.id IS NOT NULL OR r.state = 'open') THEN coalesce(r.doubt_since, now())
                    ELSE r.doubt_since
                END,
                state = CASE
                    WHEN a.id IS NOT NULL THEN i.registration
                    WHEN r.state = 'open' AND i.vendor_uuid IS NOT NULL THEN 'waiting'
                    ELSE r.state
                END,
                waiting_since = CASE
                    WHEN i.vendor_uuid IS NOT NULL THEN coalesce(r.waiting_since, now())
                    ELSE r.waiting_since
                END,
                next_poll_at = CASE
                    WHEN i.poll_ms IS NOT NULL AND (a.id IS NOT NULL OR r.state IN ('open', 'waiting'))
                    THEN CASE WHEN r.callback_at IS NULL THEN now() + i.poll_ms * interval '1 millisecond' ELSE now() END
                    ELSE r.next_poll_at
                END
            FROM input i
            JOIN finished f ON f.id = i.id AND f.number = i.number
            LEFT JOIN applied a ON a.id = i.id AND a.number = i.number
            WHERE r.transaction_id = i.id
                AND r.generation = i.generation
        ),
        next_registration AS (
            INSERT INTO registrations (transaction_id, generation, account, external_id)
            SELECT a.id, a.generation, a.account, i.next_external_id
            FROM applied a
            JOIN input i ON i.id = a.id AND i.number = a.number
            WHERE i.next_external_id IS NOT NULL
        ),
        told AS (
            INSERT INTO events (id, type, store, transaction_id, body)
            SELECT i.event_id, i.event_type, i.event_body ->> 'store', i.id,
                i.event_body || jsonb_build_object('version', a.version)
            FROM applied a
            JOIN input i ON i.id = a.id AND i.number = a.number
        )
        SELECT
            i.id AS "id!",
            i.number AS "number!",
            (f.id IS NOT NULL) AS "finished!",
            (a.id IS NOT NULL) AS "applied!"
        FROM input i
        LEFT JOIN finished f ON f.id = i.id AND f.number = i.number
        LEFT JOIN applied a ON a.id = i.id AND a.number = i.number
        "#,
            &ids,
            &numbers,
            &generations,
            &states,
            &failures as _,
            &due as _,
            &trials as _,
            &uuids as _,
            &poll_waits as _,
            &doubts,
            &registrations,
            &next as _,
            &fns as _,
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
        )
    );

    let recorded: std::collections::HashMap<(Uuid, i32), Recorded> = done
        .into_iter()
        .map(|row| {
            let recorded = match (row.finished, row.applied) {
                (_, true) => Recorded::Applied,
                (true, false) => Recorded::Fenced,
                (false, false) => Recorded::Already,
            };
            ((row.id, row.number), recorded)
        })
        .collect();
    Ok(batch
        .iter()
        .map(|outcome| (outcome.claimed.subject.transaction_id.0, outcome.claimed.attempt))
        .map(|key| recorded.get(&key).copied().unwrap_or(Recorded::Already))
        .collect())
}
