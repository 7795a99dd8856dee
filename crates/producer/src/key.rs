//! Keys of the HTTP API: how they look, and what they allow.
//!
//! A key is `kassa_{id}_{secret}`: 12 hexadecimal digits that lists and logs may show, and 64 that only its owner has.
//! The prefix lets scanners of sources find a key that was committed by mistake.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};
use uuid::Uuid;

const PREFIX: &str = "kassa_";
const ID_DIGITS: usize = 12;
const SECRET_DIGITS: usize = 64;

/// What a key allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// To submit receipts.
    Submit,
    /// To read receipts.
    Read,
    /// To see the buyers' data, and to search by it.
    Contacts,
    /// To act on receipts: cancel them, have them asked about, sent again (also under the next external id) and resold.
    /// It makes fiscal documents.
    Act,
    /// To end an unknown outcome by a person's word.
    Resolve,
}

impl Right {
    /// Every right.
    pub const ALL: [Self; 5] = [Self::Submit, Self::Read, Self::Contacts, Self::Act, Self::Resolve];

    /// The word in the table and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Submit => "submit",
            Self::Read => "read",
            Self::Contacts => "contacts",
            Self::Act => "act",
            Self::Resolve => "resolve",
        }
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A word that is no right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no such right; known are submit, read, contacts, act and resolve")]
pub struct NoSuchRight;

impl FromStr for Right {
    type Err = NoSuchRight;

    fn from_str(text: &str) -> Result<Self, NoSuchRight> {
        Self::ALL
            .into_iter()
            .find(|right| right.name() == text)
            .ok_or(NoSuchRight)
    }
}

/// A new key. Its text exists here and with its owner, nowhere else.
pub struct NewKey {
    /// 12 hexadecimal digits; public.
    pub id: String,
    /// The whole key, for its owner.
    pub text: String,
    /// What is kept of the secret.
    pub secret_hash: [u8; 32],
}

impl NewKey {
    /// A key with 244 random bits from the operating system.
    #[must_use]
    pub fn make() -> Self {
        // A UUID of version 4 has its random digits in front of and behind the version's; these twelve are all random.
        let id = Uuid::new_v4().simple().to_string()[..ID_DIGITS].to_owned();
        let secret = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        Self {
            secret_hash: Sha256::digest(&secret).into(),
            text: format!("{PREFIX}{id}_{secret}"),
            id,
        }
    }
}

/// A key that somebody shows.
pub(crate) struct ShownKey<'a> {
    pub(crate) id: &'a str,
    pub(crate) secret_hash: [u8; 32],
}

impl<'a> ShownKey<'a> {
    /// Reads a key; `None` when it does not look like one.
    pub(crate) fn read(text: &'a str) -> Option<Self> {
        let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let is_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        (id.len() == ID_DIGITS && secret.len() == SECRET_DIGITS && is_hex(id) && is_hex(secret)).then(|| Self {
            id,
            secret_hash: Sha256::digest(secret).into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_is_read_back_and_no_other_text_is_a_key() {
        let key = NewKey::make();
        let shown = ShownKey::read(&key.text).expect("a key");
        assert_eq!((shown.id, shown.secret_hash), (key.id.as_str(), key.secret_hash));
        for text in [
            "",
            "kassa_",
            "kassa_0123456789ab_",
            &key.text[1..],
            &format!("{}0", key.text),
        ] {
            assert!(ShownKey::read(text).is_none(), "{text}");
        }
        assert!(ShownKey::read(&key.text.to_uppercase()).is_none());
        assert_ne!(NewKey::make().text, key.text);
    }

    #[test]
    fn every_right_is_read_back() {
        for right in Right::ALL {
            assert_eq!(right.name().parse(), Ok(right));
        }
        assert_eq!("admin".parse::<Right>(), Err(NoSuchRight));
    }
}
