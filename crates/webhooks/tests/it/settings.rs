//! What is refused before anything is sent.

use std::collections::BTreeMap;
use std::time::Duration;

use receipt::{StoreCode, StoreSettings};
use webhooks::Config;

use crate::harness::{CaFile, SECRET, config, settings, stores};
use crate::receiver::Authority;

fn faults_of(config: &Config, url: &str, secrets: &[&str]) -> Vec<String> {
    let mut stores = stores(&[("main", String::new())]);
    for store in stores.values_mut() {
        store.webhook = Some(settings(url, secrets));
    }
    config.faults(&stores)
}

#[test]
fn an_endpoint_must_be_https_and_public_unless_the_settings_say_otherwise() {
    let ca = CaFile::of(&Authority::new());
    let strict = Config {
        allow_networks: Vec::new(),
        ..config(&ca)
    };
    for (url, fault) in [
        ("https://shop.example/kassa", None),
        ("https://1.1.1.1/kassa", None),
        (
            "http://shop.example/kassa",
            Some("must be https (webhooks.allow_http is for tests)"),
        ),
        ("ftp://shop.example/kassa", Some("must be https and not ftp")),
        (
            "shop.example/kassa",
            Some("is not an address: relative URL without a base"),
        ),
        (
            "https://127.0.0.1/kassa",
            Some("127.0.0.1 is not a public address; name its network in webhooks.allow_networks if it is meant"),
        ),
        (
            "https://[fd00::1]/kassa",
            Some("fd00::1 is not a public address; name its network in webhooks.allow_networks if it is meant"),
        ),
    ] {
        let expected: Vec<String> = fault
            .map(|fault| format!("stores.main.webhook.url: {fault}"))
            .into_iter()
            .collect();
        assert_eq!(faults_of(&strict, url, &[SECRET]), expected, "{url}");
    }
    let lenient = Config {
        allow_http: true,
        ..config(&ca)
    };
    assert!(faults_of(&lenient, "http://127.0.0.1:8080/kassa", &[SECRET]).is_empty());
}

#[test]
fn secrets_that_sign_nothing_are_refused_and_not_shown() {
    let ca = CaFile::of(&Authority::new());
    let url = "https://shop.example/kassa";
    let none = faults_of(&config(&ca), url, &[]);
    assert!(
        none[0].starts_with("stores.main.webhook.secrets: must name at least one"),
        "{none:?}"
    );
    let faults = faults_of(&config(&ca), url, &[SECRET, "my password", "whsec_c2hvcnQ="]);
    assert_eq!(
        faults,
        [
            "stores.main.webhook.secrets[1]: must begin with whsec_",
            "stores.main.webhook.secrets[2]: must hold 24 to 64 random bytes, and holds 5",
        ]
    );
}

#[test]
fn the_section_itself_is_judged() {
    let ca = CaFile::of(&Authority::new());
    let none: BTreeMap<StoreCode, StoreSettings> = BTreeMap::new();
    assert!(config(&ca).faults(&none).is_empty());
    let wrong = Config {
        slots: 0,
        interval: Duration::ZERO,
        retry_intervals: vec![Duration::ZERO],
        call: Duration::from_secs(5),
        ca_file: Some("/nowhere/ca.pem".into()),
        ..config(&ca)
    };
    let faults = wrong.faults(&none);
    assert_eq!(
        faults,
        [
            "webhooks.slots: must be at least 1",
            "webhooks.interval: must be above 0",
            "webhooks.call: must be longer than webhooks.connect",
            "webhooks.retry_intervals: every wait must be above 0",
            "webhooks.ca_file: /nowhere/ca.pem cannot be read: No such file or directory (os error 2)",
        ]
    );
}

#[test]
fn an_endpoint_shows_its_host_and_neither_its_path_nor_its_secrets() {
    let endpoint = webhooks::Endpoint::of(&settings("https://shop.example:8443/hook/t0ken?k=1", &[SECRET]));
    let endpoint = endpoint.expect("an endpoint");
    assert_eq!(endpoint.host(), "shop.example:8443");
    assert!(!format!("{endpoint:?}").contains("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
}
