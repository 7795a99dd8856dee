//! Everything that a run consists of, and how each kind of fault strikes it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use anyhow::Context;
use fastrand::Rng;
use futures_util::future::join_all;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::Settings;
use super::crew::Crew;
use super::kind::{Kind, Pair};
use super::operator::Operator;
use super::requests::{CLOUD, wanted};
use super::schedule::Strike;
use super::shop::Shop;
use super::table;
use super::vendor::FaultyVendor;
use crate::fleet::{Fleet, Pace, Routes, via};
use crate::own::{Postgres, RabbitMq};
use crate::proxy::{Flow, Proxy};
use crate::shop::delete_queues;
use crate::urls::Servers;
use crate::vendor::Vendor;

/// Short waits, so that a receipt can go through many of them within the run.
const PACE: Pace = Pace {
    gates: r#"
probe_interval = "500ms"
longest_probe_interval = "2s"
ramp_step = "200ms"
interval = "500ms"
"#,
    more: "",
    retry_intervals: r#"["1s", "2s", "5s"]"#,
    call: "2s",
    lease: "5s",
    quiet_time: "1s",
    grace: "1s",
    poll_intervals: r#"["1s", "2s"]"#,
    sender: "",
    broker: "heartbeat = \"4s\"\nreconnect_pause = \"1s\"\nconfirm_timeout = \"4s\"\nconnect_timeout = \"5s\"",
    callbacks: true,
    stores: "max_trials = 10\nresume_after = \"8s\"\nretry_endlessly = true",
};
/// The same for the store at the other vendor.
const CLOUD_STORE: &str = r#"
retry_intervals = ["1s", "2s", "5s"]
max_trials = 10
resume_after = "8s"
retry_endlessly = true
"#;
/// Of a look at the table while Postgres may be away.
const LOOK_LIMIT: Duration = Duration::from_millis(800);
const DELETE_LIMIT: Duration = Duration::from_secs(40);

/// A running fleet with all its neighbours. Fields are dropped in this order.
pub(super) struct World {
    pub(super) crew: Crew,
    pub(super) operator: Operator,
    pub(super) shop: Shop,
    pub(super) vendor: FaultyVendor,
    links: Links,
    pub(super) fleet: Arc<Fleet>,
    /// The table, past the proxies.
    pub(super) pool: PgPool,
    in_flight: AtomicI64,
    postgres: Mutex<Postgres>,
    broker: Mutex<RabbitMq>,
    broker_url: String,
    folders: Folders,
}

/// Logs and configuration. They go with the run, unless somebody has reason to read them.
struct Folders {
    folders: [PathBuf; 2],
    stay: AtomicBool,
}

impl Drop for Folders {
    fn drop(&mut self) {
        if !self.stay.load(Ordering::Relaxed) {
            for folder in &self.folders {
                let _ = std::fs::remove_dir_all(folder);
            }
        }
    }
}

struct Links {
    fleet_postgres: Link,
    fleet_broker: Link,
    fleet_vendors: [Link; 2],
    shop_broker: Link,
    vendors_fleet: Link,
}

struct Link {
    proxy: Proxy,
    /// Held as long as it is cut or slow.
    struck: Mutex<()>,
}

impl Link {
    async fn to(target: String) -> anyhow::Result<Self> {
        Ok(Self {
            proxy: Proxy::start(target).await?,
            struck: Mutex::default(),
        })
    }

    fn address(&self) -> String {
        self.proxy.address.to_string()
    }
}

impl Links {
    /// What a strike hits: the vendors have a link each, and it hits either or both.
    fn of(&self, pair: Pair, rng: &mut Rng) -> Vec<&Link> {
        let [atol, checkonline] = &self.fleet_vendors;
        match pair {
            Pair::FleetPostgres => vec![&self.fleet_postgres],
            Pair::FleetBroker => vec![&self.fleet_broker],
            Pair::FleetVendor => match rng.u8(0..4) {
                0 => vec![atol],
                1 => vec![checkonline],
                _ => vec![atol, checkonline],
            },
            Pair::ShopBroker => vec![&self.shop_broker],
            Pair::VendorFleet => vec![&self.vendors_fleet],
        }
    }

    fn all(&self) -> impl Iterator<Item = &Link> {
        [
            &self.fleet_postgres,
            &self.fleet_broker,
            &self.shop_broker,
            &self.vendors_fleet,
        ]
        .into_iter()
        .chain(&self.fleet_vendors)
    }
}

impl World {
    /// Starts servers, vendor and fleet.
    pub(super) async fn make(settings: &Settings) -> anyhow::Result<Self> {
        let (postgres, broker) = tokio::try_join!(Postgres::start(), RabbitMq::start())?;
        let servers = Servers {
            database_url: postgres.url(),
            amqp_url: broker.url(),
        };
        let folder = std::env::temp_dir().join(format!("kassa-chaos-{}-{}", settings.seed, std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let seed = settings.seed.to_string();
        let certificates = folder.join("certificates");
        let more = [
            "--seed",
            &seed,
            "--checkonline-certs",
            certificates.to_str().context("a path in UTF-8")?,
            "--checkonline-delay",
            "100ms..1500ms",
        ];
        let vendor = Vendor::start(&folder, "1s..8s", &more).await?;
        let [fleet_postgres, fleet_broker, shop_broker] = [
            Link::to(postgres.address()).await?,
            Link::to(broker.address()).await?,
            Link::to(broker.address()).await?,
        ];
        let fleet_vendors = [
            Link::to(vendor.address().to_owned()).await?,
            Link::to(vendor.checkonline_address().context("a CheckOnline")?.to_owned()).await?,
        ];
        let routes = Routes {
            database: Some(fleet_postgres.address()),
            broker: Some(fleet_broker.address()),
        };
        let [atol, checkonline] = fleet_vendors.each_ref().map(Link::address);
        let vendor_url = via(&vendor.atol_url, Some(&atol));
        let shop_url = format!("{}?heartbeat=4", via(&servers.amqp_url, Some(&shop_broker.address())));
        let broker_url = servers.amqp_url.clone();
        let fleet = Arc::new(Box::pin(Fleet::create_on(servers, "chaos", &vendor_url, &PACE, &routes)).await?);
        let vendors_fleet = Link::to(fleet.public.to_string()).await?;
        fleet.call_back_at(&vendors_fleet.address())?;
        fleet.configure(&vendor.checkonline_sections(CLOUD, Some(&checkonline), CLOUD_STORE)?)?;
        let pool = PgPoolOptions::new()
            .acquire_timeout(Duration::from_secs(2))
            .connect(&fleet.database.url)
            .await?;
        table::note_publications(&pool).await?;
        let crew = Crew::start(Arc::clone(&fleet)).await?;
        let shop = Shop::new(
            shop_url,
            fleet.prefix.clone(),
            wanted(settings.receipts, settings.seconds),
        );
        Ok(Self {
            crew,
            operator: Operator::default(),
            shop,
            vendor: FaultyVendor::new(vendor)?,
            links: Links {
                fleet_postgres,
                fleet_broker,
                fleet_vendors,
                shop_broker,
                vendors_fleet,
            },
            folders: Folders {
                folders: [fleet.folder.clone(), folder],
                stay: AtomicBool::new(false),
            },
            fleet,
            pool,
            in_flight: AtomicI64::new(0),
            postgres: Mutex::new(postgres),
            broker: Mutex::new(broker),
            broker_url,
        })
    }

    /// Leaves the logs behind, those of the servers among them.
    pub(super) async fn keep_folders(&self) {
        self.folders.stay.store(true, Ordering::Relaxed);
        let folder = &self.fleet.folder;
        // Evidence that cannot be written must not hide the verdict.
        let _ = std::fs::write(folder.join("postgres.log"), self.postgres.lock().await.log());
        let _ = std::fs::write(folder.join("broker.log"), self.broker.lock().await.log());
    }

    /// How many receipts are accepted and not final: now, or when somebody could look last.
    pub(super) async fn in_flight(&self) -> i64 {
        let looking = sqlx::query_scalar(
            "SELECT count(*) FROM transactions WHERE state NOT IN ('done', 'failed', 'unknown', 'cancelled')",
        )
        .fetch_one(&self.pool);
        if let Ok(Ok(count)) = timeout(LOOK_LIMIT, looking).await {
            self.in_flight.store(count, Ordering::Relaxed);
        }
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Lets one fault strike, and returns when it is over. Returns how many receipts were in flight when it struck.
    pub(super) async fn suffer(&self, strike: &Strike) -> anyhow::Result<i64> {
        let mut rng = strike.rng();
        let lasts = strike.lasts;
        match strike.kind {
            Kind::Sigkill(role) => {
                let victim = self.crew.victim(role, &mut rng).await?;
                let in_flight = self.in_flight().await;
                victim.kill(lasts).await?;
                Ok(in_flight)
            }
            Kind::Sigstop(role) => {
                let victim = self.crew.victim(role, &mut rng).await?;
                let in_flight = self.in_flight().await;
                victim.freeze(lasts).await?;
                Ok(in_flight)
            }
            Kind::BrokerKill9 => Box::pin(self.kill_broker(lasts, strike.loses_all)).await,
            Kind::PostgresImmediateStop => {
                let mut postgres = self.postgres.lock().await;
                let in_flight = self.in_flight().await;
                postgres.immediate_stop().await?;
                tokio::time::sleep(lasts).await;
                postgres.start_again().await?;
                Ok(in_flight)
            }
            Kind::Cut(pair) => {
                let links = self.links.of(pair, &mut rng);
                self.impede(&links, Flow::Down, lasts).await
            }
            Kind::Slow(pair) => {
                let links = self.links.of(pair, &mut rng);
                self.impede(&links, slowness(&mut rng), lasts).await
            }
            Kind::Vendor(fault) => {
                let in_flight = self.in_flight().await;
                self.vendor.play(fault, lasts, &mut rng).await?;
                Ok(in_flight)
            }
            Kind::DeletedQueues => {
                let _broker = self.broker.lock().await;
                let in_flight = self.in_flight().await;
                let deleting = async {
                    loop {
                        let deleting = delete_queues(&self.broker_url, &self.fleet.prefix);
                        if matches!(timeout(DELETE_LIMIT / 5, deleting).await, Ok(Ok(()))) {
                            break;
                        }
                        tokio::time::sleep(Duration::from_millis(200)).await;
                    }
                };
                timeout(DELETE_LIMIT, deleting)
                    .await
                    .context("queues cannot be deleted")?;
                Ok(in_flight)
            }
        }
    }

    async fn impede(&self, links: &[&Link], flow: Flow, lasts: Duration) -> anyhow::Result<i64> {
        let _struck = join_all(links.iter().map(|link| link.struck.lock())).await;
        let in_flight = self.in_flight().await;
        for link in links {
            link.proxy.set(flow);
        }
        tokio::time::sleep(lasts).await;
        for link in links {
            link.proxy.set(Flow::Open);
        }
        Ok(in_flight)
    }

    async fn kill_broker(&self, lasts: Duration, loses_all: bool) -> anyhow::Result<i64> {
        let mut broker = self.broker.lock().await;
        let in_flight = self.in_flight().await;
        broker.kill9()?;
        tokio::time::sleep(lasts).await;
        if loses_all {
            broker.wipe().await?;
        } else {
            broker.start_again().await?;
        }
        Ok(in_flight)
    }

    /// What an operator does with a broker that no repair mends.
    pub(super) async fn restart_broker(&self) -> anyhow::Result<()> {
        self.broker.lock().await.start_again().await
    }

    /// Nothing is wrong any more.
    pub(super) async fn heal(&self) -> anyhow::Result<()> {
        for link in self.links.all() {
            link.proxy.set(Flow::Open);
        }
        self.vendor.heal().await?;
        self.crew.look_after().await
    }
}

fn slowness(rng: &mut Rng) -> Flow {
    match rng.u8(0..4) {
        0 => Flow::HoldAnswers,
        1 => Flow::HoldRequests,
        _ => Flow::Slow {
            delay_ms: rng.u64(50..=800),
            bytes_per_second: rng.u32(2_000..=50_000),
        },
    }
}
