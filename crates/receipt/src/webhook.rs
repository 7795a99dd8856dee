//! The section `[stores.<code>.webhook]`: where a store is told by HTTP what became of its receipts. What is judged about
//! it, and the sending, are the crate `webhooks`'.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

use crate::event::EventType;

/// One endpoint of a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookSettings {
    /// Where to post; `https://…`.
    pub url: String,
    /// What to sign with, each `whsec_` and base64. Every delivery is signed with each of them, so a secret is changed
    /// without a pause: add the new one, change the receiver, remove the old one.
    pub secrets: Vec<SigningSecret>,
    /// Which events; empty means every one.
    #[serde(default)]
    pub events: Vec<EventType>,
}

/// A secret as the configuration writes it. Neither its debug form nor its serialized form shows it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct SigningSecret(String);

impl SigningSecret {
    /// A secret, unjudged.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one who signs.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret(***)")
    }
}

impl Serialize for SigningSecret {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_shown_by_nothing_but_being_asked_for() {
        let secret = SigningSecret::new("whsec_c2VjcmV0");
        assert!(!format!("{secret:?}").contains("c2VjcmV0"));
        assert_eq!(serde_json::to_string(&secret).expect("a text"), r#""***""#);
        assert_eq!(secret.expose(), "whsec_c2VjcmV0");
    }

    #[test]
    fn a_misspelt_event_is_refused() {
        let read = |event: &str| {
            serde_json::from_value::<WebhookSettings>(serde_json::json!({
                "url": "https://shop.example/kassa", "secrets": [], "events": [event]
            }))
        };
        assert_eq!(read("receipt.done").expect("a known event").events, [EventType::Done]);
        assert!(read("receipt.finished").is_err());
    }
}
