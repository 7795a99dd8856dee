//! How much of an account all workers together may use.

use serde::{Deserialize, Serialize};

/// One `[limits.<account>]` section. What is absent is not limited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Registrations under way at once.
    #[serde(default)]
    pub sends_at_once: Option<u32>,
    /// Registrations begun in a second.
    #[serde(default)]
    pub sends_per_second: Option<u32>,
    /// Questions under way at once.
    #[serde(default)]
    pub polls_at_once: Option<u32>,
    /// Questions begun in a second.
    #[serde(default)]
    pub polls_per_second: Option<u32>,
}

impl Limits {
    /// Everything in the section that cannot work, one sentence each, naming the key.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let Self {
            sends_at_once,
            sends_per_second,
            polls_at_once,
            polls_per_second,
        } = self;
        [
            ("sends_at_once", sends_at_once),
            ("sends_per_second", sends_per_second),
            ("polls_at_once", polls_at_once),
            ("polls_per_second", polls_per_second),
        ]
        .into_iter()
        .filter(|(_, limit)| **limit == Some(0))
        .map(|(key, _)| format!("{key}: must be at least 1; to stop an account use kassa account pause"))
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_nothing_is_refused_and_no_limit_is_none() {
        let none: Limits = serde_json::from_str("{}").expect("all keys may be absent");
        assert_eq!((none, none.faults()), (Limits::default(), Vec::new()));
        let zero: Limits = serde_json::from_str(r#"{"sends_at_once":0,"polls_per_second":0}"#).expect("numbers");
        let faults = zero.faults();
        assert!(
            faults.len() == 2 && faults[0].starts_with("sends_at_once") && faults[1].starts_with("polls_per_second"),
            "{faults:?}"
        );
    }
}
