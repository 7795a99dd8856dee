//! The plain end of a send is written by a statement of its own, and what it writes is what the one for every end writes.

use std::sync::Arc;
use std::time::Duration;

use ledger::{Claimed, Hint, Ledger, Outcome, Recorded, Verdict};
use receipt::{ExternalId, StoreCode, VendorName};

use crate::sample::{DAY, a_fiscal_document, accepted, claim, claimed, outcome, queued, reclaimed, retry, uuid};
use crate::scratch::Scratch;

/// What went before the end of the send.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Before {
    Nothing,
    /// It came by a pointer, after a try that was refused.
    ATry,
    /// The vendor's callback was quicker than its answer.
    ACallback,
    /// An earlier sender ended without a word: there is a doubt.
    ADoubt,
    /// And it said after all that the vendor had taken the receipt, when its lease was over.
    ALateAnswer,
}

/// An end, made anew for each ledger.
type End = fn() -> Verdict;

const ENDS: [(&str, End); 3] = [
    ("accepted", || accepted("uuid-1")),
    ("adopted", || Verdict::Accepted {
        vendor_uuid: uuid("uuid-1"),
        adopted: true,
        first_poll: Duration::from_secs(20),
    }),
    ("done", || Verdict::Done(a_fiscal_document())),
];

async fn sending(scratch: &Scratch, ledger: &Ledger, before: Before) -> Claimed {
    match before {
        Before::Nothing => claimed(ledger, "417").await,
        Before::ATry => {
            let id = queued(ledger, "417").await;
            let first = claim(ledger, id, 0).await;
            let recorded = ledger.record(outcome(&first, retry(Duration::ZERO))).await;
            assert_eq!(recorded.expect("recorded"), Recorded::Applied);
            claim(ledger, id, first.attempt).await
        }
        Before::ACallback => {
            let claimed = claimed(ledger, "417").await;
            let hint = Hint {
                store: StoreCode::parse("main").expect("a store code"),
                vendor: VendorName::parse("atol").expect("a vendor name"),
                vendor_uuid: None,
                external_id: ExternalId::parse(claimed.external_id.as_str()).ok(),
            };
            ledger.hint(hint).await.expect("taken");
            claimed
        }
        Before::ADoubt => {
            claimed(ledger, "417").await;
            reclaimed(scratch, ledger).await
        }
        Before::ALateAnswer => {
            let first = claimed(ledger, "417").await;
            let second = reclaimed(scratch, ledger).await;
            let recorded = ledger.record(outcome(&first, accepted("uuid-1"))).await;
            assert_eq!(recorded.expect("recorded"), Recorded::Fenced);
            second
        }
    }
}

/// Every column of every row that the end could have changed, without ids and points in time that differ by chance.
async fn written(scratch: &Scratch, id: uuid::Uuid) -> Vec<String> {
    let rows = "
        SELECT (content - ARRAY['id', 'transaction_id', 'accepted_at', 'updated_at', 'created_at', 'started_at', 'time',
            'relay_after', 'published_at', 'callback_rest_until', 'rendered_at', 'claim_token', 'worker'])::text
        FROM (
            SELECT 1 AS place, 0 AS number, to_jsonb(t) || jsonb_build_object('due_at', due_at IS NOT NULL) AS content
            FROM transactions t
            UNION ALL
            SELECT 2, generation, to_jsonb(r) || jsonb_build_object(
                'next_poll_at', next_poll_at > now() + interval '1 second',
                'waiting_since', waiting_since IS NOT NULL,
                'doubt_since', doubt_since IS NOT NULL,
                'doubt_until', doubt_until IS NOT NULL,
                'callback_at', callback_at IS NOT NULL
            )
            FROM registrations r
            UNION ALL
            SELECT 3, number, to_jsonb(a) || jsonb_build_object('finished_at', finished_at IS NOT NULL)
            FROM attempts a
            UNION ALL
            SELECT 4, (body ->> 'version')::integer, to_jsonb(e)
            FROM events e
        ) written
        ORDER BY place, number";
    let rows: Vec<String> = sqlx::query_scalar(rows)
        .fetch_all(&scratch.pool)
        .await
        .expect("the rows");
    rows.into_iter().map(|row| row.replace(&id.to_string(), "id")).collect()
}

#[tokio::test]
async fn a_plain_end_is_written_as_every_other_end_is() {
    for before in [
        Before::Nothing,
        Before::ATry,
        Before::ACallback,
        Before::ADoubt,
        Before::ALateAnswer,
    ] {
        for (end, verdict) in ENDS {
            let mut ways = Vec::new();
            // An answer whose doubt has a horizon is not plain, and an end that settles every doubt leaves none.
            for horizon in [None, Some(DAY)] {
                let scratch = Scratch::new().await;
                let ledger = scratch.ledger();
                let claimed = sending(&scratch, &ledger, before).await;
                let outcome = Outcome {
                    horizon,
                    ..outcome(&claimed, verdict())
                };
                let recorded = ledger.record(outcome).await.expect("recorded");
                assert_eq!(recorded, Recorded::Applied, "{end} after {before:?}");
                ways.push(written(&scratch, claimed.subject.transaction_id.0).await);
            }
            assert_eq!(ways[0], ways[1], "{end} after {before:?}");
            assert!(
                ways[0].len() >= 5,
                "a transaction, a registration, an attempt, two events: {ways:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_plain_end_that_comes_twice_at_once_is_one_and_what_is_not_plain_in_the_table_is_weighed() {
    let scratch = Scratch::new().await;
    let ledger = scratch.ledger();
    let first = Arc::new(outcome(&claimed(&ledger, "417").await, accepted("uuid-1")));
    let (one, other) = tokio::join!(ledger.record(Arc::clone(&first)), ledger.record(Arc::clone(&first)));
    let answers = [one.expect("recorded"), other.expect("recorded")];
    assert_eq!(answers, [Recorded::Applied, Recorded::Already]);
    assert_eq!(ledger.record(first).await.expect("recorded"), Recorded::Already);

    let late = claimed(&ledger, "418").await;
    let now = reclaimed(&scratch, &ledger).await;
    let (late, now) = (outcome(&late, accepted("uuid-2")), outcome(&now, accepted("uuid-2")));
    let (late, now) = tokio::join!(ledger.record(late), ledger.record(now));
    assert_eq!(
        (late.expect("recorded"), now.expect("recorded")),
        (Recorded::Fenced, Recorded::Applied)
    );
}
