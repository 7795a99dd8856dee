//! Accepting one receipt outside the broker: from a command, and later over HTTP.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use ledger::{Acceptance, First, Judged, Ledger, LedgerError, NewTransaction, Request};
use queue::{Pointer, Pointers};
use receipt::intake::{Directory, NotAccepted, moscow};
use receipt::{ExternalId, StateName, TransactionId};

/// Accepts receipts for the configured stores.
#[derive(Clone)]
pub struct Producer {
    ledger: Ledger,
    directory: Arc<Directory>,
    pointers: Pointers,
    moscow: TimeZone,
}

/// An accepted receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The transaction that holds it.
    pub id: TransactionId,
    /// Its key at the vendor.
    pub external_id: ExternalId,
    /// Where it stands.
    pub state: StateName,
    /// Whether this call made it.
    pub newness: Newness,
    /// The failed or cancelled transaction that it corrects, if it is a revision made by this call.
    pub replaces: Option<TransactionId>,
}

/// Whether a receipt was accepted by this call or before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Newness {
    /// By this call.
    New,
    /// By an earlier one with the same content.
    Known,
}

/// Why a receipt was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// The request itself, or the configuration it needs.
    #[error("the request was not accepted")]
    NotAccepted(NotAccepted),
    /// The document is known with another content.
    #[error("the document was accepted before with another content, as transaction {id}, which is {state}")]
    Conflict {
        /// The transaction that holds the document.
        id: TransactionId,
        /// Where it stands.
        state: StateName,
    },
    /// The key at the vendor belongs to another document.
    #[error("the document's number differs from another document's in letter case only; change the number")]
    KeyTaken,
    /// The database.
    #[error("the receipt could not be stored")]
    Ledger(#[source] LedgerError),
}

impl Producer {
    /// A producer over the ledger. `pointers` wake a sender at once; without a broker the table wakes it a little later.
    #[must_use]
    pub fn new(ledger: Ledger, directory: Arc<Directory>, pointers: Pointers) -> Self {
        Self {
            ledger,
            directory,
            pointers,
            moscow: moscow(),
        }
    }

    /// Accepts a request once. The receipt is registered when this has returned, whatever becomes of this process.
    ///
    /// # Errors
    /// [`AcceptError`]; nothing was stored, but for an outage whose commit got no answer. Calling again is harmless.
    pub async fn accept(&self, body: &[u8]) -> Result<Accepted, AcceptError> {
        let today = Timestamp::now().to_zoned(self.moscow.clone()).date();
        let request = Request {
            body,
            message_type: None,
            routing_key: None,
            today,
        };
        let prepared = match self
            .ledger
            .judge(&self.directory, request)
            .await
            .map_err(AcceptError::Ledger)?
        {
            Judged::Acceptable(prepared) => *prepared,
            Judged::Known(id) => return self.known(id).await,
            Judged::Refused(why) => return Err(AcceptError::NotAccepted(why)),
        };
        let (vendor, account) = (prepared.vendor.clone(), prepared.account.clone());
        let external_id = prepared.external_id.clone();
        let accepted = |id, external_id, state, replaces| Accepted {
            id,
            external_id,
            state,
            newness: Newness::New,
            replaces,
        };
        let wake = |transaction| {
            self.pointers
                .send_for(&vendor, &account, Pointer { transaction, fence: 0 }, None);
        };
        match self.ledger.accept(NewTransaction::of(prepared, First::Queue)).await {
            Ok(Acceptance::Queued(id)) => {
                wake(id);
                Ok(accepted(id, external_id, StateName::Queued, None))
            }
            Ok(Acceptance::Revised {
                id,
                external_id,
                replaces,
                state,
            }) => {
                if state == StateName::Queued {
                    wake(id);
                }
                Ok(accepted(id, external_id, state, Some(replaces)))
            }
            Ok(Acceptance::Held(id)) => Ok(accepted(id, external_id, StateName::Held, None)),
            Ok(Acceptance::Claimed(claimed)) => Ok(accepted(
                claimed.subject.transaction_id,
                external_id,
                StateName::Sending,
                None,
            )),
            Ok(Acceptance::Known { id, state, fence }) => {
                if state == StateName::Queued {
                    self.pointers
                        .send_for(&vendor, &account, Pointer { transaction: id, fence }, None);
                }
                self.known(id).await
            }
            Ok(Acceptance::Conflict { id, state }) => Err(AcceptError::Conflict { id, state }),
            Err(LedgerError::ExternalIdTaken) => Err(AcceptError::KeyTaken),
            Err(error) => Err(AcceptError::Ledger(error)),
        }
    }

    /// A transaction that was accepted before, under the key that it has now.
    async fn known(&self, id: TransactionId) -> Result<Accepted, AcceptError> {
        let corrupt = |what: String| {
            AcceptError::Ledger(LedgerError::Corrupt {
                id: id.to_string(),
                what,
            })
        };
        let rows = self.ledger.find(&id.to_string()).await.map_err(AcceptError::Ledger)?;
        let row = rows
            .into_iter()
            .next()
            .ok_or_else(|| corrupt("it cannot be found".to_owned()))?;
        Ok(Accepted {
            id,
            external_id: ExternalId::parse(&row.external_id).map_err(|error| corrupt(error.to_string()))?,
            state: row
                .state
                .parse()
                .map_err(|_| corrupt(format!("state {:?}", row.state)))?,
            newness: Newness::Known,
            replaces: None,
        })
    }
}
