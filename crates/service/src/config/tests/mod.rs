//! The type that the tests read, and what is given to it.

mod environment;
mod faults;
mod layers;
mod secrets;

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

use super::{Loaded, Sources, duration, durations, load};

const DEFAULTS: &str = r#"
[database]
max_connections = 10   # per process

[stores]
"#;

#[derive(Debug, Deserialize)]
struct Config {
    database: Database,
    #[serde(default)]
    accounts: BTreeMap<String, Account>,
    #[serde(default)]
    stores: BTreeMap<String, Store>,
}

#[derive(Debug, Deserialize)]
struct Database {
    url: Url,
    max_connections: NonZeroU16,
    #[serde(default)]
    statement_log: bool,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "vendor", rename_all = "lowercase", deny_unknown_fields)]
enum Account {
    Paper {
        login: String,
        password: SecretString,
        slots: Option<u32>,
    },
    Stone {
        cert_file: PathBuf,
        ratio: f64,
    },
}

#[derive(Debug, Deserialize)]
struct Store {
    inn: String,
    #[serde(default)]
    codes: Vec<u16>,
    #[serde(default, with = "durations")]
    retry_intervals: Vec<Duration>,
    #[serde(default, with = "duration")]
    resume_after: Option<Duration>,
    sno: Option<Sno>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Sno {
    Osn,
    UsnIncome,
}

struct Given {
    sources: Sources,
    folder: PathBuf,
}

impl Drop for Given {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A minimal working environment and the given variables; `$DIR` in a value is a folder of the test's own.
fn given(variables: &[(&str, &str)]) -> Given {
    let thread = std::thread::current();
    let name = thread.name().unwrap().replace(':', "-");
    let folder = std::env::temp_dir().join(format!("kassa-config-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let dir = folder.to_str().unwrap().to_owned();
    let mut environment = vec![("PATH".to_owned(), "/bin".to_owned())];
    if !variables.iter().any(|(name, _)| name.contains("DATABASE")) {
        environment.push((
            "KASSA_DATABASE__URL".to_owned(),
            "postgres://localhost/kassa".to_owned(),
        ));
    }
    environment.extend(
        variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.replace("$DIR", &dir))),
    );
    Given {
        sources: Sources::new(environment).defaults(DEFAULTS),
        folder,
    }
}

impl Given {
    fn file(mut self, text: &str) -> Given {
        let path = self.path("kassa.toml");
        std::fs::write(&path, text).unwrap();
        self.sources = self.sources.clone().file(path);
        self
    }

    fn secret(self, name: &str, text: &str) -> Given {
        std::fs::write(self.path(name), text).unwrap();
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn load(&self) -> Loaded<Config> {
        load(self.sources.clone()).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The faults, with the test's folder left out.
    fn faults(&self) -> Vec<String> {
        let error = load::<Config>(self.sources.clone()).unwrap_err();
        let dir = format!("{}/", self.folder.display());
        error
            .faults()
            .iter()
            .map(|fault| fault.to_string().replace(&dir, ""))
            .collect()
    }
}

const STORE: &str = "[stores.main]\ninn = \"7701234567\"\n";
