//! The non-fatal list of a store: codes of a vendor after which a receipt is sent again under the next id, although the
//! vendor's table would fail it.
//!
//! Only a code that proves the id dead may be listed; who knows the vendors' tables checks that at the start.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::class::{Refusal, RetryClass, Text};

/// A vendor's error code as people write it: `driver:-3804`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ErrorCode {
    /// The vendor's error type, in lower case.
    pub kind: String,
    /// The vendor's code.
    pub code: String,
}

/// Not of the form `type:code`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a vendor's code: write type and code, as in \"driver:-3804\"")]
pub struct InvalidErrorCode(String);

impl FromStr for ErrorCode {
    type Err = InvalidErrorCode;
    fn from_str(text: &str) -> Result<Self, InvalidErrorCode> {
        let part = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_graphic());
        match text.split_once(':') {
            Some((kind, code)) if part(kind) && part(code) => Ok(Self {
                kind: kind.to_ascii_lowercase(),
                code: code.to_owned(),
            }),
            Some(_) | None => Err(InvalidErrorCode(text.chars().take(80).collect())),
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.code)
    }
}

impl TryFrom<String> for ErrorCode {
    type Error = InvalidErrorCode;
    fn try_from(text: String) -> Result<Self, InvalidErrorCode> {
        text.parse()
    }
}

impl From<ErrorCode> for String {
    fn from(code: ErrorCode) -> String {
        code.to_string()
    }
}

/// The refusal as the list has it: a listed [`RetryClass::Permanent`] becomes a [`RetryClass::Rekey`] whose cure says
/// so. Everything else stays what it was; a doubt is looked at afterwards, so no listed code sends under another id
/// while one stands.
#[must_use]
pub fn reclassed(mut refusal: Refusal, listed: &[ErrorCode]) -> Refusal {
    let is_listed = listed
        .iter()
        .any(|code| code.code == refusal.code && code.kind.eq_ignore_ascii_case(&refusal.kind));
    match refusal.class {
        RetryClass::Permanent if is_listed => {
            refusal.class = RetryClass::Rekey;
            refusal.cure = Text::new(
                "Код есть в non_fatal_codes магазина: чек уйдёт сам под следующим номером.",
                "The code is in the store's non_fatal_codes: the receipt goes out by itself under the next id.",
            );
            refusal
        }
        RetryClass::Permanent
        | RetryClass::Retry { .. }
        | RetryClass::Rekey
        | RetryClass::Halt { .. }
        | RetryClass::Unknown => refusal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Decision, Doubt, RetryPolicy};
    use proptest::prelude::*;

    fn code(text: &str) -> ErrorCode {
        text.parse().expect("a code")
    }

    fn refusal(class: RetryClass, kind: &str, code: &str) -> Refusal {
        Refusal {
            class,
            kind: kind.to_owned(),
            code: code.to_owned(),
            message: String::new(),
            cause: Text::new("п", "c"),
            cure: Text::new("л", "u"),
        }
    }

    #[test]
    fn a_code_is_read_as_people_write_it() {
        assert_eq!(code("driver:-3804").to_string(), "driver:-3804");
        assert_eq!(code("Driver:-3804"), code("driver:-3804"));
        for wrong in ["", "-3804", "driver:", ":1", "driver -3804", "driver: 1"] {
            assert!(wrong.parse::<ErrorCode>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_listed_permanent_refusal_is_sent_again_under_the_next_id() {
        let listed = [code("driver:-3804")];
        let of = |class, kind, code| reclassed(refusal(class, kind, code), &listed);
        let mended = of(RetryClass::Permanent, "driver", "-3804");
        assert_eq!(mended.class, RetryClass::Rekey);
        assert!(mended.cure.en.contains("non_fatal_codes"), "{:?}", mended.cure);
        assert_eq!(
            of(RetryClass::Permanent, "driver", "-3805").class,
            RetryClass::Permanent
        );
        assert_eq!(
            of(RetryClass::Permanent, "system", "-3804").class,
            RetryClass::Permanent
        );
        assert_eq!(of(RetryClass::Unknown, "driver", "-3804").class, RetryClass::Unknown);
    }

    fn any_class() -> impl Strategy<Value = RetryClass> {
        prop_oneof![
            Just(RetryClass::NOT_SEEN),
            Just(RetryClass::MAYBE_SEEN),
            Just(RetryClass::Rekey),
            any::<bool>().prop_map(|certain| RetryClass::Halt { certain }),
            Just(RetryClass::Permanent),
            Just(RetryClass::Unknown),
        ]
    }

    proptest! {
        #[test]
        fn a_list_changes_nothing_but_listed_permanent_refusals_without_a_doubt(
            class in any_class(), is_listed in any::<bool>(), stands in any::<bool>(), trials in 0_u32..20
        ) {
            let given = refusal(class.clone(), "driver", "1");
            let listed = if is_listed { vec![code("driver:1")] } else { vec![code("driver:2")] };
            let doubt = if stands { Doubt::Stands } else { Doubt::None };
            let policy = RetryPolicy::default();
            let without = policy.decide(&class, doubt, trials);
            let with = policy.decide(&reclassed(given, &listed).class, doubt, trials);
            if is_listed && class == RetryClass::Permanent && !stands {
                let is_rekey = matches!(with, Decision::Rekey { .. });
                prop_assert!(is_rekey, "{:?}", with);
            } else {
                prop_assert_eq!(with, without);
            }
        }
    }
}
