//! Recording what a send came to: the attempt, the registration, the new state and the event in one commit.

use receipt::event::{Body, EventType};
use receipt::state::{Change, State};
use receipt::{EventId, ExternalId, Failure, FiscalDocument, Refusal, TransactionId, VendorUuid};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgPool;
use sqlx::types::Json;
use std::time::Duration;
use uuid::Uuid;

use crate::claim::{Claimed, millis};
use crate::error::LedgerError;
use crate::pool::Ledger;

/// What was asked and answered, kept for people. Secrets and the buyer are masked already.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// Method and path.
    pub request: String,
    /// HTTP status, if an answer began.
    pub http_status: Option<u16>,
    /// The answer's body.
    pub answer: Option<String>,
    /// How long it took.
    pub duration: Duration,
}

/// What a send came to, as decided. The times are waits from now, because times that are compared are the database's.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// The vendor took it.
    Accepted {
        /// The vendor's id.
        vendor_uuid: VendorUuid,
        /// Whether the id was known to the vendor before.
        adopted: bool,
        /// The wait before the first poll.
        first_poll: Duration,
    },
    /// Registered at once.
    Done(Box<FiscalDocument>),
    /// Same id, same bytes, later.
    Retry {
        /// The wait.
        delay: Duration,
        /// Sends of the cycle from now on.
        trials: u32,
    },
    /// The id is proven dead: the next one, later.
    Rekey {
        /// The wait.
        delay: Duration,
        /// Sends of the cycle from now on.
        trials: u32,
        /// The next key.
        next: ExternalId,
    },
    /// A person must act.
    Failed(Failure),
    /// The outcome is not known.
    Unknown,
}

/// The result of one claim. Consumes the claim, so that it is recorded once.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The claim.
    pub claimed: Claimed,
    /// What was asked and answered.
    pub evidence: Evidence,
    /// Why it did not succeed, if it did not.
    pub refusal: Option<Box<Refusal>>,
    /// What follows.
    pub verdict: Verdict,
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// The attempt is finished and the state is moved.
    Applied,
    /// The attempt is finished; the state belongs to a later attempt and was not touched.
    Fenced,
    /// It was recorded before: an earlier try of the same record took effect although its answer was lost.
    Already,
}

#[derive(Debug, Clone)]
pub(crate) struct Rendered {
    id: TransactionId,
    generation: i32,
    wire_body: String,
}

impl Ledger {
    /// Stores the rendered request of a registration and returns the bytes to send: these, or those that another
    /// claimer stored first.
    ///
    /// # Errors
    /// An outage.
    pub async fn store_wire_body(&self, claimed: &Claimed, wire_body: String) -> Result<String, LedgerError> {
        self.renders
            .call(Rendered {
                id: claimed.subject.transaction_id,
                generation: claimed.generation,
                wire_body,
            })
            .await
    }

    /// Records an outcome. May be repeated with the same value until it succeeds: the attempt is finished once.
    ///
    /// # Errors
    /// [`LedgerError::ExternalIdTaken`] when the next key of a re-key belongs to another document; an outage otherwise.
    pub async fn record(&self, outcome: Outcome) -> Result<Recorded, LedgerError> {
        self.records.call(outcome).await
    }
}

pub(crate) async fn store_rendered(pool: PgPool, batch: Vec<Rendered>) -> Result<Vec<String>, LedgerError> {
    let ids: Vec<Uuid> = batch.iter().map(|rendered| rendered.id.0).collect();
    let generations: Vec<i32> = batch.iter().map(|rendered| rendered.generation).collect();
    let bodies: Vec<String> = batch.iter().map(|rendered| rendered.wire_body.clone()).collect();
    let rows = sqlx::query!(
        r#"
        UPDATE registrations r
        SET wire_body = coalesce(r.wire_body, input.wire_body),
            rendered_at = coalesce(r.rendered_at, now())
        FROM unnest($1::uuid[], $2::integer[], $3::text[]) AS input (id, generation, wire_body)
        WHERE r.transaction_id = input.id
            AND r.generation = input.generation
        RETURNING r.transaction_id, r.generation, r.wire_body AS "wire_body!"
        "#,
        &ids,
        &generations,
        &bodies,
    )
    .fetch_all(&pool)
    .await?;
    let stored: std::collections::HashMap<(Uuid, i32), String> = rows
        .into_iter()
        .map(|row| ((row.transaction_id, row.generation), row.wire_body))
        .collect();
    batch
        .iter()
        .map(|rendered| {
            stored
                .get(&(rendered.id.0, rendered.generation))
                .cloned()
                .ok_or_else(|| LedgerError::Corrupt {
                    id: rendered.id.to_string(),
                    what: format!("registration {} is missing", rendered.generation),
                })
        })
        .collect()
}

/// Postgres cannot store U+0000 in text, and a vendor may send anything.
pub(crate) fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// The same for `jsonb`, whose texts and names are texts of Postgres too.
pub(crate) fn storable_json(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(storable(&text)),
        Value::Array(values) => values.into_iter().map(storable_json).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| (storable(&name), storable_json(value)))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value,
    }
}

/// The stored form of a value that may quote a vendor.
pub(crate) fn to_jsonb<T: Serialize>(id: TransactionId, value: &T) -> Result<Json<Value>, LedgerError> {
    serde_json::to_value(value)
        .map(|value| Json(storable_json(value)))
        .map_err(|error| LedgerError::Corrupt {
            id: id.to_string(),
            what: error.to_string(),
        })
}

/// The flat form of a verdict: what the columns become.
pub(crate) struct Flat {
    pub(crate) state: State,
    pub(crate) class: &'static str,
    pub(crate) registration: &'static str,
    pub(crate) event: EventType,
    pub(crate) due_ms: Option<i64>,
    pub(crate) poll_ms: Option<i64>,
    pub(crate) trials: Option<u32>,
    pub(crate) vendor_uuid: Option<VendorUuid>,
    pub(crate) next: Option<ExternalId>,
}

/// The refusal's class, or `otherwise` when there was no refusal.
pub(crate) fn class_of(refusal: Option<&Refusal>, otherwise: &'static str) -> &'static str {
    refusal.map_or(otherwise, |refusal| refusal.class.name())
}

fn flatten(outcome: &Outcome) -> Result<Flat, LedgerError> {
    let claimed = &outcome.claimed;
    let class = |otherwise| class_of(outcome.refusal.as_deref(), otherwise);
    let moved = |change: Change| {
        State::Sending {
            attempt: claimed.attempt,
        }
        .on(change)
        .map_err(|illegal| LedgerError::Corrupt {
            id: claimed.subject.transaction_id.to_string(),
            what: illegal.to_string(),
        })
    };
    let flat = |state, class, registration, event| Flat {
        state,
        class,
        registration,
        event,
        due_ms: None,
        poll_ms: None,
        trials: None,
        vendor_uuid: None,
        next: None,
    };
    Ok(match &outcome.verdict {
        Verdict::Accepted {
            vendor_uuid,
            adopted,
            first_poll,
        } => Flat {
            poll_ms: Some(millis(*first_poll)),
            vendor_uuid: Some(vendor_uuid.clone()),
            // A send that was taken is a send of the cycle too: a receipt that is taken and dies again and again must
            // come to the end of its trials.
            trials: Some(claimed.trials.saturating_add(1)),
            ..flat(
                moved(Change::Accepted {
                    vendor_uuid: vendor_uuid.clone(),
                })?,
                if *adopted { "adopted" } else { "accepted" },
                "waiting",
                EventType::Waiting,
            )
        },
        Verdict::Done(fiscal) => flat(
            moved(Change::Registered(fiscal.clone()))?,
            "done",
            "done",
            EventType::Done,
        ),
        Verdict::Retry { delay, trials } => Flat {
            due_ms: Some(millis(*delay)),
            trials: Some(*trials),
            ..flat(moved(Change::Deferred)?, class("retry"), "open", EventType::Retrying)
        },
        Verdict::Rekey { delay, trials, next } => Flat {
            due_ms: Some(millis(*delay)),
            trials: Some(*trials),
            next: Some(next.clone()),
            ..flat(moved(Change::Deferred)?, class("rekey"), "dead", EventType::Retrying)
        },
        Verdict::Failed(failure) => flat(
            moved(Change::Refused(*failure))?,
            class("permanent"),
            "dead",
            EventType::Failed,
        ),
        Verdict::Unknown => flat(moved(Change::Lost)?, class("unknown"), "open", EventType::Unknown),
    })
}

fn event_body(outcome: &Outcome, flat: &Flat) -> Body {
    let external_id = flat.next.as_ref().unwrap_or(&outcome.claimed.external_id).clone();
    let body = Body::new(outcome.claimed.subject.clone(), external_id, flat.state.name())
        .with_vendor_uuid(flat.vendor_uuid.clone())
        .with_error(outcome.refusal.as_deref().cloned());
    match &flat.state {
        State::Done(fiscal) => body.with_fiscal(fiscal.as_ref().clone()),
        State::Held
        | State::Queued
        | State::Sending { .. }
        | State::Waiting { .. }
        | State::Retrying
        | State::Unknown
        | State::Failed(_)
        | State::Cancelled => body,
    }
}

/// The columns of the fiscal document, when the state has one.
pub(crate) fn fiscal_of(state: &State) -> Option<&FiscalDocument> {
    match state {
        State::Done(fiscal) => Some(fiscal),
        State::Held
        | State::Queued
        | State::Sending { .. }
        | State::Waiting { .. }
        | State::Retrying
        | State::Unknown
        | State::Failed(_)
        | State::Cancelled => None,
    }
}

/// The column `failure`.
pub(crate) fn failure_of(state: &State) -> Option<&'static str> {
    match state {
        State::Failed(failure) => Some(failure.name()),
        State::Held
        | State::Queued
        | State::Sending { .. }
        | State::Waiting { .. }
        | State::Retrying
        | State::Done(_)
        | State::Unknown
        | State::Cancelled => None,
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

    let done = sqlx::query!(
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
            WHERE a.transaction_id = i.id
                AND a.number = i.number
                AND a.finished_at IS NULL
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
            RETURNING t.id, t.fence AS number, t.account, t.generation
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
                    THEN now() + i.poll_ms * interval '1 millisecond'
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
            SELECT i.event_id, i.event_type, i.event_body ->> 'store', i.id, i.event_body
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
    .fetch_all(pool)
    .await?;

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
