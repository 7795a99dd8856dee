//! The two vendors with the simulator behind them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use receipt::AccountName;
use serde_json::{Value, json};
use simulator::{
    Account, Action, Certificate, Certificates, CheckOnlineFiles, Control, ErrorAnswer, Faults, Garbage, Point, Rule,
    Simulator,
};
use vendors::{AccountSettings, Registry, Vendor};

use crate::fake::{Fake, Nonsense, TOO_LONG, Trouble, timeouts};

/// One account at a simulated vendor.
pub(crate) struct Simulated {
    simulator: Option<Simulator>,
    control: Control,
    vendor: Arc<dyn Vendor>,
    folder: Folder,
    /// How this vendor says that a receipt is wrong.
    refusal: ErrorAnswer,
    expire: fn(&Control),
    renew: fn(&Control),
    secrets: Vec<String>,
}

/// A folder that is gone with its test.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("kassa-contract-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Both vendors in one simulator, quick.
pub(crate) async fn simulator(folder: &Folder) -> Simulator {
    Simulator::builder()
        .delay(Duration::ZERO, Duration::ZERO)
        .checkonline(CheckOnlineFiles::in_folder(&folder.0))
        .checkonline_delay(Duration::ZERO, Duration::ZERO)
        .start()
        .await
        .expect("a simulator")
}

/// An account by its section, as a stage gets it.
pub(crate) fn account(section: &Value) -> Arc<dyn Vendor> {
    let settings: AccountSettings = serde_json::from_value(section.clone()).expect("a section");
    let name = AccountName::parse("main").expect("an account name");
    let registry = Registry::build(&BTreeMap::from([(name.clone(), settings)]), timeouts()).expect("no faults");
    registry.get(&name).expect("it was just built")
}

/// The section of an account that shows this certificate.
pub(crate) fn section(simulator: &Simulator, which: Certificate) -> Value {
    let files = simulator.checkonline_files().expect("it was started");
    json!({
        "vendor": "checkonline",
        "url": simulator.checkonline_url(),
        "group": "north",
        "client_id": "shop-7",
        "cert_file": files.certificate(which),
        "key_file": files.key(which),
        "ca_file": files.ca(),
        "call": "3s",
        "ofd_url": "https://receipt.taxcom.ru/v01/show?fp={{fiscalSign}}&s={{sum}}",
    })
}

impl Simulated {
    pub(crate) async fn atol() -> Self {
        let folder = Folder::new();
        let simulator = simulator(&folder).await;
        let Account {
            group, login, password, ..
        } = Account::default();
        let vendor = account(&json!({
            "vendor": "atol",
            "url": simulator.atol_url(),
            "login": login,
            "password": password,
            "group_code": group,
        }));
        Self {
            control: simulator.control().clone(),
            simulator: Some(simulator),
            vendor,
            folder,
            refusal: ErrorAnswer::new("system", 32),
            expire: Control::expire_tokens,
            renew: |_| (),
            secrets: vec![password],
        }
    }

    pub(crate) async fn checkonline() -> Self {
        let folder = Folder::new();
        let simulator = simulator(&folder).await;
        let key = simulator
            .checkonline_files()
            .expect("it was started")
            .key(Certificate::North);
        Self {
            control: simulator.control().clone(),
            vendor: account(&section(&simulator, Certificate::North)),
            simulator: Some(simulator),
            secrets: vec![std::fs::read_to_string(key).expect("a key")],
            folder,
            refusal: ErrorAnswer::new("device", 51),
            expire: |control| revoke(control, Certificates::Revoked),
            renew: |control| revoke(control, Certificates::Alert),
        }
    }

    fn rule(&self, trouble: Trouble) -> Rule {
        let rule = |action| Rule::new(Point::Register, action).for_vendor(self.vendor.name().as_str());
        let status = |code, retry_after| Action::Status { code, retry_after };
        match trouble {
            Trouble::Refuses => rule(Action::Error(self.refusal.clone())),
            Trouble::Throttles(seconds) => rule(status(429, Some(seconds))),
            Trouble::AnswersLate => rule(Action::Nothing).after().delayed(TOO_LONG),
            Trouble::CutsBefore => rule(Action::Cut),
            Trouble::CutsAfter => rule(Action::Cut).after(),
            Trouble::Gateway => rule(status(502, None)),
            Trouble::Babbles(nonsense) => rule(Action::Garbage(match nonsense {
                Nonsense::Html => Garbage::Html,
                Nonsense::Half => Garbage::Truncated,
                Nonsense::NotUtf8 => Garbage::InvalidUtf8,
                Nonsense::Nothing => Garbage::Empty,
            }))
            .after(),
        }
    }
}

fn revoke(control: &Control, certificates: Certificates) {
    let faults = Faults {
        certificates,
        ..Faults::default()
    };
    control.set_faults(faults).expect("valid faults");
}

#[async_trait]
impl Fake for Simulated {
    fn vendor(&self) -> Arc<dyn Vendor> {
        Arc::clone(&self.vendor)
    }

    fn trouble(&self, trouble: Option<Trouble>) {
        let faults = Faults {
            rules: trouble.map(|trouble| self.rule(trouble)).into_iter().collect(),
            ..Faults::default()
        };
        self.control.set_faults(faults).expect("valid faults");
    }

    fn expire_credentials(&self) {
        (self.expire)(&self.control);
    }

    fn renew_credentials(&self) {
        (self.renew)(&self.control);
    }

    fn registered(&self, marker: &str) -> u32 {
        let books = self.control.books();
        books.registered_by_marker().get(marker).copied().unwrap_or(0)
    }

    fn secrets(&self) -> Vec<String> {
        self.secrets.clone()
    }

    async fn go_away(&mut self) {
        if let Some(simulator) = self.simulator.take() {
            simulator.stop().await;
        }
        // The files stay: it is the service that is away.
        assert!(self.folder.0.exists());
    }
}
