//! `If-Match`: which version of a receipt somebody has looked at before acting on it.

use axum::http::{HeaderMap, StatusCode, header};

use super::act::changed;
use super::problem::Problem;

/// What the header names.
#[derive(Debug)]
pub(super) struct IfMatch<'a>(Vec<&'a str>);

impl<'a> IfMatch<'a> {
    /// # Errors
    /// 428 when the header is missing.
    pub(super) fn read(headers: &'a HeaderMap) -> Result<Self, Problem> {
        let lines: Vec<&str> = headers
            .get_all(header::IF_MATCH)
            .iter()
            .map(|value| value.to_str().unwrap_or_default())
            .collect();
        if lines.is_empty() {
            return Err(required(
                "Укажите If-Match с ETag чека, на который вы смотрели; If-Match: * действует без проверки.",
                "Name the ETag of the receipt that you looked at in If-Match; If-Match: * acts unseen.",
            ));
        }
        let tags = lines.into_iter().flat_map(|line| line.split(',')).map(str::trim);
        Ok(Self(tags.collect()))
    }

    /// # Errors
    /// 412 when neither this version is named nor `*`.
    pub(super) fn must_be(&self, version: i64) -> Result<(), Problem> {
        if self.is_any() || self.names(version) {
            Ok(())
        } else {
            Err(changed())
        }
    }

    /// # Errors
    /// 428 when `*` is named, 412 when this version is not.
    pub(super) fn must_be_exactly(&self, version: i64) -> Result<(), Problem> {
        if self.is_any() {
            return Err(required(
                "Это действие начинается только с ETag чека в If-Match: с If-Match: * повтор запроса мог бы выполнить его \
                 второй раз.",
                "This begins only with the receipt's ETag in If-Match: with If-Match: * a repetition of the request could \
                 do it a second time.",
            ));
        }
        if self.names(version) { Ok(()) } else { Err(changed()) }
    }

    fn is_any(&self) -> bool {
        self.0.contains(&"*")
    }

    fn names(&self, version: i64) -> bool {
        let tag = format!("\"{version}\"");
        self.0.iter().any(|one| *one == tag)
    }
}

fn required(ru: &str, en: &str) -> Problem {
    Problem::new(StatusCode::PRECONDITION_REQUIRED, "precondition_required", ru, en)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let values = values
            .iter()
            .map(|value| (header::IF_MATCH, value.parse().expect("a value")));
        values.collect()
    }

    #[test]
    fn a_version_is_found_among_tags_and_a_star_is_any_but_never_exact() {
        for (values, any, exact) in [
            (vec!["\"3\""], true, true),
            (vec!["\"1\", \"3\""], true, true),
            (vec!["\"1\"", "\"3\""], true, true),
            (vec!["*"], true, false),
            (vec!["*, \"3\""], true, false),
            (vec!["\"4\""], false, false),
            (vec!["3"], false, false),
            (vec!["W/\"3\""], false, false),
            (vec![""], false, false),
        ] {
            let headers = headers(&values);
            let given = IfMatch::read(&headers).expect("a header");
            assert_eq!(given.must_be(3).is_ok(), any, "{values:?}");
            assert_eq!(given.must_be_exactly(3).is_ok(), exact, "{values:?}");
        }
        assert!(IfMatch::read(&HeaderMap::new()).is_err());
    }
}
