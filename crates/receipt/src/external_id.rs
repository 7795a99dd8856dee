//! The idempotency key at the vendor.
//!
//! The text must fit the narrower of the vendors' limits and must be the same for every repetition of one
//! registration, so it is made once, from the document alone, and stored.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::content::Operation;
use crate::id::{DocumentNumber, DocumentPart, InvalidId, StoreCode};

/// The longest external id that is made or accepted; `CheckOnline`'s `RequestId` is the narrower limit.
pub const LONGEST: usize = 64;

/// `{invoice or creditmemo}_{store}_{number}`, with a suffix for parts, resells and generations.
///
/// No part of it may contain an underscore, therefore two documents never share one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ExternalId(String);

impl ExternalId {
    /// The id of one generation of a document's registration. Generation 0 is the first.
    ///
    /// # Errors
    /// [`InvalidId`] when the text would be longer than [`LONGEST`].
    pub fn of(
        operation: Operation,
        store: &StoreCode,
        number: &DocumentNumber,
        part: &DocumentPart,
        generation: u32,
    ) -> Result<Self, InvalidId> {
        let mut text = document(operation, store, number, part);
        if generation > 0 {
            text.push_str(&format!("__{generation}"));
        }
        Self::parse(&text)
    }

    /// The id of one half of a document's resell: `_refund` and `_resell`, from the second resell on `_refund2` and
    /// `_resell2`. `resell` counts the resells of the document from 1. It goes by the document and not by the key that
    /// was registered last, so that it stays as short after many re-keys as it is made room for.
    ///
    /// # Errors
    /// [`InvalidId`] when the text would be longer than [`LONGEST`], or when the operation is no half of a resell.
    pub fn of_resell(
        operation: Operation,
        store: &StoreCode,
        number: &DocumentNumber,
        part: &DocumentPart,
        resell: u32,
    ) -> Result<Self, InvalidId> {
        let half = match operation {
            Operation::ResellRefund => "refund",
            Operation::ResellSell => "resell",
            Operation::Sell | Operation::Refund => {
                return Err(InvalidId::new(operation.name(), "a half of a resell"));
            }
        };
        let mut text = document(operation, store, number, part);
        text.push('_');
        text.push_str(half);
        if resell > 1 {
            text.push_str(&resell.to_string());
        }
        Self::parse(&text)
    }

    /// Accepts 1 to 64 visible ASCII characters.
    ///
    /// # Errors
    /// [`InvalidId`] that names the rule.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        if text.is_empty() || text.len() > LONGEST || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(InvalidId::new(text, "an external id: 1 to 64 visible ASCII characters"));
        }
        Ok(Self(text.to_owned()))
    }

    /// The same document under its next key: `x` becomes `x__1`, `x__1` becomes `x__2`.
    ///
    /// # Errors
    /// [`InvalidId`] when the text would be longer than [`LONGEST`].
    pub fn next_generation(&self) -> Result<Self, InvalidId> {
        let (base, generation) = match self.0.rsplit_once("__") {
            Some((base, digits)) => (base, digits.parse::<u32>().unwrap_or(0)),
            None => (self.0.as_str(), 0),
        };
        Self::parse(&format!("{base}__{}", generation.saturating_add(1)))
    }

    /// Whether it is not the first key of its document, or of a half of a resell: it has a number behind `__`.
    #[must_use]
    pub fn is_numbered(&self) -> bool {
        self.0
            .rsplit_once("__")
            .is_some_and(|(_, digits)| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit()))
    }

    /// The text that the vendor sees.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The part of the key that all registrations of a document share.
fn document(operation: Operation, store: &StoreCode, number: &DocumentNumber, part: &DocumentPart) -> String {
    let mut text = format!("{}_{store}_{number}", operation.entity());
    if !part.is_main() {
        text.push_str("_part-");
        text.push_str(part.as_str());
    }
    text
}

impl fmt::Display for ExternalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for ExternalId {
    type Error = InvalidId;
    fn try_from(text: String) -> Result<Self, InvalidId> {
        Self::parse(&text)
    }
}

impl From<ExternalId> for String {
    fn from(id: ExternalId) -> String {
        id.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: &str, part: &str, generation: u32) -> Result<ExternalId, InvalidId> {
        ExternalId::of(
            Operation::Refund,
            &StoreCode::parse("main").expect("valid"),
            &DocumentNumber::parse(number).expect("valid"),
            &DocumentPart::parse(part).expect("valid"),
            generation,
        )
    }

    #[test]
    fn the_key_names_document_store_part_and_generation() {
        assert_eq!(id("417", "main", 0).expect("short").as_str(), "creditmemo_main_417");
        assert_eq!(
            id("417", "prepaid", 2).expect("short").as_str(),
            "creditmemo_main_417_part-prepaid__2"
        );
    }

    #[test]
    fn the_next_generation_counts_on() {
        let first = id("417", "main", 0).expect("short");
        let second = first.next_generation().expect("short");
        assert_eq!(second.as_str(), "creditmemo_main_417__1");
        assert!(second.is_numbered() && !first.is_numbered());
        assert_eq!(
            second.next_generation().expect("short").as_str(),
            "creditmemo_main_417__2"
        );
    }

    #[test]
    fn the_longest_document_still_fits() {
        let longest = ExternalId::of(
            Operation::Refund,
            &StoreCode::parse(&"s".repeat(16)).expect("valid"),
            &DocumentNumber::parse(&"9".repeat(24)).expect("valid"),
            &DocumentPart::main(),
            12,
        );
        assert!(longest.is_ok());
    }

    #[test]
    fn the_halves_of_a_resell_are_named_after_the_document_and_counted_from_the_second() {
        let half = |operation, number: &str, part: &str, resell| {
            ExternalId::of_resell(
                operation,
                &StoreCode::parse("main").expect("valid"),
                &DocumentNumber::parse(number).expect("valid"),
                &DocumentPart::parse(part).expect("valid"),
                resell,
            )
        };
        let text = |operation, part, resell| half(operation, "417", part, resell).expect("short").to_string();
        assert_eq!(text(Operation::ResellRefund, "main", 1), "invoice_main_417_refund");
        assert_eq!(text(Operation::ResellSell, "main", 1), "invoice_main_417_resell");
        assert_eq!(text(Operation::ResellRefund, "main", 2), "invoice_main_417_refund2");
        assert_eq!(text(Operation::ResellSell, "main", 12), "invoice_main_417_resell12");
        assert_eq!(
            text(Operation::ResellSell, "part-2", 1),
            "invoice_main_417_part-part-2_resell"
        );
        let next = half(Operation::ResellRefund, "417", "main", 2).and_then(|id| id.next_generation());
        assert_eq!(next.expect("short").as_str(), "invoice_main_417_refund2__1");
        for operation in [Operation::Sell, Operation::Refund] {
            assert!(half(operation, "417", "main", 1).is_err());
        }
    }

    #[test]
    fn the_longest_document_leaves_room_for_its_resells_and_their_keys() {
        let (store, number) = ("a".repeat(16), "1".repeat(24));
        let longest = ExternalId::of_resell(
            Operation::ResellSell,
            &StoreCode::parse(&store).expect("valid"),
            &DocumentNumber::parse(&number).expect("valid"),
            &DocumentPart::main(),
            2,
        );
        let mut key = longest.expect("short enough");
        for _ in 0..99 {
            key = key.next_generation().expect("short enough");
        }
        assert!(key.as_str().ends_with("_resell2__99"));
    }
}
