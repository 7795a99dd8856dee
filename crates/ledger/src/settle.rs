//! What a try came to, in one statement: the attempt, the registration, the state and the events in one commit. The plain
//! end of a send has a narrow one of its own (`plain`), which writes the same.
//!
//! A send that ended, a poll and a probe differ in whose word moves the state: a send's only while its number is the
//! fence, a poll's only while its registration is the one that waits. A fiscal document moves it whoever brings it:
//!
//! | A document was found, and the transaction is | Then |
//! |---|---|
//! | open or failed, under whichever of its ids | done with that document |
//! | … and nothing of a later id was ever sent | the later id is dead and will not be sent |
//! | … and another id was sent, or may have been | `receipt.double` too: the receipt may be registered twice |
//! | done with another document | `receipt.double`: it is registered twice; the document is kept with its registration |
//! | the cancelling half of a resell | done, and its new sale, held until now, is queued in the same commit |
//! | cancelled by a person | stays so; `receipt.double`, because a person has to look again |

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use receipt::event::{Body, EventType, Subject};
use receipt::state::State;
use receipt::{EventId, ExternalId, FiscalDocument, Operation, Refusal, TransactionId, VendorUuid};
use uuid::Uuid;

use crate::claim::millis;
use crate::error::LedgerError;
use crate::hot::Hot;
use crate::limit::limited;
use crate::outcome::{Evidence, Recorded};
use crate::resell::released_body;
use crate::storable::{Jsonb, storable, to_jsonb};

/// Which kind of try it was, and what makes recording it twice harmless.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A send: its attempt stands in the table already and is finished once.
    Send { number: i32 },
    /// A poll, known by a token of the asker's.
    Poll { token: Uuid },
    /// A question about a retired id, asked by the holder of a claim before the next id is sent.
    Probe { token: Uuid, holder: i32, lease_ms: i64 },
}

/// One try, flat: what the columns become.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    pub(crate) id: TransactionId,
    pub(crate) generation: i32,
    pub(crate) external_id: ExternalId,
    /// Of a send the uuid that it got, of a question the one that was asked about.
    pub(crate) vendor_uuid: Option<VendorUuid>,
    /// `None`: the transaction stays where it is.
    pub(crate) state: Option<State>,
    pub(crate) registration: &'static str,
    pub(crate) class: &'static str,
    pub(crate) due_ms: Option<i64>,
    pub(crate) poll_ms: Option<i64>,
    pub(crate) trials: Option<u32>,
    pub(crate) next: Option<ExternalId>,
    pub(crate) leaves_doubt: bool,
    pub(crate) horizon_ms: Option<i64>,
    pub(crate) evidence: Evidence,
    pub(crate) refusal: Option<Box<Refusal>>,
    pub(crate) event: EventType,
    pub(crate) body: Option<Body>,
    pub(crate) double: Option<Body>,
    /// Of the cancelling half of a resell: what is told of the new sale that its document releases, but for the sale's
    /// own id and key.
    pub(crate) released: Option<Body>,
}

impl Entry {
    fn fiscal(&self) -> Option<&FiscalDocument> {
        self.state.as_ref().and_then(crate::outcome::fiscal_of)
    }

    /// With the refusal, and with what the outside is told.
    pub(crate) fn telling(
        mut self,
        subject: Subject,
        vendor_uuid: Option<VendorUuid>,
        refusal: Option<Box<Refusal>>,
    ) -> Self {
        if let Some(state) = &self.state {
            let external_id = self.next.as_ref().unwrap_or(&self.external_id).clone();
            let body = Body::new(subject.clone(), external_id, state.name())
                .with_vendor_uuid(vendor_uuid.clone())
                .with_error(refusal.as_deref().cloned());
            self.body = Some(match self.fiscal() {
                Some(fiscal) => body.with_fiscal(fiscal.clone()),
                None => body,
            });
            self.released = (self.fiscal().is_some() && subject.operation == Operation::ResellRefund)
                .then(|| released_body(&subject, &self.external_id));
            self.double = self.fiscal().map(|fiscal| {
                Body::double(subject, self.external_id.clone(), fiscal.clone()).with_vendor_uuid(vendor_uuid)
            });
        }
        self.refusal = refusal;
        self
    }

    fn order(&self) -> (TransactionId, i32) {
        let number = match self.kind {
            Kind::Send { number } => number,
            Kind::Poll { .. } | Kind::Probe { .. } => i32::MAX,
        };
        (self.id, number)
    }
}

/// How often a statement that read registrations older than the transaction it locked is repeated.
const READINGS: usize = 5;

/// Settles every entry. The answers are in the callers' order.
pub(crate) async fn settle(hot: Hot, worker: Arc<str>, entries: Vec<Entry>) -> Result<Vec<Recorded>, LedgerError> {
    // Rows are locked in one order by everybody. A statement changes a row once only: of two entries of one transaction
    // (a late attempt and its successor, a retired and a live registration) the later one waits for its own statement.
    let mut open: Vec<(usize, Entry)> = entries.into_iter().enumerate().collect();
    open.sort_by_key(|(_, entry)| entry.order());
    let mut recorded = vec![Recorded::Already; open.len()];
    let mut readings = 0;
    while !open.is_empty() {
        let (mut places, mut now, mut later) = (Vec::new(), Vec::<Entry>::new(), Vec::new());
        for (place, entry) in open {
            if now.last().is_some_and(|last| last.id == entry.id) {
                later.push((place, entry));
            } else {
                places.push(place);
                now.push(entry);
            }
        }
        let answers = settle_distinct(&hot, &worker, &now).await?;
        let mut stale = Vec::new();
        for (place, entry) in places.into_iter().zip(now) {
            match answers.get(&entry.id.0) {
                Some(answer) => recorded[place] = *answer,
                None => stale.push((place, entry)),
            }
        }
        if let Some((_, entry)) = stale.first() {
            readings += 1;
            if readings == READINGS {
                return Err(LedgerError::Corrupt {
                    id: entry.id.to_string(),
                    what: "its live registration is missing".to_owned(),
                });
            }
        }
        stale.extend(later);
        stale.sort_by_key(|(_, entry)| entry.order());
        open = stale;
    }
    Ok(recorded)
}

#[expect(
    clippy::too_many_lines,
    reason = "one statement and its parameters, read from top to bottom"
)]
async fn settle_distinct(hot: &Hot, worker: &str, entries: &[Entry]) -> Result<HashMap<Uuid, Recorded>, LedgerError> {
    let refusals = |text: fn(&Refusal) -> &str| {
        column(entries, |entry| {
            entry.refusal.as_deref().map(|refusal| storable(text(refusal)))
        })
    };
    let jsonb = |body: fn(&Entry) -> Option<&Body>| -> Result<Vec<Option<Jsonb>>, LedgerError> {
        entries
            .iter()
            .map(|entry| body(entry).map(|body| to_jsonb(entry.id, body)).transpose())
            .collect()
    };
    let fiscals: Vec<Option<Jsonb>> = entries
        .iter()
        .map(|entry| entry.fiscal().map(|fiscal| to_jsonb(entry.id, fiscal)).transpose())
        .collect::<Result<_, _>>()?;

    let rows = limited!(
        hot,
        fetch_all,
        sqlx::query!(
            r#"
        WITH input AS (
            SELECT *
            FROM unnest(
                $1::uuid[], $2::text[], $3::integer[], $4::uuid[], $5::integer[], $6::bigint[],
                $7::integer[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[],
                $13::bigint[], $14::bigint[], $15::integer[], $16::text[], $17::boolean[], $18::bigint[], $19::jsonb[],
                $20::text[], $21::integer[], $22::bigint[], $23::text[], $24::text[],
                $25::text[], $26::text[], $27::text[], $28::text[], $29::text[], $30::text[], $31::text[],
                $32::uuid[], $33::text[], $34::jsonb[], $35::uuid[], $36::jsonb[],
                $38::uuid[], $39::jsonb[]
            ) AS input (
                id, kind, number, token, holder, lease_ms,
                generation, external_id, vendor_uuid, state, failure, registration,
                due_ms, poll_ms, trials, next_external_id, leaves_doubt, horizon_ms, fiscal,
                class, http_status, duration_ms, request, answer,
                error_type, code, message, cause_ru, cause_en, cure_ru, cure_en,
                event_id, event_type, event_body, double_id, double_body, released_id, released_body
            )
        ),
        locked AS (
            -- Whoever changes a transaction's rows in other tables holds the transaction, and whoever waits for several
            -- of them waits in this order: so nobody waits in a circle.
            SELECT
                t.id, t.state, t.generation, t.fence, t.vendor_uuid, t.poll_token, t.fn, t.fd, t.fpd, t.fiscal,
                t.store, t.operation, t.document_number, t.document_part, t.revision, t.version
            FROM transactions t
            JOIN input i ON i.id = t.id
            ORDER BY t.id
            FOR NO KEY UPDATE OF t
        ),
        visible AS (
            -- The lock may have been waited for while somebody opened the next registration: the transaction is read as
            -- it is now, its registrations as they were. Such a row is not touched, and asked about again.
            SELECT l.*
            FROM locked l
            WHERE l.generation = 0
                -- EXISTS would let a planner that expects few rows read them all into a table of its own.
                OR (SELECT true FROM registrations WHERE transaction_id = l.id AND generation = l.generation)
        ),
        siblings AS (
            -- A document is weighed against what the other registrations are at this moment. The first document of a
            -- receipt that was never re-keyed has nothing to be weighed against.
            SELECT
                r.transaction_id, r.generation, r.external_id, r.vendor_uuid, r.state, r.doubt_since, r.fiscal
            FROM visible v
            JOIN input i ON i.id = v.id
            JOIN registrations r ON r.transaction_id = v.id
            WHERE i.fiscal IS NOT NULL
                AND (v.generation > 0 OR v.state IN ('done', 'failed', 'cancelled'))
            ORDER BY r.transaction_id, r.generation
            FOR NO KEY UPDATE OF r
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
            JOIN visible v ON v.id = i.id
            WHERE i.kind = 'send'
                AND a.transaction_id = i.id
                AND a.number = i.number
                -- An attempt that was given up as never finished may finish after all: its answer is evidence.
                AND (a.finished_at IS NULL OR a.code = 'unfinished')
            RETURNING a.transaction_id AS id, a.started_at
        ),
        news AS (
            SELECT
                i.id, f.started_at, v.store, v.state AS state_before, v.generation AS live, v.version,
                CASE WHEN i.kind = 'send' THEN f.id IS NOT NULL ELSE i.token IS DISTINCT FROM v.poll_token END AS fresh,
                own.state IS DISTINCT FROM 'done' AS is_first_word,
                coalesce(v.state = 'sending' AND v.fence = i.holder, false) AS is_held,
                v.state IN ('waiting', 'unknown')
                    OR v.state = 'sending' AND v.fence IS DISTINCT FROM i.holder AS live_is_sent
            FROM input i
            JOIN visible v ON v.id = i.id
            LEFT JOIN finished f ON f.id = i.id
            LEFT JOIN siblings own ON own.transaction_id = i.id AND own.generation = i.generation
        ),
        judged AS (
            SELECT
                n.*,
                CASE
                    WHEN NOT n.fresh THEN false
                    WHEN i.fiscal IS NOT NULL THEN n.is_first_word AND v.state NOT IN ('held', 'done', 'cancelled')
                    WHEN i.state IS NULL THEN false
                    WHEN i.kind = 'send' THEN v.state = 'sending' AND v.fence = i.number
                    ELSE v.state = 'waiting' AND v.generation = i.generation AND v.vendor_uuid = i.vendor_uuid
                END AS moves,
                n.fresh AND i.fiscal IS NOT NULL AND n.is_first_word AND CASE v.state
                    WHEN 'done' THEN (v.fn, v.fd, v.fpd)
                        IS DISTINCT FROM (i.fiscal ->> 'fn', (i.fiscal ->> 'fd')::bigint, i.fiscal ->> 'fpd')
                    WHEN 'cancelled' THEN true
                    ELSE n.live_is_sent AND v.generation <> i.generation
                        OR coalesce(other.is_sent, false)
                        OR revision.others IS NOT NULL
                END AS doubles,
                coalesce(other.others, '[]') || coalesce(revision.others, '[]') AS others,
                concat_ws(', ', other.keys, revision.keys) AS keys
            FROM news n
            JOIN input i ON i.id = n.id
            JOIN visible v ON v.id = n.id
            CROSS JOIN LATERAL (
                SELECT
                    bool_or(s.state = 'waiting' OR s.doubt_since IS NOT NULL) AS is_sent,
                    jsonb_agg(
                        jsonb_build_object(
                            'external_id', s.external_id,
                            'vendor_uuid', s.vendor_uuid,
                            'state', s.state,
                            'fiscal', coalesce(s.fiscal, CASE WHEN s.generation = v.generation THEN v.fiscal END)
                        )
                        ORDER BY s.generation
                    ) FILTER (WHERE l.is_named) AS others,
                    string_agg(s.external_id, ', ' ORDER BY s.generation) FILTER (WHERE l.is_named) AS keys
                FROM siblings s
                CROSS JOIN LATERAL (
                    SELECT s.state IN ('waiting', 'done')
                        OR s.doubt_since IS NOT NULL
                        OR n.live_is_sent AND s.generation = v.generation AS is_named
                ) l
                WHERE s.transaction_id = n.id
                    AND s.generation <> i.generation
            ) other
            CROSS JOIN LATERAL (
                -- A corrected request may have followed a failed one, under the next key. One of which nothing was sent
                -- asks about the former one first.
                SELECT
                    jsonb_agg(
                        jsonb_build_object(
                            'external_id', t.external_id,
                            'vendor_uuid', t.vendor_uuid,
                            'state', CASE WHEN t.state IN ('waiting', 'done') THEN t.state ELSE 'open' END,
                            'fiscal', t.fiscal
                        )
                        ORDER BY t.revision
                    ) AS others,
                    string_agg(t.external_id, ', ' ORDER BY t.revision) AS keys
                FROM transactions t
                WHERE i.fiscal IS NOT NULL
                    AND v.state = 'failed'
                    AND t.document_number = v.document_number
                    AND t.store = v.store
                    AND t.operation = v.operation
                    AND t.document_part = v.document_part
                    AND t.revision > v.revision
                    AND (
                        t.state IN ('sending', 'waiting', 'done', 'unknown')
                        OR t.state NOT IN ('failed', 'cancelled') AND EXISTS (
                            SELECT
                            FROM registrations s
                            WHERE s.transaction_id = t.id
                                AND (s.doubt_since IS NOT NULL OR s.state IN ('waiting', 'done'))
                        )
                    )
            ) revision
        ),
        applied AS (
            UPDATE transactions t
            SET last_attempt = CASE WHEN i.kind = 'send' THEN t.last_attempt ELSE t.last_attempt + 1 END,
                poll_token = coalesce(i.token, t.poll_token),
                state = CASE WHEN j.moves THEN i.state ELSE t.state END,
                failure = CASE WHEN j.moves THEN i.failure ELSE t.failure END,
                due_at = CASE
                    WHEN j.moves THEN now() + i.due_ms * interval '1 millisecond'
                    -- The holder has asked about the old id and is about to send the new one.
                    WHEN j.is_held THEN now() + i.lease_ms * interval '1 millisecond'
                    ELSE t.due_at
                END,
                trials = CASE WHEN j.moves THEN coalesce(i.trials, t.trials) ELSE t.trials END,
                unfinished = CASE WHEN j.moves THEN 0 ELSE t.unfinished END,
                claim_token = CASE WHEN j.moves THEN NULL ELSE t.claim_token END,
                -- A retry pointer carries the fence, which therefore has to move with every new wait.
                fence = CASE WHEN j.moves AND i.kind <> 'send' THEN t.last_attempt + 1 ELSE t.fence END,
                generation = CASE
                    WHEN NOT j.moves THEN t.generation
                    WHEN i.next_external_id IS NOT NULL THEN t.generation + 1
                    -- The live registration of a transaction that is done is the one that is registered.
                    ELSE i.generation
                END,
                external_id = CASE WHEN j.moves THEN coalesce(i.next_external_id, i.external_id) ELSE t.external_id END,
                vendor_uuid = CASE
                    WHEN NOT j.moves THEN t.vendor_uuid
                    WHEN i.next_external_id IS NULL
                    THEN coalesce(i.vendor_uuid, CASE WHEN i.generation = t.generation THEN t.vendor_uuid END)
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
                AND j.fresh
                AND (j.moves OR i.kind <> 'send')
            RETURNING t.id, t.last_attempt AS number, t.account, t.generation, t.version
        ),
        attempted AS (
            INSERT INTO attempts (
                transaction_id, number, generation, kind, worker,
                started_at, finished_at, duration_ms, class, http_status, request, answer,
                error_type, code, message, cause_ru, cause_en, cure_ru, cure_en
            )
            SELECT
                a.id, a.number, i.generation, i.kind, $37,
                now() - i.duration_ms * interval '1 millisecond', now(), i.duration_ms, i.class, i.http_status,
                i.request, i.answer,
                i.error_type, i.code, i.message, i.cause_ru, i.cause_en, i.cure_ru, i.cure_en
            FROM applied a
            JOIN input i ON i.id = a.id
            WHERE i.kind <> 'send'
        ),
        returned AS (
            -- The claim under which the old id was asked about ends unused.
            UPDATE attempts a
            SET finished_at = now(),
                class = 'returned'
            FROM input i
            JOIN judged j ON j.id = i.id
            WHERE a.transaction_id = i.id
                AND a.number = i.holder
                AND a.finished_at IS NULL
                AND j.is_held
                AND j.moves
        ),
        registered AS (
            UPDATE registrations r
            SET vendor_uuid = CASE
                    WHEN i.kind <> 'send' THEN r.vendor_uuid
                    WHEN j.moves THEN coalesce(i.vendor_uuid, r.vendor_uuid)
                    ELSE coalesce(r.vendor_uuid, i.vendor_uuid)
                END,
                -- A late uuid ends no doubt, because another send of the same id is under way or due, whose refusal
                -- would then be believed. No news is no proof either.
                doubt_since = CASE
                    WHEN d.is_settled THEN NULL
                    WHEN i.leaves_doubt AND (j.moves OR r.state = 'open') THEN coalesce(r.doubt_since, now())
                    ELSE r.doubt_since
                END,
                doubt_until = CASE
                    WHEN d.is_settled THEN NULL
                    WHEN i.leaves_doubt AND (j.moves OR r.state = 'open')
                    THEN least(r.doubt_until, j.started_at + i.horizon_ms * interval '1 millisecond')
                    ELSE r.doubt_until
                END,
                state = CASE
                    WHEN i.fiscal IS NOT NULL THEN 'done'
                    WHEN i.kind = 'send' AND j.moves THEN i.registration
                    WHEN i.kind = 'send' AND r.state = 'open' AND i.vendor_uuid IS NOT NULL THEN 'waiting'
                    WHEN i.kind <> 'send' AND r.state IN ('open', 'waiting') THEN i.registration
                    ELSE r.state
                END,
                fiscal = coalesce(r.fiscal, i.fiscal),
                waiting_since = CASE
                    WHEN i.kind = 'send' AND i.vendor_uuid IS NOT NULL THEN coalesce(r.waiting_since, now())
                    ELSE r.waiting_since
                END,
                next_poll_at = CASE
                    -- A slow poller's "no news" may come after another one's document.
                    WHEN i.fiscal IS NOT NULL OR r.state = 'done' THEN NULL
                    WHEN i.kind = 'probe' THEN r.next_poll_at
                    -- A callback that came while this question was under way may know more than its answer.
                    WHEN i.kind = 'poll' THEN now() + CASE
                        WHEN r.callback_at IS NULL THEN i.poll_ms
                        ELSE least(i.poll_ms, 1000)
                    END * interval '1 millisecond'
                    -- What the vendor took is followed, even if it was believed dead. A retired id is asked about again
                    -- if there is anything to ask with.
                    WHEN i.poll_ms IS NOT NULL
                        AND (j.moves OR i.vendor_uuid IS NOT NULL)
                        AND coalesce(i.vendor_uuid, r.vendor_uuid) IS NOT NULL
                    -- A callback may have come before this record.
                    THEN CASE WHEN r.callback_at IS NULL THEN now() + i.poll_ms * interval '1 millisecond' ELSE now() END
                    ELSE r.next_poll_at
                END,
                -- Polls are shared out by stores.
                store = CASE WHEN i.poll_ms IS NULL THEN r.store ELSE coalesce(r.store, j.store) END,
                callback_at = CASE WHEN i.kind = 'poll' THEN NULL ELSE r.callback_at END,
                callback_rest_until = CASE
                    WHEN i.kind = 'poll' THEN now() + interval '1 second'
                    ELSE r.callback_rest_until
                END
            FROM input i
            JOIN judged j ON j.id = i.id
            CROSS JOIN LATERAL (
                SELECT i.fiscal IS NOT NULL
                    OR i.kind = 'send' AND j.moves AND i.vendor_uuid IS NOT NULL
                    -- Of a send only when nothing stood in doubt, or when its answer has settled the doubt.
                    OR i.registration = 'dead' AND (i.kind <> 'send' OR j.moves) AS is_settled
            ) d
            WHERE r.transaction_id = i.id
                AND r.generation = i.generation
                AND j.fresh
                AND (i.kind = 'send' OR i.fiscal IS NOT NULL OR r.vendor_uuid = i.vendor_uuid)
        ),
        withdrawn AS (
            -- A later id of which nothing was ever sent: the claim finds the transaction done.
            UPDATE registrations r
            SET state = 'dead'
            FROM input i
            JOIN judged j ON j.id = i.id
            WHERE i.fiscal IS NOT NULL
                AND j.moves
                AND r.transaction_id = i.id
                AND r.generation > i.generation
                AND r.state = 'open'
                AND r.doubt_since IS NULL
                AND NOT (j.live_is_sent AND r.generation = j.live)
        ),
        released AS (
            -- The new sale of a resell goes out in the commit that makes its cancelling receipt done. Nobody else changes
            -- a held one but together with that receipt, whose row is locked.
            UPDATE transactions c
            SET state = 'queued',
                due_at = now(),
                version = c.version + 1,
                updated_at = now()
            FROM judged j
            JOIN input i ON i.id = j.id
            CROSS JOIN LATERAL (
                -- A number tells the planner that this is one row, and the index of the halves finds it.
                SELECT half.id
                FROM transactions half
                WHERE half.parent = j.id
                    AND half.parent IS NOT NULL
                    AND half.state <> 'cancelled'
                LIMIT 1
            ) sell
            WHERE i.released_body IS NOT NULL
                AND j.moves
                AND c.id = sell.id
                AND c.state = 'held'
            RETURNING c.id, c.external_id, c.version, c.parent
        ),
        next_registration AS (
            INSERT INTO registrations (transaction_id, generation, account, external_id)
            SELECT a.id, a.generation, a.account, i.next_external_id
            FROM applied a
            JOIN input i ON i.id = a.id
            JOIN judged j ON j.id = a.id
            WHERE j.moves
                AND i.next_external_id IS NOT NULL
        ),
        told AS (
            INSERT INTO events (id, type, store, transaction_id, body)
            SELECT i.event_id, i.event_type, i.event_body ->> 'store', i.id,
                i.event_body || jsonb_build_object('version', a.version)
            FROM judged j
            JOIN input i ON i.id = j.id
            JOIN applied a ON a.id = j.id
            WHERE j.moves
            UNION ALL
            SELECT
                i.double_id, 'receipt.double', i.double_body ->> 'store', i.id,
                i.double_body || jsonb_build_object(
                    'version', CASE WHEN j.moves THEN j.version + 1 ELSE j.version END,
                    'state', CASE WHEN j.state_before = 'cancelled' THEN 'cancelled' ELSE 'done' END,
                    'kkm_status', CASE WHEN j.state_before = 'cancelled' THEN 'fail' ELSE 'done' END,
                    'others', j.others,
                    'text', jsonb_build_object(
                        'ru', concat(i.double_body #>> '{text,ru}', ' ', coalesce(nullif(j.keys, ''), '–'), '.'),
                        'en', concat(i.double_body #>> '{text,en}', ' ', coalesce(nullif(j.keys, ''), '–'), '.')
                    )
                )
            FROM judged j
            JOIN input i ON i.id = j.id
            WHERE j.doubles
            UNION ALL
            SELECT
                i.released_id, 'receipt.accepted', i.released_body ->> 'store', r.id,
                i.released_body
                    || jsonb_build_object('transaction_id', r.id, 'external_id', r.external_id, 'version', r.version)
            FROM released r
            JOIN input i ON i.id = r.parent
        )
        SELECT
            j.id AS "id!", j.fresh AS "fresh!", j.moves AS "moves!", j.is_held AS "is_held!", j.doubles AS "doubles!",
            j.keys AS "keys!"
        FROM judged j
        "#,
            &column(entries, |entry| entry.id.0),
            &column(entries, |entry| match entry.kind {
                Kind::Send { .. } => "send".to_owned(),
                Kind::Poll { .. } => "poll".to_owned(),
                Kind::Probe { .. } => "probe".to_owned(),
            }),
            &column(entries, |entry| match entry.kind {
                Kind::Send { number } => Some(number),
                Kind::Poll { .. } | Kind::Probe { .. } => None,
            }) as _,
            &column(entries, |entry| match entry.kind {
                Kind::Send { .. } => None,
                Kind::Poll { token } | Kind::Probe { token, .. } => Some(token),
            }) as _,
            &column(entries, |entry| match entry.kind {
                Kind::Send { .. } | Kind::Poll { .. } => None,
                Kind::Probe { holder, .. } => Some(holder),
            }) as _,
            &column(entries, |entry| match entry.kind {
                Kind::Send { .. } | Kind::Poll { .. } => None,
                Kind::Probe { lease_ms, .. } => Some(lease_ms),
            }) as _,
            &column(entries, |entry| entry.generation),
            &column(entries, |entry| entry.external_id.as_str().to_owned()),
            &column(entries, |entry| entry
                .vendor_uuid
                .as_ref()
                .map(|uuid| uuid.as_str().to_owned())) as _,
            &column(entries, |entry| entry
                .state
                .as_ref()
                .map(|state| state.name().name().to_owned())) as _,
            &column(entries, |entry| entry
                .state
                .as_ref()
                .and_then(crate::outcome::failure_of)
                .map(str::to_owned)) as _,
            &column(entries, |entry| entry.registration.to_owned()),
            &column(entries, |entry| entry.due_ms) as _,
            &column(entries, |entry| entry.poll_ms) as _,
            &column(entries, |entry| entry
                .trials
                .map(|trials| i32::try_from(trials).unwrap_or(i32::MAX))) as _,
            &column(entries, |entry| entry
                .next
                .as_ref()
                .map(|next| next.as_str().to_owned())) as _,
            &column(entries, |entry| entry.leaves_doubt),
            &column(entries, |entry| entry.horizon_ms) as _,
            &fiscals as _,
            &column(entries, |entry| entry.class.to_owned()),
            &column(entries, |entry| entry.evidence.http_status.map(i32::from)) as _,
            &column(entries, |entry| millis(entry.evidence.duration)),
            &column(entries, |entry| storable(&entry.evidence.request)),
            &column(entries, |entry| entry.evidence.answer.as_deref().map(storable)) as _,
            &refusals(|refusal| &refusal.kind) as _,
            &refusals(|refusal| &refusal.code) as _,
            &refusals(|refusal| &refusal.message) as _,
            &refusals(|refusal| &refusal.cause.ru) as _,
            &refusals(|refusal| &refusal.cause.en) as _,
            &refusals(|refusal| &refusal.cure.ru) as _,
            &refusals(|refusal| &refusal.cure.en) as _,
            &column(entries, |_| EventId::new().0),
            &column(entries, |entry| entry.event.name().to_owned()),
            &jsonb(|entry| entry.body.as_ref())? as _,
            &column(entries, |_| EventId::new().0),
            &jsonb(|entry| entry.double.as_ref())? as _,
            worker,
            &column(entries, |_| EventId::new().0),
            &jsonb(|entry| entry.released.as_ref())? as _,
        )
    );

    let permits: HashSet<Uuid> = entries
        .iter()
        .filter(|entry| matches!(entry.kind, Kind::Probe { .. }) && entry.fiscal().is_none())
        .map(|entry| entry.id.0)
        .collect();
    Ok(rows
        .into_iter()
        .map(|row| {
            if row.doubles {
                let (id, keys) = (TransactionId(row.id), row.keys);
                tracing::error!(
                    transaction.id = %id,
                    keys,
                    "{id} is registered twice, or may be; a person must compare its keys at the vendor"
                );
            }
            let recorded = match (row.fresh, row.moves || row.is_held) {
                // A question before sending is a permission to send. Repeated, it is one only while the claim still
                // holds: the first time may have been fenced off, and only its answer was lost.
                (false, false) if permits.contains(&row.id) => Recorded::Fenced,
                (false, _) => Recorded::Already,
                (true, true) => Recorded::Applied,
                (true, false) => Recorded::Fenced,
            };
            (row.id, recorded)
        })
        .collect())
}

fn column<T>(entries: &[Entry], value: impl Fn(&Entry) -> T) -> Vec<T> {
    entries.iter().map(value).collect()
}
