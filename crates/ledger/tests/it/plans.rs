//! Every statement that runs per receipt or per tick reads the same however many receipts are done.

use std::collections::BTreeMap;
use std::time::Duration;

use ledger::{DeliveryVerdict, Hint, Ledger, MailVerdict, Stretch, Verdict, Wanted};
use receipt::{ExternalId, StoreCode, VendorName};
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use crate::mails::{cursor, daily, mail, record};
use crate::sample::{
    DAY, LEASE, MINUTE, a_fiscal_document, accepted, answer, claim, claimed, done, offer, outcome, queued, quota, uuid,
};
use crate::scratch::{Scratch, until};
use crate::webhooks::{delivery_quota, tried};

/// Enough for Postgres to have gone over from a plan for the parameters to a plan for all of them.
const CALLS: usize = 12;

const BUFFERS: &str = "SELECT sum(heap_blks_read + heap_blks_hit + idx_blks_read + idx_blks_hit)::bigint \
    FROM pg_statio_user_tables WHERE relname <> '_sqlx_migrations'";

#[derive(Debug, Clone, Copy, PartialEq)]
struct Reads {
    buffers: i64,
    table_scans: i64,
}

/// How many receipts wait at the vendor in a filled ledger.
const WAITING: usize = 100;

/// What a step may read more by chance: a block for each receipt that waits, at every call. Whether those lie together
/// goes by which versions of them could be removed when they were written. A scan of what is done reads ten times that.
const CHANCE: i64 = (CALLS * WAITING) as i64;

/// What is read and planned is what a test does, and never what the server does by itself.
async fn without_autovacuum() -> Scratch {
    let scratch = Scratch::new().await;
    for statement in [
        "ALTER TABLE transactions SET (autovacuum_enabled = false)",
        "ALTER TABLE registrations SET (autovacuum_enabled = false)",
        "ALTER TABLE attempts SET (autovacuum_enabled = false)",
        "ALTER TABLE events SET (autovacuum_enabled = false)",
        "ALTER TABLE outbox SET (autovacuum_enabled = false)",
        "ALTER TABLE actions SET (autovacuum_enabled = false)",
        "ALTER TABLE webhook_deliveries SET (autovacuum_enabled = false)",
        "ALTER TABLE mails SET (autovacuum_enabled = false)",
    ] {
        scratch.run(statement).await;
    }
    scratch
}

/// Adds so many receipts that are done.
async fn fill(scratch: &Scratch, done: i64) {
    let mut connection = PgConnection::connect_with(&scratch.options())
        .await
        .expect("a connection");
    for statement in [
        "INSERT INTO transactions (id, store, account, vendor, operation, document_number, document_part, \
         request_hash, body, total_kopecks, external_id, state, vendor_uuid, fn, fd, fpd, registered_at, accepted_at) \
         SELECT gen_random_uuid(), 'main', 'main', 'atol', 'sell', 'd' || n, 'main', sha256('x'), '{}', 100, \
         'invoice_main_d' || n, 'done', 'uuid-d' || n, '1', n, '1', now(), now() - interval '2 days' - n * interval '1 second' \
         FROM generate_series(1, $1) AS n",
        "INSERT INTO registrations (transaction_id, generation, account, external_id, state, vendor_uuid) \
         SELECT id, 0, account, external_id, 'done', vendor_uuid FROM transactions LIMIT $1 ON CONFLICT DO NOTHING",
        "INSERT INTO attempts (transaction_id, number, generation, kind, worker, finished_at, class) \
         SELECT id, 1, 0, 'send', 'w', now(), 'accepted' FROM transactions LIMIT $1 ON CONFLICT DO NOTHING",
        "INSERT INTO events (id, type, store, transaction_id, body) \
         SELECT gen_random_uuid(), 'receipt.done', 'main', id, '{}' FROM transactions LIMIT $1",
        "INSERT INTO actions (id, actor, action, transaction_id) \
         SELECT gen_random_uuid(), 'maria', 'cancel', id FROM transactions LIMIT $1",
        "INSERT INTO webhook_deliveries (event_id, store, state, attempts, due_at, delivered_at) \
         SELECT id, store, 'delivered', 1, NULL, now() FROM events LIMIT $1",
        "INSERT INTO mails (id, kind, series, key, recipient, message_id, what, due_at, ended, ended_at, figures) \
         SELECT gen_random_uuid(), 'report', 'main daily', 'old ' || n, 'boss@shop.example', '<old>', '{}', NULL, 'sent', \
         now(), '{}' FROM generate_series(1, $1) AS n",
    ] {
        sqlx::query(statement)
            .bind(done)
            .execute(&mut connection)
            .await
            .expect("filled");
    }
    // All of it was published long ago.
    sqlx::query("TRUNCATE outbox")
        .execute(&mut connection)
        .await
        .expect("arranged");
    sqlx::query(
        "INSERT INTO webhook_endpoints (store, url_hash) VALUES ('main', sha256('x')), ('second', sha256('y'))",
    )
    .execute(&mut connection)
    .await
    .expect("arranged");
    connection.close().await.expect("closed");
}

/// A ledger with so many receipts that are done, and some work of each kind.
async fn filled(done: i64, due: usize, analyzed: bool) -> Scratch {
    let scratch = without_autovacuum().await;
    fill(&scratch, done).await;
    if analyzed {
        scratch.run("ANALYZE").await;
    }
    scratch.pool.close().await;
    let ledger = scratch.ledger();
    let offers = (0..due).map(|number| ledger.accept(offer(&format!("due-{number}"))));
    for accepted in futures_util::future::join_all(offers).await {
        accepted.expect("accepted");
    }
    for number in 0..WAITING {
        let number = format!("wait-{number}");
        let claimed = claimed(&ledger, &number).await;
        ledger
            .record(outcome(&claimed, accepted(&format!("uuid-{number}"))))
            .await
            .expect("recorded");
    }
    ledger.close().await;
    scratch
}

/// By a connection of its own, which has told what it read when this returns.
async fn count(scratch: &Scratch, statement: &'static str) -> i64 {
    let mut connection = PgConnection::connect_with(&scratch.options())
        .await
        .expect("a connection");
    let count = sqlx::query_scalar(statement)
        .fetch_one(&mut connection)
        .await
        .expect("a count");
    connection.close().await.expect("closed");
    count
}

async fn counters(scratch: &Scratch) -> Reads {
    until(
        "every other connection has ended, and so has told what it read",
        || async {
            count(
                scratch,
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
             AND backend_type = 'client backend' AND pid <> pg_backend_pid()",
            )
            .await
                == 0
        },
    )
    .await;
    let buffers = count(scratch, BUFFERS);
    let table_scans = count(
        scratch,
        // A table with a row for each store, account or worker is best read whole, however many receipts there are, and
        // so is one that holds only what nobody was alerted of yet.
        "SELECT sum(seq_scan)::bigint FROM pg_stat_user_tables \
         WHERE relname NOT IN ('_sqlx_migrations', 'webhook_endpoints', 'gates', 'workers', \
         'report_schedules', 'alert_stores', 'alert_causes', 'alerts')",
    );
    Reads {
        buffers: buffers.await,
        table_scans: table_scans.await,
    }
}

/// What `step` reads, for a ledger of its own.
async fn reads<T, Fut: Future<Output = T>>(scratch: &Scratch, step: impl FnOnce(Ledger) -> Fut) -> (Reads, T) {
    let before = counters(scratch).await;
    let ledger = scratch.ledger();
    let result = step(ledger.clone()).await;
    ledger.close().await;
    let after = counters(scratch).await;
    let reads = Reads {
        buffers: after.buffers - before.buffers,
        table_scans: after.table_scans - before.table_scans,
    };
    (reads, result)
}

async fn reads_of_each(scratch: &Scratch) -> BTreeMap<&'static str, Reads> {
    let mut each = BTreeMap::new();
    let (accepting, ids) = reads(scratch, |ledger| async move {
        let mut ids = Vec::new();
        for number in 0..CALLS {
            ids.push(queued(&ledger, &format!("new-{number}")).await);
        }
        ids
    })
    .await;
    each.insert("accept", accepting);

    let (claiming, claims) = reads(scratch, |ledger| async move {
        let mut claims = Vec::new();
        for id in ids {
            claims.push(claim(&ledger, id, 0).await);
        }
        claims
    })
    .await;
    each.insert("claim", claiming);

    let (rendering, claims) = reads(scratch, |ledger| async move {
        for claimed in &claims {
            ledger
                .store_wire_body(claimed, "body".to_owned())
                .await
                .expect("stored");
        }
        claims
    })
    .await;
    each.insert("store_wire_body", rendering);

    let (looking, claims) = reads(scratch, |ledger| async move {
        for claimed in &claims {
            let mut doubtful = claimed.clone();
            doubtful.doubt = receipt::Doubt::Stands;
            ledger.past(&doubtful).await.expect("no outage");
        }
        claims
    })
    .await;
    each.insert("past", looking);

    let (recording, ()) = reads(scratch, |ledger| async move {
        for (number, claimed) in claims.iter().enumerate() {
            let taken = accepted(&format!("uuid-new-{number}"));
            ledger.record(outcome(claimed, taken)).await.expect("recorded");
        }
    })
    .await;
    each.insert("record", recording);

    let (claiming, ()) = reads(scratch, |ledger| async move {
        for _ in 0..CALLS {
            let claims = ledger
                .claim_due(&quota(10), Duration::ZERO, LEASE)
                .await
                .expect("no outage");
            assert_eq!(claims.len(), 10);
        }
    })
    .await;
    each.insert("claim_due", claiming);

    let (looking, ()) = reads(scratch, |ledger| async move {
        for _ in 0..CALLS {
            assert!(ledger.abandoned(10).await.expect("no outage").is_empty());
        }
    })
    .await;
    each.insert("abandoned", looking);

    let (hinting, ()) = reads(scratch, |ledger| async move {
        for number in 0..CALLS {
            let hint = Hint {
                store: StoreCode::parse("main").expect("a store code"),
                vendor: VendorName::parse("atol").expect("a vendor name"),
                vendor_uuid: (number % 2 == 0).then(|| uuid(&format!("uuid-wait-{number}"))),
                external_id: ExternalId::parse(&format!("invoice_main_wait-{number}")).ok(),
            };
            ledger.hint(hint).await.expect("taken");
        }
    })
    .await;
    each.insert("hint", hinting);
    let (looking, ()) = reads(scratch, |ledger| async move {
        let accounts = [crate::sample::account("main")];
        for _ in 0..CALLS {
            let found = ledger.tell_overdue(&accounts, &[], crate::sample::DAY, 10).await;
            assert_eq!(found.expect("no outage"), 0);
        }
    })
    .await;
    each.insert("tell_overdue", looking);

    let (polling, polls) = reads(scratch, |ledger| async move {
        let mut polls = Vec::new();
        for _ in 0..CALLS {
            polls.extend(ledger.claim_polls(&quota(5), MINUTE).await.expect("no outage"));
        }
        polls
    })
    .await;
    assert_eq!(polls.len(), CALLS * 5);
    each.insert("claim_polls", polling);

    let (recording, ()) = reads(scratch, |ledger| async move {
        for polled in &polls[..CALLS] {
            ledger.record_poll(answer(polled, done())).await.expect("recorded");
        }
    })
    .await;
    each.insert("record_poll", recording);

    let (taking, ()) = reads(scratch, |ledger| async move {
        for _ in 0..CALLS {
            let events = ledger.take_events(10).await.expect("no outage");
            assert_eq!(events.len(), 10);
            let ids: Vec<_> = events.iter().map(|event| event.id).collect();
            ledger.mark_published(&ids).await.expect("marked");
        }
    })
    .await;
    each.insert("take_events", taking);

    let (delivering, ()) = reads(scratch, |ledger| async move {
        for _ in 0..CALLS {
            let deliveries = ledger
                .claim_deliveries(&[delivery_quota("main", 5)], MINUTE)
                .await
                .expect("no outage");
            assert_eq!(deliveries.len(), 5);
            for delivery in &deliveries {
                let taken = tried(delivery, DeliveryVerdict::Delivered);
                ledger.record_delivery(&taken).await.expect("recorded");
            }
        }
    })
    .await;
    each.insert("claim_deliveries", delivering);

    let (mailing, ()) = reads(scratch, |ledger| async move {
        ledger.bind_schedules(&[daily("main")]).await.expect("bound");
        for place in 0..CALLS {
            let cursor = cursor(&ledger).await;
            let new = [mail(&format!("mail {place}"), "boss@shop.example")];
            assert!(
                ledger
                    .pass_schedule(&cursor, cursor.now, &new)
                    .await
                    .expect("no outage")
            );
            assert_eq!(ledger.give_up_mails().await.expect("no outage").len(), 0);
            assert_eq!(ledger.due_alerts().await.expect("no outage"), []);
            let mails = ledger.claim_mails(Uuid::new_v4(), 4, MINUTE).await.expect("no outage");
            assert_eq!(mails.len(), 1);
            let told = ledger.told_figures("main daily", "boss@shop.example", Uuid::max());
            assert!(told.await.expect("no outage").is_some());
            record(&ledger, &mails[0], MailVerdict::Sent).await;
        }
    })
    .await;
    each.insert("mails", mailing);

    let (counting, ()) = reads(scratch, |ledger| async move {
        for _ in 0..CALLS {
            let figures = ledger.figures(&[lately()]).await.expect("no outage");
            let count: u64 = figures[0].tallies.iter().map(|tally| tally.count).sum();
            assert!(count > 300, "what was accepted for this test is there: {count}");
            assert_eq!(figures[0].before, [], "and what was done before is not");
        }
    })
    .await;
    each.insert("figures", counting);

    let (forgetting, ()) = reads(scratch, |ledger| async move {
        for _ in 0..CALLS {
            assert_eq!(ledger.forget_deliveries(DAY, 100).await.expect("no outage"), 0);
        }
    })
    .await;
    each.insert("forget_deliveries", forgetting);
    each
}

/// The last hours, beside which everything that is done is old.
fn lately() -> Wanted {
    let now = jiff::Timestamp::now();
    let hours = |hours: i64| now + jiff::SignedDuration::from_hours(hours);
    Wanted {
        store: StoreCode::parse("main").expect("a store code"),
        span: Stretch {
            from: hours(-12),
            until: hours(12),
        },
        before: Stretch {
            from: hours(-36),
            until: hours(-12),
        },
        problems: 50,
    }
}

async fn grows_with_what_is_done(analyzed: bool) {
    let few = reads_of_each(&filled(20_000, 200, analyzed).await).await;
    let many = reads_of_each(&filled(200_000, 200, analyzed).await).await;
    for (step, with_few) in &few {
        let with_many = many[step];
        assert_eq!(with_many.table_scans, 0, "{step} reads a whole table: {with_many:?}");
        assert!(
            with_many.buffers < 2 * with_few.buffers + CHANCE,
            "{step}: {with_few:?} with 20,000 done receipts, {with_many:?} with 200,000"
        );
    }
}

#[tokio::test]
async fn no_step_reads_more_when_ten_times_as_many_receipts_are_done() {
    grows_with_what_is_done(true).await;
}

#[tokio::test]
async fn no_step_reads_more_before_the_tables_were_ever_analyzed() {
    grows_with_what_is_done(false).await;
}

/// One receipt that goes by way of a pointer and a poll, and one that is registered by the call that follows acceptance.
async fn two_lives(ledger: &Ledger, name: &str) {
    let id = queued(ledger, &format!("{name}-waits")).await;
    let first = claim(ledger, id, 0).await;
    let body = ledger.store_wire_body(&first, "body".to_owned()).await;
    body.expect("stored");
    let vendor_uuid = format!("uuid-{name}");
    let recorded = ledger.record(outcome(&first, accepted(&vendor_uuid))).await;
    recorded.expect("recorded");
    let hint = Hint {
        store: StoreCode::parse("main").expect("a store code"),
        vendor: VendorName::parse("atol").expect("a vendor name"),
        vendor_uuid: Some(uuid(&vendor_uuid)),
        external_id: None,
    };
    ledger.hint(hint).await.expect("taken");
    for polled in ledger.claim_polls(&quota(5), MINUTE).await.expect("no outage") {
        let recorded = ledger.record_poll(answer(&polled, done())).await;
        recorded.expect("recorded");
    }
    let second = claimed(ledger, &format!("{name}-at-once")).await;
    let recorded = ledger
        .record(outcome(&second, Verdict::Done(a_fiscal_document())))
        .await;
    recorded.expect("recorded");
    assert_eq!(
        ledger
            .claim_due(&quota(5), Duration::ZERO, LEASE)
            .await
            .expect("no outage")
            .len(),
        0
    );
    let events = ledger.take_events(100).await.expect("no outage");
    let ids: Vec<_> = events.iter().map(|event| event.id).collect();
    ledger.mark_published(&ids).await.expect("marked");
}

#[tokio::test]
async fn a_plan_that_was_made_beside_empty_tables_is_still_good_beside_many_rows() {
    let mut each = Vec::new();
    for many in [0, 20_000] {
        let scratch = without_autovacuum().await;
        let ledger = scratch.ledger();
        for number in 0..CALLS {
            two_lives(&ledger, &format!("early-{number}")).await;
        }
        fill(&scratch, many).await;
        scratch.pool.close().await;
        until("those who filled it have told what they read", || async {
            count(
                &scratch,
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                 AND backend_type = 'client backend' AND pid <> pg_backend_pid() AND application_name NOT LIKE 'kassa %'",
            )
            .await
                == 0
        })
        .await;
        let before = count(&scratch, BUFFERS).await;
        for number in 0..CALLS {
            two_lives(&ledger, &format!("late-{number}")).await;
        }
        ledger.close().await;
        each.push(counters(&scratch).await.buffers - before);
    }
    assert!(
        each[1] < 2 * each[0],
        "blocks read by {CALLS} pairs of receipts beside nothing and beside 20,000 that are done: {each:?}"
    );
}

#[tokio::test]
async fn a_claim_by_pointer_does_not_read_the_backlog_behind_it() {
    let mut each = Vec::new();
    for due in [200, 4_000] {
        let scratch = filled(20_000, due, true).await;
        let ledger = scratch.ledger();
        let mut ids = Vec::new();
        for number in 0..CALLS {
            ids.push(queued(&ledger, &format!("new-{number}")).await);
        }
        ledger.close().await;
        let (claiming, ()) = reads(&scratch, |ledger| async move {
            for id in ids {
                claim(&ledger, id, 0).await;
            }
        })
        .await;
        each.push(claiming.buffers);
    }
    assert!(
        each[1] < 2 * each[0],
        "blocks read by claims before 200 and 4,000 due rows: {each:?}"
    );
}

/// The broker was away for long: nearly every event waits.
#[tokio::test]
async fn taking_events_does_not_read_those_that_wait_behind_them() {
    let mut each = Vec::new();
    for waiting in [200_i64, 40_000] {
        let scratch = without_autovacuum().await;
        sqlx::query(
            "INSERT INTO events (id, type, store, body) \
             SELECT gen_random_uuid(), 'receipt.done', 'main', '{}' FROM generate_series(1, $1)",
        )
        .bind(waiting)
        .execute(&scratch.pool)
        .await
        .expect("arranged");
        scratch.run("ANALYZE").await;
        scratch.pool.close().await;
        let (taking, ()) = reads(&scratch, |ledger| async move {
            for _ in 0..CALLS {
                let events = ledger.take_events(10).await.expect("no outage");
                let ids: Vec<_> = events.iter().map(|event| event.id).collect();
                assert_eq!(ids.len(), 10);
                ledger.mark_published(&ids[..5]).await.expect("marked");
                ledger.put_off_events(&ids[5..]).await.expect("put off");
            }
        })
        .await;
        each.push(taking);
    }
    assert!(
        each[1].buffers < 2 * each[0].buffers && each[1].table_scans <= each[0].table_scans,
        "what is read to take and mark 120 of 200 and of 40,000 waiting events: {each:?}"
    );
}
