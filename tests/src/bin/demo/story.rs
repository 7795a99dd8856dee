//! What happens, in order. Everything that is told was measured.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use kassa_tests::fleet::{Fleet, Pace};
use kassa_tests::process::Process;
use kassa_tests::shop::Shop;
use kassa_tests::vendor::Vendor;
use kassa_tests::wait;
use serde_json::json;
use sqlx::PgPool;

use crate::plan::{CLOUD, Plan, REFUSED_BY_REGISTER, Valid};
use crate::print::Teller;

/// How long the vendor answers badly.
const OUTAGE: Duration = Duration::from_secs(6);
/// Answers that are lost after the vendor has taken the receipt.
const LOST_ANSWERS: u32 = 12;
/// How long everything may take to settle after the last publication.
const PATIENCE: Duration = Duration::from_secs(120);

/// A played story: who is still there, and what is needed to judge it.
pub(crate) struct Story {
    pub(crate) fleet: Fleet,
    pub(crate) vendor: Vendor,
    pub(crate) pool: PgPool,
    /// When each marker was first published.
    pub(crate) published_at: HashMap<String, SystemTime>,
    vendor_folder: PathBuf,
    processes: Vec<Process>,
}

impl Story {
    /// Stops everything and cleans up.
    pub(crate) async fn end(self) -> anyhow::Result<()> {
        for mut process in self.processes {
            process.stop(Duration::from_secs(20)).await?;
        }
        self.pool.close().await;
        drop(self.vendor);
        std::fs::remove_dir_all(&self.vendor_folder)?;
        self.fleet.remove().await
    }

    /// The ids of everything that runs.
    pub(crate) fn pids(&self) -> Vec<u32> {
        self.processes
            .iter()
            .chain([&self.vendor.process])
            .filter_map(Process::pid)
            .collect()
    }

    /// Leaves everything running.
    pub(crate) fn leave(self) {
        self.processes.into_iter().for_each(Process::leave);
        self.vendor.process.leave();
    }
}

pub(crate) async fn play(plan: &Plan, teller: &mut Teller) -> anyhow::Result<Story> {
    let vendor_folder = std::env::temp_dir().join(format!("kassa-demo-vendor-{}", std::process::id()));
    std::fs::create_dir_all(&vendor_folder)?;
    let certificates = vendor_folder.join("certificates");
    let more = [
        "--checkonline-certs",
        certificates.to_str().context("a path in UTF-8")?,
        "--checkonline-delay",
        "50ms..300ms",
    ];
    let vendor = Vendor::start(&vendor_folder, "200ms..800ms", &more).await?;
    let pace = Pace {
        call: "5s",
        lease: "8s",
        quiet_time: "1s",
        grace: "1s",
        poll_intervals: r#"["1s", "2s", "5s"]"#,
        ..Pace::default()
    };
    let fleet = Fleet::create("demo", &vendor.atol_url, &pace).await?;
    let retries = format!("retry_intervals = {}", pace.retry_intervals);
    fleet.configure(&vendor.checkonline_sections(CLOUD, None, &retries)?)?;
    let pool = fleet.database.pool().await?;
    refuse_some(&vendor, &[]).await?;
    let (mut victim, second, poller) = tokio::try_join!(
        fleet.start("sender-1", &["sender"]),
        fleet.start("sender-2", &["sender"]),
        fleet.start("poller-1", &["poller"]),
    )?;
    let shop = fleet.shop().await?;
    teller.tell(0, "Two senders and a poller are ready; the shop publishes to RabbitMQ");

    let mut published_at = HashMap::new();
    let parts: Vec<&[Valid]> = plan.valid.chunks(plan.valid.len().div_ceil(4)).collect();
    let part = |index: usize| parts.get(index).copied().unwrap_or_default();

    publish(&shop, part(0), &mut published_at, &pool, teller).await?;
    teller.tell(1, &format!("{} receipts published, the vendor is well", part(0).len()));

    outage(&vendor).await?;
    let began = Instant::now();
    publish(&shop, part(1), &mut published_at, &pool, teller).await?;
    pass(OUTAGE.saturating_sub(began.elapsed()), &pool, teller).await?;
    let waiting = count(&pool, "state IN ('queued', 'sending', 'retrying')").await?;
    refuse_some(&vendor, &[]).await?;
    teller.tell(
        2,
        &format!(
            "The vendor answered 500 and 502 for {} s; {waiting} receipts wait, none is lost",
            OUTAGE.as_secs()
        ),
    );

    // Slow answers, so that the kill strikes while receipts are in flight.
    refuse_some(
        &vendor,
        &[json!({"at": "register", "when": "after", "delay_ms": 1500, "count": 60})],
    )
    .await?;
    publish(&shop, part(2), &mut published_at, &pool, teller).await?;
    let in_flight = kill_in_mid_flight(&mut victim, &pool).await?;
    let third = fleet.start("sender-3", &["sender"]).await?;
    teller.tell(
        3,
        &format!("sender-1 was killed (SIGKILL) with {in_flight} receipts in flight; sender-3 takes its place"),
    );

    refuse_some(
        &vendor,
        &[json!({"at": "register", "when": "after", "do": "cut", "count": LOST_ANSWERS})],
    )
    .await?;
    publish(&shop, part(3), &mut published_at, &pool, teller).await?;
    teller.tell(
        4,
        &format!("{LOST_ANSWERS} answers were lost after the vendor had taken the receipt"),
    );

    for bad in &plan.invalid {
        shop.publish(bad.store, &bad.body)
            .await
            .with_context(|| format!("publishing {}", bad.what))?;
    }
    for again in plan.valid.iter().take(plan.repeated) {
        shop.publish(again.store, &again.body).await?;
    }
    teller.tell(
        5,
        &format!(
            "{} wrong requests and {} repetitions published",
            plan.invalid.len(),
            plan.repeated
        ),
    );

    settle(plan, &pool, teller).await?;
    Ok(Story {
        fleet,
        vendor,
        vendor_folder,
        pool,
        published_at,
        processes: vec![second, third, poller],
    })
}

/// The faults in force: `more`, and the few receipts that the register refuses throughout.
async fn refuse_some(vendor: &Vendor, more: &[serde_json::Value]) -> anyhow::Result<()> {
    let mut rules = vec![json!({
        "at": "processing",
        "do": {"error": {"type": "driver", "code": 128, "text": "Некорректная сумма налога"}},
        "marker": REFUSED_BY_REGISTER,
    })];
    rules.extend_from_slice(more);
    vendor.set_faults(&json!({ "rules": rules })).await
}

async fn outage(vendor: &Vendor) -> anyhow::Result<()> {
    refuse_some(
        vendor,
        &[
            json!({"at": "register", "do": {"status": {"code": 502}}, "probability": 0.5}),
            json!({"at": "register", "do": {"error": {"type": "system", "code": 50}}}),
            json!({"at": "report", "do": {"status": {"code": 500}}, "probability": 0.5}),
        ],
    )
    .await
}

async fn publish(
    shop: &Shop,
    part: &[Valid],
    published_at: &mut HashMap<String, SystemTime>,
    pool: &PgPool,
    teller: &Teller,
) -> anyhow::Result<()> {
    for (index, receipt) in part.iter().enumerate() {
        published_at.insert(receipt.marker.clone(), SystemTime::now());
        shop.publish(receipt.store, &receipt.body).await?;
        if index % 25 == 0 {
            teller.progress(settled(pool).await?);
        }
    }
    Ok(())
}

/// Kills the process when it has calls under way. Returns how many.
async fn kill_in_mid_flight(victim: &mut Process, pool: &PgPool) -> anyhow::Result<i64> {
    let pid = victim.pid().context("the sender runs")?;
    let in_flight = || async {
        let pattern = format!("%-{pid}");
        let count: i64 =
            sqlx::query_scalar("SELECT count(*) FROM attempts WHERE finished_at IS NULL AND worker LIKE $1")
                .bind(pattern)
                .fetch_one(pool)
                .await?;
        Ok((count >= 3).then_some(count))
    };
    let in_flight = wait::until("calls under way in sender-1", Duration::from_secs(10), in_flight).await?;
    victim.kill().await?;
    Ok(in_flight)
}

async fn settle(plan: &Plan, pool: &PgPool, teller: &Teller) -> anyhow::Result<()> {
    let all = i64::try_from(plan.published())?;
    let done = || async {
        let settled = settled(pool).await?;
        teller.progress(settled);
        Ok((settled >= all).then_some(()))
    };
    // What has not settled is the verdict's to count, not ours to hide behind an error.
    if wait::until("everything has settled", PATIENCE, done).await.is_err() {
        teller.tell(6, "Not everything has settled in time");
    }
    Ok(())
}

/// Lets time pass and shows what settles meanwhile.
async fn pass(time: Duration, pool: &PgPool, teller: &Teller) -> anyhow::Result<()> {
    let began = Instant::now();
    while began.elapsed() < time {
        teller.progress(settled(pool).await?);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

async fn settled(pool: &PgPool) -> anyhow::Result<i64> {
    let transactions = count(pool, "state IN ('done', 'failed', 'unknown')").await?;
    let letters: i64 = sqlx::query_scalar("SELECT count(*) FROM dead_letters")
        .fetch_one(pool)
        .await?;
    Ok(transactions + letters)
}

async fn count(pool: &PgPool, which: &'static str) -> anyhow::Result<i64> {
    let sql = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM transactions WHERE {which}"));
    Ok(sqlx::query_scalar(sql).fetch_one(pool).await?)
}
