//! The vendors that there are, and the accounts that the configuration names.
//!
//! A new vendor is one line per match here, beside its folder; nothing else in the workspace knows its name.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use receipt::{AccountName, Text, VendorName};
use serde::{Deserialize, Serialize};

use crate::atol::{self, Atol, AtolSettings};
use crate::checkonline::{self, CheckOnline, CheckOnlineSettings};
use crate::http::{CallTimeouts, Http, UnusableHttp};
use crate::vendor::Vendor;

/// One `[accounts.<name>]` section. The key `vendor` says which vendor it is, the others are that vendor's own.
///
/// Serialising hides secrets, so that `check-config` can print what it read.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "vendor", rename_all = "lowercase")]
pub enum AccountSettings {
    /// ATOL Online.
    Atol(AtolSettings),
    /// `CheckOnline`.
    CheckOnline(CheckOnlineSettings),
}

/// The names that `vendor = "…"` may have.
pub const VENDORS: &[&str] = &[atol::NAME, checkonline::NAME];

impl AccountSettings {
    /// Whose account it is.
    #[must_use]
    pub fn vendor(&self) -> VendorName {
        match self {
            Self::Atol(_) => atol::name(),
            Self::CheckOnline(_) => checkonline::name(),
        }
    }

    /// What must not change while open rows name the account: a change would send their repetitions to another place.
    #[must_use]
    pub fn identity(&self) -> AccountIdentity {
        match self {
            Self::Atol(settings) => settings.identity(),
            Self::CheckOnline(settings) => settings.identity(),
        }
    }

    /// Everything in the section that cannot work, one sentence each, naming the key.
    #[must_use]
    pub fn faults(&self, timeouts: CallTimeouts) -> Vec<String> {
        match self {
            Self::Atol(settings) => settings.faults(),
            Self::CheckOnline(settings) => settings.faults(timeouts),
        }
    }
}

/// Which account at which vendor a section means. Secrets, which may change at any time, are no part of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AccountIdentity {
    /// The vendor.
    pub vendor: VendorName,
    /// Host, and port where it is not the usual one.
    pub host: String,
    /// The group of registers.
    pub group: String,
    /// Who we are to the vendor.
    pub login: String,
}

impl fmt::Display for AccountIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            vendor,
            host,
            group,
            login,
        } = self;
        write!(f, "{vendor} at {host}, group {group}, login {login}")
    }
}

/// All configured accounts, ready to be called.
#[derive(Clone)]
pub struct Registry {
    accounts: BTreeMap<AccountName, Arc<dyn Vendor>>,
}

/// Why no registry could be built.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The configuration cannot work. All faults at once, each beginning with its key.
    #[error("the accounts cannot be used: {}", .0.join("; "))]
    Faults(Vec<String>),
    /// The HTTP client could not be built.
    #[error(transparent)]
    Http(#[from] UnusableHttp),
}

impl Registry {
    /// Builds every account. They share connections, and accounts with the same host and login share a token.
    ///
    /// # Errors
    /// [`RegistryError::Faults`] with the faults of all sections.
    pub fn build(
        accounts: &BTreeMap<AccountName, AccountSettings>,
        timeouts: CallTimeouts,
    ) -> Result<Self, RegistryError> {
        let faults = faults(accounts, timeouts);
        if !faults.is_empty() {
            return Err(RegistryError::Faults(faults));
        }
        let http = Http::build(&timeouts)?;
        let mut atol_tokens = atol::Tokens::default();
        let build = |(name, settings): (&AccountName, &AccountSettings)| {
            let fault = |fault: String| RegistryError::Faults(vec![format!("accounts.{name}.{fault}")]);
            let vendor: Arc<dyn Vendor> = match settings {
                AccountSettings::Atol(settings) => {
                    Arc::new(Atol::new(settings, http.clone(), timeouts, &mut atol_tokens).map_err(fault)?)
                }
                AccountSettings::CheckOnline(settings) => {
                    Arc::new(CheckOnline::new(settings, timeouts).map_err(fault)?)
                }
            };
            Ok((name.clone(), vendor))
        };
        accounts
            .iter()
            .map(build)
            .collect::<Result<_, _>>()
            .map(|accounts| Self { accounts })
    }

    /// The account, or `None` when the configuration does not name it (any more).
    #[must_use]
    pub fn get(&self, account: &AccountName) -> Option<Arc<dyn Vendor>> {
        self.accounts.get(account).cloned()
    }

    /// The names of the accounts.
    pub fn accounts(&self) -> impl Iterator<Item = &AccountName> {
        self.accounts.keys()
    }

    /// The vendors that have an account here, in order: each has its queues.
    #[must_use]
    pub fn vendor_names(&self) -> Vec<VendorName> {
        self.accounts
            .values()
            .map(|vendor| vendor.name().clone())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect()
    }

    /// The longest call of any account: every lease must be longer. Zero without accounts.
    #[must_use]
    pub fn longest_call(&self) -> Duration {
        self.accounts
            .values()
            .map(|vendor| vendor.longest_call())
            .max()
            .unwrap_or_default()
    }
}

/// For tests of the stages, which bring vendors of their own.
impl FromIterator<(AccountName, Arc<dyn Vendor>)> for Registry {
    fn from_iter<I: IntoIterator<Item = (AccountName, Arc<dyn Vendor>)>>(accounts: I) -> Self {
        Self {
            accounts: accounts.into_iter().collect(),
        }
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.accounts.iter().map(|(account, vendor)| (account, vendor.name()));
        f.debug_map().entries(names).finish()
    }
}

/// Everything in the accounts that cannot work, each sentence beginning with its key.
#[must_use]
pub fn faults(accounts: &BTreeMap<AccountName, AccountSettings>, timeouts: CallTimeouts) -> Vec<String> {
    let of_timeouts = timeouts.faults().into_iter().map(|fault| format!("timeouts.{fault}"));
    let of_accounts = accounts.iter().flat_map(|(name, settings)| {
        settings
            .faults(timeouts)
            .into_iter()
            .map(move |fault| format!("accounts.{name}.{fault}"))
    });
    of_timeouts.chain(of_accounts).collect()
}

/// A vendor's code as its table has it, for documents, settings and people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KnownCode {
    /// The vendor's error type.
    pub kind: String,
    /// The code.
    pub code: String,
    /// The class that the code has for a receipt, as `attempts.class` spells it; of several places the one where the
    /// vendor judges the receipt.
    pub class: &'static str,
    /// Whether it proves that nothing was registered under the id.
    pub proves_dead: bool,
    /// What happened.
    pub cause: Text,
    /// What to do about it.
    pub cure: Text,
    /// Where the vendor documents it.
    pub source: &'static str,
}

/// Every code of a vendor, or nothing for a name that is not in [`VENDORS`].
#[must_use]
pub fn known_codes(vendor: &VendorName) -> Vec<KnownCode> {
    match vendor.as_str() {
        atol::NAME => atol::known_codes(),
        checkonline::NAME => checkonline::known_codes(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(toml_like: &str) -> Result<AccountSettings, serde_json::Error> {
        serde_json::from_str(toml_like)
    }

    const GOOD: &str = r#"{"vendor":"atol","url":"https://online.atol.ru/possystem/v4","login":"lavka","password":"pw-7","group_code":"lavka_4410"}"#;

    fn named(name: &str, settings: AccountSettings) -> BTreeMap<AccountName, AccountSettings> {
        BTreeMap::from([(AccountName::parse(name).expect("an account name"), settings)])
    }

    #[test]
    fn a_section_is_read_by_its_vendor_and_tells_who_it_is() {
        let settings = account(GOOD).expect("an account");
        assert!(settings.faults(CallTimeouts::default()).is_empty());
        assert_eq!(settings.vendor().as_str(), "atol");
        assert_eq!(
            settings.identity().to_string(),
            "atol at online.atol.ru, group lavka_4410, login lavka"
        );
        let registry = Registry::build(&named("main", settings), CallTimeouts::default()).expect("no faults");
        let names = registry.vendor_names();
        assert_eq!(names, [atol::name()]);
        assert_eq!(registry.longest_call(), Duration::from_secs(31));
        assert_eq!(
            registry
                .get(&AccountName::parse("main").expect("an account name"))
                .map(|it| it.name().clone()),
            Some(atol::name())
        );
        assert!(
            registry
                .get(&AccountName::parse("other").expect("an account name"))
                .is_none()
        );
    }

    #[test]
    fn an_account_whose_files_are_missing_keeps_nobody_from_starting() {
        let second: AccountSettings = account(SECOND).expect("an account");
        let accounts = BTreeMap::from([
            (
                AccountName::parse("main").expect("an account name"),
                account(GOOD).expect("an account"),
            ),
            (AccountName::parse("second").expect("an account name"), second.clone()),
        ]);
        let registry = Registry::build(&accounts, CallTimeouts::default()).expect("no faults");
        let names: Vec<_> = registry.vendor_names().iter().map(ToString::to_string).collect();
        assert_eq!(names, VENDORS);
        assert_eq!(
            registry.longest_call(),
            Duration::from_secs(91),
            "the service may take its time"
        );
        let shorter = SECOND.replace("\"group\"", "\"call\":\"20s\",\"group\"");
        let shorter = named("second", account(&shorter).expect("an account"));
        let registry = Registry::build(&shorter, CallTimeouts::default()).expect("no faults");
        assert_eq!(registry.longest_call(), Duration::from_secs(21));
        assert_eq!(
            second.identity().to_string(),
            "checkonline at kkt.chekonline.ru, group north, client shop-7, login shop-7"
        );
        let printed = serde_json::to_string(&second).expect("a document");
        assert!(!format!("{printed} {second:?}").contains("k3y-pass"), "{printed}");
        for name in VENDORS {
            assert!(
                known_codes(&VendorName::parse(name).expect("a name")).len() > 50,
                "{name}"
            );
        }
    }

    const SECOND: &str = r#"{"vendor":"checkonline","url":"https://kkt.chekonline.ru","group":"north","client_id":"shop-7",
        "cert_file":"/nowhere/client.pem","key_file":"/nowhere/client.key","key_passphrase":"k3y-pass",
        "ofd_url":"https://receipt.taxcom.ru/v01/show?fp={{fiscalSign}}&s={{sum}}","tax_ids":{"vat22":11}}"#;

    #[test]
    fn another_point_of_sale_is_another_account_and_a_new_certificate_is_not() {
        let identity = |text: &str| account(text).expect("an account").identity();
        for (old, new) in [
            ("north", "south"),
            ("shop-7", "shop-8"),
            ("kkt.", "kkt4."),
            ("\"client_id\":\"shop-7\",", ""),
        ] {
            assert!(SECOND.contains(old));
            assert_ne!(
                identity(SECOND).group + &identity(SECOND).host,
                identity(&SECOND.replace(old, new)).group + &identity(&SECOND.replace(old, new)).host,
                "{new}"
            );
        }
        assert_eq!(identity(SECOND), identity(&SECOND.replace("/nowhere/", "/elsewhere/")));
    }

    #[test]
    fn faults_of_files_and_templates_name_key_and_cure() {
        let broken = r#"{"vendor":"checkonline","url":"http://127.0.0.1:4444","group":"","client_id":"a b","cert_file":"",
            "key_file":"","ca_file":"","key_passphrase":"","ofd_url":"https://ofd.example/{{fn}}","cashier_number":99,
            "timezone":12,"call":"5s","tax_ids":{"vat22":0}}"#;
        let faults = account(broken).expect("an account").faults(CallTimeouts::default());
        let keys = [
            "url",
            "call",
            "group",
            "client_id",
            "cert_file",
            "key_file",
            "ca_file",
            "key_passphrase",
            "ofd_url",
            "cashier_number",
            "timezone",
            "tax_ids.vat22",
        ];
        assert_eq!(faults.len(), keys.len(), "{faults:?}");
        for (fault, key) in faults.iter().zip(keys) {
            assert!(fault.starts_with(&format!("{key}: ")), "{fault}");
        }
    }

    #[test]
    fn a_new_password_is_not_another_account() {
        let changed = account(&GOOD.replace("pw-7", "pw-8")).expect("an account").identity();
        assert_eq!(account(GOOD).expect("an account").identity(), changed);
        for (old, new) in [
            ("lavka_4410", "lavka_4411"),
            ("\"lavka\"", "\"other\""),
            ("online.", "testonline."),
        ] {
            let other = account(&GOOD.replace(old, new)).expect("an account").identity();
            assert_ne!(changed, other, "{new}");
        }
    }

    #[test]
    fn unknown_keys_and_vendors_are_refused_by_name() {
        for (from, to, named) in [
            ("\"login\"", "\"user\":1,\"login\"", "user"),
            ("\"atol\"", "\"acme\"", "acme"),
            ("\"login\":\"lavka\",", "", "login"),
        ] {
            let error = account(&GOOD.replace(from, to)).expect_err("refused").to_string();
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn all_faults_are_told_at_once_each_by_its_key() {
        for (url, fault) in [
            ("online.atol.ru", "url: is not a URL"),
            ("ftp://online.atol.ru/", "url: must begin with https://"),
            (
                "http://online.atol.ru/possystem/v4",
                "url: http would send the password in the clear",
            ),
            ("http://8.8.8.8/possystem/v4", "url: http would send"),
            ("https://u:p@online.atol.ru/", "url: must have no user"),
            ("https://online.atol.ru/?v=4", "url: must have no user, no query"),
        ] {
            let faults = account(&GOOD.replace("https://online.atol.ru/possystem/v4", url))
                .expect("an account")
                .faults(CallTimeouts::default());
            assert!(faults.len() == 1 && faults[0].starts_with(fault), "{url}: {faults:?}");
        }
        for url in [
            "http://127.0.0.1:8090/possystem/v4",
            "http://simulator:8090/possystem/v4",
            "http://[::1]:80/v4",
        ] {
            let settings = account(&GOOD.replace("https://online.atol.ru/possystem/v4", url)).expect("an account");
            assert!(settings.faults(CallTimeouts::default()).is_empty(), "{url}");
        }
        let empty = account(r#"{"vendor":"atol","url":"","login":"a b","password":"","group_code":"","source":"ё"}"#);
        let accounts = named("main", empty.expect("an account"));
        let timeouts = CallTimeouts {
            connect: Duration::ZERO,
            call: Duration::ZERO,
        };
        let error = Registry::build(&accounts, timeouts).expect_err("faults").to_string();
        for key in [
            "timeouts.connect",
            "timeouts.call",
            "main.url",
            "main.login",
            "main.password",
            "main.group_code",
            "main.source",
        ] {
            assert!(error.contains(key), "{key} in {error}");
        }
    }

    #[test]
    fn a_password_is_shown_by_nothing() {
        let settings = account(GOOD).expect("an account");
        let printed = serde_json::to_string(&settings).expect("a document");
        assert!(printed.contains(r#""password":"***""#), "{printed}");
        assert!(!format!("{settings:?} {printed}").contains("pw-7"));
    }

    #[test]
    fn the_codes_of_a_vendor_can_be_listed() {
        assert!(known_codes(&atol::name()).len() > 200);
        assert!(known_codes(&VendorName::parse("acme").expect("a name")).is_empty());
    }
}
