//! `Prefer: wait=N` (RFC 7240) and `Idempotency-Key`.

use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};

use super::problem::{Fault, Problem};

pub(super) const IDEMPOTENCY_KEY: &str = "idempotency-key";
const LONGEST_KEY: usize = 255;

/// For how long the client would like to wait. What is not understood is no preference, as the RFC wants it.
pub(super) fn wait(headers: &HeaderMap, longest: Duration) -> Option<Duration> {
    let preferences = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let asked = preferences.flat_map(|line| line.split([',', ';'])).find_map(|one| {
        let (name, value) = one.split_once('=')?;
        let is_wait = name.trim().eq_ignore_ascii_case("wait");
        is_wait
            .then(|| value.trim().trim_matches('"').parse::<u64>().ok())
            .flatten()
    })?;
    Some(Duration::from_secs(asked).min(longest)).filter(|wait| !wait.is_zero())
}

/// The key of the client, with or without the quotes of the draft (draft-ietf-httpapi-idempotency-key-header).
///
/// # Errors
/// 400 when it is not 1 to 255 visible characters, or stands there twice.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut given = headers.get_all(IDEMPOTENCY_KEY).iter();
    let (Some(first), second) = (given.next(), given.next()) else {
        return Ok(None);
    };
    let text = first
        .to_str()
        .ok()
        .filter(|_| second.is_none())
        .unwrap_or_default()
        .trim();
    let key = text
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or(text);
    if (1..=LONGEST_KEY).contains(&key.len()) && key.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Ok(Some(key.to_owned()));
    }
    let fault = Fault::of(
        "Idempotency-Key",
        "invalid_header",
        format!("один заголовок из 1–{LONGEST_KEY} видимых символов ASCII."),
        format!("must be one header of 1 to {LONGEST_KEY} visible ASCII characters."),
    );
    Err(Problem::invalid(StatusCode::BAD_REQUEST, vec![fault]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(10);

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name.parse().expect("a name"), value.parse().expect("a value"))])
    }

    #[test]
    fn a_wait_is_found_among_preferences_and_cut_to_the_longest() {
        let asked = |value| wait(&headers("prefer", value), LONGEST).map(|wait| wait.as_secs());
        assert_eq!(asked("wait=3"), Some(3));
        assert_eq!(asked("respond-async, wait = \"5\"; x=y"), Some(5));
        assert_eq!(asked("WAIT=100000000000"), Some(10));
        for nothing in [
            "wait=0",
            "wait",
            "wait=-1",
            "wait=abc",
            "wait=1e9",
            "",
            "handling=lenient",
        ] {
            assert_eq!(asked(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn a_key_has_quotes_or_not_and_one_that_cannot_be_stored_is_refused() {
        let read = |value: &str| idempotency_key(&headers(IDEMPOTENCY_KEY, value)).map_err(|_| ());
        assert_eq!(read("\"a b\""), Ok(Some("a b".to_owned())));
        assert_eq!(read("a-b"), Ok(Some("a-b".to_owned())));
        assert_eq!(read(""), Err(()));
        assert_eq!(read("\"\""), Err(()));
        assert_eq!(read(&"x".repeat(256)), Err(()));
        assert_eq!(idempotency_key(&HeaderMap::new()).map_err(|_| ()), Ok(None));
    }
}
