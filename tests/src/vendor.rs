//! The simulated vendor as a process of its own, and what a test asks of it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use serde::Deserialize;
use serde_json::Value;
use simulator::{Books, Certificate, CheckOnlineFiles};

use crate::process::Process;
use crate::urls;

/// A running `kassa-simulator`.
#[derive(Debug)]
pub struct Vendor {
    /// The process.
    pub process: Process,
    /// Base address of its ATOL Online v4, as an account's `url` has it.
    pub atol_url: String,
    /// Base address of its CheckOnline and the certificates for its clients, if it was started with
    /// `--checkonline-certs`.
    pub checkonline: Option<(String, CheckOnlineFiles)>,
    control: String,
    http: reqwest::Client,
}

#[derive(Deserialize)]
struct Ready {
    atol: String,
    checkonline: Option<String>,
    certificates: Option<PathBuf>,
    control: String,
}

impl Vendor {
    /// Starts one on a free port; `delay` is the time from a receipt to its document, such as `20ms..80ms`.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(folder: &Path, delay: &str, more: &[&str]) -> anyhow::Result<Self> {
        let program = urls::executable("KASSA_SIMULATOR_BIN", "kassa-simulator")?;
        let mut arguments = vec!["--listen", "127.0.0.1:0", "--atol-delay", delay];
        arguments.extend(more);
        let mut process = Process::start("simulator", &program, &arguments, folder)?;
        let ready: Ready = serde_json::from_str(&process.first_line().await?)?;
        Ok(Self {
            process,
            atol_url: ready.atol,
            checkonline: ready
                .checkonline
                .zip(ready.certificates.map(CheckOnlineFiles::in_folder)),
            control: ready.control,
            http: client()?,
        })
    }

    /// `host:port`, for a proxy.
    #[must_use]
    pub fn address(&self) -> &str {
        let (_, rest) = self.atol_url.split_once("://").unwrap_or(("", &self.atol_url));
        rest.split('/').next().unwrap_or(rest)
    }

    /// `host:port` of its CheckOnline, for a proxy.
    #[must_use]
    pub fn checkonline_address(&self) -> Option<&str> {
        let (url, _) = self.checkonline.as_ref()?;
        url.split_once("://").map(|(_, address)| address)
    }

    /// Sections of the configuration: an account `{name}` at its CheckOnline and a store of that name, with `more` lines
    /// in the store's section. `address` is a proxy's, if there is one.
    ///
    /// # Errors
    /// When it was started without `--checkonline-certs`.
    pub fn checkonline_sections(&self, name: &str, address: Option<&str>, more: &str) -> anyhow::Result<String> {
        let (url, files) = self.checkonline.as_ref().context("this vendor has no CheckOnline")?;
        let url = address.map_or_else(|| url.clone(), |address| format!("https://{address}"));
        let client = Certificate::North;
        let [cert, key, ca] = [files.certificate(client), files.key(client), files.ca()];
        let [cert, key, ca] = [cert.display(), key.display(), ca.display()];
        let inn = simulator::Account::default().inn;
        Ok(format!(
            r#"
[accounts.{name}]
vendor = "checkonline"
url = "{url}"
group = "north"
client_id = "{name}"
cert_file = "{cert}"
key_file = "{key}"
ca_file = "{ca}"
call = "2s"

[stores.{name}]
account = "{name}"
inn = "{inn}"
sno = "osn"
payment_address = "https://cloud.example"
company_email = "kassa@cloud.example"
{more}
"#
        ))
    }

    /// What it has really registered.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn books(&self) -> anyhow::Result<Books> {
        let answer = self
            .http
            .get(format!("{}/books", self.control))
            .send()
            .await?
            .error_for_status()?;
        Ok(serde_json::from_slice(&answer.bytes().await?)?)
    }

    /// Puts faults in force in place of those before; see the simulator's README for the document.
    ///
    /// # Errors
    /// When it does not take them.
    pub async fn set_faults(&self, faults: &Value) -> anyhow::Result<()> {
        let answer = self
            .http
            .put(format!("{}/faults", self.control))
            .json(faults)
            .send()
            .await?;
        let status = answer.status();
        ensure!(
            status.is_success(),
            "the simulator refused the faults: {}",
            answer.text().await?
        );
        Ok(())
    }

    /// Every token given out so far is expired.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn expire_tokens(&self) -> anyhow::Result<()> {
        self.http
            .post(format!("{}/tokens/expire", self.control))
            .send()
            .await?
            .error_for_status()?;
        Ok(())
    }

    /// No faults any more.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn clear_faults(&self) -> anyhow::Result<()> {
        self.http
            .delete(format!("{}/faults", self.control))
            .send()
            .await?
            .error_for_status()?;
        Ok(())
    }
}

/// An HTTP client for loopback.
///
/// # Errors
/// When it cannot be built.
pub fn client() -> anyhow::Result<reqwest::Client> {
    // The client wants a TLS provider even for plain HTTP; a second install only says that there is one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(10))
        .build()
        .context("an HTTP client")
}
