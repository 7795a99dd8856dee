//! The floor: the least that a worker can do for a receipt, written by hand. A process of its own, like every contender.
//!
//! | Mode | Is |
//! |---|---|
//! | one by one | consume, insert and commit, call, update and commit, acknowledge; then the next |
//! | batched | a thousand in hand, two writers each for what comes before and after the call, at most 200 rows in a statement, 2 ms of patience, acknowledgements by contiguous prefix |

mod batched;
mod one_by_one;
mod render;
mod store;
mod vendor;

use anyhow::Context;
use kassa_tests::process::Process;
use lapin::options::{BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ConnectionProperties, Consumer};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgPoolOptions;

use super::broker::WORK;
use super::contender::Rows;
use super::vendor::Addresses;
use super::world::World;

pub(crate) use vendor::Client;

/// Connections to Postgres: two writers before the call and two after it.
const CONNECTIONS: u32 = 4;

/// How the floor works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Mode {
    OneByOne,
    Batched,
}

/// What the process is told on its command line.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Config {
    pub(crate) amqp_url: String,
    pub(crate) database_url: String,
    pub(crate) queue: String,
    pub(crate) vendor: Addresses,
    pub(crate) rows: Rows,
    pub(crate) mode: Mode,
}

/// What a worker of the floor holds.
struct Worker {
    rows: Rows,
    store: store::Store,
    vendor: Client,
    channel: Channel,
    /// A connection ends with its last handle.
    _connection: Connection,
}

/// Works until the process is ended.
pub(crate) async fn work(config: &str) -> anyhow::Result<()> {
    let config: Config = serde_json::from_str(config).context("the floor's configuration")?;
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .connect(&config.database_url)
        .await?;
    let connection = Connection::connect(&config.amqp_url, ConnectionProperties::default()).await?;
    let worker = Worker {
        rows: config.rows,
        store: store::Store::new(pool, config.rows),
        vendor: Client::new(&config.vendor, config.rows)?,
        channel: connection.create_channel().await?,
        _connection: connection,
    };
    match config.mode {
        Mode::OneByOne => one_by_one::run(worker, &config.queue).await,
        Mode::Batched => batched::run(worker, &config.queue).await,
    }
}

impl Worker {
    async fn consume(&self, queue: &str, prefetch: u16) -> anyhow::Result<Consumer> {
        self.channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
        let options = BasicConsumeOptions::default();
        Ok(self
            .channel
            .basic_consume(queue.into(), "floor".into(), options, FieldTable::default())
            .await?)
    }
}

/// Starts the floor as a process.
pub(crate) fn start(world: &World, database_url: &str, rows: Rows, mode: Mode) -> anyhow::Result<Process> {
    let config = Config {
        amqp_url: world.amqp_url.clone(),
        database_url: database_url.to_owned(),
        queue: WORK.to_owned(),
        vendor: world.vendor.addresses.clone(),
        rows,
        mode,
    };
    let config = serde_json::to_string(&config)?;
    let program = std::env::current_exe()?;
    Process::start("floor", &program, &["floor", &config], &world.folder)
}

/// The vendor's request for a made-up document.
pub(crate) fn wire(number: &str) -> anyhow::Result<String> {
    let request = kassa_tests::request::request("main", "sell", number, "goods").to_string();
    Ok(render::parse(Rows::Kassa, request.as_bytes())?.wire)
}
