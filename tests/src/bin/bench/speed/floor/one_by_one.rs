//! One receipt after the other.

use futures_util::StreamExt as _;
use lapin::options::BasicAckOptions;

use super::Worker;
use super::render::{answered, parse};

pub(super) async fn run(worker: Worker, queue: &str) -> anyhow::Result<()> {
    let mut deliveries = worker.consume(queue, 1).await?;
    while let Some(delivery) = deliveries.next().await {
        let delivery = delivery?;
        let receipt = parse(worker.rows, &delivery.data)?;
        worker.store.accept(std::slice::from_ref(&receipt)).await?;
        let (answer, duration) = worker.vendor.post(receipt.wire.clone()).await?;
        let answered = answered(worker.rows, &receipt, answer, duration)?;
        worker.store.record(std::slice::from_ref(&answered)).await?;
        worker
            .channel
            .basic_ack(delivery.delivery_tag, BasicAckOptions::default())
            .await?;
    }
    Ok(())
}
