//! Taking secrets and the buyer out of what is stored and shown.
//!
//! Two nets: the values that are known to be in this very call (token, password, the buyer's contacts), and shapes that
//! always are what they look like (e-mail addresses, telephone numbers, values of secret fields, token-like runs,
//! secrets in callback addresses).
//! Numbers of the fiscal document must survive: INN (10 or 12 digits), FN (16), FPD (at most 10) are no telephones.

use std::iter::once;

/// Masks what one call knows.
#[derive(Default)]
pub(crate) struct Mask {
    secrets: Vec<String>,
}

/// What stands in place of a masked value.
const MASKED: &str = "***";

/// A known value shorter than this is left alone: replacing every "ab" would destroy the text and hide nothing.
const SHORTEST_KNOWN: usize = 4;

/// Runs of token letters from this length on are taken for a token; ATOL's have 128. A UUID has 36.
const SHORTEST_TOKEN: usize = 64;

/// Names of fields whose value is a secret wherever they appear, in JSON or in a query.
const SECRET_FIELDS: [&str; 5] = ["token", "pass", "password", "tokenid", "client_secret"];

impl Mask {
    /// Adds a value that must not be stored, as it is and as JSON writes it.
    pub(crate) fn hide(&mut self, value: &str) {
        if value.chars().count() < SHORTEST_KNOWN {
            return;
        }
        let in_json = serde_json::Value::from(value).to_string();
        self.secrets
            .extend([in_json[1..in_json.len() - 1].to_owned(), value.to_owned()]);
    }

    /// The bytes as text that may be stored: masked, without U+0000 (Postgres takes none), cut to `longest` bytes on a
    /// character border. Masking comes first, so that the cut cannot leave half of a secret unrecognised.
    pub(crate) fn text(&self, bytes: &[u8], longest: usize) -> String {
        let mut text = String::from_utf8_lossy(bytes);
        // An answer hardly ever holds one of them, and is long.
        for (unwanted, instead) in once(("\0", "")).chain(self.secrets.iter().map(|secret| (secret.as_str(), MASKED))) {
            if text.contains(unwanted) {
                text = text.replace(unwanted, instead).into();
            }
        }
        let mut text = by_shape(&receipt::callback::masked(&text));
        text.truncate(text.floor_char_boundary(longest));
        text
    }
}

/// Goes through the text word by word, a word being a longest run of characters that addresses and tokens are made of.
fn by_shape(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if let Some(after) = telephone_with_plus(rest) {
            masked.push_str(MASKED);
            rest = after;
            continue;
        }
        let (word, after) = rest.split_at(rest.find(|c| !is_word(c)).unwrap_or(rest.len()));
        if word.is_empty() {
            masked.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        rest = after;
        if is_email(word) || is_token(word) || is_telephone(word) {
            masked.push_str(MASKED);
            continue;
        }
        masked.push_str(word);
        let names_a_secret = SECRET_FIELDS.iter().any(|name| name.eq_ignore_ascii_case(word));
        if let Some((between, after)) = names_a_secret.then(|| value_after(after)).flatten() {
            masked.push_str(between);
            masked.push_str(MASKED);
            rest = after;
        }
    }
    masked
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '@' | '.' | '_' | '-' | '%' | '+')
}

/// The value that is assigned to a field whose name has just ended: what stands between name and value, and the text
/// after the value. `None` when the name is followed by prose.
fn value_after(text: &str) -> Option<(&str, &str)> {
    let past = |text: &str, skipped: &[char]| text.len() - text.trim_start_matches(skipped).len();
    let assignment = past(text, &['"', ' ']);
    if !text[assignment..].starts_with([':', '=']) {
        return None;
    }
    let start = assignment + 1 + past(&text[assignment + 1..], &[' ']);
    let (start, end) = match text[start..].strip_prefix('"') {
        Some(quoted) => (start + 1, start + 1 + end_of_string(quoted)),
        None => (
            start,
            text[start..]
                .find(['&', ',', '}', ' ', '\n'])
                .map_or(text.len(), |length| start + length),
        ),
    };
    (start < end).then(|| (&text[..start], &text[end..]))
}

/// Where a JSON string ends whose opening quote has been read.
fn end_of_string(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'"' if !escaped => return at,
            b'\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

fn is_email(word: &str) -> bool {
    word.split_once('@')
        .is_some_and(|(name, host)| !name.is_empty() && !host.is_empty())
}

fn is_token(word: &str) -> bool {
    word.len() >= SHORTEST_TOKEN
}

/// Eleven digits that begin as a Russian number does.
fn is_telephone(word: &str) -> bool {
    word.len() == 11 && word.starts_with(['7', '8']) && word.bytes().all(|byte| byte.is_ascii_digit())
}

/// The text after `+` and at least seven digits with the usual separators between them.
fn telephone_with_plus(text: &str) -> Option<&str> {
    let body = text.strip_prefix('+')?;
    let end = body
        .find(|c: char| !(c.is_ascii_digit() || matches!(c, ' ' | '-' | '(' | ')')))
        .unwrap_or(body.len());
    let (number, after) = body.split_at(end);
    (number.bytes().filter(u8::is_ascii_digit).count() >= 7).then_some(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(text: &str) -> String {
        Mask::default().text(text.as_bytes(), usize::MAX)
    }

    #[test]
    fn contacts_are_masked_and_fiscal_numbers_are_not() {
        for (text, expected) in [
            (r#"{"email":"pokupatel+x@example.org"}"#, r#"{"email":"***"}"#),
            ("позвоните +7 (921) 555-01-42, срочно", "позвоните ***, срочно"),
            ("89215550142", "***"),
            ("ИНН 7805123470 и 503219184750", "ИНН 7805123470 и 503219184750"),
            (
                "fn=9960440301177245&i=48213&fp=2871940355",
                "fn=9960440301177245&i=48213&fp=2871940355",
            ),
            (
                "6a0d3f3c-91b5-4d6e-b0f8-0c8d2f7a4e15",
                "6a0d3f3c-91b5-4d6e-b0f8-0c8d2f7a4e15",
            ),
            ("2 + 2", "2 + 2"),
            (
                r#"{"callback_url":"https://r.example/callbacks/v/main/k7Rw-2mQx_9ZpL4tVb8NsD3yHc6"}"#,
                r#"{"callback_url":"https://r.example/callbacks/v/main/***"}"#,
            ),
        ] {
            assert_eq!(masked(text), expected);
        }
    }

    #[test]
    fn secret_fields_are_masked_in_json_and_in_a_query() {
        for (text, expected) in [
            (r#"{"token": "abc", "code": 1}"#, r#"{"token": "***", "code": 1}"#),
            (r#"{"error":null,"pass":"k7Rw"}"#, r#"{"error":null,"pass":"***"}"#),
            (
                "GET /getToken?login=shop&pass=k7Rw&source=x",
                "GET /getToken?login=shop&pass=***&source=x",
            ),
            (r#"{"password" : "k7!R\"w/&x","n":2}"#, r#"{"password" : "***","n":2}"#),
            (r#"{"token":null}"#, r#"{"token":***}"#),
            ("the token is not active", "the token is not active"),
            (r#"{"pass":"cut off"#, r#"{"pass":"***"#),
        ] {
            assert_eq!(masked(text), expected);
        }
        assert_eq!(masked(&"aB3_-".repeat(20)), "***");
    }

    #[test]
    fn known_values_are_masked_wherever_they_stand() {
        let mut mask = Mask::default();
        mask.hide("9215550142");
        mask.hide("ab");
        assert_eq!(
            mask.text("absent: tel9215550142.".as_bytes(), usize::MAX),
            "absent: tel***."
        );
    }

    #[test]
    fn a_text_is_cut_on_a_character_border_after_masking() {
        let text = "яяя buyer@example.org";
        let mask = Mask::default();
        assert_eq!(mask.text(text.as_bytes(), 3), "я");
        assert_eq!(mask.text(text.as_bytes(), 11), "яяя ***");
        assert_eq!(mask.text(b"a\0b\xff", 100), "ab\u{fffd}");
    }
}
