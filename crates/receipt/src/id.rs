//! Names and identifiers, parsed once at the edge and trusted afterwards.
//!
//! Every type here has a private field and a `parse` that says in one sentence what is allowed, so that a message,
//! a command line and a configuration file all refuse the same things with the same words.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What was wrong with a name or an identifier. `Display` is one sentence that names the rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not {expected}")]
pub struct InvalidId {
    /// What was given, cut to 80 characters.
    pub value: String,
    /// The rule, in words that follow "is not".
    pub expected: &'static str,
}

impl InvalidId {
    pub(crate) fn new(value: &str, expected: &'static str) -> Self {
        Self {
            value: value.chars().take(80).collect(),
            expected,
        }
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $expected:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            #[doc = concat!("Accepts ", $expected, ".")]
            ///
            /// # Errors
            /// [`InvalidId`] that names the rule.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) { Ok(Self(text.to_owned())) } else { Err(InvalidId::new(text, $expected)) }
            }

            /// The text as it was given.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::parse(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
    };
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new id; ids made later sort later (`UUIDv7`).
            #[must_use]
            #[expect(clippy::new_without_default, reason = "each call gives another id")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Uuid::parse_str(text).map(Self).map_err(|_| InvalidId::new(text, "a UUID"))
            }
        }
    };
}

uuid_id!(
    /// One obligation to register one receipt.
    TransactionId
);
uuid_id!(
    /// One event; also its `message_id` in the broker, so that a consumer can recognise a repetition.
    EventId
);

fn made_of(text: &str, longest: usize, allowed: fn(u8) -> bool) -> bool {
    !text.is_empty() && text.len() <= longest && text.bytes().all(allowed)
}

fn is_code(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'
}

text_id!(
    /// A seller set-up, as the configuration names it.
    StoreCode,
    "a store code: 1 to 16 characters of a-z, 0-9 and -",
    |text| made_of(text, 16, is_code)
);
text_id!(
    /// An account at a vendor, as the configuration names it.
    AccountName,
    "an account name: 1 to 32 characters of a-z, 0-9 and -",
    |text| made_of(text, 32, is_code)
);
text_id!(
    /// A vendor, as the registry of `vendors` names it.
    VendorName,
    "a vendor name: 1 to 32 characters of a-z, 0-9 and -",
    |text| made_of(text, 32, is_code)
);
text_id!(
    /// The shop's number of an invoice or a creditmemo.
    DocumentNumber,
    "a document number: 1 to 24 characters of A-Z, a-z, 0-9, '.', '/' and '-'",
    |text| made_of(text, 24, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/' | b'-'))
);
text_id!(
    /// Which receipt of the document this is, when one document needs several (prepayment and settlement, say).
    DocumentPart,
    "a document part: 1 to 12 characters of a-z, 0-9 and -",
    |text| made_of(text, 12, is_code)
);
text_id!(
    /// The shop's order number, for people.
    OrderNumber,
    "an order number: 1 to 64 printable characters",
    |text| !text.is_empty() && text.chars().count() <= 64 && !text.chars().any(char::is_control)
);
text_id!(
    /// The vendor's own id of a registration (ATOL: `uuid`, at most 128 characters).
    VendorUuid,
    "a vendor's uuid: 1 to 128 visible ASCII characters",
    |text| made_of(text, 128, |byte| byte.is_ascii_graphic())
);

impl DocumentPart {
    /// The part of a document that has only one receipt.
    #[must_use]
    pub fn main() -> Self {
        Self("main".to_owned())
    }

    /// Whether this is the only or first receipt of its document.
    #[must_use]
    pub fn is_main(&self) -> bool {
        self.0 == "main"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_name_says_what_is_allowed() {
        let refused = StoreCode::parse("Main store").expect_err("capital and space");
        assert_eq!(
            refused.to_string(),
            r#""Main store" is not a store code: 1 to 16 characters of a-z, 0-9 and -"#
        );
        assert!(DocumentNumber::parse("INV-2026/000417.1").is_ok());
        assert!(
            DocumentNumber::parse("a_b").is_err(),
            "the underscore separates the parts of an external id"
        );
        assert!(DocumentNumber::parse("").is_err());
        assert!(DocumentNumber::parse(&"1".repeat(25)).is_err());
    }

    #[test]
    fn ids_made_later_sort_later() {
        let ids: Vec<_> = (0..100).map(|_| TransactionId::new()).collect();
        assert!(ids.is_sorted());
    }
}
