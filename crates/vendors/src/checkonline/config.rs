//! `[accounts.<name>]` with `vendor = "checkonline"`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use receipt::Vat;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};
use url::Url;

use super::link::LinkTemplate;
use crate::http::CallTimeouts;
use crate::registry::AccountIdentity;

/// The service may look for a register for 25 seconds (five tries) or wait for a busy one for 60, and then it prints.
const LONGEST_ANSWER: Duration = Duration::from_secs(90);

/// What `CheckOnline` knows about an account.
///
/// The files are read when they are first needed and again whenever they have changed, so a renewed certificate needs
/// no restart, and an account whose files are missing stops nobody else.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckOnlineSettings {
    /// The service's address as the cabinet shows it, without a path: `https://kkt.chekonline.ru`.
    pub url: String,
    /// The enterprise. The service takes it from the certificate; it must be given when one certificate serves several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The point of sale. A part of what the service knows a repetition by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Our certificate, PEM; its chain may follow in the same file.
    pub cert_file: PathBuf,
    /// Its private key, PEM: PKCS#8 (encrypted or not), PKCS#1 or SEC1.
    pub key_file: PathBuf,
    /// The passphrase of an encrypted key.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "hidden")]
    pub key_passphrase: Option<SecretString>,
    /// Root certificates, PEM, to check the service's own certificate against, beside the usual ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// The page that shows a receipt to the buyer, with `{{fnSerialNumber}}`, `{{fiscalDocNumber}}`, `{{fiscalSign}}`,
    /// `{{docNumber}}`, `{{sum}}`, `{{dateTime}}` and `{{qr}}` in it. The service gives no link of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ofd_url: Option<String>,
    /// `Password` of the cashier in the register, 1 to 31 (manual 3.2.0).
    #[serde(default = "first_cashier")]
    pub cashier_number: u32,
    /// `Timezone`, the code of the settlement's time zone (tag 1011): 1 is UTC+2, 2 is Moscow, to 11. Not sent unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<u8>,
    /// Asks for the whole document in the answer; the shift's number comes with it.
    #[serde(default)]
    pub full_response: bool,
    /// For one call, in place of `calls.call`: this service may hold a request while it looks for a register, and a call
    /// that is given up before it is answered leaves a doubt. Default 90 seconds.
    #[serde(default = "longest_answer", with = "humantime_serde")]
    pub call: Duration,
    /// `TaxId` by rate, where the service numbers them otherwise than we know. The codes of `vat22` and `vat122` follow
    /// from the numbering and are in no document that we have read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tax_ids: BTreeMap<Vat, u8>,
}

fn first_cashier() -> u32 {
    1
}

const fn longest_answer() -> Duration {
    LONGEST_ANSWER
}

fn hidden<S: Serializer>(_: &Option<SecretString>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str("***")
}

impl CheckOnlineSettings {
    /// The limits of a call of this account.
    pub(super) const fn timeouts(&self, general: CallTimeouts) -> CallTimeouts {
        CallTimeouts {
            call: self.call,
            ..general
        }
    }

    /// Host, and the parts of the key under which the service remembers answers.
    pub(crate) fn identity(&self) -> AccountIdentity {
        let host = match self.base() {
            Ok(url) => match (url.host_str().unwrap_or_default(), url.port()) {
                (host, Some(port)) => format!("{host}:{port}"),
                (host, None) => host.to_owned(),
            },
            Err(_) => self.url.clone(),
        };
        let group = self.group.as_deref().unwrap_or("of the certificate");
        let client = self.client_id.as_deref().unwrap_or_default();
        AccountIdentity {
            vendor: super::name(),
            host,
            // Another client id makes every id unknown to the service, as another group does.
            group: match client {
                "" => group.to_owned(),
                client => format!("{group}, client {client}"),
            },
            login: client.to_owned(),
        }
    }

    pub(crate) fn faults(&self, general: CallTimeouts) -> Vec<String> {
        let mut faults: Vec<String> = self.base().err().into_iter().collect();
        if !general.connect.is_zero() && self.call <= general.connect {
            faults.push("call: must be longer than calls.connect".to_owned());
        }
        for (key, value) in [("group", &self.group), ("client_id", &self.client_id)] {
            if value.as_deref().is_some_and(|value| !is_name(value)) {
                faults.push(format!(
                    "{key}: must have 1 to 64 visible ASCII characters; leave it out if there is none"
                ));
            }
        }
        let of_files = [
            ("cert_file", Some(&self.cert_file)),
            ("key_file", Some(&self.key_file)),
            ("ca_file", self.ca_file.as_ref()),
        ];
        for (key, path) in of_files {
            if path.is_some_and(|path| path.as_os_str().is_empty()) {
                faults.push(format!(
                    "{key}: must name a PEM file; it is downloaded from the cabinet"
                ));
            }
        }
        if self
            .key_passphrase
            .as_ref()
            .is_some_and(|text| text.expose_secret().is_empty())
        {
            faults.push("key_passphrase: must not be empty; leave it out if the key is not encrypted".to_owned());
        }
        if let Some(Err(fault)) = self.ofd_url.as_deref().map(LinkTemplate::parse) {
            faults.push(format!("ofd_url: {fault}"));
        }
        if !(1..=31).contains(&self.cashier_number) {
            faults.push("cashier_number: must be 1 to 31".to_owned());
        }
        if self.timezone.is_some_and(|code| !(1..=11).contains(&code)) {
            faults.push("timezone: must be 1 (UTC+2) to 11 (UTC+12); Moscow is 2".to_owned());
        }
        for (vat, id) in &self.tax_ids {
            if *id == 0 {
                faults.push(format!(
                    "tax_ids.{vat}: must be a code from 1 on; the service knows no 0"
                ));
            }
        }
        faults
    }

    /// The address, parsed; or the fault in it.
    pub(super) fn base(&self) -> Result<Url, String> {
        let url = Url::parse(&self.url).map_err(|error| format!("url: is not a URL ({error})"))?;
        if url.scheme() != "https" || !url.has_host() {
            return Err("url: must begin with https:// and a host; the service knows us by our certificate".to_owned());
        }
        if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
            return Err("url: must have no user, no query and no fragment".to_owned());
        }
        Ok(url)
    }
}

fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}
