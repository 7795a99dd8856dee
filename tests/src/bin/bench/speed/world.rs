//! What a run needs around it: the two servers, the vendor, a folder.

use std::path::PathBuf;

use kassa_tests::own::{Postgres, RabbitMq};
use kassa_tests::urls::Servers;
use uuid::Uuid;

use super::broker::Publisher;
use super::kassa::PREFIX;
use super::machine::Machine;
use super::proc::Tree;
use super::vendor::Vendor;
use super::wal;

/// Servers of the benchmark's own, durable as in production, and the vendor. Dropping it ends them.
pub(crate) struct World {
    pub(crate) database_url: String,
    pub(crate) amqp_url: String,
    pub(crate) vendor: Vendor,
    pub(crate) folder: PathBuf,
    postgres: Option<Postgres>,
    rabbitmq: Option<RabbitMq>,
}

/// CPU seconds of everybody but the contender.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Around {
    pub(crate) postgres: f64,
    pub(crate) rabbitmq: f64,
    pub(crate) vendor: f64,
}

impl World {
    /// With servers of its own.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let (postgres, rabbitmq) = tokio::try_join!(Postgres::start(), RabbitMq::start())?;
        let (database_url, amqp_url) = (postgres.url(), rabbitmq.url());
        wal::go_round(&database_url).await?;
        Self::over(database_url, amqp_url, Some(postgres), Some(rabbitmq)).await
    }

    /// With the test command's servers, whose CPU is not known: for a look whether the benchmark works.
    pub(crate) async fn given() -> anyhow::Result<Self> {
        let Servers { database_url, amqp_url } = Servers::given()?;
        Self::over(database_url, amqp_url, None, None).await
    }

    async fn over(
        database_url: String,
        amqp_url: String,
        postgres: Option<Postgres>,
        rabbitmq: Option<RabbitMq>,
    ) -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("kassa-bench-{}", Uuid::new_v4().simple()));
        std::fs::create_dir_all(&folder)?;
        Ok(Self {
            database_url,
            amqp_url,
            vendor: Vendor::start(&folder).await?,
            folder,
            postgres,
            rabbitmq,
        })
    }

    pub(crate) async fn machine(&self) -> anyhow::Result<Machine> {
        // Its banner names it, in colours.
        let log = self.rabbitmq.as_ref().map(RabbitMq::log).unwrap_or_default();
        let is_number = |word: &&str| word.starts_with(|first: char| first.is_ascii_digit());
        let version = log
            .split("RabbitMQ")
            .skip(1)
            .find_map(|text| text.split_whitespace().take(2).find(is_number));
        Machine::look(&self.database_url, version.unwrap_or("given").to_owned()).await
    }

    pub(crate) fn around(&mut self) -> Around {
        let seconds = |pid: Option<u32>| pid.map_or(0.0, |pid| Tree::of(pid).cpu_seconds());
        Around {
            postgres: seconds(self.postgres.as_mut().and_then(Postgres::pid)),
            rabbitmq: seconds(self.rabbitmq.as_mut().and_then(RabbitMq::pid)),
            vendor: seconds(self.vendor.process.pid()),
        }
    }

    /// Ends the vendor and clears away what the run has made; servers of its own end when they are dropped.
    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        Publisher::connect(&self.amqp_url).await?.delete_queue().await?;
        kassa_tests::shop::delete_topology_at(&self.amqp_url, PREFIX).await?;
        self.vendor.process.kill().await?;
        std::fs::remove_dir_all(&self.folder)?;
        Ok(())
    }
}

impl std::ops::Sub for Around {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            postgres: self.postgres - before.postgres,
            rabbitmq: self.rabbitmq - before.rabbitmq,
            vendor: self.vendor - before.vendor,
        }
    }
}
