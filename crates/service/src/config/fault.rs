//! What can be wrong with a configuration, said so that the reader can mend it.

use std::fmt;

/// One mistake: which key, where it was written, what is wrong with it. Never shows a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    path: String,
    origin: Option<String>,
    message: String,
}

impl Fault {
    pub(super) fn new(path: impl Into<String>, origin: Option<String>, message: String) -> Fault {
        Fault {
            path: path.into(),
            origin,
            message,
        }
    }

    /// The full path of the key, such as `stores.main.inn`; empty when the fault is about no key.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Where the value was written: `file:line:column`, the name of a variable, or nowhere if it is missing.
    pub fn origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }

    /// What is wrong, and the cure if there is one.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        match &self.origin {
            Some(origin) => write!(f, " ({origin})"),
            None => Ok(()),
        }
    }
}

/// Everything that was found wrong in one reading, so that it can be mended in one go.
#[derive(Debug, thiserror::Error)]
pub struct ConfigError {
    faults: Vec<Fault>,
}

impl ConfigError {
    pub(super) fn new(mut faults: Vec<Fault>) -> ConfigError {
        faults.dedup();
        ConfigError { faults }
    }

    /// The faults in the order in which they were found; never empty.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.faults.as_slice() {
            [fault] => write!(f, "the configuration is wrong: {fault}"),
            faults => {
                write!(f, "the configuration has {} faults:", faults.len())?;
                faults.iter().try_for_each(|fault| write!(f, "\n  - {fault}"))
            }
        }
    }
}

/// The known name that was most likely meant: at most three slips of the pen, and at most one in three letters.
pub(super) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let most = (name.len() / 3).clamp(1, 3);
    let scored = known
        .iter()
        .map(|known| (strsim::damerau_levenshtein(name, known), *known));
    scored
        .filter(|(slips, _)| *slips <= most)
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, known)| known)
}
