//! How much the vendor takes: what everybody calls must not be what everybody is limited by.

use std::sync::Arc;
use std::time::Instant;

use kassa_tests::vendor::Vendor as Simulator;
use serde::Serialize;
use simulator::Certificate;
use tokio::task::JoinSet;

use super::contender::Rows;
use super::floor::{self, Client};
use super::options::Settings;
use super::proc::Tree;
use super::world::World;

/// Calls at once.
const CALLS: u64 = 64;

/// One vendor under a load of nothing but calls.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Ceiling {
    pub(crate) vendor: &'static str,
    pub(crate) calls: u64,
    pub(crate) per_second: f64,
    /// CPU seconds of the vendor for 10,000 calls.
    pub(crate) cpu: f64,
}

/// The vendor of the benchmark, and the simulator to compare.
pub(crate) async fn measure(world: &World, settings: &Settings) -> anyhow::Result<Vec<Ceiling>> {
    world.vendor.forget().await?;
    let pid = world.vendor.process.pid();
    let lean = Client::new(&world.vendor.addresses, Rows::Kassa)?;
    let lean = load("the benchmark's", lean, pid, settings.receipts).await?;

    let certificates = world.folder.join("simulator");
    let certificates = certificates.to_string_lossy();
    let more = ["--checkonline-certs", &certificates, "--checkonline-delay", "0s"];
    let mut simulator = Simulator::start(&world.folder, "0s", &more).await?;
    let mut ceilings = vec![lean];
    if let Some((url, files)) = &simulator.checkonline {
        let (certificate, key) = (files.certificate(Certificate::North), files.key(Certificate::North));
        let client = Client::with_files([&files.ca(), &certificate, &key], format!("{url}/fr/api/v2/Complex"))?;
        ceilings.push(load("the simulator", client, simulator.process.pid(), settings.receipts).await?);
    }
    simulator.process.kill().await?;
    Ok(ceilings)
}

async fn load(vendor: &'static str, client: Client, pid: Option<u32>, calls: u64) -> anyhow::Result<Ceiling> {
    let client = Arc::new(client);
    let seconds = |pid: Option<u32>| pid.map_or(0.0, |pid| Tree::of(pid).cpu_seconds());
    // Connections and allocators come first.
    batch(&client, 0, calls / 10).await?;
    let (began, before) = (Instant::now(), seconds(pid));
    let done = batch(&client, calls, calls).await?;
    let (took, after) = (began.elapsed().as_secs_f64(), seconds(pid));
    #[expect(clippy::cast_precision_loss, reason = "numbers of one run")]
    let done_f64 = done as f64;
    Ok(Ceiling {
        vendor,
        calls: done,
        per_second: done_f64 / took,
        cpu: (after - before) * 10_000.0 / done_f64,
    })
}

/// Makes at least `calls` calls, numbered from `first`. Returns how many.
async fn batch(client: &Arc<Client>, first: u64, calls: u64) -> anyhow::Result<u64> {
    let each = calls.div_ceil(CALLS);
    let mut callers = JoinSet::new();
    for caller in 0..CALLS {
        let client = Arc::clone(client);
        callers.spawn(async move {
            for call in 0..each {
                let number = format!("C{:08}", first + caller * each + call);
                client.post(floor::wire(&number)?).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = callers.join_next().await {
        ended??;
    }
    Ok(each * CALLS)
}
