//! The sections `[mail]` and `[reports.<store>]`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use lettre::message::Mailbox;
use receipt::{StoreCode, StoreSettings};
use secrecy::SecretString;
use serde::Deserialize;

use crate::language::Language;
use crate::mail::{Layout, Mailer};
use crate::schedule::Schedule;

/// How the connection to the server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    /// It begins in plain text and must be encrypted before anything is said.
    StartTls,
    /// It is encrypted from the first byte.
    Tls,
    /// It is not encrypted. Only for a server on this machine.
    None,
}

/// The section `[mail]`: where mail is handed over.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailConfig {
    /// Name or address of the server; without it nothing is mailed.
    #[serde(default)]
    pub server: Option<String>,
    /// Its port, if it is not the usual one of `tls`.
    #[serde(default)]
    pub port: Option<u16>,
    /// How the connection is protected.
    pub tls: Tls,
    /// Whom to log in as.
    #[serde(default)]
    pub user: Option<String>,
    /// With which password.
    #[serde(default)]
    pub password: Option<SecretString>,
    /// Who writes.
    #[serde(default)]
    pub from: Option<String>,
    /// Who is answered, if not the one who writes.
    #[serde(default)]
    pub reply_to: Option<String>,
    /// Root certificates beside Mozilla's, in PEM.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// For everything up to the mail itself, and once more for its answer.
    #[serde(with = "service::config::duration")]
    pub timeout: Duration,
    /// How often there is a look for something to do.
    #[serde(with = "service::config::duration")]
    pub interval: Duration,
    /// The waits after tries that came to nothing; the last one repeats.
    #[serde(with = "service::config::durations")]
    pub retry_intervals: Vec<Duration>,
    /// How long a mail is tried that no server takes.
    #[serde(with = "service::config::duration")]
    pub give_up_after: Duration,
    /// How long a stopping process waits for mails under way.
    #[serde(with = "service::config::duration")]
    pub drain: Duration,
}

/// When a scheduled report is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wanted {
    /// Also when all is well: silence could mean anything.
    #[default]
    Always,
    /// Only when a person must act, or what was told has changed.
    Problems,
    /// Not by schedule; a command still mails.
    Never,
}

/// One section `[reports.<store>]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportSettings {
    /// To whom reports go, each in a mail of its own.
    #[serde(default)]
    pub recipients: Vec<String>,
    /// In which language.
    #[serde(default)]
    pub language: Language,
    /// Whether scheduled reports are sent.
    #[serde(default)]
    pub send: Wanted,
    /// When yesterday is reported, as cron has it, in the store's time zone; `never` switches it off.
    #[serde(default = "daily")]
    pub daily: String,
    /// When last week is.
    #[serde(default = "weekly")]
    pub weekly: String,
    /// A layout instead of the built-in one.
    #[serde(default)]
    pub template: Option<PathBuf>,
    /// Whether the register is attached as a workbook.
    #[serde(default = "yes")]
    pub attach: bool,
    /// Where a person sees one receipt; `{id}` stands for its id.
    #[serde(default)]
    pub receipt_link: Option<String>,
    /// Where a person sees all of them; `{store}`, `{from}` and `{until}` stand for what is reported.
    #[serde(default)]
    pub list_link: Option<String>,
    /// To whom alerts go.
    #[serde(default)]
    pub alerts: Vec<String>,
    /// How long nobody is alerted of the same cause again.
    #[serde(default = "one_hour", with = "service::config::duration")]
    pub alert_period: Duration,
}

fn daily() -> String {
    "7 0 * * *".to_owned()
}

fn weekly() -> String {
    "7 0 * * 1".to_owned()
}

fn yes() -> bool {
    true
}

fn one_hour() -> Duration {
    Duration::from_secs(3600)
}

/// What tells of the receipts of a store without a section of its own, by command.
impl Default for ReportSettings {
    fn default() -> Self {
        Self {
            recipients: Vec::new(),
            language: Language::default(),
            send: Wanted::default(),
            daily: daily(),
            weekly: weekly(),
            template: None,
            attach: yes(),
            receipt_link: None,
            list_link: None,
            alerts: Vec::new(),
            alert_period: one_hour(),
        }
    }
}

impl MailConfig {
    /// The defaults of this section, commented.
    pub const DEFAULTS: &'static str = include_str!("defaults.toml");

    /// The port that is connected to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(match self.tls {
            Tls::StartTls => 587,
            Tls::Tls => 465,
            Tls::None => 25,
        })
    }

    /// Everything that cannot work in this section and in those of the stores, one sentence each, naming the key.
    #[must_use]
    pub fn faults(
        &self,
        reports: &BTreeMap<StoreCode, ReportSettings>,
        stores: &BTreeMap<StoreCode, StoreSettings>,
    ) -> Vec<String> {
        let mut faults = Vec::new();
        for (key, time) in [
            ("timeout", self.timeout),
            ("interval", self.interval),
            ("give_up_after", self.give_up_after),
        ] {
            if time.is_zero() {
                faults.push(format!("mail.{key}: must be above 0"));
            }
        }
        if self.retry_intervals.is_empty() || self.retry_intervals.iter().any(Duration::is_zero) {
            faults.push("mail.retry_intervals: must name at least one wait, and each must be above 0".to_owned());
        }
        if self.user.is_some() != self.password.is_some() {
            faults.push("mail.user: goes together with mail.password; set both or neither".to_owned());
        }
        if self.server.is_some() && self.from.is_none() {
            faults.push("mail.from: must say who writes when there is a mail.server".to_owned());
        }
        for (key, text) in [("from", &self.from), ("reply_to", &self.reply_to)] {
            faults.extend(
                text.iter()
                    .filter_map(|text| address_fault(text))
                    .map(|fault| format!("mail.{key}: {fault}")),
            );
        }
        if let Err(unusable) = Mailer::build(self) {
            faults.push(format!("mail.{}: {}", unusable.key(), service::error::chain(&unusable)));
        }
        for (code, settings) in reports {
            let own = settings.faults(self, stores.get(code));
            faults.extend(own.into_iter().map(|fault| format!("reports.{code}{fault}")));
        }
        faults
    }
}

impl ReportSettings {
    /// The schedules of a store with these settings.
    ///
    /// # Errors
    /// For each that is no pattern the key and what is wrong.
    pub fn schedules(&self, store: &StoreSettings) -> Result<Vec<Schedule>, Vec<(&'static str, String)>> {
        let (schedules, faults) = Schedule::all_of(self, store);
        if faults.is_empty() { Ok(schedules) } else { Err(faults) }
    }

    fn faults(&self, mail: &MailConfig, store: Option<&StoreSettings>) -> Vec<String> {
        let mut faults = Vec::new();
        let Some(store) = store else {
            return vec![": there is no such store".to_owned()];
        };
        let any = !self.recipients.is_empty() || !self.alerts.is_empty();
        if any && mail.server.is_none() {
            faults.push(": has recipients, but mail.server is not set".to_owned());
        }
        for (key, addresses) in [("recipients", &self.recipients), ("alerts", &self.alerts)] {
            for (place, address) in addresses.iter().enumerate() {
                faults.extend(address_fault(address).map(|fault| format!(".{key}[{place}]: {fault}")));
            }
        }
        if let Err(wrong) = self.schedules(store) {
            faults.extend(wrong.into_iter().map(|(key, fault)| format!(".{key}: {fault}")));
        }
        if let Err(error) = Layout::of(self.template.as_deref()) {
            faults.push(format!(".template: {}", service::error::chain(&error)));
        }
        for (key, link, holes) in [
            ("receipt_link", &self.receipt_link, &["{id}"][..]),
            ("list_link", &self.list_link, &[][..]),
        ] {
            let Some(link) = link else { continue };
            if !link.starts_with("https://") && !link.starts_with("http://") {
                faults.push(format!(".{key}: must begin with https://"));
            }
            let missing = holes.iter().filter(|hole| !link.contains(**hole));
            faults.extend(missing.map(|hole| format!(".{key}: must hold {hole}")));
        }
        if self.alert_period.as_secs() < 1 {
            faults.push(".alert_period: must be at least 1s".to_owned());
        }
        faults
    }
}

fn address_fault(text: &str) -> Option<String> {
    let error = text.parse::<Mailbox>().err()?;
    Some(format!(
        "{text:?} is not an address such as \"Name <name@shop.example>\": {error}"
    ))
}
