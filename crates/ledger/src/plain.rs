//! The plain end of a send, by a narrow statement: the vendor took a first registration, or registered it at once.
//!
//! Nearly every send ends so, and nothing has to be weighed then. The statement in `settle` weighs everything, and is given
//! a second event for a case that hardly ever comes. What is not plain when the database looks, because the claim is over
//! or another id has followed, is left untouched here and settled there. For what is plain both write the same, which a
//! test holds (`tests/it/plain.rs`).

use std::collections::HashSet;
use std::sync::Arc;

use receipt::event::{Body, EventType};
use receipt::{EventId, FiscalDocument, Operation, VendorUuid};
use uuid::Uuid;

use crate::claim::millis;
use crate::error::LedgerError;
use crate::hot::Hot;
use crate::limit::limited;
use crate::outcome::{Outcome, Verdict};
use crate::storable::{Jsonb, storable, to_jsonb};

/// One such end.
pub(crate) struct Plain<'a> {
    outcome: &'a Outcome,
    class: &'static str,
    event: EventType,
    vendor_uuid: Option<&'a VendorUuid>,
    first_poll_ms: Option<i64>,
    /// A send that was taken is a send of the cycle too.
    trials: Option<i32>,
    fiscal: Option<&'a FiscalDocument>,
}

impl<'a> Plain<'a> {
    /// `outcome`, if it is plain as far as can be seen without the database.
    pub(crate) fn of(outcome: &'a Outcome) -> Option<Self> {
        let claimed = &outcome.claimed;
        if claimed.generation != 0 || outcome.refusal.is_some() || outcome.horizon.is_some() {
            return None;
        }
        match &outcome.verdict {
            Verdict::Accepted {
                vendor_uuid,
                adopted,
                first_poll,
            } => Some(Self {
                outcome,
                class: if *adopted { "adopted" } else { "accepted" },
                event: EventType::Waiting,
                vendor_uuid: Some(vendor_uuid),
                first_poll_ms: Some(millis(*first_poll)),
                trials: Some(i32::try_from(claimed.trials.saturating_add(1)).unwrap_or(i32::MAX)),
                fiscal: None,
            }),
            // The document of a cancelling receipt releases the new sale.
            Verdict::Done(_) if claimed.subject.operation == Operation::ResellRefund => None,
            Verdict::Done(fiscal) => Some(Self {
                outcome,
                class: "done",
                event: EventType::Done,
                vendor_uuid: None,
                first_poll_ms: None,
                trials: None,
                fiscal: Some(fiscal),
            }),
            Verdict::Retry { .. } | Verdict::Rekey { .. } | Verdict::Failed(_) | Verdict::Unknown => None,
        }
    }

    /// Those of a batch with their places, in the order in which everybody locks transactions, and each transaction once.
    fn among(outcomes: &'a [Arc<Outcome>]) -> (Vec<usize>, Vec<Self>) {
        let mut known = HashSet::new();
        let mut plain: Vec<(usize, Self)> = outcomes
            .iter()
            .enumerate()
            .filter_map(|(place, outcome)| Some((place, Self::of(outcome)?)))
            .filter(|(_, plain)| known.insert(plain.id()))
            .collect();
        plain.sort_by_key(|(_, plain)| plain.id());
        plain.into_iter().unzip()
    }

    fn id(&self) -> Uuid {
        self.outcome.claimed.subject.transaction_id.0
    }

    fn body(&self) -> Result<Jsonb, LedgerError> {
        let claimed = &self.outcome.claimed;
        let state = self.outcome.verdict.state();
        let body = Body::new(claimed.subject.clone(), claimed.external_id.clone(), state)
            .with_vendor_uuid(self.vendor_uuid.cloned());
        let body = match self.fiscal {
            Some(fiscal) => body.with_fiscal(fiscal.clone()),
            None => body,
        };
        to_jsonb(claimed.subject.transaction_id, &body)
    }
}

/// Settles what is plain in the database too, and says of each whether it was.
pub(crate) async fn settle_plain(hot: Hot, batch: Arc<[Arc<Outcome>]>) -> Result<Vec<bool>, LedgerError> {
    let (places, plain) = Plain::among(&batch);
    let applied = apply(&hot, &plain).await?;
    let mut settled = vec![false; batch.len()];
    for (place, plain) in places.into_iter().zip(&plain) {
        settled[place] = applied.contains(&plain.id());
    }
    Ok(settled)
}

#[expect(
    clippy::too_many_lines,
    reason = "one statement and its parameters, read from top to bottom"
)]
async fn apply(hot: &Hot, plain: &[Plain<'_>]) -> Result<HashSet<Uuid>, LedgerError> {
    let fiscals: Vec<Option<Jsonb>> = column(plain, |plain| {
        let id = plain.outcome.claimed.subject.transaction_id;
        plain.fiscal.map(|fiscal| to_jsonb(id, fiscal)).transpose()
    })
    .into_iter()
    .collect::<Result<_, _>>()?;
    let bodies: Vec<Jsonb> = plain.iter().map(Plain::body).collect::<Result<_, _>>()?;
    let rows = limited!(
        hot,
        fetch_all,
        sqlx::query!(
            r#"
        WITH applied AS (
            -- The plans for this change the rows, and so lock them, in the order of the input, as everybody does. Another
            -- plan could collide with somebody else's rows; one of the two is then repeated.
            --
            -- Of a transaction that is being sent under this fence, the attempt of that number is not finished: whoever
            -- finishes it moves the state.
            UPDATE transactions t
            SET state = i.state,
                failure = NULL,
                due_at = NULL,
                trials = coalesce(i.trials, t.trials),
                unfinished = 0,
                claim_token = NULL,
                vendor_uuid = coalesce(i.vendor_uuid, t.vendor_uuid),
                fn = i.fiscal ->> 'fn',
                fd = (i.fiscal ->> 'fd')::bigint,
                fpd = i.fiscal ->> 'fpd',
                registered_at = (i.fiscal ->> 'registered_at')::timestamp,
                fiscal = i.fiscal,
                version = t.version + 1,
                updated_at = now()
            FROM unnest(
                $1::uuid[], $2::integer[], $3::text[], $4::text[], $5::text[], $6::integer[], $7::bigint[], $8::jsonb[],
                $9::integer[], $10::bigint[], $11::text[], $12::text[],
                $13::uuid[], $14::text[], $15::jsonb[]
            ) AS i (
                id, number, state, class, vendor_uuid, trials, poll_ms, fiscal,
                http_status, duration_ms, request, answer,
                event_id, event_type, event_body
            )
            WHERE t.id = i.id
                AND t.state = 'sending'
                AND t.fence = i.number
                AND t.generation = 0
            RETURNING
                t.store, t.version, t.generation, i.id, i.number, i.state, i.class, i.vendor_uuid, i.poll_ms, i.fiscal,
                i.http_status, i.duration_ms, i.request, i.answer, i.event_id, i.event_type, i.event_body
        ),
        finished AS (
            UPDATE attempts a
            SET finished_at = now(),
                duration_ms = n.duration_ms,
                class = n.class,
                http_status = n.http_status,
                request = n.request,
                answer = n.answer
            FROM applied n
            WHERE a.transaction_id = n.id
                AND a.number = n.number
        ),
        registered AS (
            UPDATE registrations r
            SET vendor_uuid = coalesce(n.vendor_uuid, r.vendor_uuid),
                doubt_since = NULL,
                doubt_until = NULL,
                state = n.state,
                fiscal = coalesce(r.fiscal, n.fiscal),
                waiting_since = CASE
                    WHEN n.vendor_uuid IS NULL THEN r.waiting_since
                    ELSE coalesce(r.waiting_since, now())
                END,
                next_poll_at = CASE
                    WHEN n.poll_ms IS NULL OR r.state = 'done' THEN NULL
                    -- A callback may have come before this record.
                    WHEN r.callback_at IS NULL THEN now() + n.poll_ms * interval '1 millisecond'
                    ELSE now()
                END,
                -- Polls are shared out by stores.
                store = CASE WHEN n.poll_ms IS NULL THEN r.store ELSE coalesce(r.store, n.store) END
            FROM applied n
            WHERE r.transaction_id = n.id
                -- Not a literal 0, by which alone a planner that expects few rows would go through the whole index.
                AND r.generation = n.generation
        ),
        told AS (
            INSERT INTO events (id, type, store, transaction_id, body)
            SELECT event_id, event_type, store, id, event_body || jsonb_build_object('version', version)
            FROM applied
        )
        SELECT id AS "id!"
        FROM applied
        "#,
            &column(plain, |plain| plain.id()),
            &column(plain, |plain| plain.outcome.claimed.attempt),
            &column(plain, |plain| plain.outcome.verdict.state().name()) as _,
            &column(plain, |plain| plain.class) as _,
            &column(plain, |plain| plain.vendor_uuid.map(VendorUuid::as_str)) as _,
            &column(plain, |plain| plain.trials) as _,
            &column(plain, |plain| plain.first_poll_ms) as _,
            &fiscals as _,
            &column(plain, |plain| plain.outcome.evidence.http_status.map(i32::from)) as _,
            &column(plain, |plain| millis(plain.outcome.evidence.duration)),
            &column(plain, |plain| storable(&plain.outcome.evidence.request)),
            &column(plain, |plain| plain.outcome.evidence.answer.as_deref().map(storable)) as _,
            &column(plain, |_| EventId::new().0),
            &column(plain, |plain| plain.event.name()) as _,
            &bodies as _,
        )
    );
    Ok(rows.into_iter().map(|row| row.id).collect())
}

fn column<'s, 'p, T>(plain: &'s [Plain<'p>], value: impl Fn(&'s Plain<'p>) -> T) -> Vec<T> {
    plain.iter().map(value).collect()
}
