//! A real mail server in another language, which keeps what arrives: `tests/clients/smtp.py`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use serde::Deserialize;
use serde_json::Value;

use crate::process::Process;
use crate::wait;

/// The login that it knows.
pub const USER: &str = "kassa";
/// And its password.
pub const PASSWORD: &str = "the-password-of-the-test";
const LIMIT: Duration = Duration::from_secs(60);

/// A mail as the parser of Python sees it.
#[derive(Debug, Clone, Deserialize)]
pub struct Arrived {
    /// The headers, by their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// What the parser found wrong.
    pub defects: Vec<String>,
    /// In bytes.
    pub longest_line: usize,
    /// The types of the parts.
    pub shape: Value,
    /// The text part.
    pub text: Option<String>,
    /// The HTML part.
    pub html: Option<String>,
    /// The files.
    pub attachments: Vec<AttachedFile>,
    /// From whom, on the envelope.
    pub from: String,
    /// To whom, on the envelope.
    pub to: Vec<String>,
    /// Whether the connection was encrypted.
    pub encrypted: bool,
    /// Whether somebody had logged in.
    pub authenticated: bool,
}

/// A file of a mail.
#[derive(Debug, Clone, Deserialize)]
pub struct AttachedFile {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// What is in it.
    pub base64: String,
}

impl Arrived {
    /// A header; empty without one.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// How it is spoken to.
#[derive(Debug, Clone)]
pub enum Protection {
    /// STARTTLS and a login; the certificate and its key, in PEM files.
    StartTls(PathBuf, PathBuf),
    /// TLS from the first byte, and a login.
    Tls(PathBuf, PathBuf),
    /// Neither.
    None,
}

/// The server. What it kept stays when it is down.
#[derive(Debug)]
pub struct MailServer {
    /// Its port, the same after it was down.
    pub port: u16,
    folder: PathBuf,
    protection: Protection,
    process: Option<Process>,
}

impl MailServer {
    /// Starts one that keeps its mails in a folder of its own in `folder`.
    ///
    /// # Errors
    /// When there is no Python with aiosmtpd.
    pub async fn start(folder: &Path, protection: Protection) -> anyhow::Result<Self> {
        let folder = folder.join("mails");
        std::fs::create_dir_all(&folder)?;
        let mut server = Self {
            port: 0,
            folder,
            protection,
            process: None,
        };
        server.up().await?;
        Ok(server)
    }

    /// Starts it at its port.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn up(&mut self) -> anyhow::Result<()> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/smtp.py");
        let port = self.port.to_string();
        let text = |path: &Path| path.to_str().map(ToOwned::to_owned).context("a path in UTF-8");
        let mut arguments = vec![text(&script)?, text(&self.folder)?, port];
        let secured = |word: &str, certificate: &Path, key: &Path| -> anyhow::Result<Vec<String>> {
            let words = [word.to_owned(), text(certificate)?, text(key)?];
            Ok(words
                .into_iter()
                .chain([USER.to_owned(), PASSWORD.to_owned()])
                .collect())
        };
        arguments.extend(match &self.protection {
            Protection::StartTls(certificate, key) => secured("starttls", certificate, key)?,
            Protection::Tls(certificate, key) => secured("tls", certificate, key)?,
            Protection::None => vec!["none".to_owned()],
        });
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut process = Process::start("smtp", &python().await?, &arguments, &self.folder)?;
        self.port = process.first_line().await?.trim().parse()?;
        self.process = Some(process);
        Ok(())
    }

    /// Takes it down. Nobody listens at its port.
    ///
    /// # Errors
    /// When it cannot be ended.
    pub async fn down(&mut self) -> anyhow::Result<()> {
        if let Some(mut process) = self.process.take() {
            process.kill().await?;
        }
        Ok(())
    }

    /// What it does with the next mails: `take`, `refuse`, `later`, `lost`, `hang`.
    ///
    /// # Errors
    /// When the plan cannot be written.
    pub fn plan(&self, words: &[&str]) -> anyhow::Result<()> {
        Ok(std::fs::write(self.folder.join("plan"), words.join(" "))?)
    }

    /// Everything that it has kept, in the order of arrival.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn arrived(&self) -> anyhow::Result<Vec<Arrived>> {
        let mut mails = Vec::new();
        loop {
            let path = self.folder.join(format!("{}.json", mails.len()));
            if !path.exists() {
                return Ok(mails);
            }
            mails.push(serde_json::from_slice(&std::fs::read(path)?)?);
        }
    }

    /// Waits for so many mails.
    ///
    /// # Errors
    /// When they do not come in time.
    pub async fn until_arrived(&self, count: usize) -> anyhow::Result<Vec<Arrived>> {
        wait::until(&format!("{count} mails"), LIMIT, || async {
            let mails = self.arrived()?;
            Ok((mails.len() >= count).then_some(mails))
        })
        .await
    }
}

/// The first Python that has aiosmtpd. Debian's package belongs to Debian's own interpreter, which need not be the first.
async fn python() -> anyhow::Result<PathBuf> {
    for candidate in ["python3", "/usr/bin/python3"] {
        let mut check = tokio::process::Command::new(candidate);
        check
            .args(["-c", "import aiosmtpd"])
            .stderr(std::process::Stdio::null());
        if check.status().await.is_ok_and(|status| status.success()) {
            return Ok(PathBuf::from(candidate));
        }
    }
    anyhow::bail!("this test needs a mail server: apt-get install python3-aiosmtpd")
}
