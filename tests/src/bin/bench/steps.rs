//! The steps of a receipt's life and of the loops' ticks, each measured alone.

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use jiff::{SignedDuration, Timestamp};
use kassa_tests::database::Database;
use ledger::{
    Acceptance, Claim, Claimed, Evidence, First, Lease, Ledger, NewTransaction, Outcome, PollRecord, PollVerdict,
    Quota, Stretch, Verdict, Wanted,
};
use receipt::event::Subject;
use receipt::{
    DocumentPart, ExternalId, FiscalDocument, Money, Operation, Receipt, StoreCode, TransactionId, VendorName,
    VendorUuid,
};
use sqlx::PgPool;

/// Enough for Postgres to have gone over to its general plan, and for a median.
const CALLS: u32 = 40;
/// Rows that one tick of a loop takes.
const TAKEN: u32 = 10;
/// What waits to be sent while the steps run: more than all of them take.
const BACKLOG: u32 = 2 * CALLS * TAKEN;

const LEASE: Lease = Lease {
    hold: Duration::from_secs(600),
    quiet_time: Duration::from_secs(5),
};

/// What a step costs per call.
pub(crate) struct Cost {
    pub(crate) step: &'static str,
    pub(crate) calls: u32,
    pub(crate) blocks: f64,
    pub(crate) table_scans: i64,
    pub(crate) ms: f64,
}

/// Measures every step.
pub(crate) async fn all(database: &Database) -> anyhow::Result<Vec<Cost>> {
    let arranging = Ledger::open(&ledger::Config::at(database.url.clone()), "bench")?;
    for number in 0..BACKLOG {
        arranging.accept(offer(&format!("B{number}"), First::Queue)?).await?;
    }
    for number in 0..CALLS * TAKEN {
        let claimed = claimed(&arranging, &format!("W{number}")).await?;
        arranging.record(taken(claimed, &format!("uuid-w{number}"))?).await?;
    }
    arranging.close().await;

    let pool = database.pool().await?;
    let mut costs = Vec::new();
    let mut ids = Vec::new();
    costs.push(
        step("accept", database, &pool, async |ledger, number| {
            match ledger.accept(offer(&format!("N{number}"), First::Queue)?).await? {
                Acceptance::Queued(id) => ids.push(id),
                other => bail!("a new receipt is not queued but {other:?}"),
            }
            Ok(())
        })
        .await?,
    );
    let mut claims: Vec<Claimed> = Vec::new();
    costs.push(
        step("claim", database, &pool, async |ledger, number| {
            match ledger.claim(ids[number], 0, LEASE).await? {
                Claim::Won(claimed) => claims.push(*claimed),
                Claim::Stale => bail!("a new pointer is stale"),
            }
            Ok(())
        })
        .await?,
    );
    costs.push(
        step("store_wire_body", database, &pool, async |ledger, number| {
            ledger.store_wire_body(&claims[number], "{}".to_owned()).await?;
            Ok(())
        })
        .await?,
    );
    costs.push(
        step("record", database, &pool, async |ledger, number| {
            ledger
                .record(taken(claims[number].clone(), &format!("uuid-n{number}"))?)
                .await?;
            Ok(())
        })
        .await?,
    );
    costs.push(
        step("claim_due", database, &pool, async |ledger, _| {
            let claims = ledger.claim_due(&quota()?, Duration::ZERO, LEASE).await?;
            ensure!(claims.len() == TAKEN as usize, "{} rows are due", claims.len());
            Ok(())
        })
        .await?,
    );
    costs.push(
        step("abandoned", database, &pool, async |ledger, _| {
            ensure!(ledger.abandoned(10).await?.is_empty(), "nothing is abandoned");
            Ok(())
        })
        .await?,
    );
    let mut polls = Vec::new();
    costs.push(
        step("claim_polls", database, &pool, async |ledger, _| {
            let claimed = ledger.claim_polls(&quota()?, LEASE.hold).await?;
            ensure!(claimed.len() == TAKEN as usize, "{} polls are due", claimed.len());
            polls.extend(claimed);
            Ok(())
        })
        .await?,
    );
    costs.push(
        step("record_poll", database, &pool, async |ledger, number| {
            let done = PollVerdict::Done(document());
            let record = PollRecord::new(polls[number].clone(), Evidence::default(), None, done);
            ledger.record_poll(record).await?;
            Ok(())
        })
        .await?,
    );
    costs.push(
        step("take_events", database, &pool, async |ledger, _| {
            let events = ledger.take_events(i64::from(TAKEN)).await?;
            let ids: Vec<_> = events.iter().map(|event| event.id).collect();
            ledger.mark_published(&ids).await?;
            Ok(())
        })
        .await?,
    );
    costs.push(
        step("figures", database, &pool, async |ledger, _| {
            let figures = ledger.figures(&a_day()?).await?;
            ensure!(figures[0].causes.len() == 1, "a day has its refused receipts");
            Ok(())
        })
        .await?,
    );
    costs.push(
        step("register", database, &pool, async |ledger, _| {
            let mut rows = 0;
            ledger.figures_and_register(&a_day()?, &mut |_| rows += 1).await?;
            ensure!(rows > 27_000, "a day has {rows} receipts");
            Ok(())
        })
        .await?,
    );
    pool.close().await;
    Ok(costs)
}

/// The report of a day of all stores, beside the day before: what was accepted before the steps began.
fn a_day() -> anyhow::Result<[Wanted; 2]> {
    let now = Timestamp::now();
    let ago = |hours| now - SignedDuration::from_hours(hours);
    let of = |store: &str| -> anyhow::Result<Wanted> {
        Ok(Wanted {
            store: StoreCode::parse(store)?,
            span: Stretch {
                from: ago(26),
                until: ago(2),
            },
            before: Stretch {
                from: ago(50),
                until: ago(26),
            },
            problems: 50,
        })
    };
    Ok([of("main")?, of("second")?])
}

/// Runs `call` [`CALLS`] times with a ledger of its own and asks Postgres what was read.
async fn step(
    step: &'static str,
    database: &Database,
    pool: &PgPool,
    mut call: impl AsyncFnMut(&Ledger, usize) -> anyhow::Result<()>,
) -> anyhow::Result<Cost> {
    let before = counters(pool).await?;
    let ledger = Ledger::open(&ledger::Config::at(database.url.clone()), "bench")?;
    let mut times = Vec::new();
    for number in 0..CALLS as usize {
        let began = Instant::now();
        call(&ledger, number).await.with_context(|| format!("step {step}"))?;
        times.push(began.elapsed());
    }
    ledger.close().await;
    let after = counters(pool).await?;
    times.sort_unstable();
    #[expect(clippy::cast_precision_loss, reason = "block counts are far below 2^52")]
    let blocks = (after.blocks - before.blocks) as f64 / f64::from(CALLS);
    Ok(Cost {
        step,
        calls: CALLS,
        blocks,
        table_scans: after.table_scans - before.table_scans,
        ms: times[times.len() / 2].as_secs_f64() * 1000.0,
    })
}

struct Counters {
    blocks: i64,
    table_scans: i64,
}

/// A connection tells what it has read when it ends, so the ledger's have to be gone first.
async fn counters(pool: &PgPool) -> anyhow::Result<Counters> {
    kassa_tests::wait::until(
        "the ledger's connections have ended",
        Duration::from_secs(60),
        || async {
            let open: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
             AND application_name = 'kassa bench'",
            )
            .fetch_one(pool)
            .await?;
            Ok((open == 0).then_some(()))
        },
    )
    .await?;
    // A table with a row for each store, account, worker or cause is best read whole.
    let (blocks, table_scans) = sqlx::query_as(
        "SELECT (SELECT sum(heap_blks_read + heap_blks_hit + idx_blks_read + idx_blks_hit)::bigint \
         FROM pg_statio_user_tables WHERE relname <> '_sqlx_migrations'), \
         (SELECT sum(seq_scan)::bigint FROM pg_stat_user_tables WHERE relname NOT IN ('_sqlx_migrations', \
         'webhook_endpoints', 'gates', 'workers', 'report_schedules', 'alert_stores', 'alert_causes', 'alerts'))",
    )
    .fetch_one(pool)
    .await?;
    Ok(Counters { blocks, table_scans })
}

fn quota() -> anyhow::Result<Vec<Quota>> {
    Ok(vec![Quota {
        account: "main".parse()?,
        slots: TAKEN,
    }])
}

async fn claimed(ledger: &Ledger, number: &str) -> anyhow::Result<Claimed> {
    let first = First::Claim {
        wire_body: "{}".to_owned(),
        lease: LEASE,
    };
    match ledger.accept(offer(number, first)?).await? {
        Acceptance::Claimed(claimed) => Ok(*claimed),
        other => bail!("{number} is not claimed but {other:?}"),
    }
}

fn taken(claimed: Claimed, vendor_uuid: &str) -> anyhow::Result<Outcome> {
    Ok(Outcome {
        claimed,
        evidence: Evidence::default(),
        refusal: None,
        verdict: Verdict::Accepted {
            vendor_uuid: VendorUuid::parse(vendor_uuid)?,
            adopted: false,
            first_poll: Duration::ZERO,
        },
        horizon: None,
    })
}

fn offer(number: &str, first: First) -> anyhow::Result<NewTransaction> {
    let (store, document, part) = (StoreCode::parse("main")?, number.parse()?, DocumentPart::parse("main")?);
    Ok(NewTransaction {
        external_id: ExternalId::of(Operation::Sell, &store, &document, &part, 0)?,
        subject: Subject {
            transaction_id: TransactionId::new(),
            store,
            operation: Operation::Sell,
            document,
            part,
            order: None,
        },
        account: "main".parse()?,
        vendor: VendorName::parse("atol")?,
        request_hash: [1; 32],
        receipt: content()?,
        first,
    })
}

fn content() -> anyhow::Result<Receipt> {
    Ok(serde_json::from_value(serde_json::json!({
        "buyer": { "email": "buyer@example.org" },
        "seller": {
            "inn": "7701234567",
            "tax_system": "osn",
            "payment_address": "https://shop.example",
            "email": "kassa@shop.example"
        },
        "lines": [{
            "name": "Ceramic mug", "price": "450.00", "quantity": "2", "sum": "900.00", "vat": "vat22",
            "payment_method": "full_payment", "payment_object": "commodity"
        }],
        "payments": [{ "type": "electronic", "sum": "900.00" }],
        "total": "900.00"
    }))?)
}

fn document() -> Box<FiscalDocument> {
    Box::new(FiscalDocument {
        fn_number: "9999078900000001".to_owned(),
        fd: 1,
        fpd: "1".to_owned(),
        shift: None,
        receipt_number: None,
        register_number: None,
        registered_at: jiff::civil::date(2026, 2, 14).at(11, 8, 0, 0),
        total: Money::from_kopecks(90_000),
        qr: None,
        ofd_url: None,
    })
}
