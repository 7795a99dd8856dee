//! kassa started empty, for everything that is no contest.

use super::broker::{Publisher, To};
use super::contender::Rows;
use super::database::Store;
use super::kassa::{Kassa, PREFIX, QUEUES};
use super::world::World;

/// A fleet with a database of its own, empty queues and a vendor that has forgotten everything.
pub(crate) struct Empty {
    pub(crate) store: Store,
    pub(crate) kassa: Kassa,
    pub(crate) publisher: Publisher,
    pub(crate) to: To,
}

impl Empty {
    pub(crate) async fn fleet(world: &World) -> anyhow::Result<Self> {
        world.vendor.forget().await?;
        let store = Store::create(&world.database_url, Rows::Kassa).await?;
        let addresses = &world.vendor.addresses;
        let kassa = Kassa::configure(&world.folder, store.url(), &world.amqp_url, addresses).await?;
        let publisher = Publisher::connect(&world.amqp_url).await?;
        for queue in QUEUES {
            publisher.purge(&format!("{PREFIX}.{queue}")).await?;
        }
        Ok(Self {
            store,
            kassa,
            publisher,
            to: To::kassa("main"),
        })
    }
}
