//! The message that wakes a sender: which transaction, and which fence it had.

use receipt::{AccountName, TransactionId};
use serde::{Deserialize, Serialize};

use crate::delivery::Delivery;
use crate::error::MalformedPointer;

/// The message type of a pointer, and its version.
pub const POINTER_TYPE: &str = "transaction.due.v1";

/// "This transaction is due, and when this was written its fence was that." A hint: the table decides, and a pointer whose
/// fence is no longer the row's is stale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Pointer {
    /// Which one.
    pub transaction: TransactionId,
    /// The number of the attempt that the row had reached.
    pub fence: i32,
}

impl Pointer {
    /// The body of its message.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        format!(r#"{{"transaction":"{}","fence":{}}}"#, self.transaction, self.fence).into_bytes()
    }

    /// The body of its message, with the account that the transaction is sent by: whoever gets it can tell without asking
    /// the database whether that account has a free place.
    #[must_use]
    pub fn encode_for(&self, account: &AccountName) -> Vec<u8> {
        format!(
            r#"{{"transaction":"{}","fence":{},"account":"{account}"}}"#,
            self.transaction, self.fence
        )
        .into_bytes()
    }

    /// The account that a delivery names, if it names one.
    #[must_use]
    pub fn account_of(delivery: &Delivery) -> Option<AccountName> {
        #[derive(Deserialize)]
        struct Named {
            account: Option<AccountName>,
        }
        serde_json::from_slice::<Named>(&delivery.body).ok()?.account
    }

    /// Reads a delivery. Unknown members are skipped, so that a later version may add some.
    ///
    /// # Errors
    /// [`MalformedPointer`]: another type or version, or a body that is no pointer.
    pub fn decode(delivery: &Delivery) -> Result<Self, MalformedPointer> {
        match delivery.message_type.as_deref() {
            Some(POINTER_TYPE) => serde_json::from_slice(&delivery.body).map_err(MalformedPointer::Body),
            other => Err(MalformedPointer::Type {
                found: other.unwrap_or_default().chars().take(80).collect(),
                expected: POINTER_TYPE,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(message_type: Option<&str>, body: &[u8]) -> Delivery {
        Delivery {
            message_type: message_type.map(str::to_owned),
            body: body.to_vec(),
            ..Delivery::default()
        }
    }

    #[test]
    fn a_pointer_comes_back_as_it_went() {
        let pointer = Pointer {
            transaction: TransactionId::new(),
            fence: i32::MAX,
        };
        let back = Pointer::decode(&delivery(Some(POINTER_TYPE), &pointer.encode())).expect("own encoding");
        assert_eq!(back, pointer);
        assert_eq!(
            Pointer::account_of(&delivery(Some(POINTER_TYPE), &pointer.encode())),
            None
        );
    }

    #[test]
    fn a_pointer_with_its_account_is_the_same_pointer() {
        let pointer = Pointer {
            transaction: TransactionId::new(),
            fence: 7,
        };
        let account = AccountName::parse("main").expect("an account name");
        let named = delivery(Some(POINTER_TYPE), &pointer.encode_for(&account));
        assert_eq!(Pointer::decode(&named).expect("own encoding"), pointer);
        assert_eq!(Pointer::account_of(&named), Some(account));
        let strange = delivery(Some(POINTER_TYPE), br#"{"account":"No Account"}"#);
        assert_eq!(Pointer::account_of(&strange), None);
    }

    #[test]
    fn another_version_is_an_error_and_not_a_guess() {
        let body = Pointer {
            transaction: TransactionId::new(),
            fence: 1,
        }
        .encode();
        for other in [None, Some("transaction.due.v2"), Some("receipt.request.v1")] {
            assert!(
                matches!(
                    Pointer::decode(&delivery(other, &body)),
                    Err(MalformedPointer::Type { .. })
                ),
                "{other:?}"
            );
        }
    }

    #[test]
    fn a_body_that_is_no_pointer_is_an_error() {
        let bodies: [&[u8]; 8] = [
            b"",
            b"{",
            b"null",
            b"\xff\xfe",
            b"[]",
            br#"{"transaction":"no","fence":1}"#,
            br#"{"transaction":"0196f5b0-0000-7000-8000-000000000000"}"#,
            br#"{"transaction":"0196f5b0-0000-7000-8000-000000000000","fence":99999999999}"#,
        ];
        for body in bodies {
            let decoded = Pointer::decode(&delivery(Some(POINTER_TYPE), body));
            assert!(matches!(decoded, Err(MalformedPointer::Body(_))), "{body:?}");
        }
    }
}
