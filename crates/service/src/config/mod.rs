//! Layered configuration: compiled-in defaults, then a file, then the environment.
//!
//! Promised: a value is taken from the highest layer that sets it; a key that nobody reads is an error; all mistakes that
//! can be found are reported together, each with its full path and where it was written; no secret is ever shown.
//!
//! # The environment
//!
//! `KASSA_DATABASE__URL` sets `database.url`: two underscores nest, names are lower-cased. `KASSA_DATABASE__URL_FILE` names
//! a file that holds the value (line breaks at its end are dropped); setting both is an error. A key that really
//! ends in `_file` (`cert_file`) is set by its own name: the type that is read decides which of the two is meant.
//! `DATABASE_URL` and `AMQP_URL` stand for `database.url` and `broker.url`, below the `KASSA_` names and above the file.
//!
//! Numbers and booleans are written plainly, lists as `a,b,c` or, if an item holds a comma, as in TOML. An empty variable
//! is an absent optional value or an empty list.
//! A `-` in a name (`stores.my-shop`) is written as it is where the environment can hold it; elsewhere
//! `KASSA_STORES__MY_SHOP__INN` finds `stores.my-shop` if a lower layer has it and has no `stores.my_shop`.
//!
//! # Types
//!
//! Any type that serde can read. Unknown keys of every plain struct are found without further ado. A struct that serde reads through a buffer hides
//! its names, so internally tagged enums need `#[serde(deny_unknown_fields)]`, and `#[serde(flatten)]` is better avoided
//! (with it on the outer struct an unknown key is still refused, but one at a time, without a suggestion). Untagged enums see a text from the environment as a text.

pub mod durations;
mod environment;
mod fault;
mod file;
mod node;
mod reader;
mod reading;
mod redact;
mod resolve;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::de::DeserializeOwned;

pub use fault::{ConfigError, Fault};
/// One duration as people write it, `90s` or `1d 12h`, for `Duration` and `Option<Duration>` fields:
/// `#[serde(with = "service::config::duration")]`.
pub use humantime_serde as duration;
use node::{Node, Origin};

/// Read when neither `--config` nor `KASSA_CONFIG` names a file; may be absent.
pub const DEFAULT_FILE: &str = "/etc/kassa/kassa.toml";

/// Where a configuration is read from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    defaults: Vec<&'static str>,
    file: Option<PathBuf>,
    environment: Vec<(String, String)>,
    ignored: Vec<String>,
    not_text: Vec<String>,
}

impl Sources {
    /// No defaults, no file, and these variables as the whole environment.
    pub fn new(environment: impl IntoIterator<Item = (String, String)>) -> Sources {
        Sources {
            environment: environment.into_iter().collect(),
            ..Sources::default()
        }
    }

    /// This process' environment, and the file named by `--config`, else by `KASSA_CONFIG`, else [`DEFAULT_FILE`] if it exists.
    /// A file that was named must exist.
    pub fn from_process(config_flag: Option<PathBuf>) -> Sources {
        let mut sources = Sources::default();
        for (name, value) in std::env::vars_os() {
            let Ok(name) = name.into_string() else { continue };
            match value.into_string() {
                Ok(value) => sources.environment.push((name, value)),
                Err(_) if name.starts_with(environment::PREFIX) => sources.not_text.push(name),
                Err(_) => {}
            }
        }
        let named = sources
            .environment
            .iter()
            .find(|(name, value)| name == "KASSA_CONFIG" && !value.is_empty());
        sources.file = config_flag
            .or_else(|| named.map(|(_, value)| PathBuf::from(value)))
            .or_else(|| Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists()));
        sources
    }

    /// Adds a commented TOML text that a crate compiles in beside its settings; later ones win.
    #[must_use]
    pub fn defaults(mut self, toml: &'static str) -> Sources {
        self.defaults.push(toml);
        self
    }

    /// Reads this file instead of any other.
    #[must_use]
    pub fn file(mut self, path: impl Into<PathBuf>) -> Sources {
        self.file = Some(path.into());
        self
    }

    /// Variables that begin with `KASSA_` and are for other programs; `KASSA_CONFIG` is known already.
    #[must_use]
    pub fn ignore(mut self, variables: impl IntoIterator<Item = impl Into<String>>) -> Sources {
        self.ignored.extend(variables.into_iter().map(Into::into));
        self
    }
}

/// Reads all layers into a `T`.
///
/// # Errors
/// Everything that is wrong with the configuration, as far as it can be found in one reading.
pub fn load<T: DeserializeOwned>(sources: Sources) -> Result<Loaded<T>, ConfigError> {
    let Sources {
        defaults,
        file,
        environment,
        ignored,
        not_text,
    } = sources;
    let mut faults = Vec::new();
    let mut root = Node::empty_table(Origin::Default);
    for text in defaults {
        root.overlay(file::parse(text, None, &mut faults));
    }
    if let Some(path) = file {
        let shown = path.display().to_string();
        match std::fs::read_to_string(&path) {
            Ok(text) => root.overlay(file::parse(&text, Some(&shown), &mut faults)),
            Err(error) => faults.push(Fault::new(
                "",
                None,
                format!("the file {shown} cannot be read: {error}"),
            )),
        }
    }
    for name in not_text.into_iter().filter(|name| !ignored.contains(name)) {
        faults.push(Fault::new("", Some(name), "the value is not UTF-8 text".to_owned()));
    }
    // What the broken text would have set is missing below and would only be reported as that.
    if !faults.is_empty() {
        return Err(ConfigError::new(faults));
    }
    environment::overlay(&mut root, &environment, &ignored, &mut faults);
    match resolve::resolve(&mut root, &mut faults) {
        Some(value) if faults.is_empty() => Ok(Loaded::new(value, root)),
        _ => Err(ConfigError::new(faults)),
    }
}

/// A configuration, and where each value of it came from.
pub struct Loaded<T> {
    /// The typed configuration.
    pub value: T,
    root: Node,
    sources: BTreeMap<String, String>,
}

impl<T> Loaded<T> {
    fn new(value: T, root: Node) -> Loaded<T> {
        let mut sources = BTreeMap::new();
        root.leaves(&mut Vec::new(), &mut |path, leaf| {
            sources.insert(node::spell(path), leaf.origin.to_string());
        });
        Loaded { value, root, sources }
    }

    /// Where the value at `path` (`stores.main.inn`, `poll_intervals[0]`) was set: `default`, `file:line:column`, or the
    /// variable. `None` for a section and for what no layer sets.
    pub fn source_of(&self, path: &str) -> Option<&str> {
        self.sources.get(path).map(String::as_str)
    }

    /// The effective configuration as TOML with the source of every value as a comment. Values whose key names a secret
    /// and passwords in URLs are `***`.
    pub fn render_redacted(&self) -> String {
        redact::render(&self.root)
    }
}

impl<T> fmt::Debug for Loaded<T> {
    /// Without the value, which holds secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded")
            .field("sources", &self.sources)
            .finish_non_exhaustive()
    }
}
