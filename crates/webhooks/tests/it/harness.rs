//! Settings, names and dispatchers of a test.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ledger::Ledger;
use receipt::{SigningSecret, StoreCode, StoreSettings, WebhookSettings};
use tokio_util::sync::CancellationToken;
use webhooks::{Client, Config, Dispatcher, Endpoint, Looking, Lookup};

use crate::receiver::Authority;

pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
pub(crate) const NEXT_SECRET: &str = "whsec_bmV4dCBuZXh0IG5leHQgbmV4dCBuZXh0IG5leHQ=";

/// The CA's certificate in a file, which goes with the value.
pub(crate) struct CaFile(PathBuf);

impl CaFile {
    pub(crate) fn of(authority: &Authority) -> Self {
        let path = std::env::temp_dir().join(format!("kassa-ca-{}.pem", uuid::Uuid::new_v4().simple()));
        let mut file = std::fs::File::create(&path).expect("a file");
        file.write_all(authority.pem.as_bytes()).expect("written");
        Self(path)
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.clone()
    }
}

impl Drop for CaFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Loopback is allowed, one address of it; everything is quick.
pub(crate) fn config(ca: &CaFile) -> Config {
    Config {
        slots: 4,
        interval: Duration::from_millis(20),
        retry_intervals: vec![Duration::from_millis(10); 3],
        connect: Duration::from_secs(5),
        call: Duration::from_secs(20),
        keep: Duration::from_secs(86_400),
        allow_networks: vec!["127.0.0.1/32".parse().expect("a network")],
        allow_http: false,
        ca_file: Some(ca.path()),
    }
}

pub(crate) fn settings(url: &str, secrets: &[&str]) -> WebhookSettings {
    WebhookSettings {
        url: url.to_owned(),
        secrets: secrets.iter().map(|secret| SigningSecret::new(*secret)).collect(),
        events: Vec::new(),
    }
}

pub(crate) fn endpoint(url: &str) -> Endpoint {
    Endpoint::of(&settings(url, &[SECRET])).expect("an endpoint")
}

/// Stores with webhooks at these addresses.
pub(crate) fn stores(urls: &[(&str, String)]) -> BTreeMap<StoreCode, StoreSettings> {
    urls.iter()
        .map(|(code, url)| {
            let mut store: StoreSettings = serde_json::from_value(serde_json::json!({
                "account": "main", "inn": "7707083893", "sno": "osn", "payment_address": "https://shop.example",
                "company_email": "kassa@shop.example",
            }))
            .expect("settings of a store");
            store.webhook = Some(settings(url, &[SECRET]));
            (StoreCode::parse(code).expect("a store code"), store)
        })
        .collect()
}

/// Answers each question with the next list of addresses, and the last one for ever.
pub(crate) struct Names {
    answers: Vec<Vec<IpAddr>>,
    asked: Arc<AtomicUsize>,
}

impl Names {
    pub(crate) fn answering(answers: &[&[&str]]) -> (Arc<Self>, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let address = |text: &&str| text.parse().expect("an address");
        let names = Self {
            answers: answers.iter().map(|list| list.iter().map(address).collect()).collect(),
            asked: Arc::clone(&asked),
        };
        (Arc::new(names), asked)
    }

    pub(crate) fn loopback() -> Arc<Self> {
        Self::answering(&[&["127.0.0.1"]]).0
    }
}

impl Lookup for Names {
    fn lookup(&self, _: String) -> Looking {
        let place = self.asked.fetch_add(1, Ordering::SeqCst);
        let answer = self.answers[place.min(self.answers.len() - 1)].clone();
        Box::pin(async move { Ok(answer) })
    }
}

pub(crate) fn client(config: &Config) -> Client {
    Client::with_lookup(config, Names::loopback()).expect("a client")
}

/// A dispatcher in a process of its own, as it were.
pub(crate) fn dispatcher(
    config: &Config,
    stores: &BTreeMap<StoreCode, StoreSettings>,
    ledger: Ledger,
) -> (Dispatcher, CancellationToken) {
    let stop = CancellationToken::new();
    let dispatcher = Dispatcher::new(config.clone(), stores, ledger, client(config), stop.clone());
    (dispatcher, stop)
}
