//! kassa as a contender: its defaults, a database and the vendor's addresses.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use kassa_tests::process::Process;
use kassa_tests::{fleet, urls, wait};

use super::vendor::Addresses;

/// What all its names at the broker begin with. One prefix serves all runs: each begins with empty queues.
pub(crate) const PREFIX: &str = "bench";

/// The queues that a run may leave something in.
pub(crate) const QUEUES: [&str; 6] = [
    "intake",
    "dead",
    "send.checkonline",
    "retry.checkonline",
    "send.atol",
    "retry.atol",
];

/// A configured fleet. What stands in the environment as `KASSA_…` goes into its processes, so that a setting can be
/// tried out: `KASSA_SENDER__SLOTS=256 cargo xtask bench --only kassa`.
pub(crate) struct Kassa {
    program: PathBuf,
    config: PathBuf,
    folder: PathBuf,
}

impl Kassa {
    /// Writes the configuration and declares the topology.
    pub(crate) async fn configure(
        folder: &Path,
        database_url: &str,
        amqp_url: &str,
        vendor: &Addresses,
    ) -> anyhow::Result<Self> {
        let kassa = Self {
            program: urls::executable("KASSA_BIN", "kassa")?,
            config: folder.join("kassa.toml"),
            folder: folder.to_path_buf(),
        };
        std::fs::write(&kassa.config, settings(database_url, amqp_url, vendor))?;
        kassa.command(&["topology", "apply"]).await?;
        Ok(kassa)
    }

    async fn command(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let output = tokio::process::Command::new(&self.program)
            .arg("--config")
            .arg(&self.config)
            .args(arguments)
            .env_remove("DATABASE_URL")
            .env_remove("AMQP_URL")
            .output()
            .await?;
        ensure!(
            output.status.success(),
            "kassa {} failed: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }

    /// Starts a role without waiting for anything.
    pub(crate) fn start(&self, role: &str, environment: &[(&str, &str)]) -> anyhow::Result<Process> {
        let config = self.config.to_str().context("a path in UTF-8")?;
        Process::start_with(
            role,
            &self.program,
            &["--config", config, "run", role],
            &self.folder,
            environment,
        )
    }

    /// The same, and waits until it is ready.
    pub(crate) async fn start_ready(&self, role: &str, environment: &[(&str, &str)]) -> anyhow::Result<Process> {
        let mut process = self.start(role, environment)?;
        let ready = wait::until("readiness", Duration::from_secs(60), || async {
            Ok((fleet::probe(&process, "readyz").await? == Some(200)).then_some(()))
        })
        .await;
        ensure!(process.runs()?, "the role {role} has ended:\n{}", process.log());
        ready.with_context(|| process.log())?;
        Ok(process)
    }
}

fn settings(database_url: &str, amqp_url: &str, vendor: &Addresses) -> String {
    let [ca, certificate, key] = ["ca.pem", "client.pem", "client.key"].map(|name| vendor.file(name));
    let (ca, certificate, key) = (ca.display(), certificate.display(), key.display());
    let (plain, secure) = (&vendor.plain, &vendor.secure);
    let store = |name: &str| {
        format!(
            r#"
[stores.{name}]
account = "{name}"
inn = "5544332219"
sno = "osn"
payment_address = "https://shop.example"
company_email = "kassa@shop.example"
# Nothing is tried again here; these delays are the ones that the harness knows how to clear away.
retry_intervals = ["1s", "2s", "5s"]
"#
        )
    };
    format!(
        r#"
[log]
format = "json"

[health]
listen = "127.0.0.1:0"

[http]
listen = "127.0.0.1:0"
plain_on_loopback = true

[database]
url = "{database_url}"

[broker]
url = "{amqp_url}"
prefix = "{PREFIX}"

[accounts.main]
vendor = "checkonline"
url = "{secure}"
cert_file = "{certificate}"
key_file = "{key}"
ca_file = "{ca}"

[accounts.second]
vendor = "atol"
url = "{plain}/possystem/v4"
login = "bench"
password = "bench"
group_code = "bench"
{}{}"#,
        store("main"),
        store("second"),
    )
}
