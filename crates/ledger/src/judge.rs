//! What every way in asks before it accepts: can this be accepted, or was it accepted before?
//!
//! One place, so that AMQP, the drain of dead letters and the commands accept and refuse the same things.

use jiff::civil::Date;
use receipt::TransactionId;
use receipt::intake::{Directory, NotAccepted, Prepared};

use crate::error::LedgerError;
use crate::pool::Ledger;

/// What may be done with a request.
#[derive(Debug)]
pub enum Judged {
    /// It can be accepted.
    Acceptable(Box<Prepared>),
    /// It would be refused today, but this very request was accepted before: a VAT rate may have ended since, or a
    /// default of the store may have gone.
    Known(TransactionId),
    /// It cannot be accepted.
    Refused(NotAccepted),
}

/// A request as it came.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Every byte.
    pub body: &'a [u8],
    /// The message's type, if it came as a message that has one.
    pub message_type: Option<&'a str>,
    /// The message's routing key, if it came as one: the store's code.
    pub routing_key: Option<&'a str>,
    /// The day in Moscow: it decides which VAT rates are in force.
    pub today: Date,
}

impl Ledger {
    /// Reads a request, fills in the store's defaults and freezes it.
    ///
    /// # Errors
    /// An outage.
    pub async fn judge(&self, directory: &Directory, request: Request<'_>) -> Result<Judged, LedgerError> {
        let Request {
            body,
            message_type,
            routing_key,
            today,
        } = request;
        let asked = match directory.read(body, message_type, routing_key) {
            Ok(asked) => asked,
            Err(why) => return Ok(Judged::Refused(why)),
        };
        match asked.freeze(today) {
            Ok(prepared) => Ok(Judged::Acceptable(Box::new(prepared))),
            Err(why) => match self.accepted_before(&asked.subject(), &asked.request_hash()).await? {
                Some(id) => Ok(Judged::Known(id)),
                None => Ok(Judged::Refused(why)),
            },
        }
    }
}
