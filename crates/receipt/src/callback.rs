//! Where a vendor may tell that a registration has ended. The address stands in requests, is answered by a route, and
//! comes back in the vendor's answers; its form is written down once, here.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

use crate::{StoreCode, VendorName};

/// What must not be shown is shown as this.
const MASKED: &str = "***";
/// The lengths that a secret may have. Random letters and digits of the shorter one are 140 bits.
const LENGTHS: std::ops::RangeInclusive<usize> = 24..=64;
/// The first segment of the path.
const CALLBACKS: &str = "callbacks";

/// What makes the address of a store's callbacks hard to guess. Nothing shows it but [`CallbackSecret::expose`].
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct CallbackSecret(String);

impl CallbackSecret {
    /// The secret itself, for the address alone.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What is wrong with it, in words that follow its key; never the secret itself.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let usable = LENGTHS.contains(&self.0.len()) && self.0.chars().all(is_secret);
        let (shortest, longest) = (LENGTHS.start(), LENGTHS.end());
        (!usable).then(|| {
            format!(
                "must have {shortest} to {longest} characters of A-Z, a-z, 0-9, - and _; `openssl rand -hex 24` makes one"
            )
        })
    }
}

impl From<&str> for CallbackSecret {
    fn from(secret: &str) -> Self {
        Self(secret.to_owned())
    }
}

impl fmt::Debug for CallbackSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASKED)
    }
}

impl Serialize for CallbackSecret {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(MASKED)
    }
}

/// The path of a store's callbacks from a vendor.
#[must_use]
pub fn path(vendor: &VendorName, store: &StoreCode, secret: &CallbackSecret) -> String {
    format!("/{CALLBACKS}/{vendor}/{store}/{}", secret.expose())
}

/// The text with the secret of every callback address in it masked, however the slashes are written: as they are,
/// escaped as some write JSON, or percent-encoded.
#[must_use]
pub fn masked(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut kept = 0;
    // From every such word on, for the public address may end in the same word.
    for (at, word) in text.match_indices(CALLBACKS) {
        let after = &text[at + word.len()..];
        let Some(secret) = slash(after).and_then(segment).and_then(segment) else {
            continue;
        };
        let start = text.len() - secret.len();
        let end = start + secret.find(|c| !is_secret(c)).unwrap_or(secret.len());
        if start < end {
            masked.push_str(&text[kept..start]);
            masked.push_str(MASKED);
            kept = end;
        }
    }
    masked.push_str(&text[kept..]);
    masked
}

/// The text after a slash.
fn slash(text: &str) -> Option<&str> {
    ["/", "\\/", "%2F", "%2f"]
        .iter()
        .find_map(|slash| text.strip_prefix(slash))
}

/// The text after a name and a slash.
fn segment(text: &str) -> Option<&str> {
    let end = text.find(|c: char| !is_secret(c))?;
    slash(&text[end..])
}

const fn is_secret(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECRET: &str = "k7Rw-2mQx_9ZpL4tVb8NsD3yHc6";

    #[test]
    fn a_secret_is_shown_by_nothing() {
        let secret = CallbackSecret::from(SECRET);
        assert_eq!(format!("{secret:?}"), "***");
        assert_eq!(serde_json::to_string(&secret).expect("a text"), "\"***\"");
    }

    #[test]
    fn a_secret_that_is_short_or_no_plain_word_is_a_fault_that_does_not_show_it() {
        assert_eq!(CallbackSecret::from(SECRET).fault(), None);
        let long = "a".repeat(65);
        for bad in [
            "",
            &SECRET[..23],
            "k7Rw/2mQx/9ZpL4tVb8NsD3yHc6",
            "пароль-пароль-пароль-пароль",
            &long,
        ] {
            let fault = CallbackSecret::from(bad).fault().expect("a fault");
            assert!(fault.contains("24 to 64"), "{fault}");
            assert!(bad.is_empty() || !fault.contains(bad), "{fault}");
        }
    }

    #[test]
    fn the_secret_of_an_address_is_masked_however_it_is_written() {
        for (text, expected) in [
            (
                format!(r#"{{"callback_url":"https://r.example/kassa/callbacks/acme/main/{SECRET}","n":1}}"#),
                r#"{"callback_url":"https://r.example/kassa/callbacks/acme/main/***","n":1}"#,
            ),
            (
                format!(r"https:\/\/r.example\/callbacks\/acme\/main\/{SECRET} and more"),
                r"https:\/\/r.example\/callbacks\/acme\/main\/*** and more",
            ),
            (
                format!("u=https%3A%2F%2Fr.example%2Fcallbacks%2Facme%2Fmain%2F{SECRET}&v"),
                "u=https%3A%2F%2Fr.example%2Fcallbacks%2Facme%2Fmain%2F***&v",
            ),
            (
                format!("https://r.example/callbacks/callbacks/acme/main/{SECRET}"),
                "https://r.example/callbacks/callbacks/acme/***/***",
            ),
        ] {
            assert_eq!(masked(&text), expected);
        }
        for plain in [
            "callbacks are off",
            "/callbacks/",
            "/callbacks/acme/main/",
            "callbacks/acme",
            r#"{"callback_url": "callback_url не соответствует маске"}"#,
        ] {
            assert_eq!(masked(plain), plain);
        }
    }

    proptest! {
        #[test]
        fn no_text_around_an_address_keeps_its_secret_from_being_masked(before in ".*(callbacks/?){0,3}", after in "([^A-Za-z0-9_-].*)?") {
            let (vendor, store) = (VendorName::parse("acme").expect("a name"), StoreCode::parse("main").expect("a code"));
            let path = path(&vendor, &store, &CallbackSecret::from(SECRET));
            let text = format!("{before}{path}{after}");
            prop_assert!(!masked(&text).contains(SECRET));
        }

        #[test]
        fn masking_never_panics_and_leaves_other_texts_alone(text in ".*") {
            if !text.contains(CALLBACKS) {
                prop_assert_eq!(masked(&text), text);
            }
        }
    }
}
