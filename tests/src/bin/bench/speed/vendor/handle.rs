//! The vendor as the benchmark sees it: a process of its own, and its books.

use std::path::Path;

use anyhow::Context;
use kassa_tests::process::Process;

use super::Addresses;

/// A running vendor.
pub(crate) struct Vendor {
    pub(crate) process: Process,
    pub(crate) addresses: Addresses,
    http: reqwest::Client,
}

/// One id of the books.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    pub(crate) id: String,
    /// When it first came, in microseconds since 1970.
    pub(crate) at_micros: u64,
    pub(crate) times: u32,
}

/// How much was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) requests: u64,
    pub(crate) distinct: u64,
}

impl Vendor {
    pub(crate) async fn start(folder: &Path) -> anyhow::Result<Self> {
        let program = std::env::current_exe()?;
        let certificates = folder.join("certificates");
        let certificates = certificates.to_str().context("a path in UTF-8")?;
        let mut process = Process::start("vendor", &program, &["vendor", certificates], folder)?;
        let addresses = serde_json::from_str(&process.first_line().await?)?;
        Ok(Self {
            process,
            addresses,
            http: kassa_tests::vendor::client()?,
        })
    }

    pub(crate) async fn count(&self) -> anyhow::Result<Count> {
        let text = self.get("count").await?;
        let (requests, distinct) = text.split_once(' ').context("two numbers")?;
        Ok(Count {
            requests: requests.parse()?,
            distinct: distinct.parse()?,
        })
    }

    /// The books in the order of arrival.
    pub(crate) async fn arrivals(&self) -> anyhow::Result<Vec<Arrival>> {
        let text = self.get("books").await?;
        let arrival = |line: &str| {
            let mut words = line.split(' ');
            Some(Arrival {
                id: words.next()?.to_owned(),
                at_micros: words.next()?.parse().ok()?,
                times: words.next()?.parse().ok()?,
            })
        };
        let mut arrivals: Vec<Arrival> = text
            .lines()
            .map(|line| arrival(line).with_context(|| format!("no line of the books: {line}")))
            .collect::<anyhow::Result<_>>()?;
        arrivals.sort_by_key(|arrival| arrival.at_micros);
        Ok(arrivals)
    }

    pub(crate) async fn forget(&self) -> anyhow::Result<()> {
        let url = format!("{}/control/books", self.addresses.plain);
        self.http.delete(url).send().await?.error_for_status()?;
        Ok(())
    }

    /// How long it thinks before each answer from now on.
    pub(crate) async fn set_latency(&self, ms: u64) -> anyhow::Result<()> {
        let url = format!("{}/control/latency/{ms}", self.addresses.plain);
        self.http.put(url).send().await?.error_for_status()?;
        Ok(())
    }

    async fn get(&self, what: &str) -> anyhow::Result<String> {
        let url = format!("{}/control/{what}", self.addresses.plain);
        Ok(self.http.get(url).send().await?.error_for_status()?.text().await?)
    }
}
