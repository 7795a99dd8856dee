//! Reading what a vendor wrote: nothing that we can do without may make an answer unreadable.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// A number as fiscal documents have them: 1 to 20 digits.
pub(crate) fn is_digits(text: &str) -> bool {
    (1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A link that may be shown to people as one.
pub(crate) fn is_link(url: &str) -> bool {
    url::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
        && !url.contains(|c: char| c.is_control() || c.is_whitespace())
}

/// A field that may be absent, null or of an unexpected type, all of which are `None`.
pub(crate) fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<Option<T>, D::Error> {
    let raw = Option::<Box<RawValue>>::deserialize(from)?;
    Ok(raw.and_then(|raw| serde_json::from_str(raw.get()).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_is_no_web_page_is_not_kept() {
        assert!(is_link("https://consumer.1-ofd.ru/v1?fn=1&n=1"));
        for other in [
            "javascript:alert(1)",
            "https://a b",
            "",
            "/v1",
            "https://ofd.example/\u{0}",
        ] {
            assert!(!is_link(other), "{other}");
        }
    }
}
